"""`quicken serve`: the prompt, on terminals (a pty with pyte's screen, tmux) and from a pipe."""

import os
import re
import signal
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import screen
import served

COMMANDS = """
    import threading
    server.members["history"] = os.path.abspath("history")
    server.commands = {
        "add user": lambda rest: print("added", rest, flush=True),
        "add group": lambda rest: print("group", rest, flush=True),
        "ask": lambda rest: print("got", sys.stdin.readline().strip().upper(), flush=True),
        "die": lambda rest: os._exit(1),
        "hang": lambda rest: time.sleep(1000),
        "say": lambda rest: print(rest, flush=True),
    }
    server.complete = lambda line: ["joe", "jane", "jürgen"] if line.startswith("add user ") else []
    server.answer = lambda path: str(os.getpid()) if path == "/pid" else "one"
"""


def processor_time(pid):
    """Seconds."""
    with open(f"/proc/{pid}/stat") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


class TerminalCase(served.Case):
    def start(self, argv, columns=132):
        mark = b"XDG_RUNTIME_DIR=" + os.fsencode(self.bed.runtime)
        terminal = screen.Terminal(argv, self.bed.env({"TERM": "xterm", "PS1": "$ ", "HISTFILE": ""}), self.bed.work, mark,
                                   columns=columns)
        self.addCleanup(self.finish, terminal)
        return terminal

    def finish(self, terminal):
        """A terminal that is closed ends what runs on it."""
        terminal.hang_up()
        try:
            terminal.process.wait(10)
        except subprocess.TimeoutExpired:
            terminal.process.kill()
            terminal.process.wait()
            raise AssertionError(f"it goes on without its terminal\n{terminal}") from None

    def serve_on_terminal(self, body=COMMANDS, options=()):
        self.script(body)
        terminal = self.start([harness.QUICKEN, "serve", *options, self.bed.path("app.py")])
        terminal.wait(f"^> {screen.CURSOR}$", rest=False)
        return terminal

    def shell(self):
        """A shell with job control that has started the script."""
        self.script(COMMANDS)
        terminal = self.start(["bash", "--norc", "--noprofile", "-i"])
        terminal.wait(rf"\$ {screen.CURSOR}", rest=False)
        return terminal

    def expect(self, terminal, keys, pattern):
        terminal.type(keys)
        terminal.wait(pattern, rest=False)


