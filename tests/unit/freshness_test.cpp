// Traces made by hand and real files in a directory of the test's own: what
// is told is what inotify tells.
#define BOOST_TEST_MODULE freshness
#include "server/freshness.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/included/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "common/error.hpp"
#include "server/board.hpp"
#include "server/trace.hpp"

namespace fs = std::filesystem;
namespace trace = quicken::trace;
using quicken::Error;
using quicken::Fd;
using quicken::server::Board;
using quicken::server::Freshness;
using quicken::server::Trace;
using namespace std::string_literals;

namespace {

std::string record(trace::Kind kind, const std::string& text, const trace::Identity& identity = {}) {
    const trace::Header header{kind, static_cast<std::uint32_t>(text.size()), identity};
    std::string made(sizeof header, '\0');
    std::memcpy(made.data(), &header, sizeof header);
    return made + text;
}

/// As a template would have read it now.
std::string file(const fs::path& path) {
    return record(trace::Kind::file, path, quicken::server::identity_of(path));
}

std::string directory(const fs::path& path, const std::string& asked, const std::string& found) {
    return record(trace::Kind::directory, path.string() + '\0' + asked + '\0' + found);
}

void write(const fs::path& path, const std::string& text) {
    std::ofstream(path) << text;
}

Fd memory_of(const std::string& content) {
    Fd fd(memfd_create("trace", MFD_CLOEXEC));
    BOOST_REQUIRE_EQUAL(::write(fd.get(), content.data(), content.size()),
                        static_cast<ssize_t>(content.size()));
    return fd;
}

void set_times(const fs::path& path, const struct stat& times) {
    const timespec both[2] = {times.st_atim, times.st_mtim};
    BOOST_REQUIRE_EQUAL(utimensat(AT_FDCWD, path.c_str(), both, 0), 0);
}

fs::path make_root() {
    std::string name = "/tmp/quicken-freshness.XXXXXX";
    BOOST_REQUIRE(mkdtemp(name.data()) != nullptr);
    return fs::canonical(name);
}

struct Fixture {
    Fixture() {
        fs::create_directories(root / "package/inner");
        write(module, "one\n");
    }
    ~Fixture() { fs::remove_all(root); }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    void begin(const std::string& records) {
        BOOST_TEST(freshness.begin(Trace::parse(records)).value_or("") == "");
        BOOST_TEST(!freshness.blind().size());
        BOOST_TEST(!board.doubt());
        BOOST_TEST(!pending());
    }
    /// What a spare asks.
    bool pending() const {
        pollfd polled{freshness.fd(), POLLIN, 0};
        return poll(&polled, 1, 0) > 0;
    }
    /// What was done since begin() is seen by a spare at once, and found by the supervisor.
    void expect_changed(const std::string& what) {
        BOOST_TEST(pending());
        const Freshness::Seen seen = freshness.look();
        BOOST_TEST(seen.changed.value_or("nothing") == what);
        BOOST_TEST(board.doubt());
    }
    void expect_fresh() {
        BOOST_TEST(freshness.look().changed.value_or("nothing") == "nothing");
        BOOST_TEST(!board.doubt());
        freshness.look();
        BOOST_TEST(!pending());
    }

