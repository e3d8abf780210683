// How many spares are kept (src/server/demand.hpp).
#define BOOST_TEST_MODULE demand
#include <boost/test/included/unit_test.hpp>

#include <chrono>

#include "server/demand.hpp"

namespace {

using quicken::server::Demand;
using std::chrono::milliseconds;

struct Fixture {
    Demand demand;
    Demand::Clock::time_point now = Demand::Clock::now();

    /// So often, so far apart.
    void run_out(int times, milliseconds pause) {
        for (int i = 0; i < times; ++i) demand.ran_out(now += pause);
    }
};

// A program that is run now and then has the spares that it always has.
BOOST_FIXTURE_TEST_CASE(runs_far_apart_ask_for_no_more, Fixture) {
    run_out(100, milliseconds(600));
    BOOST_TEST(demand.more() == 0U);
}

// One more each time, up to a limit: a spare costs memory.
BOOST_FIXTURE_TEST_CASE(runs_close_together_ask_for_more, Fixture) {
    run_out(1, milliseconds(600));
    run_out(1, milliseconds(1));
    BOOST_TEST(demand.more() == 1U);
    run_out(100, milliseconds(1));
    BOOST_TEST(demand.more() == 6U);
}

BOOST_FIXTURE_TEST_CASE(what_is_not_used_is_given_back, Fixture) {
    run_out(100, milliseconds(1));
    for (int i = 0; i < 3; ++i) demand.ebb();
    BOOST_TEST(demand.more() == 0U);
}

}  // namespace