class Editing(TerminalCase):
    def test_commands(self):
        """Own commands, help, one that is unknown, an empty line; the prompt comes back behind each."""
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"add user joe\r", f"^> add user joe\nadded joe\n> {screen.CURSOR}")
        self.expect(terminal, b"nonsense\r", f"^unknown command 'nonsense'\n> {screen.CURSOR}")
        self.expect(terminal, b"help\r", f"^available commands: .*\n> {screen.CURSOR}")
        self.expect(terminal, b"\r", f"^>\n> {screen.CURSOR}")
        self.expect(terminal, "say grüß Gott\r".encode(), f"^grüß Gott\n> {screen.CURSOR}")

    def test_editing(self):
        """Keys in the middle of a line, characters of several bytes, an escape that begins nothing."""
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"say bc\x1b[D\x1b[D", f"^> say {screen.CURSOR}bc")
        self.expect(terminal, b"a\x05d", f"^> say abcd{screen.CURSOR}")
        terminal.write(b"\x1b")
        self.assertEqual("one", self.get())  # and nothing waits for a key
        time.sleep(0.3)
        self.expect(terminal, "ü\x7fe\r".encode(), f"^abcde\n> {screen.CURSOR}")

    def test_history(self):
        """Arrows and search find what was typed, also by the next process and the next supervisor."""
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"say one\r", f"^one\n> {screen.CURSOR}")
        self.expect(terminal, b"say two\r", f"^two\n> {screen.CURSOR}")
        self.expect(terminal, b"\x1b[A\x1b[A", f"^> say one{screen.CURSOR}")
        self.expect(terminal, b"\r", f"^> say one\none\n> {screen.CURSOR}")
        terminal.type(b"quit\r")
        self.assertEqual(0, terminal.process.wait(10), terminal.read(0.1) and terminal)
        self.assertEqual("say one\nsay two\nsay one\nquit\n", served.text_of(self.bed.path("history")))
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"\x1b[A\x1b[A", f"^> say one{screen.CURSOR}")

    def test_search(self):
        """Ctrl-R, by somebody who thinks between the keys; what comes meanwhile is not kept waiting."""
        terminal = self.serve_on_terminal()
        for word in ("one", "zwölf", "three"):
            self.expect(terminal, f"say {word}\r".encode(), f"^{word}\n> {screen.CURSOR}")
        self.expect(terminal, b"half", f"^> half{screen.CURSOR}")
        self.expect(terminal, b"\x12", f"^search '': half{screen.CURSOR}$")
        time.sleep(0.5)
        self.assertEqual("one", self.get())
        self.expect(terminal, b"s", f"^search 's': say three{screen.CURSOR}$")
        self.expect(terminal, b"\x12", f"^search 's': say zwölf{screen.CURSOR}$")
        self.expect(terminal, b"xq", f"^nothing has 'sxq': say zwölf{screen.CURSOR}$")
        self.expect(terminal, b"\x7f\x7f\x7f", f"^search '': half{screen.CURSOR}$")
        self.expect(terminal, b"\x07", f"^> half{screen.CURSOR}$")
        self.expect(terminal, "\x12ö".encode(), f"^search 'ö': say zwölf{screen.CURSOR}$")
        self.expect(terminal, b"\x1b[D", f"^> say zwöl{screen.CURSOR}f$")
        self.expect(terminal, b"\x12on\r", f"^> say one\none\n> {screen.CURSOR}$")
        self.expect(terminal, b"\x12thr", f"^search 'thr': say three{screen.CURSOR}$")
        self.script("1 +")
        terminal.wait(f"still serving the version of [0-9:]+\n> say three{screen.CURSOR}$", rest=False)
        self.expect(terminal, b"\x12", f"^search '': say three{screen.CURSOR}$")
        terminal.process.terminate()
        self.assertEqual(0, terminal.process.wait(10))

    def test_tab(self):
        """Names of commands here, arguments from the script; several are listed below the line."""
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"ad\t", f"^> add {screen.CURSOR}")
        self.expect(terminal, b"\t", f"^> add *\ngroup  user\n> add {screen.CURSOR}")
        self.expect(terminal, b"u\t", f"^> add user {screen.CURSOR}")
        self.expect(terminal, b"j\t", f"^jane +joe +jürgen\n> add user j{screen.CURSOR}")
        self.expect(terminal, "ü\t".encode(), f"^> add user jürgen {screen.CURSOR}")
        self.expect(terminal, b"\r", f"^added jürgen\n> {screen.CURSOR}")
        self.expect(terminal, b"re\t", f"^> restart {screen.CURSOR}")

    def test_input_of_a_command(self):
        """While a command runs the terminal is as it was, and what is typed is the command's."""
        terminal = self.serve_on_terminal()
        terminal.type(b"ask\r")
        self.assertTrue(harness.wait_until(lambda: termios.tcgetattr(terminal.master)[3] & termios.ICANON, 5))
        self.expect(terminal, b"typed\r", f"^typed\ngot TYPED\n> {screen.CURSOR}")

    def test_message_keeps_the_line(self):
        """What is said while a line is edited stands above it."""
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"say half", f"^> say half{screen.CURSOR}")
        self.script("1 +")
        terminal.wait(f"still serving the version of [0-9:]+\n> say half{screen.CURSOR}", rest=False)
        self.expect(terminal, b" and half\r", f"^half and half\n> {screen.CURSOR}")

    def test_other_prompt_after_reload(self):
        terminal = self.serve_on_terminal()
        self.script("server.members['prompt'] = 'new: '")
        terminal.wait(f"serving the version of [0-9:]+\nnew: {screen.CURSOR}", rest=False)

    def test_none(self):
        """With --no-prompt, or if the script wants none, nothing is read."""
        self.script("server.members['prompts'] = False")
        terminal = self.start([harness.QUICKEN, "serve", self.bed.path("app.py")])
        self.wait_answer("hello")
        terminal.type(b"quit\r")
        time.sleep(0.5)
        self.assertEqual("hello", self.get())
        self.assertNotIn("> ", terminal.text())


