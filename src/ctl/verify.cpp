// `quickenctl verify`: is a quickened run what a plain one is?
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include "common/error.hpp"
#include "common/target.hpp"
#include "ctl/commands.hpp"
#include "ctl/comparison.hpp"
#include "ctl/status.hpp"
#include "ctl/trial.hpp"

namespace quicken::ctl {
namespace {

namespace fs = std::filesystem;

constexpr double k_look_again = 0.02;  // s
constexpr double k_count_delay = 0.5;  // s: a server may count a command after its client has ended
constexpr std::size_t k_max_pointers = 65536;

std::string absolute(const std::string& path) {
    return path.empty() ? path : fs::absolute(path).string();
}

/// The runs have another working directory than we.
void make_absolute(Choice& choice, VerifyOptions& options) {
    choice.file = absolute(choice.file);
    if (choice.python.find('/') != std::string::npos) {
        choice.python = absolute(choice.python);
    }
    options.input = absolute(options.input);
    options.directory = absolute(options.directory);
}

std::vector<std::string> quickened_arguments(const Choice& choice, const VerifyOptions& options) {
    const fs::path own = fs::read_symlink("/proc/self/exe").parent_path();
    std::vector<std::string> all{own / "quicken", "run"};
    const std::vector<std::string> manner = manner_of(choice);
    all.insert(all.end(), manner.begin(), manner.end());
    if (!choice.file.empty()) {
        all.insert(all.end(), {"--file", choice.file});
    } else if (!choice.module.empty()) {
        all.insert(all.end(), {"-m", choice.module});
    } else {
        all.insert(all.end(), {"--entry", choice.entry});
    }
    all.emplace_back("--");
    all.insert(all.end(), options.arguments.begin(), options.arguments.end());
    return all;
}

std::vector<std::string> plain_run(const Choice& choice, const VerifyOptions& options) {
    const auto what = !choice.file.empty()     ? wire::What::file
                      : !choice.module.empty() ? wire::What::module
                                               : wire::What::entry;
    const std::string name = choice.file + choice.module + choice.entry;  // one of them
    const auto storage = std::make_unique<Storage>();
    const Target target = resolve(what, name, choice, environ, *storage);
    if (target.interpreter.empty()) {
        throw Error(std::string("find the interpreter: ") +
                    (target.plain != nullptr ? target.plain : "there is none"));
    }
    std::vector<char*> given;
    for (const std::string& argument : options.arguments) {
        given.push_back(const_cast<char*>(argument.c_str()));  // plain_arguments() does not write to them
    }
    given.push_back(nullptr);
    std::string code(2 * wire::k_max_name + 512, '\0');
    std::vector<char*> pointers(k_max_pointers);
    if (!plain_arguments(target, name.c_str(), given.data(), code.data(), code.size(), pointers.data(),
                         pointers.size())) {
        throw Error(name + " cannot be run: is an entry of the form MODULE:FUNCTION?");
    }
    return {pointers.begin(), std::find(pointers.begin(), pointers.end(), nullptr)};
}

class Verification {
 public:
    Verification(Choice choice, VerifyOptions options)
        : options_(std::move(options)), trials_(options_.directory, options_.input, options_.timeout) {
        fs::current_path(trials_.directory());  // part of what -m names
        ::setenv("PWD", trials_.directory().c_str(), 1);
        for (const char* name : {"QUICKEN_VERBOSE", "QUICKEN_DISABLE"}) {
            ::unsetenv(name);
        }
        ::setenv("INSTA_DISABLE", "1",
                 1);  // a plain run of a script that imports instastart.auto is to be one
        plain_ = plain_run(choice, options_);
        quickened_ = quickened_arguments(choice, options_);
        Place place = Place::find(environ);
        selection_ = select(choice, place, environ);
        found_ = server_of(place, selection_).has_value();
    }
    Verification(const Verification&) = delete;
    Verification& operator=(const Verification&) = delete;
    ~Verification();

    int run();

 private:
    std::optional<Properties> properties() const;
    std::optional<Properties> wait_for_template();
    bool was_served(std::uint64_t before);
    Outcome run_plainly();
    void run_quickened(unsigned number, Comparison& comparison);
    int tell(const Comparison& comparison) const;

    VerifyOptions options_;
    Trials trials_;
    std::vector<std::string> plain_, quickened_;
    Selection selection_;
    bool found_ = false;  // there was a server before us
    std::string rung_;
    unsigned served_ = 0;
};

/// A server that we have started has our directory for the one of its program.
Verification::~Verification() {
    try {
        fs::current_path("/");
        if (!found_) {
            Place place = Place::find(environ);
            stop_server(place, selection_, true);
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "quickenctl verify: the server that was started: {}\n", error.what());
    }
}

std::optional<Properties> Verification::properties() const {
    const Place place = Place::find(environ);  // the first run makes the directory
    auto server = server_of(place, selection_);
    return server ? server->properties() : std::nullopt;
}

/// Nothing if no server runs or it does not get ready. One that is idle makes a template when somebody comes.
std::optional<Properties> Verification::wait_for_template() {
    for (double waited = 0; waited < options_.timeout; waited += k_look_again) {
        auto now = properties();
        if (!now || now->state == "ready" || now->state == "refusing" || now->state == "stopping") {
            return now;
        }
        if (now->state == "idle") {
            trials_.run(quickened_);
        }
        trials_.pause(k_look_again);
    }
    return std::nullopt;
}

bool Verification::was_served(std::uint64_t before) {
    for (double waited = 0; waited < k_count_delay; waited += k_look_again) {
        if (const auto now = properties(); now && now->commands_run > before) {
            rung_ = now->rung;
            return true;
        }
        trials_.pause(k_look_again);
    }
    return false;
}

Outcome Verification::run_plainly() {
    Outcome outcome = trials_.run(plain_);
    if (outcome.timed_out) {
        throw Error(fmt::format("a plain run takes longer than {:g} s (--timeout)", options_.timeout));
    }
    return outcome;
}

void Verification::run_quickened(unsigned number, Comparison& comparison) {
    const auto before = wait_for_template();
    const Outcome outcome = trials_.run(quickened_);
    if (before && was_served(before->commands_run)) {
        ++served_;
    } else {
        const bool refusing = before && before->state == "refusing";
        const std::string why = !selection_.plain.empty() ? selection_.plain
                                : refusing                ? before->reason
                                                          : "QUICKEN_VERBOSE=1 quicken run ... says why";
        fmt::print("quickened run {} was in truth a plain one ({})\n", number, dropin::printable(why));
    }
    comparison.add(number, outcome);
}

int Verification::tell(const Comparison& comparison) const {
    fmt::print("{}", comparison.text());
    fmt::print("{}: 2 plain runs, {} quickened, {} of them served by a template{}\n",
               comparison.equal() ? "equal" : "different", options_.runs, served_,
               rung_.empty() ? "" : " after the " + rung_);
    return comparison.equal() ? 0 : 1;
}

int Verification::run() {
    const Outcome first = run_plainly();
    Comparison comparison(first, run_plainly());
    trials_.run(quickened_);  // starts the server
    for (unsigned number = 1; number <= options_.runs; ++number) {
        run_quickened(number, comparison);
    }
    return tell(comparison);
}

}  // namespace

int verify(Choice choice, VerifyOptions options) {
    make_absolute(choice, options);
    try {
        return Verification(std::move(choice), std::move(options)).run();
    } catch (const Interrupted& interrupted) {
        ::raise(interrupted.signal);
        return 1;  // it is ignored
    }
}

}  // namespace quicken::ctl
