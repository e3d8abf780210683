// Files as the answers they make: real files in a directory of the test's own,
// a stand-in for the connection, and a queue for what is posted to the loop.
#define BOOST_TEST_MODULE http_files
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include <boost/test/included/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "http/files.hpp"
#include "http/range.hpp"
#include "http/static_files.hpp"

namespace fs = std::filesystem;
using namespace quicken::http;

namespace {

/// One request; keeps the answer.
class Client : public Exchange {
 public:
    Client(std::string method, std::string target, std::vector<std::pair<std::string, std::string>> fields)
        : method_(std::move(method)), target_(std::move(target)), lines_(std::move(fields)) {
        request_.method = method_;
        request_.target = target_;
        for (const auto& [name, value] : lines_) request_.fields.push_back({name, value});
    }

    const Request& request() const override { return request_; }
    bool open() const override { return !response; }
    void read_body(std::uint64_t, std::function<std::string(std::uint64_t, std::uint64_t)>,
                   std::function<void(Body)>) override {}
    void read_some(std::function<void(std::error_code, std::string_view, bool)>) override {}
    void respond(Response answer) override { response = std::move(answer); }
    void begin(Response) override {}
    void write(std::string, std::function<void(std::error_code)>) override {}
    void end(bool) override {}
    std::unique_ptr<Stream> hijack(std::string&) override { return nullptr; }
    void on_gone(std::function<void()>) override {}

    std::string body() const {
        std::string result;
        for (const Piece& piece : response->pieces) {
            if (const auto* text = std::get_if<std::string>(&piece)) result += *text;
            if (const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&piece))
                result += **shared;
            if (const auto* slice = std::get_if<FileSlice>(&piece)) {
                std::string part(slice->size, '\0');
                BOOST_REQUIRE_EQUAL(
                    pread(slice->file->get(), part.data(), part.size(), static_cast<off_t>(slice->offset)),
                    static_cast<ssize_t>(part.size()));
                result += part;
            }
        }
        return result;
    }
    bool in_memory() const { return !std::holds_alternative<FileSlice>(response->pieces.at(0)); }
    std::string field(std::string_view name) const { return std::string(response->field(name)); }

    std::optional<Response> response;

 private:
    std::string method_;
    std::string target_;
    std::vector<std::pair<std::string, std::string>> lines_;
    Request request_;
};

/// The loop: runs what is posted when it is waited for.
class Queue {
 public:
    void post(std::function<void()> action) {
        const std::lock_guard lock(mutex_);
        actions_.push_back(std::move(action));
        news_.notify_one();
    }
    void run_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done()) {
            std::unique_lock lock(mutex_);
            BOOST_REQUIRE(news_.wait_until(lock, deadline, [this] { return !actions_.empty(); }));
            const auto action = std::move(actions_.front());
            actions_.pop_front();
            lock.unlock();
            action();
        }
    }

 private:
    std::mutex mutex_;
    std::condition_variable news_;
    std::deque<std::function<void()>> actions_;
};

struct Bed {
    Bed() {
        char name[] = "/tmp/http_files_XXXXXX";
        directory = mkdtemp(name);
        fs::create_directory(directory / "www");
        rules.folders = {{"/", (directory / "www").string()}};
        files.set(rules);
    }
    ~Bed() { fs::remove_all(directory); }

    void write(const std::string& name, const std::string& content) const {
        std::ofstream(directory / name, std::ios::trunc) << content;
    }
    /// Same size, same inode, as an editor that writes in place.
    void overwrite(const std::string& name, const std::string& content) const {
        std::fstream(directory / name, std::ios::in | std::ios::out) << content;
    }
    std::shared_ptr<Client> ask(const std::string& target,
                                std::vector<std::pair<std::string, std::string>> fields = {},
                                const std::string& method = "GET") {
        auto client = std::make_shared<Client>(method, target, std::move(fields));
        const auto path = normal_path(target);
        if (!path || !files.answer(client, *path)) return nullptr;
        queue.run_until([&] { return client->response.has_value(); });
        return client;
    }

    fs::path directory;
    Queue queue;
    FileRules rules;
    /// A second, as far as timers are concerned.
    void pass_time() {
        for (const auto& timer : std::exchange(timers, {})) {
            if (const auto action = timer.lock()) (*action)();
        }
    }