class Endings(TerminalCase):
    def assert_restored(self, terminal, before):
        self.assertEqual(before, termios.tcgetattr(terminal.master))

    def on_shell(self, ended_by):
        """Ends it; the shell has its status, and its terminal as it was."""
        terminal = self.shell()
        before = termios.tcgetattr(terminal.master)
        self.expect(terminal, b"stty -a > before\r", rf"before\n\$ {screen.CURSOR}")
        self.expect(terminal, f"{harness.QUICKEN} serve app.py\r".encode(), f"^> {screen.CURSOR}")
        ended_by(terminal)
        terminal.wait(rf"^\$ {screen.CURSOR}", rest=False)
        self.expect(terminal, b"echo status $?; stty -a > after\r", rf"^status (\d+)\n\$ {screen.CURSOR}")
        self.assertEqual(served.text_of(self.bed.path("before")), served.text_of(self.bed.path("after")))
        self.assertTrue(before)
        return int(re.search(r"(?m)^status (\d+)", terminal.text()).group(1))

    def supervisor(self):
        (found,) = [pid for pid in served.marked(self.bed.runtime)
                    if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(served.SERVE)]
        return found

    def test_quit(self):
        self.assertEqual(0, self.on_shell(lambda terminal: terminal.type(b"quit\r")))

    def test_interrupt(self):
        """Ctrl-C, with a line begun."""
        self.assertEqual(130, self.on_shell(lambda terminal: terminal.type(b"say hal\x03")))

    def test_terminate(self):
        self.assertEqual(0, self.on_shell(lambda terminal: os.kill(self.supervisor(), signal.SIGTERM)))

    def test_quit_key(self):
        self.assertEqual(131, self.on_shell(lambda terminal: terminal.type(b"\x1c")))

    def test_interrupt_while_a_command_runs(self):
        def end(terminal):
            terminal.type(b"hang\r")
            time.sleep(0.5)
            terminal.type(b"\x03")
        self.assertEqual(130, self.on_shell(end))

    def test_end_of_input(self):
        """Ctrl-D ends the prompt, not the server."""
        terminal = self.serve_on_terminal()
        self.expect(terminal, b"\x04", "^no command loop - use CTRL-C to terminate")
        self.assertEqual("one", self.get())
        self.script("server.answer = lambda path: 'two'")
        self.wait_answer("two")
        self.assertEqual(1, terminal.text().count("no command loop"))
        terminal.type(b"\x03")
        self.assertEqual(-signal.SIGINT, terminal.process.wait(10))

    def test_hang_up(self):
        """Without its terminal it ends, rather than to start anew."""
        terminal = self.serve_on_terminal()
        terminal.hang_up()
        terminal.process.wait(10)
        self.assertTrue(harness.wait_until(lambda: not self.listens(), 5))

    def test_hang_up_that_is_ignored(self):
        """It serves on, and does not look at its terminal again and again, also if that went while a command ran."""
        self.script(COMMANDS + '    server.commands["nap"] = lambda rest: time.sleep(1)\n')
        terminal = self.start(["sh", "-c", f"trap '' HUP; exec {harness.QUICKEN} serve app.py"])
        terminal.wait(f"^> {screen.CURSOR}$", rest=False)
        self.expect(terminal, b"nap\r", "^> nap\n")
        terminal.hang_up()
        self.assertEqual("one", self.get())
        time.sleep(1.5)
        before = processor_time(terminal.process.pid)
        time.sleep(1)
        self.assertLess(processor_time(terminal.process.pid) - before, 0.1)
        self.assertEqual("one", self.get())
        terminal.process.terminate()
        terminal.process.wait(10)

    def test_restart(self):
        terminal = self.serve_on_terminal()
        before = self.serving_pid()
        self.expect(terminal, b"restart\r", f"serving the version of [0-9:]+\n> {screen.CURSOR}")
        self.assertNotEqual(before, self.serving_pid())

    def test_hanging_script(self):
        """restart and quit are done even where the script does not answer any more."""
        for word in (b"restart", b"quit"):
            self.script(COMMANDS + "    server.answer = lambda path: time.sleep(1000) if path == '/hang' else 'one'\n")
            terminal = self.start([harness.QUICKEN, "serve", "--set", "drain_timeout=1", self.bed.path("app.py")])
            terminal.wait(f"^> {screen.CURSOR}$", rest=False)
            with self.hanging():
                terminal.type(word + b"\r")
                terminal.wait("the script does not answer", rest=False)
                if word == b"restart":
                    self.wait_answer("one")
                    self.finish(terminal)
                else:
                    terminal.process.wait(20)

    def hanging(self):
        """A client whose request is not answered."""
        import http.client
        client = http.client.HTTPConnection("localhost", self.port())
        client.request("GET", "/hang")
        time.sleep(0.3)

        class Closing:
            def __enter__(self):
                return client

            def __exit__(self, *error):
                client.close()
        return Closing()

    def test_dead_script(self):
        """While the script's process is not there restart and quit are; the prompt stays."""
        terminal = self.serve_on_terminal()
        for _ in range(6):
            self.expect(terminal, b"die\r", rf"started again (now|in 1 s)\n(.*\n)*> {screen.CURSOR}")
        terminal.wait("started again in 1 s", rest=False)
        self.expect(terminal, b"say x\r", "the script does not run; there are only restart and quit")
        terminal.type(b"restart\r")
        self.wait_answer("one", 0.8)


