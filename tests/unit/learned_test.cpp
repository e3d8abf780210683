// What is learned from the file that commands write (src/server/learned.hpp).
#define BOOST_TEST_MODULE learned
#include <boost/test/included/unit_test.hpp>

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "server/learned.hpp"

namespace {

using quicken::server::Learned;

/// A file that is gone with it.
struct Place {
    char directory[64] = "/tmp/qk.learned.XXXXXX";
    std::string path;

    Place() {
        BOOST_REQUIRE(mkdtemp(directory) != nullptr);
        path = std::string(directory) + "/file";
    }
    ~Place() {
        unlink(path.c_str());
        rmdir(directory);
    }
    void append(const std::string& text) const { std::ofstream(path, std::ios::app) << text; }
    std::string content() const {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string learned() const {
        Learned learned(path);
        learned.update();
        std::string names;
        for (const std::string& name : learned.modules()) names += name + ' ';
        return names;
    }
};

std::string repeated(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(most_of_three_runs) {
    const Place place;
    place.append("quicken-learn 1\nrun a b\nrun a c\n");
    BOOST_TEST(place.learned() == "");
    place.append("run a b d\n");
    BOOST_TEST(place.learned() == "a b ");
    place.append("run\nrun\nrun\nrun c\n");  // they stay: whether they are used cannot be seen
    BOOST_TEST(place.learned() == "a b ");
}

BOOST_AUTO_TEST_CASE(a_run_that_changes_something) {
    const Place place;
    place.append("quicken-learn 1\n" + repeated("run a\n", 3) + "run *\n");
    BOOST_TEST(place.learned() == "");
    place.append(repeated("run a\n", 19));
    BOOST_TEST(place.learned() == "");
    place.append("run a\n");
    BOOST_TEST(place.learned() == "a ");
}

BOOST_AUTO_TEST_CASE(a_round_ends) {
    const Place place;
    place.append("quicken-learn 1\nlearned 199 old\n");
    BOOST_TEST(place.learned() == "old ");
    place.append("run\n");
    BOOST_TEST(place.learned() == "");
    place.append(repeated("run new\n", 3));
    BOOST_TEST(place.learned() == "new ");
}

BOOST_AUTO_TEST_CASE(refused_ones) {
    const Place place;
    place.append("quicken-learn 1\n" + repeated("run a a.b c\n", 3));
    Learned learned(place.path);
    learned.update();
    learned.refuse({{"a", "prints", place.path}, {"c", "its import fails", ""}});
    BOOST_TEST(place.content().find("never a\t") != std::string::npos);
    // The file on which it depends is this one, which is another by now.
    BOOST_TEST(place.learned() == "a.b a ");
}

BOOST_AUTO_TEST_CASE(refused_as_long_as_its_file_stays) {
    const Place place;
    const std::string other = std::string(place.directory) + "/module.py";
    std::ofstream(other) << "x";
    place.append("quicken-learn 1\n" + repeated("run a a.b ab\n", 3));
    Learned learned(place.path);
    learned.update();
    learned.refuse({{"a", "prints", other}});
    BOOST_TEST(place.learned() == "ab ");
    std::ofstream(other) << "longer";
    BOOST_TEST(place.learned() == "ab a a.b ");
    unlink(other.c_str());
}

BOOST_AUTO_TEST_CASE(what_is_not_understood) {
    const Place place;
    BOOST_TEST(place.learned() == "");
    BOOST_TEST(access(place.path.c_str(), F_OK) != 0);
    place.append("\n\xff\nlearned\nlearned x\nnever\nnever a\t1\nrun\nran\nrunning a\nrun a");
    BOOST_TEST(place.learned() == "");
}
