"""A command has what its caller gave it, and its caller learns what became of it."""

import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

# Tells all that a process can inherit, except what differs for every process.
TELL = """
import os, resource, signal, stat, sys
PRELUDE = len(os.environ)
if __name__ == '__main__':
    print(sys.argv)
    for name in sorted(os.environ):
        if name != '_':
            print(name, repr(os.environ[name]))
    print(os.getcwd())
    umask = os.umask(0)
    os.umask(umask)
    print('umask %o' % umask)
    for fd in range(3):
        try:
            status = os.fstat(fd)
            import fcntl
            print(fd, stat.S_IFMT(status.st_mode), status.st_ino if stat.S_ISREG(status.st_mode) else '',
                  oct(fcntl.fcntl(fd, fcntl.F_GETFL)), os.get_inheritable(fd))
        except OSError as error:
            print(fd, error)
    print([s is None or (s.fileno(), s.mode, s.encoding, s.errors, s.line_buffering, s.closed)
           for s in (sys.stdin, sys.stdout, sys.stderr)])
    print([signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1)])
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    print(os.getuid(), os.getgid(), sorted(os.getgroups()))
    print([fd for fd in range(3, 2000) if os.path.exists('/proc/self/fd/%d' % fd) and os.get_inheritable(fd)])
    sys.stdout.flush()
    print('to stderr', file=sys.stderr)
"""

def read_terminal(fd):
    """Nothing once the last process that has it open is gone."""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""