class Jobs(TerminalCase):
    def test_stop_and_go_on(self):
        """Ctrl-Z stops server and prompt, the shell has its terminal; fg brings both back with the line."""
        terminal = self.shell()
        self.expect(terminal, f"{harness.QUICKEN} serve app.py\r".encode(), f"^> {screen.CURSOR}")
        script = self.serving_pid()
        self.expect(terminal, b"say hal", f"^> say hal{screen.CURSOR}")
        self.expect(terminal, b"\x1a", rf"Stopped[^$]*\$ {screen.CURSOR}")
        self.assertTrue(harness.wait_until(lambda: harness.process_state(script) == "T", 5))
        self.expect(terminal, b"echo shell\r", rf"^shell\n\$ {screen.CURSOR}")
        self.expect(terminal, b"fg\r", f"^> say hal{screen.CURSOR}")
        self.expect(terminal, b"f\r", f"^half\n> {screen.CURSOR}")
        self.assertEqual("one", self.get())
        terminal.type(b"quit\r")
        terminal.wait(rf"\$ {screen.CURSOR}", rest=False)

    def test_go_on_in_the_background(self):
        """bg: it serves, and does not touch the shell's line; fg: the prompt comes by itself."""
        terminal = self.shell()
        self.expect(terminal, f"{harness.QUICKEN} serve app.py\r".encode(), f"^> {screen.CURSOR}")
        self.expect(terminal, b"\x1a", rf"Stopped[^$]*\$ {screen.CURSOR}")
        self.expect(terminal, b"bg\r", rf"app.py &\n\$ {screen.CURSOR}")
        self.wait_answer("one")
        self.expect(terminal, b"echo a b\x17c\r", r"^a c\n\$ ")
        self.expect(terminal, b"fg\r", f"^> {screen.CURSOR}")
        self.expect(terminal, b"say x\r", f"^x\n> {screen.CURSOR}")
        terminal.type(b"quit\r")
        terminal.wait(rf"\$ {screen.CURSOR}", rest=False)

    def test_started_in_the_background(self):
        terminal = self.shell()
        self.expect(terminal, f"{harness.QUICKEN} serve app.py &\r".encode(), r"^\[1\] ")
        self.wait_answer("one")
        self.expect(terminal, b"jobs\r", "Running")
        self.expect(terminal, b"kill %1\r", r"\$ ")
        self.assertTrue(harness.wait_until(lambda: not self.listens(), 10))


