// Fields, sizes and the error page of src/http/message.hpp.
#define BOOST_TEST_MODULE http_message
#include <boost/test/included/unit_test.hpp>

#include "http/message.hpp"

namespace {

using namespace quicken::http;

std::string page_of(const Response& response) {
    return std::get<std::string>(response.pieces.at(0));
}

}  // namespace

// No value can begin another line, whatever a script puts into it.
BOOST_AUTO_TEST_CASE(added_fields_stay_one_line) {
    Response response;
    response.add("A\nB", std::string("x\r\nInjected: y\0z", 16));
    BOOST_TEST(response.fields == "A B: x  Injected: y z\r\n");
}

BOOST_AUTO_TEST_CASE(fields_are_found_in_any_case) {
    Response response;
    response.add("Content-Type", "text/plain");
    response.add("ETag", "");
    response.add("X-Last", " z ");
    BOOST_TEST(response.field("content-type") == "text/plain");
    BOOST_TEST(response.field("etag").empty());
    BOOST_TEST(response.field("X-LAST") == "z ");
    BOOST_TEST(response.field("text/plain").empty());
}

BOOST_AUTO_TEST_CASE(first_of_a_request_s_fields) {
    Request request;
    request.fields = {{"Accept", "a"}, {"accept", "b"}};
    BOOST_TEST(request.field("ACCEPT") == "a");
    BOOST_TEST(request.has("aCCEPT"));
    BOOST_TEST(!request.has("Accept-Encoding"));
}

BOOST_AUTO_TEST_CASE(request_line) {
    Request request;
    request.method = "GET";
    request.target = "/a?b";
    request.minor = 0;
    BOOST_TEST(request.line() == "GET /a?b HTTP/1.0");
}

BOOST_AUTO_TEST_CASE(size_is_of_all_pieces) {
    Response response;
    response.pieces.emplace_back("abc");
    response.pieces.emplace_back(std::make_shared<const std::string>("defg"));
    response.pieces.emplace_back(FileSlice{nullptr, 100, 5});
    BOOST_TEST(response.size() == 12U);
}

// The text is that of Python's http.server.DEFAULT_ERROR_MESSAGE, to the byte.
BOOST_AUTO_TEST_CASE(error_page_is_the_stock_one) {
    const Response page = error_page(404);
    BOOST_TEST(page.status == 404U);
    BOOST_TEST(page.field("Content-Type") == "text/html;charset=utf-8");
    BOOST_TEST(page.field("Cache-Control") == "no-store");
    BOOST_TEST(
        page_of(page) ==
        "<!DOCTYPE HTML>\n<html lang=\"en\">\n    <head>\n        <meta charset=\"utf-8\">\n"
        "        <title>Error response</title>\n    </head>\n    <body>\n        <h1>Error response</h1>\n"
        "        <p>Error code: 404</p>\n        <p>Message: Not Found.</p>\n"
        "        <p>Error code explanation: 404 - Nothing matches the given URI.</p>\n    "
        "</body>\n</html>\n");
}

BOOST_AUTO_TEST_CASE(error_page_escapes_what_is_inserted) {
    const std::string page = page_of(error_page(500, "<a> & --->", "x--y"));
    BOOST_TEST(page.find("Message: &lt;a&gt; &amp; -&#45;&#45;&gt;.") != std::string::npos);
    BOOST_TEST(page.find("--") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(unknown_status) {
    BOOST_TEST(reason_of(299) == "Unknown");
    BOOST_TEST(reason_of(200) == "OK");
    BOOST_TEST(reason_of(511) == "Network Authentication Required");
}
