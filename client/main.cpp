// The order of things: what is to run, which server serves it, the request,
// its answer, the end. Whatever does not fit leaves by fallback.hpp.
#include "main.hpp"

#include <linux/prctl.h>

#include "answer.hpp"
#include "common/instance.hpp"
#include "common/text.hpp"
#include "connect.hpp"
#include "descriptor.hpp"
#include "fallback.hpp"
#include "message.hpp"
#include "relay.hpp"
#include "request.hpp"

namespace quicken::client {

namespace {

constexpr int k_retries = 5;

int connect(Run& run, const wire::Instance& instance) {
    const Connection connection = connect_to(instance, run.process);
    if (connection.kind == Connection::Kind::nobody) activate(run);
    if (connection.kind == Connection::Kind::unfit) run_plainly(run, connection.reason);
    return connection.fd;
}

/// The kernel has named this process by the launcher's file (execve(2)). That is the command's name: who
/// kills by name is to hit the program once.
void take_own_name() {
    sys::prctl(PR_SET_NAME, sys::address("quicken"));
}

[[noreturn]] void follow(Run& run, ReplyReader& replies, const Answer& answer, Outgoing& request) {
    if (run.verbose)
        say({answer.cold || run.activated ? "cold run" : "warm run", answer.reason.empty() ? "" : "; ",
             answer.reason});
    relay(run, replies, {answer.pid, answer.group}, request);
}

[[noreturn]] void run_served(Run& run) {
    const wire::Instance instance = instance_of(run.target, run.process.environment, run.process.group);
    int fd = connect(run, instance);
    Outgoing request;
    if (const char* reason = prepare(run, instance, request)) run_plainly(run, reason);

    ReplyReader replies;
    for (int retries = 0;; ++retries) {
        run.signals.block();
        if (const char* reason = send(run, fd, request)) run_plainly(run, reason);
        if (const char* reason = fill_deposit(run, request)) run_plainly(run, reason);
        if (run.invocation.launcher != nullptr) take_own_name();
        replies.start(fd);
        const Answer answer = await_answer(run, replies);
        if (answer.kind == Answer::Kind::plain) request.deposit.withdraw();
        if (answer.kind == Answer::Kind::started) follow(run, replies, answer, request);
        if (answer.kind == Answer::Kind::plain) run_plainly(run, answer.reason);
        if (retries == k_retries) {
            request.deposit.withdraw();
            run_plainly(run, "the server asks to connect anew again and again");
        }
        run.signals.restore();
        sys::close(fd);
        fd = connect(run, instance);
    }
}

/// By the activator, which adds a link's name.
bool is_activated(std::string_view called) {
    return ends_with(take_until(called, ':'), k_activated_name);
}

}  // namespace

bool is_set(const Process& process, std::string_view name) {
    const char* value = get_environment(process.environment, name);
    return value != nullptr && *value != '\0' && std::string_view(value) != "0";
}

void run(const Process& process) {
    const Invocation invocation = parse(process.argv);
    if (invocation.form == Invocation::Form::tool) run_tool(process);
    if (invocation.form == Invocation::Form::serve) run_serve(process);
    if (invocation.form == Invocation::Form::usage) die(2, {invocation.error, "; see quicken --help"});

    Storage storage;
    int script;
    const Target target = resolve(invocation, process.environment, storage, &script);
    Run run{process,
            invocation,
            target,
            {},
            is_set(process, "QUICKEN_VERBOSE"),
            is_activated(process.argv[0]),
            lift(script)};
    if (is_set(process, "QUICKEN_DISABLE")) run_plainly(run, "QUICKEN_DISABLE is set");
    if (target.plain != nullptr) run_plainly(run, target.plain);
    run_served(run);
}

}  // namespace quicken::client