class Tmux(served.Case):
    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.bed.path("tmux"), *words], env=self.bed.env({"TERM": "screen"}),
                              capture_output=True, cwd=self.bed.work, timeout=20, check=True).stdout.decode()

    def shows(self, pattern):
        found = harness.wait_until(lambda: re.search(pattern, self.tmux("capture-pane", "-p"), re.MULTILINE), 10)
        self.assertTrue(found, f"{pattern!r} is not in\n{self.tmux('capture-pane', '-p')}")

    def test_session(self):
        """In tmux: a command, TAB, history, a new size, an edit, the end."""
        self.script(COMMANDS)
        self.tmux("new-session", "-d", "-x", "80", "-y", "24", f"{harness.QUICKEN} serve app.py; exec cat")
        self.addCleanup(lambda: self.tmux("kill-server"))
        self.shows("^>$")
        self.tmux("send-keys", "ad", "Tab", "us", "Tab", "joe", "Enter")
        self.shows("^> add user joe\nadded joe\n>$")
        self.tmux("resize-window", "-x", "60", "-y", "20")
        self.tmux("send-keys", "Up")
        self.shows("^added joe\n> add user joe$")
        self.tmux("send-keys", "C-u")
        self.script(COMMANDS + "    server.answer = lambda path: 'two'\n")
        self.shows("serving the version of [0-9:]+\n>$")
        self.tmux("send-keys", "quit", "Enter")
        self.assertTrue(harness.wait_until(lambda: not self.listens(), 10))


class Pipes(served.Case):
    def run_with(self, data, body=COMMANDS):
        self.script(body)
        process = self.serve(stdin=subprocess.PIPE)
        process.stdin.write(data)
        process.stdin.flush()
        return process

    def test_commands(self):
        """One after the other, without a prompt; the end of input is not the server's."""
        process = self.run_with(b"say one\n\n  add user joe  \nnonsense")
        process.stdin.close()
        self.wait_log("no command loop - use CTRL-C to terminate")
        self.assertEqual("one\nadded joe\nunknown command 'nonsense'\nno command loop - use CTRL-C to terminate\n", self.log())
        self.assertEqual("one", self.get())

    def test_input_of_a_command(self):
        """What follows a command's line is its own to read."""
        self.run_with(b"ask\nits input\nsay next\n").stdin.close()
        self.wait_log("no command loop")
        # Python reads more than the line ahead: that is lost to us, as it would be in a script of a shell.
        self.assertTrue(self.log().startswith("got ITS INPUT\n"), self.log())

    def test_quit(self):
        self.assertEqual(0, self.run_with(b"say x\nquit\n").wait(10))

    def test_file(self):
        """Input that can always be read, as epoll(7) has it."""
        self.script(COMMANDS)
        with open(self.bed.write("input", "say one\nsay two\n"), "rb") as file:
            self.serve(stdin=file)
        self.wait_log("one\ntwo\nno command loop")

    def test_restart_of_a_dead_script(self):
        process = self.run_with(b"die\n" * 6)
        self.wait_log("started again in 1 s")
        process.stdin.write(b"quit\n")
        process.stdin.flush()
        self.assertIn(process.wait(10), (0, 1))

    def test_no_prompt(self):
        self.script(COMMANDS)
        process = self.serve(stdin=subprocess.PIPE, options=["--no-prompt"])
        process.stdin.write(b"quit\n")
        process.stdin.close()
        time.sleep(0.5)
        self.assertEqual("one", self.get())
        self.assertEqual("", self.log())


if __name__ == "__main__":
    harness.main()
