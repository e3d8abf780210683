// bench-driver - runs rows of commands, round by round, and prints how long
// each run took:
//
//     run ROW ROUND NANOSECONDS STATUS        STATUS as waitpid(2) has it
//     block ROW ROUND NANOSECONDS             from the first start to the last end
//     output ROW SIZE DIFFERING HEX           of the first run; runs with another; its first 4096 bytes
//
// Every round has its own order of rows, so that none always follows the same.
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <thread>

#include "common/error.hpp"
#include "driver/output.hpp"
#include "driver/pipes.hpp"
#include "driver/process.hpp"
#include "driver/spec.hpp"
#include "driver/terminal.hpp"

namespace quicken::bench {
namespace {

constexpr unsigned k_patience = 300;  // seconds for one block

void sleep_for(unsigned microseconds) {
    const timespec time{microseconds / 1'000'000, static_cast<long>(microseconds % 1'000'000) * 1000};
    ::nanosleep(&time, nullptr);
}

/// The runs of one block, by `clients` threads that start one after the other.
std::vector<Outcome> run_crowd(const Row& row, Output& output) {
    const Command command(row);
    std::vector<Outcome> outcomes(row.block);
    std::atomic<unsigned> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto client = [&] {
        try {
            Pipes pipes;
            for (unsigned run = next++; run < row.block; run = next++) {
                outcomes[run] = command.run(pipes.streams());
                const std::lock_guard lock(mutex);
                pipes.drain(output);
            }
        } catch (...) {
            const std::lock_guard lock(mutex);
            failure = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < row.clients; ++number) threads.emplace_back(client);
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
    return outcomes;
}

class Bench {
 public:
    explicit Bench(const Spec& spec) : spec_(spec), outputs_(spec.rows.size()) {
        const auto on_terminal = [](const Row& row) { return row.terminal; };
        if (std::ranges::any_of(spec.rows, on_terminal)) terminal_.emplace(spec);
    }

    void run() {
        std::minstd_rand random(spec_.seed + 1);
        std::vector<unsigned> order(spec_.rows.size());
        std::iota(order.begin(), order.end(), 0U);
        for (unsigned round = 0; round < spec_.rounds; ++round) {
            std::shuffle(order.begin(), order.end(), random);
            for (const unsigned row : order) {
                if (spec_.pause != 0) sleep_for(spec_.pause);
                run_block(row, round);
            }
        }
        print_outputs();
    }

 private:
    void run_block(unsigned number, unsigned round) {
        const Row& row = spec_.rows[number];
        ::alarm(k_patience);
        const std::int64_t start = now();
        const std::vector<Outcome> outcomes = runs_of(number);
        const std::int64_t took = now() - start;
        ::alarm(0);
        for (const Outcome& outcome : outcomes) {
            std::printf("run %u %u %lld %d\n", number, round, static_cast<long long>(outcome.nanoseconds),
                        outcome.status);
        }
        if (row.block > 1) std::printf("block %u %u %lld\n", number, round, static_cast<long long>(took));
    }

    std::vector<Outcome> runs_of(unsigned number) {
        const Row& row = spec_.rows[number];
        if (row.clients > 1) return run_crowd(row, outputs_[number]);
        std::vector<Outcome> outcomes;
        const Command command(row);
        while (outcomes.size() < row.block) {
            if (row.terminal) {
                outcomes.push_back(terminal_->run(number, outputs_[number]));
            } else {
                outcomes.push_back(command.run(pipes_.streams()));
                pipes_.drain(outputs_[number]);
            }
        }
        return outcomes;
    }

    void print_outputs() const {
        for (std::size_t row = 0; row < outputs_.size(); ++row) {
            const Output& output = outputs_[row];
            std::printf("output %zu %zu %u ", row, output.first_size(), output.differing());
            for (const char byte : output.first()) std::printf("%02x", static_cast<unsigned char>(byte));
            std::printf("\n");
        }
    }

    const Spec& spec_;
    std::vector<Output> outputs_;
    Pipes pipes_;
    std::optional<Terminal> terminal_;
};

}  // namespace
}  // namespace quicken::bench

int main() try {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    quicken::bench::end_children_with_us();
    const quicken::bench::Spec spec = quicken::bench::read_spec(STDIN_FILENO);
    quicken::bench::Bench(spec).run();
    return std::fflush(stdout) == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench-driver: %s\n", error.what());
    return 1;
}
