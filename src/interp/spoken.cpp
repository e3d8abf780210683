#include "spoken.hpp"

#include <string.h>
#include <unistd.h>

#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr char k_prefix[] = "quicken.";
constexpr std::size_t k_prefix_length = sizeof k_prefix - 1;

bool is_truth(const Ref& value) {
    return value && py.PyObject_IsTrue(value.get()) == 1;
}

int answer_present(PyObject* arguments) {
    PyObject* list = py.PyTuple_GetItem(arguments, 0);
    const Ref yes(py.PyLong_FromLong(1));
    return list != nullptr && yes ? py.PyList_Append(list, yes.get()) : -1;
}

/// In a command, and in what it forks, it has been reached.
int hear_start() {
    const bool in_prelude = command_.pid == 0 && !template_.waiting && template_.bootstrap;
    if (!in_prelude || !is_truth(call_bootstrap("is_called"))) return 0;
    return reach_fork_point() ? 0 : -1;
}

int hear_done(PyObject* arguments) {
    if (command_.pid == 0 && !template_.waiting)
        give_up("the program calls quicken.done() before its fork point");
    if (getpid() != command_.pid) return 0;  // a process that the program forked: no client waits for it
    PyObject* status = py.PyTuple_GetItem(arguments, 0);
    const long number = status != nullptr ? py.PyLong_AsLong(status) : -1;
    if (number == -1 && py.PyErr_Occurred() != nullptr) return -1;
    end_for_client(static_cast<int>(number & 0xff));
    return 0;
}

}  // namespace

bool is_spoken(const char* event) {
    return strncmp(event, k_prefix, k_prefix_length) == 0;
}

int hear(const char* event, PyObject* arguments) {
    const char* word = event + k_prefix_length;
    if (strcmp(word, "present") == 0) return answer_present(arguments);
    if (strcmp(word, "start") == 0) return hear_start();
    if (strcmp(word, "done") == 0) return hear_done(arguments);
    return 0;
}

}  // namespace quicken::interp