    std::vector<std::weak_ptr<std::function<void()>>> timers;
    StaticFiles files{[this](std::function<void()> action) { queue.post(std::move(action)); },
                      [this](double, std::function<void()> action) {
                          auto timer = std::make_shared<std::function<void()>>(std::move(action));
                          timers.push_back(timer);
                          return timer;
                      }};
};

std::string unpacked(const std::string& packed) {
    z_stream stream{};
    inflateInit2(&stream, 15 + 16);
    std::string result(16 << 20, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(result.data());
    stream.avail_out = static_cast<uInt>(result.size());
    BOOST_CHECK_EQUAL(inflate(&stream, Z_FINISH), Z_STREAM_END);
    result.resize(stream.total_out);
    inflateEnd(&stream);
    return result;
}

std::string ranges_text(std::string_view field, std::uint64_t size) {
    const auto ranges = parse_ranges(field, size);
    if (!ranges) return "ignored";
    std::string text;
    for (const Range& range : *ranges)
        text += std::to_string(range.begin) + "+" + std::to_string(range.size) + " ";
    return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(paths_are_unquoted_once_and_resolved) {
    const std::vector<std::pair<std::string, std::string>> cases = {{"/a/b?x=/../y", "/a/b"},
                                                                    {"/a%20b#f", "/a b"},
                                                                    {"/a//b/./c/", "/a/b/c/"},
                                                                    {"/a/../b", "/b"},
                                                                    {"/a/%2e%2e/b", "/b"},
                                                                    {"/a%2fb", "/a/b"},
                                                                    {"/a/..", "/"},
                                                                    {"/a/.", "/a/"},
                                                                    {"/", "/"},
                                                                    {"//a", "/a"},
                                                                    {"/%252e%252e/", "/%2e%2e/"},
                                                                    {"/..", "none"},
                                                                    {"/a/../../etc/x", "none"},
                                                                    {"/%2e%2e/etc/x", "none"},
                                                                    {"/a%00b", "none"},
                                                                    {"/%", "none"},
                                                                    {"/%4", "none"},
                                                                    {"/%zz", "none"},
                                                                    {"*", "none"},
                                                                    {"", "none"},
                                                                    {"/..%2f..%2fx", "none"},
                                                                    {"/.git/../x", "/x"}};
    for (const auto& [target, path] : cases) BOOST_CHECK_EQUAL(normal_path(target).value_or("none"), path);
}

BOOST_AUTO_TEST_CASE(ranges_are_those_of_rfc_9110) {
    BOOST_CHECK_EQUAL(ranges_text("bytes=0-0", 10), "0+1 ");
    BOOST_CHECK_EQUAL(ranges_text("bytes=5-", 10), "5+5 ");
    BOOST_CHECK_EQUAL(ranges_text("bytes=-3", 10), "7+3 ");
    BOOST_CHECK_EQUAL(ranges_text("bytes=-30", 10), "0+10 ");
    BOOST_CHECK_EQUAL(ranges_text("bytes=8-99999999999999999999999", 10), "8+2 ");
    BOOST_CHECK_EQUAL(ranges_text("Bytes = 1-2 , 4-5,,", 10), "1+2 4+2 ");
    BOOST_CHECK_EQUAL(ranges_text("bytes=10-", 10), "");
    BOOST_CHECK_EQUAL(ranges_text("bytes=-0", 10), "");
    BOOST_CHECK_EQUAL(ranges_text("bytes=0-1", 0), "");
    BOOST_CHECK_EQUAL(ranges_text("bytes=12-13,1-1", 10), "1+1 ");
    for (const char* wrong : {"bytes=", "bytes", "lines=1-2", "bytes=2-1", "bytes=a-b", "bytes=1", "bytes=-",
                              "bytes=1-2-3", "bytes=+1-2", "bytes=0-9,0-9",
                              "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,0-0,1-1,2-2,3-3,4-4,5-5,6-6"})
        BOOST_CHECK_EQUAL(ranges_text(wrong, 10), "ignored");
}

BOOST_AUTO_TEST_CASE(dates_in_the_three_forms) {
    BOOST_CHECK_EQUAL(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    for (const char* text :
         {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
        BOOST_CHECK_EQUAL(parse_http_date(text).value_or(0), 784111777);
    for (const char* text : {"", "yesterday", "Sun, 06 Nov 1994 08:49:37 GMT ", "0"})
        BOOST_CHECK(!parse_http_date(text));
}

BOOST_AUTO_TEST_CASE(the_tag_is_the_checksum_without_zeros_in_front) {
    BOOST_CHECK_EQUAL(etag_of(""), "0");
    BOOST_CHECK_EQUAL(etag_of("hello world"), "d4a1185");  // 0x0d4a1185
    BOOST_CHECK_EQUAL(etag_of("123456789"), "cbf43926");   // the check value of CRC-32
}

BOOST_AUTO_TEST_CASE(a_small_file_with_its_fields) {
    Bed bed;
    bed.write("www/a.html", "hello world");
    for (int turn = 0; turn < 2; ++turn) {  // read, then from memory
        const auto client = bed.ask("/a.html?x");
        BOOST_REQUIRE(client);
        BOOST_CHECK_EQUAL(client->response->status, 200U);
        BOOST_CHECK_EQUAL(client->body(), "hello world");
        BOOST_CHECK_EQUAL(client->field("content-type"), "text/html");
        BOOST_CHECK_EQUAL(client->field("etag"), "d4a1185");
        BOOST_CHECK_EQUAL(client->field("cache-control"), "max-age=0");
        BOOST_CHECK_EQUAL(client->field("vary"), "");
        BOOST_CHECK(client->in_memory());
    }
    BOOST_CHECK(!bed.ask("/a.html", {}, "POST"));
    BOOST_CHECK(!bed.ask("/a.html/"));
    BOOST_CHECK(!bed.ask("/b.html"));
}

// Each kind of change that gives the path another meaning is seen by the very next request, although size and
// inode, and with a good chance the times, stay as they were.
BOOST_AUTO_TEST_CASE(no_change_is_missed) {
    Bed bed;
    fs::create_directories(bed.directory / "www/sub/deep");
    fs::create_directories(bed.directory / "other/deep");
    fs::create_directory_symlink("sub", bed.directory / "www/link");
    bed.write("other/deep/x.txt", "other");
    for (int turn = 0; turn < 200; ++turn) {
        const std::string text = std::to_string(1000 + turn);
        bed.overwrite("www/sub/deep/x.txt", text);
        if (turn == 0) bed.write("www/sub/deep/x.txt", text);
        BOOST_REQUIRE_EQUAL(bed.ask("/sub/deep/x.txt")->body(), text);
        BOOST_REQUIRE_EQUAL(bed.ask("/link/deep/x.txt")->body(), text);
    }
    bed.write("www/sub/deep/new", "by rename");
    fs::rename(bed.directory / "www/sub/deep/new", bed.directory / "www/sub/deep/x.txt");
    BOOST_CHECK_EQUAL(bed.ask("/sub/deep/x.txt")->body(), "by rename");
    BOOST_CHECK_EQUAL(bed.ask("/link/deep/x.txt")->body(), "by rename");

    fs::create_directory_symlink("../other", bed.directory / "www/link2");
    fs::rename(bed.directory / "www/link2", bed.directory / "www/link");
    BOOST_CHECK_EQUAL(bed.ask("/link/deep/x.txt")->body(), "other");
    BOOST_CHECK_EQUAL(bed.ask("/sub/deep/x.txt")->body(), "by rename");

    fs::rename(bed.directory / "www/sub", bed.directory / "www/gone");
    BOOST_CHECK(!bed.ask("/sub/deep/x.txt"));
    fs::rename(bed.directory / "other", bed.directory / "www/sub");
    BOOST_CHECK_EQUAL(bed.ask("/sub/deep/x.txt")->body(), "other");
    BOOST_CHECK(!bed.ask("/link/deep/x.txt"));
    fs::remove(bed.directory / "www/sub/deep/x.txt");
    BOOST_CHECK(!bed.ask("/sub/deep/x.txt"));
}

// What inotify does not tell is found by stat(2) a second later.
BOOST_AUTO_TEST_CASE(a_write_through_a_mapping_is_seen_a_second_later) {
    Bed bed;
    bed.write("www/m.txt", "before");
    BOOST_CHECK_EQUAL(bed.ask("/m.txt")->body(), "before");
    std::this_thread::sleep_for(std::chrono::milliseconds(60));  // another tick: another modification time
    const quicken::Fd fd(open((bed.directory / "www/m.txt").c_str(), O_RDWR));
    void* memory = mmap(nullptr, 6, PROT_WRITE, MAP_SHARED, fd.get(), 0);
    BOOST_REQUIRE(memory != MAP_FAILED);
    std::memcpy(memory, "after ", 6);
    munmap(memory, 6);
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    BOOST_CHECK_EQUAL(bed.ask("/m.txt")->body(), "after ");
}

BOOST_AUTO_TEST_CASE(a_large_file_is_a_slice_with_the_tag_of_its_content) {
    Bed bed;
    std::string content(300'000, 'x');
    bed.write("www/l.bin", content);
    auto client = bed.ask("/l.bin");
    BOOST_CHECK(!client->in_memory());
    BOOST_CHECK_EQUAL(client->field("etag"), etag_of(content));
    BOOST_CHECK_EQUAL(client->body(), content);
    // Edits within one tick of the kernel's clock leave the identity as it is.
    for (int turn = 0; turn < 20; ++turn) {
        content[7] = static_cast<char>('a' + turn);
        bed.overwrite("www/l.bin", content);
        BOOST_REQUIRE_EQUAL(bed.ask("/l.bin")->field("etag"), etag_of(content));
    }
    BOOST_CHECK_EQUAL(bed.ask("/l.bin", {{"If-None-Match", etag_of(content)}})->response->status, 304U);
}

// Its checksum is made once, however many ask for it meanwhile; of other files so many wait and no more.
BOOST_AUTO_TEST_CASE(a_large_file_that_many_ask_for_at_once) {
    Bed bed;
    constexpr unsigned k_files = 256;
    const auto ask = [&bed](unsigned file) {
        const std::string target = "/" + std::to_string(file) + ".bin";
        auto client =
            std::make_shared<Client>("GET", target, std::vector<std::pair<std::string, std::string>>());
        BOOST_REQUIRE(bed.files.answer(client, target));
        return client;
    };
    for (unsigned file = 0; file <= k_files; ++file)
        bed.write("www/" + std::to_string(file) + ".bin", std::string(66'000, 'x'));
    std::vector<std::shared_ptr<Client>> clients;
    for (unsigned turn = 0; turn < 1000; ++turn) clients.push_back(ask(0));
    for (unsigned file = 1; file < k_files; ++file) clients.push_back(ask(file));
    BOOST_CHECK_EQUAL(ask(k_files)->response->status, 503U);
    clients.push_back(ask(k_files - 1));
    for (const auto& client : clients) {
        bed.queue.run_until([&] { return client->response.has_value(); });
        BOOST_REQUIRE_EQUAL(client->response->status, 200U);
    }
    bed.ask("/" + std::to_string(k_files) + ".bin");
}

// Its blocks would not be free, nor could it be unmounted.
BOOST_AUTO_TEST_CASE(a_large_file_is_not_held_open_for_long) {
    Bed bed;
    const auto is_open = [&] {
        for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
            std::error_code error;
            if (fs::read_symlink(entry.path(), error).string().starts_with((bed.directory / "www").string()))
                return true;
        }
        return false;
    };
    for (const bool removed : {false, true}) {
        bed.write("www/l.bin", std::string(100'000, 'x'));
        BOOST_REQUIRE(bed.ask("/l.bin"));
        BOOST_CHECK(is_open());
        if (removed) {
            fs::remove(bed.directory / "www/l.bin");
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1100));
        }
        bed.pass_time();
        // The thread that has read it lets go of it in its own time.
        for (int i = 0; i < 2000 && is_open(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        BOOST_CHECK(!is_open());
    }
}

// The tag of one version, the slice of the same: a file that is replaced is another.
BOOST_AUTO_TEST_CASE(a_large_file_is_replaced) {
    Bed bed;
    for (int turn = 0; turn < 50; ++turn) {
        const std::string content(100'000, static_cast<char>('a' + turn % 26));
        bed.write("www/new", content);
        fs::rename(bed.directory / "www/new", bed.directory / "www/l.bin");
        for (int again = 0; again < 2; ++again) {
            const auto client = bed.ask("/l.bin");
            BOOST_REQUIRE_EQUAL(client->body(), content);
            BOOST_REQUIRE_EQUAL(client->field("etag"), etag_of(content));
        }
    }
}

BOOST_AUTO_TEST_CASE(gzip_where_it_pays) {
    Bed bed;
    const std::string text(5000, 't');
    bed.write("www/small.txt", "short");
    bed.write("www/t.txt", text);
    bed.write("www/t.png", text);
    bed.write("www/large.txt", std::string(200'000, 'l'));
    const std::pair<std::string, std::string> takes{"Accept-Encoding", "br, gzip"};
    for (int turn = 0; turn < 2; ++turn) {
        const auto packed = bed.ask("/t.txt", {takes});
        BOOST_CHECK_EQUAL(packed->field("content-encoding"), "gzip");
        BOOST_CHECK_EQUAL(packed->field("vary"), "Accept-Encoding");
        BOOST_CHECK_EQUAL(packed->field("etag"), etag_of(text));
        BOOST_CHECK_EQUAL(unpacked(packed->body()), text);
        BOOST_CHECK_EQUAL(unpacked(bed.ask("/large.txt", {takes})->body()), std::string(200'000, 'l'));
        const auto plain = bed.ask("/t.txt");
        BOOST_CHECK_EQUAL(plain->body(), text);
        BOOST_CHECK_EQUAL(plain->field("vary"), "Accept-Encoding");
    }
    for (const char* refuses : {"", "br", "gzip;q=0", "*;q=0", "gzip; q=0.000, *", "gzipped"})
        BOOST_CHECK_EQUAL(bed.ask("/t.txt", {{"Accept-Encoding", refuses}})->body(), text);
    for (const char* accepts : {"gzip;q=0.5", "*", "x-gzip", "identity;q=0.5, GZIP;q=1.0"})
        BOOST_CHECK_EQUAL(bed.ask("/t.txt", {{"Accept-Encoding", accepts}})->field("content-encoding"),
                          "gzip");
    // A field that is repeated is one list.
    BOOST_CHECK_EQUAL(bed.ask("/t.txt", {{"Accept-Encoding", "br"}, {"accept-encoding", "gzip"}})
                          ->field("content-encoding"),
                      "gzip");
    BOOST_CHECK_EQUAL(bed.ask("/t.txt", {{"Accept-Encoding", "*"}, {"Accept-Encoding", "gzip;q=0"}})->body(),
                      text);
    BOOST_CHECK_EQUAL(bed.ask("/small.txt", {takes})->body(), "short");
    BOOST_CHECK_EQUAL(bed.ask("/t.png", {takes})->body(), text);
    BOOST_CHECK_EQUAL(bed.ask("/t.txt", {takes, {"Range", "bytes=0-1"}})->body(), "tt");
    bed.rules.policy.compress = false;
    bed.files.set(bed.rules);
    BOOST_CHECK_EQUAL(bed.ask("/t.txt", {takes})->field("vary"), "");
    BOOST_CHECK_EQUAL(bed.ask("/t.txt", {takes})->body(), text);
}

BOOST_AUTO_TEST_CASE(conditions) {
    Bed bed;
    bed.write("www/a.txt", "hello world");
    const std::string tag = "d4a1185";
    const std::string date = bed.ask("/a.txt")->field("last-modified");
    const auto status = [&](const std::string& name, const std::string& value) {
        return bed.ask("/a.txt", {{name, value}})->response->status;
    };
    for (const std::string& same :
         {tag, '"' + tag + '"', "W/\"" + tag + '"', "\"x\", \"" + tag + '"', std::string("*"), "x," + tag})
        BOOST_CHECK_EQUAL(status("If-None-Match", same), 304U);
    for (const std::string& other : {tag + "0", std::string("\"\""), std::string(), std::string("\"x\", y")})
        BOOST_CHECK_EQUAL(status("If-None-Match", other), 200U);
    BOOST_CHECK_EQUAL(status("If-Modified-Since", date), 304U);
    BOOST_CHECK_EQUAL(status("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"), 200U);
    BOOST_CHECK_EQUAL(status("If-Modified-Since", "nonsense"), 200U);
    BOOST_CHECK_EQUAL(
        bed.ask("/a.txt", {{"If-None-Match", "x"}, {"If-Modified-Since", date}})->response->status, 200U);
    BOOST_CHECK_EQUAL(status("If-Match", tag), 200U);
    BOOST_CHECK_EQUAL(status("If-Match", "x"), 412U);
    BOOST_CHECK_EQUAL(bed.ask("/a.txt", {{"If-Match", "x"}, {"if-match", tag}})->response->status, 200U);
    BOOST_CHECK_EQUAL(bed.ask("/a.txt", {{"If-Match", "x"}, {"If-Match", "y"}})->response->status, 412U);
    BOOST_CHECK_EQUAL(status("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"), 412U);
    const auto unmodified = bed.ask("/a.txt", {{"If-None-Match", tag}});
    BOOST_CHECK_EQUAL(unmodified->response->fields, "ETag: " + tag + "\r\nCache-Control: max-age=0\r\n");
    BOOST_CHECK(unmodified->response->pieces.empty());
}

BOOST_AUTO_TEST_CASE(parts) {
    Bed bed;
    bed.write("www/a.txt", "0123456789");
    std::string large(100'000, '-');
    large.replace(50'000, 4, "here");
    bed.write("www/l.txt", large);
    auto client = bed.ask("/a.txt", {{"Range", "bytes=2-4"}});
    BOOST_CHECK_EQUAL(client->response->status, 206U);
    BOOST_CHECK_EQUAL(client->body(), "234");
    BOOST_CHECK_EQUAL(client->field("content-range"), "bytes 2-4/10");
    BOOST_CHECK_EQUAL(bed.ask("/l.txt", {{"Range", "bytes=50000-50003"}})->body(), "here");
    client = bed.ask("/a.txt", {{"Range", "bytes=10-"}});
    BOOST_CHECK_EQUAL(client->response->status, 416U);
    BOOST_CHECK_EQUAL(client->field("content-range"), "bytes */10");

    client = bed.ask("/a.txt", {{"Range", "bytes=0-0,-2"}});
    const std::string type = client->field("content-type");
    const std::string mark = type.substr(type.find('=') + 1);
    BOOST_CHECK_EQUAL(type, "multipart/byteranges; boundary=" + mark);
    BOOST_CHECK_EQUAL(client->body(), "--" + mark +
                                          "\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/10\r\n" +
                                          "\r\n0\r\n--" + mark + "\r\nContent-Type: text/plain\r\n" +
                                          "Content-Range: bytes 8-9/10\r\n\r\n89\r\n--" + mark + "--\r\n");

    const std::string date = client->field("last-modified");
    const auto with = [&](const std::string& version) {
        return bed.ask("/a.txt", {{"Range", "bytes=1-1"}, {"If-Range", version}})->body();
    };
    BOOST_CHECK_EQUAL(with(etag_of("0123456789")), "1");
    BOOST_CHECK_EQUAL(with('"' + etag_of("0123456789") + '"'), "1");
    BOOST_CHECK_EQUAL(with(date), "1");
    BOOST_CHECK_EQUAL(with("other"), "0123456789");
    BOOST_CHECK_EQUAL(with("Sun, 06 Nov 1994 08:49:37 GMT"), "0123456789");
    BOOST_CHECK_EQUAL(bed.ask("/a.txt", {{"Range", "bytes=1-1"}}, "HEAD")->response->status, 200U);
}

BOOST_AUTO_TEST_CASE(directories) {
    Bed bed;
    fs::create_directories(bed.directory / "www/d e/empty");
    bed.write("www/d e/index.htm", "second");
    BOOST_CHECK_EQUAL(bed.ask("/d%20e/")->body(), "second");
    bed.write("www/d e/index.html", "first");
    BOOST_CHECK_EQUAL(bed.ask("/d%20e/")->body(), "first");
    auto client = bed.ask("/d%20e?a=1&b#c");
    BOOST_CHECK_EQUAL(client->response->status, 301U);
    BOOST_CHECK_EQUAL(client->field("location"), "/d%20e/?a=1&b");
    BOOST_CHECK_EQUAL(bed.ask("//d%20e")->field("location"), "/d%20e/");
    BOOST_CHECK(!bed.ask("/d%20e/empty/"));
    bed.rules.directory_listing = true;
    bed.files.set(bed.rules);
    bed.write("www/d e/empty/<B>&\"'.txt", "");
    bed.write("www/d e/empty/a:x", "");
    bed.write("www/d e/empty/.hidden", "");
    fs::create_directory(bed.directory / "www/d e/empty/Sub");
    client = bed.ask("/d%20e/empty/");
    BOOST_CHECK_EQUAL(client->field("content-type"), "text/html; charset=utf-8");
    const std::string title = "Directory listing for /d e/empty/";
    BOOST_CHECK_EQUAL(client->body(),
                      "<!DOCTYPE HTML>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" +
                          title + "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n<hr>\n<ul>\n" +
                          "<li><a href=\"%3CB%3E%26%22%27.txt\">&lt;B&gt;&amp;&quot;&#x27;.txt</a></li>\n" +
                          "<li><a href=\"a%3Ax\">a:x</a></li>\n<li><a href=\"Sub/\">Sub/</a></li>\n" +
                          "</ul>\n<hr>\n</body>\n</html>\n");
}

BOOST_AUTO_TEST_CASE(only_what_may_be_served) {
    Bed bed;
    bed.write("secret", "secret");
    bed.write("www/.htaccess", "secret");
    fs::create_directories(bed.directory / "www/.git");
    bed.write("www/.git/config", "secret");
    bed.write("www/unreadable", "x");
    BOOST_REQUIRE_EQUAL(mkfifo((bed.directory / "www/fifo").c_str(), 0600), 0);
    fs::create_symlink("../secret", bed.directory / "www/link");
    for (const char* target :
         {"/.htaccess", "/.git/config", "/../secret", "/%2e%2e/secret", "/fifo", "/.git/", "/link/"})
        BOOST_CHECK(!bed.ask(target));
    BOOST_CHECK_EQUAL(bed.ask("/link")->body(), "secret");  // the owner's own link
}

BOOST_AUTO_TEST_CASE(folders_in_their_order) {
    Bed bed;
    for (const char* name : {"one", "two", "three"}) {
        fs::create_directory(bed.directory / name);
        bed.write(std::string(name) + "/" + name, name);
        bed.write(std::string(name) + "/all", name);
    }
    const auto folder = [&](const char* name, const char* path) {
        return FileRules::Folder{name, (bed.directory / path).string()};
    };
    bed.rules.folders = {folder("/", "one"), folder("/x/", "two")};
    bed.rules.fallbacks = {folder("/", "three")};
    bed.files.set(bed.rules);
    BOOST_CHECK_EQUAL(bed.ask("/all")->body(), "one");
    BOOST_CHECK_EQUAL(bed.ask("/three")->body(), "three");
    BOOST_CHECK_EQUAL(bed.ask("/x/two")->body(), "two");
    BOOST_CHECK(!bed.ask("/x/one"));
    BOOST_CHECK_EQUAL(bed.ask("/x")->field("location"), "/x/");
    bed.rules.folders.push_back(folder("/", "two"));
    bed.files.set(bed.rules);
    BOOST_CHECK_EQUAL(bed.ask("/all")->body(), "two");
    BOOST_CHECK_EQUAL(bed.ask("/one")->body(), "one");
    fs::remove(bed.directory / "two/all");
    BOOST_CHECK_EQUAL(bed.ask("/all")->body(), "one");
    bed.write("two/all", "again");
    BOOST_CHECK_EQUAL(bed.ask("/all")->body(), "again");
}

BOOST_AUTO_TEST_CASE(patterns) {
    Bed bed;
    fs::create_directories(bed.directory / "www/private");
    for (const char* name : {"a.html", "a.txt", "private/a.html", "index.html"})
        bed.write(std::string("www/") + name, name);
    bed.rules.white = {"*.html"};
    bed.rules.black = {"*/private/*"};
    bed.rules.favicon = (bed.directory / "www/a.txt").string();  // what a script names is not asked about
    bed.files.set(bed.rules);
    for (int turn = 0; turn < 2; ++turn) {
        BOOST_CHECK_EQUAL(bed.ask("/favicon.ico")->body(), "a.txt");
        BOOST_CHECK_EQUAL(bed.ask("/a.html")->body(), "a.html");
        BOOST_CHECK_EQUAL(bed.ask("/")->body(), "index.html");
        BOOST_CHECK(!bed.ask("/a.txt"));
        BOOST_CHECK(!bed.ask("/private/a.html"));
        BOOST_CHECK(!bed.ask("/private"));
    }
}

BOOST_AUTO_TEST_CASE(special_files_and_favicon) {
    Bed bed;
    bed.write("www/f.ico", "icon");
    bed.write("outside.js", "code");
    bed.rules.specials = {{"/js/worker.js", (bed.directory / "outside.js").string(), "", ""},
                          {"/made.txt", "", "made", ""},
                          {"/.well-known/x", "", "x", "application/x"}};
    bed.files.set(bed.rules);
    BOOST_CHECK_EQUAL(bed.ask("/js/worker.js")->body(), "code");
    BOOST_CHECK_EQUAL(bed.ask("/made.txt")->field("content-type"), "text/plain");
    BOOST_CHECK_EQUAL(bed.ask("/made.txt")->field("etag"), etag_of("made"));
    BOOST_CHECK_EQUAL(bed.ask("/.well-known/x")->field("content-type"), "application/x");
    BOOST_CHECK(!bed.ask("/favicon.ico"));
    bed.rules.favicon_empty = true;
    bed.files.set(bed.rules);
    BOOST_CHECK_EQUAL(bed.ask("/a/favicon.ico")->body(), "");
    BOOST_CHECK_EQUAL(bed.ask("/favicon.ico")->field("content-type"), "image/vnd.microsoft.icon");
    bed.rules.favicon = (bed.directory / "www/f.ico").string();
    bed.rules.favicon_everywhere = false;
    bed.files.set(bed.rules);
    BOOST_CHECK_EQUAL(bed.ask("/favicon.ico")->body(), "icon");
    BOOST_CHECK(!bed.ask("/a/favicon.ico"));
}

BOOST_AUTO_TEST_CASE(cross_origin_on_each_answer) {
    Bed bed;
    bed.write("www/a.txt", "x");
    fs::create_directory(bed.directory / "www/d");
    bed.rules.policy.cross_origin = true;
    bed.rules.policy.max_age = 60;
    bed.files.set(bed.rules);
    const std::string lines =
        "Access-Control-Allow-Methods: GET, POST, PUT, DELETE, HEAD\r\nAccess-Control-Allow-Headers: X-A\r\n"
        "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n";
    for (const char* target : {"/a.txt", "/d"}) {
        const auto client = bed.ask(target, {{"Access-Control-Request-Headers", "X-A"}});
        BOOST_CHECK(client->response->fields.ends_with(lines));
    }
    const auto same = bed.ask("/a.txt", {{"If-None-Match", etag_of("x")}});
    BOOST_CHECK_EQUAL(same->response->status, 304U);
    BOOST_CHECK_EQUAL(same->field("cache-control"), "max-age=60");
    BOOST_CHECK_EQUAL(same->field("access-control-allow-origin"), "*");
    BOOST_CHECK_EQUAL(same->field("access-control-allow-headers"), "");
}

BOOST_AUTO_TEST_CASE(what_a_handler_made_is_represented) {
    const std::string text(2000, 'j');
    const auto represented = [&](std::vector<std::pair<std::string, std::string>> fields,
                                 unsigned status = 200, const std::string& method = "GET") {
        const Client client(method, "/", std::move(fields));
        Response response;
        response.status = status;
        response.add("Content-Type", "application/json");
        response.add("Set-Cookie", "a=b");
        response.pieces = {text.substr(0, 700), std::make_shared<const std::string>(text.substr(700))};
        represent(client.request(), response, {});
        return response;
    };
    const Response plain = represented({});
    BOOST_CHECK_EQUAL(plain.field("etag"), etag_of(text));
    BOOST_CHECK_EQUAL(plain.field("vary"), "Accept-Encoding");
    const Response packed = represented({{"Accept-Encoding", "gzip"}});
    BOOST_CHECK_EQUAL(unpacked(std::get<std::string>(packed.pieces.at(0))), text);
    const Response same = represented({{"If-None-Match", etag_of(text)}});
    BOOST_CHECK_EQUAL(same.status, 304U);
    BOOST_CHECK_EQUAL(same.fields, "Set-Cookie: a=b\r\nETag: " + etag_of(text) +
                                       "\r\nCache-Control: max-age=0\r\nVary: Accept-Encoding\r\n");
    BOOST_CHECK_EQUAL(represented({}, 404).field("etag"), "");
    BOOST_CHECK_EQUAL(represented({}, 200, "POST").field("etag"), "");
}
