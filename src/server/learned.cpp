#include "learned.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <optional>

#include "common/learning.hpp"
#include "common/text.hpp"

namespace quicken::server {

namespace {

constexpr std::size_t k_runs = 20;
constexpr std::size_t k_least_runs = 3;
constexpr std::uint64_t k_round = 200;            // commands
constexpr std::size_t k_max_file = 4U << 20;      // bytes
constexpr std::size_t k_max_never = 1000;         // modules
constexpr std::size_t k_max_learned = 60U << 10;  // bytes of names: all are one argument of the template
constexpr char k_changed[] = "*";

/// Nothing if there is no such file of ours.
std::optional<std::string> content_of(const std::string& path) {
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return std::nullopt;
    std::string text(std::min(static_cast<std::size_t>(status.st_size), k_max_file), '\0');
    const ssize_t got = pread(file.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    text.resize(text.rfind('\n') + 1);  // a line that is being written is for the next time
    return text;
}

template <typename Number>
Number number_of(std::string_view text) {
    Number number{};
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::string_view word = take_until(text, ' ');
        if (!word.empty()) words.emplace_back(word);
    }
    return words;
}

std::string line_of(std::string text, const std::vector<std::string>& words) {
    for (const std::string& word : words) text += ' ' + word;
    return text + '\n';
}

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; });
}

}  // namespace

void Learned::update() {
    const std::string path = path_;
    *this = Learned(path);
    const auto text = path.empty() ? std::nullopt : content_of(path);
    if (!text) return;
    on_ = true;
    read(*text);
    learn();
    write();
}

void Learned::read(std::string_view text) {
    while (!text.empty()) read_line(take_until(text, '\n'));
    std::erase_if(never_, [](const Never& each) {
        const trace::Identity now = identity_of(each.file);
        return now.modified_seconds != each.seconds || now.modified_nanoseconds != each.nanoseconds ||
               now.size != each.size;
    });
}

void Learned::read_line(std::string_view line) {
    const std::string_view kind = take_until(line, ' ');
    if (kind == "learned") {
        count_ = number_of<std::uint64_t>(take_until(line, ' '));
        learned_ = words_of(line);
    } else if (kind == "never") {
        read_never(line);
    } else if (kind == "run") {
        ++count_;
        add_run(line);
    } else if (kind == "ran") {
        add_run(line);
    }
}

void Learned::read_never(std::string_view text) {
    if (std::count(text.begin(), text.end(), '\t') != 5) return;
    Never never;
    never.name = take_until(text, '\t');
    never.seconds = number_of<std::int64_t>(take_until(text, '\t'));
    never.nanoseconds = number_of<std::int64_t>(take_until(text, '\t'));
    never.size = number_of<std::uint64_t>(take_until(text, '\t'));
    never.file = take_until(text, '\t');
    never.reason = text;
    never_.push_back(std::move(never));
}

void Learned::add_run(std::string_view names) {
    runs_.push_back(words_of(names));
    if (runs_.size() > k_runs) runs_.pop_front();
}

/// It, or a package that it is in.
bool Learned::is_refused(std::string_view name) const {
    return std::any_of(never_.begin(), never_.end(), [name](const Never& each) {
        return starts_with(name, each.name) &&
               (name.size() == each.name.size() || name[each.name.size()] == '.');
    });
}

void Learned::learn() {
    const bool changed =
        std::any_of(runs_.begin(), runs_.end(), [](const Run& run) { return run == Run{k_changed}; });
    if (changed) return learned_.clear();
    if (count_ >= k_round && !learned_.empty()) {
        count_ = 0;
        learned_.clear();
        runs_.clear();
    }
    std::erase_if(learned_, [this](const std::string& name) { return is_refused(name); });
    if (runs_.size() < k_least_runs) return;
    std::map<std::string, std::size_t> users;
    for (const Run& run : runs_) {
        for (const std::string& name : run) ++users[name];
    }
    std::size_t size = 0;
    for (const std::string& name : learned_) size += name.size() + 1;
    for (const Run& run : runs_) {  // in the order of a run's imports
        for (const std::string& name : run) {
            if (2 * users[name] < runs_.size() || is_refused(name)) continue;
            users[name] = 0;
            if (std::find(learned_.begin(), learned_.end(), name) != learned_.end()) continue;
            size += name.size() + 1;
            if (size > k_max_learned) return;
            learned_.push_back(name);
        }
    }
}

void Learned::refuse(const std::vector<RefusedModule>& refused) {
    if (!on_) return;
    for (const RefusedModule& each : refused) {
        const bool known = std::erase(learned_, each.name) > 0;
        // Of one that has no file nothing would tell when it may be tried again: when it is imported late
        // again.
        if (each.file.empty() || has_control_character(each.file + each.reason)) {
            for (Run& run : runs_) std::erase(run, each.name);
        } else if (known && !is_refused(each.name) && never_.size() < k_max_never) {
            const trace::Identity now = identity_of(each.file);
            never_.push_back({each.name, each.file, each.reason, now.modified_seconds,
                              now.modified_nanoseconds, now.size});
        }
    }
    write();
}

/// What commands have noted since it was read is lost: they are not counted.
bool Learned::write() const {
    std::string text = std::string(k_learning_header) + line_of(fmt::format("learned {}", count_), learned_);
    for (const Never& each : never_) {
        text += fmt::format("never {}\t{}\t{}\t{}\t{}\t{}\n", each.name, each.seconds, each.nanoseconds,
                            each.size, each.file, each.reason);
    }
    for (const Run& run : runs_) text += line_of("ran", run);
    const std::string temporary = path_ + ".new";
    const Fd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return false;
    const bool whole = ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    // Learning may have been switched off meanwhile.
    if (whole && access(path_.c_str(), F_OK) == 0 && rename(temporary.c_str(), path_.c_str()) == 0)
        return true;
    unlink(temporary.c_str());
    return false;
}

}  // namespace quicken::server