@harness.each_activation
class Inherit:
    def tell(self):
        return self.bed.write("tell.py", TELL)

    def script(self, body, name="script.py"):
        """A script of which `body` is the main part."""
        lines = harness.dedent(body).splitlines()
        return self.bed.write(name, "import sys, os\nif __name__ == '__main__':\n" +
                              "".join(f"    {line}\n" for line in lines))

    def same(self, body, *arguments, **options):
        return self.assert_same([self.script(body), *arguments], **options)

    # What it is given

    def test_arguments(self):
        for arguments in ((), ("",), ("a b", "-x", "--file", "--", "-m"), ("é", "\n", "\\", "'\"$(id)"),
                          ("--",), ("--", "a"), ("x" * 100000, *map(str, range(2000)))):
            with self.subTest(arguments=[a[:20] for a in arguments[:9]]):
                script = self.script("print(ascii(sys.argv))")
                quick = (["--", *arguments] if arguments[:1] == ("--",) else arguments)
                expected = self.bed.plain([script, *arguments])
                self.assertEqual(0, expected.status)
                for _ in range(2):
                    self.assertEqual(expected, self.bed.quick([script, *quick]))

    def test_arguments_that_are_not_utf_8(self):
        self.same("print(ascii(sys.argv), os.fsencode(sys.argv[1]))", os.fsdecode(b"\xff\xfe/x"))

    def test_environment_directory_and_streams(self):
        self.assertEqual(0, self.assert_same([self.tell(), "a"]).status)

    def test_each_run_has_its_own_environment(self):
        """What an earlier client had is not there, in Python, in C and in children."""
        script = self.script("""
            import subprocess
            print(sorted(k for k in os.environ if k != '_'), os.environ.get('MINE'), flush=True)
            subprocess.run('echo "$MINE-$OTHER"; env | cut -d= -f1 | grep -v "^_$" | sort', shell=True)
            os.environ['LEFT'] = '1'
        """)
        for env in ({"MINE": "1", "OTHER": "x" * 5000}, {"MINE": ""}, {"MINE": "2\n3"}, {}):
            with self.subTest(env=env):
                self.assertEqual(self.bed.plain([script], env=env), self.bed.quick([script], env=env))

    def test_a_script_that_closes_all_fds(self):
        """As daemons do; its end is reported all the same."""
        self.assertEqual(7, self.same("os.closerange(3, 20000); print('closed'); sys.exit(7)").status)

    def test_an_empty_environment(self):
        script = self.bed.write("script.py", f"#!{harness.PYTHON}\nimport os\nif __name__ == '__main__':\n"
                                             "    print(dict(os.environ))\n", 0o755)
        self.bed.quick([script])
        keep = {"XDG_RUNTIME_DIR": self.bed.runtime}

        def bare(argv):
            done = subprocess.run(argv, env=keep, capture_output=True, cwd=self.bed.work, timeout=harness.TIMEOUT)
            return harness.Result(done.returncode, done.stdout, done.stderr)

        self.assertEqual(bare([script]), bare([harness.QUICKEN, "run", "--file", script]))

    def test_working_directory(self):
        script = self.script("print(os.getcwd(), os.path.abspath('x'), sorted(os.listdir('.')))")
        os.makedirs(self.bed.path("a/b c"))
        for where in (self.bed.work, self.bed.path("a"), self.bed.path("a/b c"), "/"):
            with self.subTest(where=where):
                self.assert_same([script], cwd=where)

    def test_working_directory_that_is_gone(self):
        script = self.script("""
            try:
                print(os.getcwd())
            except OSError as error:
                print(error)
        """)
        self.bed.quick([script])
        shell = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
        self.assertEqual(self.bed.run(["sh", "-c", shell, "sh", *self.bed.plain_argv([script])]),
                         self.bed.run(["sh", "-c", shell, "sh", *self.bed.quick_argv([script])]))

    def test_relative_path_of_the_script(self):
        script = self.script("print(sys.argv[0], os.path.exists(__file__), sys.path[0])")
        expected = self.bed.run([harness.PYTHON, "script.py"])
        for _ in range(2):
            actual = self.bed.run([harness.QUICKEN, "run", "--file", "script.py"])
            self.assertEqual(expected, actual)
        self.assertTrue(os.path.exists(script))

    def test_umask(self):
        script = self.script("""
            os.close(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o777))
            print(oct(os.stat(sys.argv[1]).st_mode))
            os.unlink(sys.argv[1])
            os.umask(0o111)
        """)
        for mask in (0o022, 0o077, 0, 0o777):
            with self.subTest(umask=oct(mask)):
                self.assert_same([script, "made"], umask=mask)

    def test_limits_and_priority(self):
        script = self.script("""
            import resource
            print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE),
                  resource.getrlimit(resource.RLIMIT_FSIZE), os.nice(0))
        """)
        self.bed.quick([script])
        shell = 'ulimit -n 200; ulimit -c 0; ulimit -f 1000; exec nice -n 5 "$@"'
        expected = self.bed.run(["sh", "-c", shell, "sh", *self.bed.plain_argv([script])])
        self.assertEqual(0, expected.status)
        self.assertEqual(expected, self.bed.run(["sh", "-c", shell, "sh", *self.bed.quick_argv([script])]))

    def test_ignored_and_blocked_signals(self):
        """As nohup(1) has it: SIGHUP stays ignored."""
        script = self.tell()
        self.bed.quick([script])

        def prepare():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

        self.assertIn(b"SIGUSR1", self.bed.plain([script], preexec_fn=prepare).stdout)
        self.assert_same([script], preexec_fn=prepare)

    def test_scheduling(self):
        script = self.script("""
            print(os.nice(0), sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0),
                  open('/proc/self/oom_score_adj').read())
            os.system('ionice')
        """)
        self.bed.quick([script])
        for command in (["nice", "-n", "7"], ["taskset", "-c", "0"], ["chrt", "-b", "0"], ["ionice", "-c", "3"],
                        ["choom", "-n", "400", "--"]):
            with self.subTest(command=command):
                expected = self.bed.run([*command, *self.bed.plain_argv([script])])
                self.assertEqual(expected, self.bed.run([*command, *self.bed.quick_argv([script])]))

    def test_what_others_see_of_it(self):
        """Command line, name and environment as ps(1) shows them."""
        script = self.script("""
            for name in 'cmdline', 'comm', 'environ':
                print(sorted(open('/proc/self/' + name).read().split('\\0')))
        """)
        self.bed.quick([script, "first"], env={"FIRST": "1"})
        self.assert_same([script, "a b", ""], env={"SECOND": "2"}, plain=[harness.PYTHON, script, "a b", ""])

    def test_a_confined_client_is_not_let_out(self):
        """A server without no_new_privs must not serve a client with it."""
        script = self.script("print([l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')])")
        self.assert_same([script])
        confined = ["setpriv", "--no-new-privs"]
        expected = self.bed.run([*confined, *self.bed.plain_argv([script])])
        self.assertEqual(expected, self.bed.run([*confined, *self.bed.quick_argv([script])]))

    # Fds above 2

    def test_fds_at_their_own_numbers(self):
        script = self.script("""
            import select
            print(sorted(int(name) for name in os.listdir('/proc/self/fd')))
            for fd in (5, 63, 700):
                print(os.get_inheritable(fd), os.read(fd, 3))
        """)
        with open(self.bed.write("in", b"one\ntwo\nsix\nend\n"), "rb") as file:
            def prepare():
                file.seek(0)
                for fd in (5, 63, 700):
                    os.dup2(file.fileno(), fd)
            self.assert_same([script], preexec_fn=prepare, close_fds=False)

    def test_many_fds(self):
        script = self.script("print(sorted(int(name) for name in os.listdir('/proc/self/fd')))")

        def prepare():
            for fd in range(3, 310):
                os.dup2(0, fd)
            os.closerange(310, 400)
        self.assert_same([script], preexec_fn=prepare, close_fds=False)

    def test_few_fds_on_a_terminal(self):
        """There may be no room for those of the command's terminal: then it is a plain run."""
        script = self.bed.write("few.py", "import sys\nif __name__ == '__main__':\n    print('printed'); sys.exit(3)\n")
        for soft in (None, *range(8, 16)):  # with fewer an interpreter may not start
            pid, terminal = pty.fork()
            if pid == 0:
                if soft:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
                os.execve(harness.QUICKEN, self.bed.quick_argv([script]), self.bed.env())
            try:
                shown = b"".join(iter(lambda: read_terminal(terminal), b""))
            finally:
                os.close(terminal)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with self.subTest(limit=soft):
                self.assertEqual((3, b"printed\r\n"), (status, shown))

    def test_process_substitution(self):
        script = self.script("print(open(sys.argv[1]).read(), file=open(sys.argv[2], 'w'))")
        self.bed.quick([script, "/dev/null", "/dev/null"])
        shell = '"$@" <(echo in) >(cat >&2); sleep 0.3'
        self.assertEqual(self.bed.run(["bash", "-c", shell, "bash", *self.bed.plain_argv([script])]),
                         self.bed.run(["bash", "-c", shell, "bash", *self.bed.quick_argv([script])]))

    def test_a_jobserver(self):
        script = self.script("""
            import re
            fds = re.search(r'--jobserver-auth=(\\d+),(\\d+)', os.environ['MAKEFLAGS'])
            print(os.read(int(fds[1]), 1)); os.write(int(fds[2]), b'+')
        """)
        self.bed.write("Makefile", "all:\n\t+@$(RUN)\n")
        self.bed.quick([script], env={"MAKEFLAGS": "--jobserver-auth=1,1"})
        plain, quick = (" ".join(argv) for argv in (self.bed.plain_argv([script]), self.bed.quick_argv([script])))
        self.assertEqual(self.bed.run(["make", "-s", "-j3", "RUN=" + plain]),
                         self.bed.run(["make", "-s", "-j3", "RUN=" + quick]))

    def test_locks_are_free_when_it_has_ended(self):
        script = self.script("""
            import fcntl
            fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX | fcntl.LOCK_NB)
        """)
        for _ in range(50):
            self.assertEqual(harness.Result(0, b"", b""), self.bed.quick([script, self.bed.path("lock")]))

    # Fds 0 to 2

    def test_standard_input(self):
        script = self.script("data = sys.stdin.buffer.read(); print(len(data), hash(data) and data[-3:])")
        for data in (b"", b"one\n", b"\0\xff\n" * 5, os.urandom(1 << 20)):
            with self.subTest(size=len(data)):
                self.assert_same([script], stdin=data)

    def test_what_is_left_of_standard_input(self):
        """A command that reads one line by read(2) leaves the rest to the next."""
        script = self.script("print(os.read(0, 4))")
        with open(self.bed.write("in", b"one\ntwo\nsix\n"), "rb", buffering=0) as file:
            seen = [self.bed.quick([script], stdin_file=file).stdout for _ in range(3)]
        self.assertEqual([b"b'one\\n'\n", b"b'two\\n'\n", b"b'six\\n'\n"], seen)

    def test_much_output(self):
        result = self.same("sys.stdout.write('line\\n' * 500000); sys.stderr.write('e' * 300000)")
        self.assertEqual(2500000, len(result.stdout))

    def test_files_with_append(self):
        script = self.script("print('out'); print('err', file=sys.stderr); print(sys.argv[1])")

        def run(argv, name):
            path = self.bed.path(name)
            for number in "1", "2":
                with open(path, "ab") as file:
                    subprocess.run([*argv, number], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                   env=self.bed.env(), timeout=harness.TIMEOUT, check=True)
                with open(path, "ab") as file:
                    file.write(b"between\n")
            with open(path, "rb") as file:
                return file.read()

        expected = run(self.bed.plain_argv([script]), "plain")
        self.assertEqual(expected, run(self.bed.quick_argv([script]), "quick"))
        self.assertEqual(expected, run(self.bed.quick_argv([script]), "again"))

    def test_one_file_for_both_streams_keeps_the_order(self):
        self.same("for i in range(50):\n    print(i, flush=True)\n    print(-i, file=sys.stderr)",
                  normal=lambda result: result)
        script = self.bed.path("script.py")
        both = 'exec "$@" >both 2>&1'
        contents = []
        for argv in (self.bed.plain_argv([script]), self.bed.quick_argv([script])):
            self.bed.run(["sh", "-c", both, "sh", *argv])
            with open(self.bed.path("both"), "rb") as file:
                contents.append(file.read())
        self.assertEqual(*contents)

    def test_closed_streams(self):
        script = self.script("""
            report = [s is None for s in (sys.stdin, sys.stdout, sys.stderr)]
            for fd in range(3):
                try:
                    os.fstat(fd)
                except OSError as error:
                    report.append((fd, error.errno))
            fd = os.open('report', os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.write(fd, repr((report, fd)).encode())
            print('goes where it can')
        """)
        self.bed.quick([script])
        for closing in ("<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"):
            with self.subTest(closing=closing):
                seen = []
                for argv in (self.bed.plain_argv([script]), self.bed.quick_argv([script])):
                    result = self.bed.run(["sh", "-c", f'exec "$@" {closing}', "sh", *argv])
                    with open(self.bed.path("report"), "rb") as file:
                        seen.append((result, file.read()))
                    os.unlink(self.bed.path("report"))
                self.assertEqual(*seen)

    def test_closed_pipe(self):
        """`| head -1`: the same end, and no traceback where plain Python has none."""
        script = self.script("for i in range(200000):\n    print(i)")
        seen = []
        for argv in (self.bed.plain_argv([script]), self.bed.quick_argv([script]), self.bed.quick_argv([script])):
            seen.append(self.bed.run(["bash", "-c", '"$@" | head -1; echo ${PIPESTATUS[0]}', "bash", *argv]))
        self.assertEqual([seen[0]] * 2, seen[1:])

    def test_full_device(self):
        script = self.script("print('x')")
        with open("/dev/full", "wb") as full:
            seen = [subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, env=self.bed.env(),
                                   timeout=harness.TIMEOUT) for argv in
                    (self.bed.plain_argv([script]), self.bed.quick_argv([script]), self.bed.quick_argv([script]))]
        self.assertEqual([(s.returncode, s.stderr) for s in seen[:1]] * 2,
                         [(s.returncode, s.stderr) for s in seen[1:]])

    def test_file_description_is_shared(self):
        """O_NONBLOCK and the offset are the caller's own file's, not a copy's."""
        script = self.script("os.lseek(0, 5, os.SEEK_SET)")
        with open(self.bed.write("in", b"0123456789"), "rb", buffering=0) as file:
            self.bed.quick([script], stdin_file=file)
            self.assertEqual(5, file.tell())
            self.bed.quick([script], stdin_file=file)
            self.assertFalse(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_NONBLOCK)

    # How it ends

    def test_exit_statuses(self):
        script = self.script("sys.exit(int(sys.argv[1]))")
        for status in (0, 1, 2, 77, 127, 128, 130, 255, 256, -1):
            with self.subTest(status=status):
                self.assert_same([script, str(status)])

    def test_forms_of_system_exit(self):
        for body in ("sys.exit()", "sys.exit(None)", "sys.exit('a message')", "sys.exit((1, 2))", "sys.exit(True)",
                     "sys.exit(2**40)", "sys.exit('')", "sys.exit(1.5)", "raise SystemExit", "raise SystemExit(3)",
                     "exit(4)", "quit('bye')", "os._exit(9)", "import sys; sys.stdout.write('x'); sys.exit(5)",
                     "class E(SystemExit): pass\nraise E(6)",
                     "try:\n    sys.exit(7)\nfinally:\n    print('finally')"):
            with self.subTest(body=body):
                self.same(body)

    def test_exceptions(self):
        """The same traceback: the script's own lines and nothing else."""
        for body in ("1 / 0", "raise ValueError('é\\n2')", "def f():\n    g()\ndef g():\n    raise KeyError('k')\nf()",
                     "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('later') from e",
                     "import json; json.loads('{')", "assert False, 'no'", "raise BaseException('base')",
                     "raise GeneratorExit", "import nothing_of_this_name", "eval('1 +')",
                     "def f():\n    f()\nf()", "sys.stdout.write('partly'); raise OSError(2, 'm', 'f')",
                     "sys.excepthook = lambda *a: print('hook', a[0]); 1 / 0", "raise KeyboardInterrupt"):
            with self.subTest(body=body):
                result = self.same(body)
                self.assertNotEqual(0, result.status)

    def test_death_by_signal(self):
        for name in ("TERM", "KILL", "SEGV", "ABRT", "HUP", "USR1", "PIPE", "ALRM", "QUIT", "BUS"):
            with self.subTest(signal=name):
                result = self.same("import resource, signal\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
                                   "sys.stdout.write('x'); sys.stdout.flush()\n"
                                   f"signal.signal(signal.SIG{name}, signal.SIG_DFL) if {name!r} != 'KILL' else 0\n"
                                   f"os.kill(os.getpid(), signal.SIG{name})\n"
                                   "import time; time.sleep(5)")
                self.assertEqual(-getattr(signal, "SIG" + name), result.status)
                self.assertEqual(b"x", result.stdout)

    def test_atexit_buffers_and_unclosed_files(self):
        def normal(result):
            with open(self.bed.path("unclosed"), "rb") as file:
                return result._replace(stdout=result.stdout + b"|" + file.read())

        result = self.same("""
            import atexit, threading, time
            global kept
            atexit.register(lambda: print('second'))
            atexit.register(print, 'first')
            kept = open('unclosed', 'w')
            kept.write('kept')
            sys.stdout.write('no newline')
            threading.Thread(target=lambda: (time.sleep(0.2), print(' thread'))).start()
        """, normal=normal)
        self.assertEqual(b"no newline thread\nfirst\nsecond\n|kept", result.stdout)

    def test_output_of_children(self):
        self.same("import subprocess; print(subprocess.run(['sh', '-c', 'cat; echo e >&2; exit 3']).returncode)",
                  stdin=b"through\n")

    def test_fork(self):
        self.same("""
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                print('child')
                sys.exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)

    def test_a_child_that_lives_on_keeps_nobody_waiting(self):
        script = self.script("import subprocess\n"
                             "print(subprocess.Popen(['sleep', '60'], stdin=-3, stdout=-3, stderr=-3,"
                             " start_new_session=True).pid)")
        for _ in range(2):
            run = self.bed.quick([script])
            self.assertEqual(0, run.status)
            os.kill(int(run.stdout), signal.SIGKILL)  # it lives

    def test_exec(self):
        self.same("sys.stdout.flush(); os.execv('/bin/sh', ['sh', '-c', 'echo $0 $MARK; exit 5'])",
                  env={"MARK": "m"})

    def test_runs_leave_no_trace_in_the_next(self):
        script = self.bed.write("state.py", "import os, random, sys\nstate = []\nif __name__ == '__main__':\n"
                                            "    state.append(1)\n    print(len(state), len(sys.path), os.getcwd())\n"
                                            "    sys.path.append('x'); os.chdir('/'); sys.argv.append(1)\n")
        for _ in range(4):
            self.assertEqual(self.bed.plain([script]), self.bed.quick([script]))

    def test_random_differs_from_run_to_run(self):
        script = self.bed.write("random_.py", "import random\nif __name__ == '__main__':\n    print(random.random())\n")
        seen = {self.bed.quick([script]).stdout for _ in range(6)}
        self.assertEqual(6, len(seen))

class LowerLimit(harness.Case):
    """A server that was started with a hard limit below a later client's."""

    def test_is_said(self):
        if os.geteuid() == 0:
            self.skipTest("root may raise hard limits")
        script = self.bed.write("limit.py", "import resource\nif __name__ == '__main__':\n"
                                            "    print(resource.getrlimit(resource.RLIMIT_FSIZE))\n")
        low, high = 1 << 30, 1 << 31
        argv = self.bed.quick_argv([script])

        def run(limit):
            return self.bed.run(["sh", "-c", f'ulimit -f {limit >> 9}; exec "$@"', "sh", *argv], env={"QUICKEN_VERBOSE": "1"})

        self.assertEqual(harness.Result(0, f"({low}, {low})\n".encode(), b"quicken: cold run\n"), run(low))
        self.assertEqual(harness.Result(0, f"({low}, {low})\n".encode(), b"quicken: warm run\n"), run(low))
        self.assertEqual(harness.Result(0, f"({low}, {low})\n".encode(),
                                        b"quicken: warm run; a resource limit is lower, as it is for the server\n"), run(high))


if __name__ == "__main__":
    harness.main()
