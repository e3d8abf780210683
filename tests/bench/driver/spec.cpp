#include "driver/spec.hpp"

#include <unistd.h>

#include <charconv>

#include "common/error.hpp"

namespace quicken::bench {
namespace {

std::string read_all(int fd) {
    std::string text;
    char buffer[65536];
    for (;;) {
        const ssize_t size = ::read(fd, buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) throw_errno("read", "the rows");
        if (size == 0) return text;
        text.append(buffer, static_cast<std::size_t>(size));
    }
}

class Strings {
 public:
    explicit Strings(std::string text) : text_(std::move(text)) {}

    std::string next() {
        const std::size_t end = text_.find('\0', at_);
        if (end == std::string::npos) throw Error("the rows are not complete");
        std::string found = text_.substr(at_, end - at_);
        at_ = end + 1;
        return found;
    }

    unsigned number() {
        const std::string digits = next();
        unsigned value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc() || end != digits.data() + digits.size()) throw Error("no number: " + digits);
        return value;
    }

    std::vector<std::string> list() {
        std::vector<std::string> found(number());
        for (std::string& text : found) text = next();
        return found;
    }

 private:
    std::string text_;
    std::size_t at_ = 0;
};

Row read_row(Strings& strings) {
    Row row;
    row.terminal = strings.next() == "terminal";
    row.block = strings.number();
    row.clients = strings.number();
    row.directory = strings.next();
    row.arguments = strings.list();
    row.environment = strings.list();
    if (row.arguments.empty() || row.block == 0 || row.clients == 0) throw Error("a row with nothing to run");
    return row;
}

}  // namespace

Spec read_spec(int fd) {
    Strings strings(read_all(fd));
    Spec spec;
    spec.rounds = strings.number();
    spec.pause = strings.number();
    spec.seed = strings.number();
    spec.rows.resize(strings.number());
    for (Row& row : spec.rows) row = read_row(strings);
    return spec;
}

}  // namespace quicken::bench