    fs::path root = make_root();
    fs::path module = root / "package/inner/module.py";
    Board board;
    Freshness freshness{board};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(traces)

BOOST_AUTO_TEST_CASE(all_kinds_of_records_are_read) {
    const Trace read = Trace::read(memory_of(record(trace::Kind::file, "/a/b", {1, 2, 3, 4, 5, 6, 7}) +
                                             directory("/d", "x/y", "x.py") + directory("/e", "*", "") +
                                             record(trace::Kind::variable, "HOME=/root") +
                                             record(trace::Kind::everything, "")));
    BOOST_REQUIRE_EQUAL(read.files().size(), 1U);
    BOOST_TEST(read.files()[0].path == "/a/b");
    BOOST_TEST((read.files()[0].identity == trace::Identity{1, 2, 3, 4, 5, 6, 7}));
    BOOST_REQUIRE_EQUAL(read.directories().size(), 2U);
    BOOST_TEST(read.directories()[0].stems.contains("y"));
    BOOST_TEST(!read.directories()[0].all);
    BOOST_TEST(read.directories()[0].found == "x.py");
    BOOST_TEST(read.directories()[1].all);
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_kept_as_it_was_told) {
    const Trace read =
        Trace::parse(record(trace::Kind::variable, "A=b=c") + record(trace::Kind::variable, "D") +
                     record(trace::Kind::terminal, "1y2n") + record(trace::Kind::size, "24x80") +
                     record(trace::Kind::cwd, "/w") + record(trace::Kind::name, "x.py") +
                     record(trace::Kind::module, "json") + record(trace::Kind::module, "ast") +
                     record(trace::Kind::report, "{}"));
    const auto& rest = read.rest();
    BOOST_TEST(rest.variables == (std::vector<std::string>{"A=b=c", "D"}), boost::test_tools::per_element());
    BOOST_TEST(rest.modules == (std::vector<std::string>{"json", "ast"}), boost::test_tools::per_element());
    BOOST_TEST((rest.terminal + rest.size + rest.cwd + rest.name + rest.report) == "1y2n24x80/wx.py{}");
    BOOST_TEST(!rest.everything);
    BOOST_TEST(Trace::parse(record(trace::Kind::everything, "")).rest().everything);
}

BOOST_AUTO_TEST_CASE(an_empty_trace_is_one) {
    BOOST_TEST(Trace::read(memory_of("")).files().empty());
}

BOOST_AUTO_TEST_CASE(malformed_traces_are_refused) {
    const std::string good = record(trace::Kind::file, "/a");
    for (const std::string& bad :
         {good.substr(0, 63), good.substr(0, 65), good + "x", record(trace::Kind{99}, "/a"),
          record(trace::Kind{0}, ""), record(trace::Kind::file, "a"), record(trace::Kind::file, ""),
          record(trace::Kind::file, "/a\0b"s), record(trace::Kind::file, "/" + std::string(5000, 'a')),
          record(trace::Kind::directory, "/a"), record(trace::Kind::directory, "/a\0b"s),
          record(trace::Kind::directory, "/a\0b\0c\0"s), record(trace::Kind::directory, "a\0\0"s),
          record(trace::Kind::module, ""), record(trace::Kind::module, "a b"),
          record(trace::Kind::refused, "a\0b"s), record(trace::Kind::refused, "a\0b\0c"s),
          record(trace::Kind::variable, std::string(trace::k_max_text + 1, 'a'))}) {
        BOOST_CHECK_THROW(Trace::parse(bad), Error);
    }
    BOOST_CHECK_THROW(Trace::read(Fd(open("/dev/null", O_RDONLY | O_CLOEXEC))), Error);
    BOOST_CHECK_THROW(Trace::parse(std::string(trace::k_max_trace + 1, '\0')), Error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(changes, Fixture)

BOOST_AUTO_TEST_CASE(edited_in_place_with_its_size_and_times) {
    begin(file(module));
    struct stat before {};
    BOOST_REQUIRE_EQUAL(stat(module.c_str(), &before), 0);
    write(module, "two\n");
    set_times(module, before);
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(edited_by_another_name_of_the_inode) {
    fs::create_hard_link(module, root / "cache");
    begin(file(module));
    write(root / "cache", "two\n");
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(edited_through_a_mapping) {
    begin(file(module));
    {
        const Fd fd(open(module.c_str(), O_RDWR | O_CLOEXEC));
        void* memory = mmap(nullptr, 4, PROT_WRITE, MAP_SHARED, fd.get(), 0);
        BOOST_REQUIRE(memory != MAP_FAILED);
        std::memcpy(memory, "two\n", 4);
        munmap(memory, 4);
    }
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(replaced_by_rename) {
    begin(file(module));
    write(root / "new", "two\n");
    fs::rename(root / "new", module);
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(deleted_also_while_it_is_open) {
    const Fd open_file(open(module.c_str(), O_RDONLY | O_CLOEXEC));
    begin(file(module));
    fs::remove(module);
    expect_changed(module.string() + " is gone");
}

BOOST_AUTO_TEST_CASE(touched) {
    begin(file(module));
    BOOST_REQUIRE_EQUAL(utimensat(AT_FDCWD, module.c_str(), nullptr, 0), 0);
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(a_change_before_the_watches_is_found_at_once) {
    const std::string read = file(module);
    write(module, "two, and longer\n");
    BOOST_TEST(freshness.begin(Trace::parse(read)).value_or("") == module.string() + " has changed");
    BOOST_TEST(board.doubt());
}

BOOST_AUTO_TEST_CASE(a_directory_on_the_way_is_moved) {
    begin(file(module));
    fs::rename(root / "package", root / "other");
    expect_changed(module.string() + " is gone");
}

BOOST_AUTO_TEST_CASE(moved_away_and_back_and_edited) {
    begin(file(module));
    fs::rename(root / "package", root / "other");
    fs::rename(root / "other", root / "package");
    expect_fresh();
    write(module, "two\n");
    expect_changed(module.string() + " has changed");
}

/// The path leads to the same inode by another way, which is then watched.
BOOST_AUTO_TEST_CASE(a_directory_becomes_a_link) {
    begin(file(module));
    fs::rename(root / "package", root / "other");
    fs::create_symlink("other", root / "package");
    expect_fresh();
    fs::create_directories(root / "third/inner");
    write(root / "third/inner/module.py", "three\n");
    expect_fresh();
    fs::create_symlink("third", root / "link");
    fs::rename(root / "link", root / "package");
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(a_link_on_the_way_is_moved) {
    fs::rename(root / "package", root / "v1");
    fs::create_directories(root / "v2/inner");
    write(root / "v2/inner/module.py", "two\n");
    fs::create_symlink("v1", root / "current");
    fs::create_symlink(root / "current", root / "package");
    begin(file(module));
    fs::create_symlink("v2", root / "next");
    expect_fresh();
    fs::rename(root / "next", root / "current");
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(a_loop_of_links_is_nothing) {
    fs::create_symlink("b", root / "a");
    fs::create_symlink("a", root / "b");
    begin(file(root / "a/module.py"));
    fs::remove(root / "b");
    expect_fresh();
}

BOOST_AUTO_TEST_CASE(a_file_that_was_missing_appears) {
    begin(file(root / "pyvenv.cfg"));
    write(root / "other", "");
    expect_fresh();
    write(root / "pyvenv.cfg", "");
    expect_changed((root / "pyvenv.cfg").string() + " is new");
}

BOOST_AUTO_TEST_CASE(a_directory_that_was_missing_appears_piece_by_piece) {
    begin(file(root / "a/b/module.py"));
    fs::create_directory(root / "a");
    expect_fresh();
    fs::create_directory(root / "a/b");
    expect_fresh();
    write(root / "a/b/module.py", "");
    expect_changed((root / "a/b/module.py").string() + " is new");
}

BOOST_AUTO_TEST_CASE(a_directory_that_was_missing_appears_complete) {
    begin(file(root / "a/b/module.py"));
    fs::create_directories(root / "new/b");
    write(root / "new/b/module.py", "");
    fs::rename(root / "new", root / "a");
    expect_changed((root / "a/b/module.py").string() + " is new");
}

/// rmdir(2) of a directory that is held open tells its own watch nothing.
BOOST_AUTO_TEST_CASE(an_empty_directory_that_somebody_is_in_is_replaced) {
    fs::create_directory(root / "empty");
    const Fd held(open((root / "empty").c_str(), O_PATH | O_CLOEXEC));
    begin(directory(root / "empty", "module", "") + file(root / "empty/other.py"));
    fs::remove(root / "empty");
    fs::create_directory(root / "empty");
    expect_fresh();
    write(root / "empty/module.py", "");
    expect_changed((root / "empty/module.py").string() + " is new");
}

BOOST_AUTO_TEST_CASE(a_directory_becomes_empty_and_is_replaced_while_somebody_is_in_it) {
    fs::create_directory(root / "full");
    write(root / "full/other", "");
    const Fd held(open((root / "full").c_str(), O_PATH | O_CLOEXEC));
    begin(directory(root / "full", "module", ""));
    fs::remove(root / "full/other");
    expect_fresh();
    fs::remove(root / "full");
    fs::create_directory(root / "full");
    expect_fresh();
    write(root / "full/module.py", "");
    expect_changed((root / "full/module.py").string() + " is new");
}

BOOST_AUTO_TEST_CASE(a_new_file_shadows) {
    const fs::path listed = root / "package/inner";
    begin(directory(listed, "json/module", "module.py"));
    write(listed / "unrelated.py", "");
    fs::rename(listed / "unrelated.py", listed / "another.py");
    fs::remove(listed / "another.py");
    expect_fresh();
    fs::create_directory(listed / "json");
    expect_changed((listed / "json").string() + " is new");
}

BOOST_AUTO_TEST_CASE(an_entry_that_was_found_goes) {
    const fs::path listed = root / "package/inner";
    begin(directory(listed, "json/module", "module.py"));
    fs::remove(module);
    expect_changed(module.string() + " is gone");
}

BOOST_AUTO_TEST_CASE(an_asked_entry_comes_and_goes) {
    const fs::path listed = root / "package/inner";
    begin(directory(listed, "json", ""));
    write(listed / "json.py", "");
    fs::remove(listed / "json.py");
    expect_fresh();
}

BOOST_AUTO_TEST_CASE(every_entry_was_asked_for) {
    const fs::path listed = root / "package/inner";
    begin(directory(listed, "*", "module.py"));
    write(listed / "zz.pth", "");
    expect_changed((listed / "zz.pth").string() + " is new");
}

BOOST_AUTO_TEST_CASE(a_listed_directory_is_replaced) {
    const fs::path listed = root / "package/inner";
    begin(directory(listed, "module/json", "module.py"));
    fs::create_directory(root / "next");
    write(root / "next/module.py", "");
    fs::rename(listed, root / "gone");
    fs::rename(root / "next", listed);
    expect_fresh();
    write(listed / "json.py", "");
    expect_changed((listed / "json.py").string() + " is new");
}

BOOST_AUTO_TEST_CASE(devices_and_directories_have_no_content) {
    begin(file("/dev/null") + file(root / "package"));
    write(root / "package/new", "");
    write("/dev/null", "text");
    expect_fresh();
}

BOOST_AUTO_TEST_CASE(the_next_trace_ends_the_watches_of_the_last) {
    begin(file(module));
    write(root / "other.py", "");
    begin(file(root / "other.py"));
    freshness.look();
    write(module, "two\n");
    BOOST_TEST(!pending());
    freshness.begin({});
    freshness.look();
    write(root / "other.py", "two\n");
    BOOST_TEST(!pending());
}

BOOST_AUTO_TEST_CASE(doubt_stays_until_the_next_trace) {
    begin(file(module));
    write(module, "two\n");
    expect_changed(module.string() + " has changed");
    write(root / "unrelated", "");
    freshness.look();
    BOOST_TEST(board.doubt());
    begin(file(module));
}

BOOST_AUTO_TEST_CASE(a_queue_that_overflows_is_no_loss) {
    std::size_t size = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> size;
    const fs::path listed = root / "package/inner";
    begin(directory(listed, "wanted", "") + file(module));
    for (std::size_t i = 0; i < size; i += 2) {
        write(listed / "a", "");
        fs::remove(listed / "a");
    }
    write(module, "two\n");
    expect_changed(module.string() + " has changed");
}

BOOST_AUTO_TEST_CASE(spares_look_for_themselves_while_we_look_away) {
    begin(file(module) + directory(root, "wanted", ""));
    write(root / "unrelated", "");
    expect_fresh();
    freshness.look_away();
    BOOST_TEST(board.blind());
    expect_fresh();
    write(root / "wanted.py", "");
    BOOST_TEST(!pending());
    BOOST_TEST(freshness.look_back().changed.value_or("") == (root / "wanted.py").string() + " is new");
    BOOST_TEST(board.doubt());
    BOOST_TEST(!board.blind());
}

BOOST_AUTO_TEST_CASE(what_the_kernel_makes_up_is_not_compared) {
    begin(file("/proc/self/status") + file("/sys/kernel"));
    BOOST_TEST(!freshness.difference());
}

/// Prints what a trace of 1000 files in 100 directories costs; fails only beyond all measure.
BOOST_AUTO_TEST_CASE(a_thousand_files) {
    std::string records;
    for (int i = 0; i < 100; ++i) {
        const fs::path place = root / ("package/inner/p" + std::to_string(i));
        fs::create_directory(place);
        std::string found;
        for (int j = 0; j < 10; ++j) {
            const std::string name = fmt::format("m{}.py", j);
            write(place / name, "");
            records += file(place / name);
            found += (j ? "/" : "") + name;
        }
        records += directory(place, "m0/m1/m2/m3/m4/m5/m6/m7/m8/m9", found);
    }
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    begin(records);
    const auto begun = Clock::now();
    BOOST_TEST(!freshness.difference());
    const auto compared = Clock::now();
    const auto microseconds = [](auto from, auto to) {
        return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
    };
    std::cout << "1000 files, 100 directories: begin " << microseconds(start, begun) << " us, compare "
              << microseconds(begun, compared) << " us\n";
    BOOST_TEST(microseconds(begun, compared) < 1000000);
}

BOOST_AUTO_TEST_SUITE_END()
