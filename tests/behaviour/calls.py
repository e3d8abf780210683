"""The client asks the kernel for little: system calls up to the request, and its size.

The calls are counted by a tracer of the test's own (ptrace(2)), so that it needs no other program.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

MOST_CALLS = 12         # from exec to the request sent, that call included
MOST_TO_ANSWER = 16     # to the wait for its answer: with the program's fds, which follow the request
MOST_BYTES = 64 << 10   # of the client's file, and in memory

TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
TRACESYSGOOD, EXITKILL = 1, 0x100000
SYSCALL_STOP = 5 | 0x80  # SIGTRAP, with TRACESYSGOOD
ENTRY = 1
INFO = struct.Struct("=B3xIQQQ6Q")  # ptrace_syscall_info at an entry: op, arch, ip, sp, nr, args
CONNECT, SENDMSG, PPOLL = {"x86_64": (42, 46, 271), "aarch64": (203, 211, 73)}[platform.machine()]

LOAD = 1  # PT_LOAD

SCRIPT = f"#!{harness.PYTHON}\nif __name__ == '__main__':\n    print('served')\n"

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, pid, address=0, data=0):
    result = libc.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")
    return result


def entered(pid):
    """Number and arguments of the system call that a stopped process is about to do; None at its end."""
    buffer = ctypes.create_string_buffer(INFO.size + 8)
    ptrace(GET_SYSCALL_INFO, pid, len(buffer), ctypes.addressof(buffer))
    operation, _, _, _, number, *arguments = INFO.unpack_from(buffer)
    return (number, arguments) if operation == ENTRY else None


def start_traced(argv, environment, directory, streams):
    """Stopped after its exec; without a controlling terminal, with no fds but the standard ones."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        ptrace(SETOPTIONS, pid, 0, TRACESYSGOOD | EXITKILL)
        return pid
    try:
        os.setsid()
        for fd, stream in enumerate(streams):
            os.dup2(stream, fd)
        os.closerange(3, 1 << 16)
        os.chdir(directory)
        ptrace(TRACEME, 0)
        os.execve(argv[0], argv, environment)
    finally:
        os._exit(127)


def trace(pid, look=lambda number, arguments: None):
    """All system calls of the process from here on, which `look` sees before they are done, and its exit status."""
    calls = []
    passed_on = 0
    while True:
        ptrace(SYSCALL, pid, 0, passed_on)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return calls, os.waitstatus_to_exitcode(status)
        stopped_by = os.WSTOPSIG(status)
        passed_on = 0 if stopped_by in (SYSCALL_STOP, signal.SIGTRAP) else stopped_by  # SIGTRAP: another exec
        call = entered(pid) if stopped_by == SYSCALL_STOP else None
        if call:
            calls.append(call)
            look(*call)


def first(calls, wanted):
    """How many calls up to the first one that `wanted` says yes to."""
    return next(count for count, call in enumerate(calls, 1) if wanted(*call))


@harness.each_activation
class Calls:
    def traced(self, argv):
        """Calls of a run on pipes, which the server has served."""
        reading, writing = os.pipe()
        with open(os.devnull, "rb") as null, open(reading, "rb") as output:
            pid = start_traced(argv, self.bed.env(), self.bed.work, [null.fileno(), writing, writing])
            os.close(writing)
            calls, status = trace(pid)
            self.assertEqual((0, b"served\n"), (status, output.read()))
        return calls

    def assert_few(self, *argv):
        before = self.bed.commands_run(self.script)
        calls = self.traced(argv)
        self.assert_count(before + 1, lambda: self.bed.commands_run(self.script), "not the server's")
        connection = next(arguments[0] for number, arguments in calls if number == CONNECT)
        numbers = [number for number, _ in calls]
        self.assertLessEqual(first(calls, lambda number, arguments: number == SENDMSG and arguments[0] == connection),
                             MOST_CALLS, numbers)
        self.assertLessEqual(first(calls, lambda number, _: number == PPOLL), MOST_TO_ANSWER + 1, numbers)

    def test_few_system_calls(self):
        self.script = self.bed.write("script.py", SCRIPT, 0o755)
        self.bed.quick([self.script])
        for words in (["run", "--file", self.script], ["run", "--file", "script.py"], ["script.py"],
                      ["run", "--python", harness.PYTHON, "--file", "script.py"]):
            with self.subTest(words=words):
                self.assert_few(harness.QUICKEN, *words)

    def test_launcher(self):
        """It costs no more than its original: the kernel hands over the path."""
        self.script = self.bed.write("script.py", SCRIPT, 0o755)
        self.assertEqual(0, self.bed.ctl("wrap", "--into", self.bed.work, "--suffix", "c", self.script).status)
        self.bed.quick([self.script])
        self.assert_few(self.script + "c")

    def test_interpreter_in_the_line(self):
        self.script = self.bed.write("script.py", SCRIPT.replace("#!", f"#!{harness.QUICKEN} "), 0o755)
        self.bed.run([self.script])
        self.assert_few(self.script)


class Size(unittest.TestCase):
    def test_file(self):
        with open(harness.QUICKEN, "rb") as file:
            content = file.read()
        if b".debug_info" in content:
            self.skipTest("it has debugging information")
        self.assertLess(len(content), MOST_BYTES)

    def test_memory(self):
        """What the kernel maps of it: its segments (elf(5))."""
        with open(harness.QUICKEN, "rb") as file:
            content = file.read()
        start, size, count = (struct.unpack_from(form, content, at)[0] for form, at in (("=Q", 32), ("=H", 54), ("=H", 56)))
        segments = [struct.unpack_from("=IIQQQQQQ", content, start + i * size) for i in range(count)]
        self.assertLess(sum(segment[6] for segment in segments if segment[0] == LOAD), MOST_BYTES)


if __name__ == "__main__":
    harness.main()
