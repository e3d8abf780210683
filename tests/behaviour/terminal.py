r"""On a terminal: what a user types and sees is the same as in a plain run.

One table of small programs, each run by an interactive shell on a terminal (screen.py): plainly, and twice
quickened, cold and warm. Compared are the screens when the shell has its terminal back, exit statuses, the
terminal's settings, and the files left in the directory.

A case is a line: name, prelude, main part (without a prelude the whole program), and the interaction, in this order:
    b"..."      keys that are typed
    r"..."      a pattern that must be on the screen before the next step, and everything at rest
    soon(...)   a pattern that must be on the screen, whatever else goes on
    a function  is called with the Session: resize(ROWS, COLUMNS), kill(SIGNAL), ...
First of all the case's command line is typed at the shell's prompt, last the prompt must be back. Options:
    line        the command line; `run` is the launcher, `prog` the program (default: "run prog")
    script      the program, where that is not `prog`
    files       further files in the directory
    counted     bytes of which as many must have come through the terminal
    ends        the interaction ends the shell; there is no prompt to wait for
    served      how many runs more the server must have counted after the warm one; 0: not checked
    systemd     also with activation by systemd

Alone: `terminal.py -v Terminal_self.test_NAME`, with '_' for each character of the case's name that is no letter or
digit. QUICKEN_LAUNCHER, a command line that takes a script and its arguments, measures another launcher; with
/usr/bin/python3 it is a test of the table itself. --jobs N: how many cases run at once.
"""

import concurrent.futures
import os
import re
import shlex
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import screen

LAUNCHER = shlex.split(os.environ.get("QUICKEN_LAUNCHER", ""))
JOBS = harness.JOBS if harness.JOBS > 1 else 2 * (os.cpu_count() or 1)

C_C, C_D, C_S, C_Q, C_U, C_V, C_W, C_Z, C_BACKSLASH = b"\x03", b"\x04", b"\x13", b"\x11", b"\x15", b"\x16", b"\x17", b"\x1a", b"\x1c"
ERASE, TAB = b"\x7f", b"\t"
UP, DOWN, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[D"
AT = screen.CURSOR
PROMPT = r"\$ " + AT
STOPPED = r"Stopped +run prog\n\$ " + AT
STARTED = r"^\[1\] \d+\n\$ " + AT  # in the background
DONE = r"Done +run prog\n\$ " + AT


class Soon(str):
    """A pattern that is not waited to come to rest."""


def soon(pattern):
    return Soon(pattern)


def resize(rows, columns):
    return lambda session: session.terminal.resize(rows, columns)


def kill(number):
    """To the shell's child alone, as kill(1) would: python3 in a plain run, the client in another."""
    return lambda session: os.kill(session.terminal.foreground(), number)


def kill_server(session):
    if session.quickened and not LAUNCHER:
        os.kill(session.status()["pid"], signal.SIGKILL)


def hang_up(session):
    session.terminal.hang_up()


def end(number):
    """As kill(), and it must have ended before the next step."""
    def step(session):
        pid = session.terminal.foreground()
        os.kill(pid, number)
        if not harness.wait_until(lambda: not harness.process_state(pid), 10):
            raise screen.NotShown(f"process {pid} has not ended\n{session.terminal}")
    return step


def file_has(name, content):
    """A step: the file comes to have this content."""
    def step(session):
        if not harness.wait_until(lambda: content in session.read_file(name), 10):
            raise screen.NotShown(f"{name} has {session.read_file(name)!r}, not {content!r}\n{session.terminal}")
    return step


def make_file(name):
    return lambda session: session.bed.write(name, "")


def case(name, prelude, main, *steps, **options):
    return name, prelude, main, steps, options


UP_AND_WAIT = "print('up', flush=True); time.sleep(30)"
NUMBERS = "\n".join(f"line {n} " + "." * (n % 60) for n in range(1, 201))
FOR_GO = "\n    while not os.path.exists('go'): time.sleep(0.02)\n    "
LOOP = "for i in 1 2 3; do run prog $i; done\necho end of script\n"
RAW = "import os, sys, termios, tty\n"
KEYS = """
tty.set%s(0)
print('up', end='\\r\\n', flush=True)
while True:
    key = os.read(0, 1)
    os.write(1, repr(key).encode() + b'\\r\\n')
    if key == b'q': break
"""
FOUR = "import subprocess\nfor p in [subprocess.Popen(['run', 'prog', str(n)]) for n in range(4)]: p.wait()\n"
KILLER = "import subprocess\ntry: subprocess.run(['run', 'prog'], timeout=3)\nexcept subprocess.TimeoutExpired: print('late'); import time; time.sleep(0.5)  # its terminal is put right soon, not at once\n"
SIZES = "import os, signal, time\ndef told(*_): print('now', *os.get_terminal_size(), flush=True)"
CURSES = """
import curses, sys
def main(window):
    window.addstr(0, 0, 'size %d %d' % window.getmaxyx())
    for row in range(1, 9):
        key = window.getch()
        window.addstr(row, row, '%d %s' % (key, curses.keyname(key).decode()))
        if key == curses.KEY_RESIZE: window.addstr(10, 0, 'size %d %d' % window.getmaxyx())
        if key == ord('q'): sys.exit(5)
        if key == ord('x'): 1 / 0
"""
URWID = """
import urwid
def key(name):
    if name == 'q': raise urwid.ExitMainLoop
    said.set_text(said.text + ' ' + name)
said = urwid.Text('keys:')
answer = urwid.Edit('name? ')
"""

CASES = (
    # What a program finds out about it
    case("isatty", "import os", "print([os.isatty(fd) for fd in range(3)])", systemd=True),
    case("sys streams", "import sys", "print([(s.isatty(), s.line_buffering, s.fileno()) for s in (sys.stdin, sys.stdout, sys.stderr)])"),
    case("ttyname", "import os", "print(os.ttyname(0), os.ttyname(0) == os.ttyname(1) == os.ttyname(2), os.path.exists(os.ttyname(0)))"),
    case("controlling terminal", "import os", "print(os.stat(0).st_rdev == int(open('/proc/self/stat').read().rpartition(')')[2].split()[4]))"),
    case("dev tty", "", "\n    t = open('/dev/tty', 'r+b', 0); t.write(b'name? '); print(t.readline())", r"name\? ", b"joe\r", systemd=True),
    case("dev tty is a terminal", "import os", "fd = os.open('/dev/tty', os.O_RDWR); print(os.isatty(fd), os.tcgetpgrp(fd) == os.getpgrp(), *os.get_terminal_size(fd))"),
    case("foreground group", "import os", "print(os.tcgetpgrp(0) == os.getpgrp(), os.getpgrp() == os.getpid(), os.tcgetpgrp(2) == os.getpgrp())"),
    case("setpgrp", "import os", "os.setpgrp(); os.setpgid(0, 0); print(os.getpgid(0) == os.getpid(), os.getsid(0) != os.getpid())"),
    case("setsid", "import os", "os.setsid()"),
    case("setsid in a child", "import os", "\n    if os.fork(): os.wait()\n    else:\n        os.setsid()\n        try: open('/dev/tty')\n        except OSError as e: print(e)"),
    case("settings", "import termios", "print(termios.tcgetattr(0))"),
    case("settings that were changed", "import termios", "print(termios.tcgetattr(0))", line="stty -ixon -echoe erase ^H susp undef; run prog"),
    case("size", "import os, shutil", "print(os.get_terminal_size(0), os.get_terminal_size(2), shutil.get_terminal_size())"),
    case("size of a narrow terminal", "import os", "print(*os.get_terminal_size())", line="stty cols 50 rows 10; run prog; stty cols 80 rows 24"),
    case("size zero", "import os, shutil", "print(os.get_terminal_size(), shutil.get_terminal_size())", line="stty cols 0 rows 0; run prog; stty cols 80 rows 24"),
    case("write to stdin", "import os", "os.write(0, b'written\\n')"),
    case("order of streams", "import sys", "\n    for i in range(8): print(i, file=(sys.stdout, sys.stderr)[i % 2])"),
    case("no newline at the end", "", "print('end', end='')"),
    case("tabs and returns", "", "print('a\\tb\\rc\\n\\td\\bE\\a\\0f')"),
    case("colours and cursor", "", "print('\\033[2J\\033[5;9H\\033[31mred\\033[0m\\033[7;3Hthere')"),
    case("utf-8", "", "print('é ü 日本 ', input())", r"\$ run prog\n" + AT, "hé日\r".encode()),
    case("argument help", "import argparse", "argparse.ArgumentParser(prog='p', description='word ' * 40).parse_args(['-h'])"),
    case("owner", "import os", "s = os.stat(0); print(oct(s.st_mode), s.st_uid == os.getuid(), s.st_gid)"),
    case("tty, ps and stty", "import os", "os.system('tty; ps -o tty=,stat= -p %d; stty -a' % os.getpid())"),
    case("drained", "import os, termios", "os.write(1, b'written\\n'); termios.tcdrain(1); print('drained')"),

    # Lines
    case("input", "", "print(ascii(input('name? ')))", r"name\? ", b"joe\r", systemd=True),
    case("input after output", "", "print('first'); print(input('name? ')); print(input('again? '))", r"name\? ", b"joe\r", r"again\? ", b"jim\r"),
    case("input without a prompt", "import sys", "print([input(), sys.stdin.readline()])", r"run prog\n" + AT, b"one\r", r"one\n" + AT, b"two\r"),
    case("erase", "", "print(ascii(input('? ')))", r"\? ", b"joxx" + ERASE * 2 + b"e\r"),
    case("erase utf-8", "", "print(ascii(input('? ')))", r"\? ", "aé日".encode() + ERASE + b"b\r", line="stty iutf8; run prog"),
    case("kill line", "", "print(ascii(input('? ')))", r"\? ", b"wrong" + C_U + b"right\r"),
    case("erase word", "", "print(ascii(input('? ')))", r"\? ", b"one two" + C_W + b"three\r"),
    case("literal next", "", "print(ascii(input('? ')))", r"\? ", b"a" + C_V + C_C + b"b\r"),
    case("own erase character", "", "print(ascii(input('? ')))", r"\? ", b"abX" + b"c\r", line="stty erase X; run prog; stty erase ^?"),
    case("a long line", "", "print(len(input('? ')))", r"\? ", b"x" * 1000 + b"\r"),
    case("a control character is shown", "", "print(ascii(input('? ')))", r"\? ", b"a\x01b\x1dc\r"),
    case("lines to the end", "import sys", "print(sys.stdin.readlines())", r"run prog\n" + AT, b"one\rtwo\r", r"two\n" + AT, C_D),
    case("iteration to the end", "import sys", "\n    for line in sys.stdin: print('got', line, end='')", r"run prog\n" + AT, b"one\r", "got one", b"two\r", "got two", C_D),
    case("end in a line", "import sys", "print(ascii(sys.stdin.read()))", r"run prog\n" + AT, b"part", "part", C_D + C_D),
    case("end at input", "", "input('? ')", r"\? ", C_D),
    case("end at input, caught", "", "\n    try: input('? ')\n    except EOFError: print('eof'); print(input('still? '))", r"\? ", C_D, r"still\? ", b"yes\r"),
    case("read beyond the end", "import os", "print(os.read(0, 9), os.read(0, 9), os.read(0, 9))", r"run prog\n" + AT, C_D, C_D, b"x\r"),
    case("pause and go on", "", "print(input('? '))", r"\? ", b"a" + C_S + C_Q + b"b\r"),
    case("a large paste", "import sys, termios", "\n    a = termios.tcgetattr(0); a[3] &= ~termios.ECHO; termios.tcsetattr(0, 0, a); print('up', flush=True)\n"
         "    lines = sys.stdin.readlines(); print(len(lines), len(set(lines)), len(''.join(lines)))", "up", b"".join(b"%d %s\r" % (n, b"x" * 50) for n in range(1000)) + C_D, r"1000 1000 \d+"),
    case("input in a thread", "import threading", "\n    t = threading.Thread(target=lambda: print(input('? '))); t.start(); t.join()", r"\? ", b"joe\r"),
    case("asyncio reads", "import asyncio, os\nasync def f():\n    line = asyncio.get_running_loop().create_future()\n"
         "    asyncio.get_running_loop().add_reader(0, lambda: line.done() or line.set_result(os.read(0, 99)))\n    print('up', flush=True); print(await line)", "asyncio.run(f())", "up", b"joe\r"),
    case("readline", "import readline", "print(ascii(input('? ')))", r"\? ", b"abd" + LEFT + b"c", "abc" + AT + "d", b"\r"),
    case("readline, in main", "", "import readline; print(ascii(input('? ')))", r"\? ", b"abd" + LEFT + b"c", "abc" + AT + "d", b"\r"),
    case("readline history", "import readline", "print([input('? ') for _ in range(3)])", r"\? ", b"one\r", r"one\n\? ", b"two\r", r"two\n\? ", UP + UP, r"two\n\? one", b"!\r"),
    case("readline completion", "import readline, rlcompleter\nreadline.parse_and_bind('tab: complete')",
         "\n    readline.set_completer(lambda text, n: ['hello ', None][n])\n    print(ascii(input('? ')))", r"\? ", b"he" + TAB, r"\? hello", b"you\r"),
    case("readline, interrupted", "import readline", "\n    try: input('? ')\n    except KeyboardInterrupt: print('caught'); print(input('again? '))", r"\? ", b"abc", "abc", C_C, r"again\? ", b"x\r"),
    case("readline, stopped", "import readline", "print(input('? '))", r"\? ", b"abc", "abc", C_Z, STOPPED, b"fg\r", r"run prog\n.*abc", b"d\r"),
    case("readline and size", "import readline", "print(len(input('? ')))", r"\? ", b"x" * 100, r"x{78}\nx{22}" + AT, resize(24, 60), b"y", "y" + AT, b"\r"),
    case("getpass", "import getpass", "print(ascii(getpass.getpass()))", "Password: ", b"secret\r", systemd=True),
    case("getpass and input", "import getpass", "print([input('user? '), getpass.getpass('word? '), input('more? ')])", r"user\? ", b"joe\r", r"word\? ", b"secret\r", r"more\? ", b"x\r"),
    case("getpass, interrupted", "import getpass", "getpass.getpass()", "Password: ", b"sec" + C_C),
    case("getpass with a pipe", "import getpass, sys", "print(getpass.getpass(), sys.stdin.read())", "Password: ", b"secret\r", line="echo x | run prog"),
    case("getpass with all redirected", "import getpass, sys", "print(getpass.getpass())", "Password: ", b"secret\r", line="run prog </dev/null >out 2>err"),

    # Signals that keys send
    case("interrupt a sleep", "import time", UP_AND_WAIT, "up", C_C, systemd=True),
    case("interrupt an input", "", "input('? ')", r"\? ", C_C, systemd=True),
    case("interrupt an input with text", "", "input('? ')", r"\? ", b"abc", "abc", C_C),
    case("interrupt, handled", "import signal, time\nsignal.signal(2, lambda *_: print('heard'))", "print('up', flush=True); signal.pause(); print('on')", "up", C_C),
    case("interrupt, caught", "import sys, time", "\n    try: print('up', flush=True); time.sleep(30)\n    except KeyboardInterrupt: sys.exit(4)", "up", C_C),
    case("interrupt, ignored", "import signal\nsignal.signal(2, signal.SIG_IGN)", "print(input('? '))", r"\? ", b"a" + C_C + b"b\r"),
    case("interrupt, ignored by the shell", "", "print(input('? '))", r"\? ", C_C, r"\^C", b"b\r", line="(trap '' INT; run prog)"),
    case("interrupt, default", "import signal, time\nsignal.signal(2, signal.SIG_DFL)", UP_AND_WAIT, "up", C_C),
    case("interrupt a loop", "import sys", "\n    try:\n        print('up', flush=True)\n        while True: pass\n    except KeyboardInterrupt: print('caught'); raise SystemExit(3)", soon("up"), C_C),
    case("interrupt twice", "import time", "\n    try: print('up', flush=True); time.sleep(30)\n    finally: print('still', flush=True); time.sleep(30)", "up", C_C, "still", C_C),
    case("interrupt a child too", "import subprocess", "\n    p = subprocess.Popen(['sh', '-c', 'trap \"echo child\" INT; echo up; sleep 30'])\n    try: p.wait()\n    finally: p.wait()", "up", C_C),
    case("interrupt with another key", "import time", UP_AND_WAIT, "up", b"\x07", line="stty intr ^G; run prog; stty intr ^C"),
    case("interrupt a thread's program", "import threading, time\ndef f(): time.sleep(30)", "\n    threading.Thread(target=f, daemon=True).start()\n    print('up', flush=True); time.sleep(30)", "up", C_C),
    case("interrupt asyncio", "import asyncio\nasync def f():\n    print('up', flush=True)\n    try: await asyncio.sleep(30)\n    finally: print('finally')", "\n    try: asyncio.run(f())\n    except KeyboardInterrupt: print('caught')", "up", C_C),
    case("interrupt a pipeline", "import time", UP_AND_WAIT, "up", C_C, line="run prog | sh -c 'trap \"echo heard >too\" INT; cat'"),
    case("interrupt reading a pipe", "import sys", "\n    try: print('up', flush=True); sys.stdin.read()\n    finally: open('end', 'w')", "up", C_C, line="(trap '' INT; until [ -e end ]; do sleep 0.05; done) | run prog"),
    case("interrupt sh", "import time", UP_AND_WAIT, "up", C_C, line="sh -c 'run prog; echo after'"),
    case("interrupt sh, handled", "import signal, time", "\n    try: print('up', flush=True); time.sleep(30)\n    except KeyboardInterrupt: print('caught')", "up", C_C, line="sh -c 'run prog; echo after'"),
    case("interrupt a bash script", "import sys, time", "print('up', sys.argv[1], flush=True); time.sleep(30)", "up 1", C_C, line="bash loop", files={"loop": LOOP}, systemd=True),
    case("interrupt a bash script, handled", "import sys, time", "\n    try: print('up', sys.argv[1], flush=True); time.sleep(30)\n    except KeyboardInterrupt: print('caught')",
         "up 1", C_C, "up 2", C_C, "up 3", C_C, line="bash loop", files={"loop": LOOP}, served=3),
    case("interrupt bash -c", "import time", UP_AND_WAIT, "up", C_C, line="bash -c 'run prog; echo after'"),
    case("interrupt a loop of the shell", "import sys, time", UP_AND_WAIT, "up", C_C, line="for i in 1 2 3; do run prog; done"),
    case("quit", "import time", UP_AND_WAIT, "up", C_BACKSLASH),
    case("quit an input", "", "input('? ')", r"\? ", C_BACKSLASH),
    case("quit, handled", "import signal\nsignal.signal(3, lambda *_: print('heard'))", "print('up', flush=True); signal.pause()", "up", C_BACKSLASH),
    case("keys flush what is typed ahead", "import signal, time\nsignal.signal(2, lambda *_: None)", "\n    print('up', flush=True); signal.pause(); print(ascii(input('? ')))", "up", b"lost", "lost", C_C, r"\? ", b"kept\r"),

    # Job control
    case("stop an input", "", "print(input('? '))", r"\? ", C_Z, STOPPED, b"fg\r", r"run prog\n" + AT, b"joe\r", systemd=True),
    case("stop a sleep", "import time", "\n    print('up', flush=True); time.sleep(0.5); print('end')", "up", C_Z, STOPPED, b"fg\r"),
    case("stop twice", "", "print(input('? '))", r"\? ", C_Z, STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, C_Z, r"Stopped[\s\S]*" + STOPPED, b"fg\r", r"(fg\nrun prog[\s\S]*){2}" + AT, b"joe\r"),
    case("stop, and interrupt after", "import time", UP_AND_WAIT, "up", C_Z, STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, C_C),
    case("stop, and go on in the background", "import os, time", "print('up', flush=True)" + FOR_GO + "print('end')", "up", C_Z, STOPPED, b"bg\r", r"\[1\]\+ run prog &\n\$ " + AT, b">go; wait\r", r"end[\s\S]*" + DONE),
    case("stop, handled", "import os, signal\ndef f(*_): print('stopping', flush=True); signal.signal(20, 0); os.kill(0, 20)", "\n    signal.signal(20, f); print(input('? '))", r"\? ", C_Z, r"stopping[\s\S]*" + STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, b"joe\r"),
    case("stop, ignored", "import signal\nsignal.signal(20, signal.SIG_IGN)", "print(input('? '))", r"\? ", b"a" + C_Z + b"b\r"),
    case("stop itself", "import os, signal", "print('up', flush=True); os.kill(os.getpid(), signal.SIGSTOP); print('end')", STOPPED, b"fg\r"),
    case("stop its group", "import os, signal", "print('up', flush=True); os.kill(0, signal.SIGTSTP); print('end')", STOPPED, b"fg\r"),
    case("told of going on", "import signal\nsignal.signal(signal.SIGCONT, lambda *_: print('cont', flush=True))", "print(input('? '))", r"\? ", C_Z, STOPPED, b"fg\r", r"fg\nrun prog\n(.*\n)?cont\n", b"joe\r"),
    case("stop a child too", "import subprocess", "subprocess.run(['sh', '-c', 'read x; echo got $x'])", r"run prog\n" + AT, C_Z, STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, b"joe\r"),
    case("stop with a typed line", "", "print(input('? '))", r"\? ", b"jo", "jo", C_Z, STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, b"joe\r"),
    case("stop, settings", "import getpass", "print(getpass.getpass())", "Password: ", C_Z, STOPPED, b"stty -a | grep -ow -e -echo -e echo\r", r"^echo\n\$ " + AT, b"fg\r", r"run prog\n" + AT, b"secret\r"),
    case("stop in raw mode", "import os, signal, tty", "\n    tty.setraw(0); print('raw\\r', flush=True); os.kill(0, signal.SIGTSTP); print('back\\r')", r"Stopped +run prog\n\$ " + AT, b"stty -a | grep -ow -e icanon -e -icanon\r", r"^icanon\n\$ " + AT, b"fg\r"),
    case("jobs", "import time", UP_AND_WAIT, "up", C_Z, STOPPED, b"jobs\r", r"jobs\n\[1\]\+ +Stopped +run prog\n\$ " + AT, b"fg\r", r"fg\nrun prog\n" + AT, C_C),
    case("two jobs", "import sys", "print(sys.argv[1], input('? '))", r"\? ", C_Z, r"Stopped +run prog 1\n\$ ", b"run prog 2\r", r"prog 2\n\? ", C_Z, r"Stopped +run prog 2\n\$ ",
         b"fg 1\r", r"run prog 1\n" + AT, b"joe\r", r"1 joe\n\$ ", b"fg\r", r"fg\nrun prog 2\n" + AT, b"jim\r", line="run prog 1", served=2),
    # When the shell tells of the end differs, so the screen is cleared.
    case("kill a stopped job", "import time", UP_AND_WAIT, "up", C_Z, STOPPED, b"kill %1\r", PROMPT, b"sleep 0.01\r", r"Terminated[\s\S]*" + PROMPT, b"clear; jobs\r", r"\A" + PROMPT),
    case("kill a job in the background", "import time", "open('up', 'w').write('1'); time.sleep(30)", STARTED, file_has("up", b"1"), b"kill %1; wait %1\r", r"Terminated.*\n\$ " + AT, line="run prog &"),
    case("hang up a stopped job", "import os, signal, time\ndef f(*_): open('heard', 'w').write('1')", "\n    signal.signal(1, f); print('up', flush=True)" + FOR_GO + "raise SystemExit(3)",
         "up", C_Z, STOPPED, b"kill -HUP %1\r", PROMPT, file_has("heard", b"1"), b"clear; fg\r", r"\Arun prog\n" + AT, make_file("go")),
    case("input in the background", "", "print(input('? '))", STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, b"joe\r", line="run prog & stopped", systemd=True),
    case("output in the background", "import os, time", FOR_GO + "print('background')", STARTED, b">go; wait\r", r"^background[\s\S]*" + DONE, line="run prog &"),
    case("a quiet job in the background", "import os, time", FOR_GO + "open('out', 'w').write(repr((os.isatty(0), os.isatty(1), os.tcgetpgrp(0) == os.getpgrp())))", STARTED, b">go; wait\r", DONE, line="run prog &"),
    case("settings set in the background", "import termios", "termios.tcsetattr(0, termios.TCSANOW, termios.tcgetattr(0)); print('set')", STOPPED, b"fg\r", r"^set\n\$ " + AT, line="run prog & stopped"),
    case("the background is not interrupted", "import os, time", FOR_GO + "print('end')", STARTED, C_C, r"\^C\n\$ " + AT, b">go; wait\r", r"end[\s\S]*" + DONE, line="run prog &"),
    case("background of sh", "import os", "print(os.isatty(0), os.isatty(1))", line="sh -c 'run prog & wait'"),
    case("output in the background, tostop", "", "print('background')", STOPPED, b"stty -tostop; fg\r", r"^background\n\$ " + AT, line="stty tostop; run prog & stopped"),
    case("from the background to the front", "import os, time", FOR_GO + "print(input('? '))", STARTED, b">go; fg\r", r"run prog\n[\s\S]*\? " + AT, b"joe\r", line="run prog &"),
    case("a pipeline in the background", "import os, time", FOR_GO + "print('x' * 10)", STARTED, b">go; wait\r", r"x{10}[\s\S]*Done.*\n\$ " + AT, line="run prog | cat &"),
    case("stop a pipeline", "", "print('up', flush=True); print(input())", "up", C_Z, r"Stopped.*\n\$ " + AT, b"fg\r", r"run prog \| cat\n" + AT, b"joe\r", line="run prog | cat"),
    case("stop sh", "", "print(input('? '))", r"\? ", C_Z, r"Stopped.*\n\$ " + AT, b"fg\r", r"fg\n.*\n" + AT, b"joe\r", line="sh -c 'run prog; echo after'"),
    case("stop a bash script", "", "print(input('? '))", r"\? ", C_Z, r"Stopped.*\n\$ " + AT, b"fg\r", r"fg\n.*\n" + AT, b"joe\r", r"joe\n\? ", b"jim\r", r"jim\n\? ", b"jack\r", line="bash loop", files={"loop": LOOP}, served=3),
    case("in a subshell", "", "print(input('? '))", r"\? ", C_Z, r"Stopped.*\n\$ " + AT, b"fg\r", r"fg\n.*\n" + AT, b"joe\r", line="(run prog; echo after)"),

    # Size
    case("resize", SIZES, "signal.signal(signal.SIGWINCH, told); print('up', flush=True); time.sleep(0); signal.pause()", "up", resize(30, 100), "now 100 30", systemd=True),
    case("resize twice", SIZES, "\n    signal.signal(signal.SIGWINCH, told); print('up', flush=True)\n    for _ in range(2): signal.pause()", "up", resize(30, 100), "now 100 30", resize(20, 70), "now 70 20"),
    case("resize while it is stopped", SIZES, "input('? '); told()", r"\? ", C_Z, STOPPED, resize(30, 100), b"fg\r", r"run prog\n" + AT, b"\r", "now 100 30"),
    case("resize before input", SIZES, "print(*os.get_terminal_size()); input('? '); told()", r"80 24\n\? ", resize(30, 100), b"\r", "now 100 30"),
    case("resize by stty", SIZES, "signal.signal(signal.SIGWINCH, told); os.system('stty cols 70'); told()", ),
    case("a size that is set stays", "import os", "os.system('stty cols 70 rows 20')", r"\$ " + AT, b"stty size\r", r"^20 70\n\$ " + AT),

    # Keys
    case("raw keys", RAW, KEYS % "raw", "up", b"a", "'a'", C_C, "x03", C_Z, "x1a", C_D, "x04", b"\r", r"\\r", UP, r"'A'", b"q", systemd=True),
    case("cbreak keys", RAW, KEYS % "cbreak", "up", b"a", "'a'", C_D, "x04", b"\r", r"\\n", b"q"),
    case("cbreak, interrupted", RAW, KEYS % "cbreak", "up", b"a", "'a'", C_C),
    case("cbreak, stopped", RAW, KEYS % "cbreak", "up", b"a", "'a'", C_Z, STOPPED, b"fg\r", r"fg\nrun prog\n" + AT, b"q" + C_D, r"'q'"),
    case("keys typed at once", RAW, KEYS % "raw", "up", b"abcq"),
    case("a large paste in raw mode", RAW, "\n    tty.setraw(0); print('up\\r', flush=True); n = 0\n    while n < 100000: n += len(os.read(0, 65536))\n    print(n, '\\r')", "up", b"x" * 100000, "100000"),
    case("echoed by the program", RAW, "\n    tty.setraw(0); print('up\\r', flush=True); n = 0\n    while n < 50000: data = os.read(0, 65536); n += len(data); os.write(1, data)", "up", (b"y" * 78 + b"\r\n") * 625, counted=b"y"),
    case("a key for it, the others for the shell", RAW, "\n    old = termios.tcgetattr(0); tty.setcbreak(0); print('up', flush=True); print(os.read(0, 1), flush=True); termios.tcsetattr(0, termios.TCSANOW, old)", "up", b"kecho left$((1))\n", r"^left1\n\$ " + AT),
    case("raw and back", RAW + "def f():\n    old = termios.tcgetattr(0)\n    tty.setraw(0)\n    try: return os.read(0, 1)\n    finally: termios.tcsetattr(0, termios.TCSADRAIN, old)", "print('key?', flush=True); print(f()); print(input('line? '))", r"key\?", b"k", r"line\? ", b"joe\r"),
    case("raw and back, flushed", RAW + "def f():\n    old = termios.tcgetattr(0)\n    tty.setraw(0)\n    try: return os.read(0, 1)\n    finally: termios.tcsetattr(0, termios.TCSAFLUSH, old)", "print('key?', flush=True); print(f()); print(input('line? '))", r"key\?", b"k", r"line\? ", b"joe\r"),
    case("keys with a time limit", RAW + "import select", "\n    tty.setcbreak(0); print(select.select([0], [], [], 0.1)[0], flush=True); print(select.select([0], [], [], 30)[0], os.read(0, 9))", r"^\[\]\n", b"k", "'k'"),
    case("no blocking", "import os, select", "\n    os.set_blocking(0, False)\n    try: os.read(0, 9)\n    except BlockingIOError as e: print(e, flush=True)\n    select.select([0], [], []); print(os.read(0, 9)); os.set_blocking(0, True)", r"Errno 11", b"joe\r"),
    case("what can be read", "import fcntl, os, select, termios, struct", "\n    print('up', flush=True); select.select([0], [], [])\n    print(struct.unpack('i', fcntl.ioctl(0, termios.FIONREAD, b'    ')), os.read(0, 99))", "up", b"joe\r"),
    case("curses", CURSES, "curses.wrapper(main)", "size 24 80", b"a", "97 a", UP, "KEY_UP", DOWN, "KEY_DOWN", b"\x1bOP", "27", b"q", systemd=True),
    case("curses, resized", CURSES, "curses.wrapper(main)", "size 24 80", resize(30, 100), "KEY_RESIZE[\\s\\S]*size 30 100", b"q"),
    case("curses, exception", CURSES, "curses.wrapper(main)", "size 24 80", b"x", "ZeroDivisionError"),
    case("curses, interrupted", CURSES, "curses.wrapper(main)", "size 24 80", C_C, "KeyboardInterrupt"),
    case("curses, stopped", CURSES, "curses.wrapper(main)", "size 24 80", b"a", "97 a", C_Z, STOPPED, b"fg\r", "size 24 80", b"q"),
    case("curses, killed", CURSES, "curses.wrapper(main)", "size 24 80", b"a", "97 a", kill(signal.SIGKILL), "Killed"),
    case("curses, terminated", CURSES, "curses.wrapper(main)", "size 24 80", b"a", "97 a", kill(signal.SIGTERM)),
    case("urwid", URWID, "urwid.MainLoop(urwid.Filler(urwid.Pile([said, answer])), unhandled_input=key).run()", r"name\? ", b"joe", r"name\? joe", b"\x1b[15~", "f5", UP, "up", resize(20, 60), b"\t", "tab", b"\x1b[17~", "f6", C_C),
    case("prompt_toolkit", "import prompt_toolkit\nfrom prompt_toolkit.completion import WordCompleter", "print(ascii(prompt_toolkit.prompt('name? ', completer=WordCompleter(['hello', 'help']))))",
         r"name\? ", b"abd" + LEFT + b"c", r"name\? abc" + AT + "d", b"\x05" + C_U + b"hel", r"name\? hel" + AT + r"[\s\S]*help", TAB, r"name\? hello", b"\r"),
    case("prompt_toolkit, end", "import prompt_toolkit", "\n    try: prompt_toolkit.prompt('name? ')\n    except EOFError: print('eof')", r"name\? ", C_D, "eof"),

    # Typed ahead
    case("typed ahead for the shell", "import time", "print('up', flush=True); time.sleep(0.7)", soon("up"), b"echo one$((1))\recho two$((2))\r", r"one1\n[\s\S]*two2\n\$ " + AT, systemd=True),
    case("typed ahead for input", "import time", "print('up', flush=True); time.sleep(0.5); print(ascii(input('? ')))", soon("up"), b"joe\r"),
    case("typed ahead for both", "import time", "print('up', flush=True); time.sleep(0.5); print(ascii(input('? ')))", soon("up"), b"joe\recho shell$((1))\r", r"shell1\n\$ " + AT, systemd=True),
    case("typed ahead for a child", "import subprocess, time", "print('up', flush=True); time.sleep(0.5); subprocess.run(['sh', '-c', 'read x; echo got $x'])", soon("up"), b"joe\recho shell$((1))\r", r"shell1\n\$ " + AT),
    case("typed ahead, half a line", "import time", "print('up', flush=True); time.sleep(0.5)", soon("up"), b"echo ha", r"ha[\s\S]*\$ (echo ha)?" + AT, b"lf\r", r"half\n\$ " + AT),
    case("typed ahead for the next program", "import time", "print('up', flush=True); time.sleep(0.5)", soon("up"), b"joe\r", r"got joe\n\$ " + AT, line="run prog; read x; echo got $x"),
    case("typed ahead for two runs", "import time", "print('up', flush=True); time.sleep(0.3); print(ascii(input('? ')))", soon("up"), b"joe\rjim\r", r"jim'\n\$ " + AT, line="run prog; run prog", served=2),
    case("typed ahead and an end", "import sys, time", "print('up', flush=True); time.sleep(0.5); print(sys.stdin.read())", soon("up"), b"joe\r" + C_D),
    case("typed ahead and killed", "import os, time", "print('up', flush=True); time.sleep(0.5); os.kill(os.getpid(), 9)", soon("up"), b"echo shell$((1))\r", r"shell1\n\$ " + AT),
    case("typed ahead and flushed", "import termios, time", "print('up', flush=True); time.sleep(0.5); termios.tcflush(0, termios.TCIFLUSH); print(ascii(input('? ')))", soon("up"), b"lost\r", r"lost\n\? ", b"kept\r"),
    case("typed ahead and an end, asked for later", "import os, sys, time", "open('up', 'w').write('1'); time.sleep(0.5); print(ascii(sys.stdin.read()))", file_has("up", b"1"), b"joe\r" + C_D, r"'\n\$ " + AT, line="run prog | cat"),
    case("typed ahead with an end for the next program", "import time", "print('up', flush=True); time.sleep(0.5)", soon("up"), b"joe\r" + C_D, r"joe[\s\S]*joe\n\$ " + AT, line="run prog; cat"),
    case("typed ahead while it is made", "import time; open('up', 'w').write('1'); time.sleep(0.5)", "print(ascii(input()))", file_has("up", b"1"), b"joe\r", r"'joe'\n\$ " + AT),
    case("typed ahead for getpass", "import getpass, time", "print('up', flush=True); time.sleep(0.5); print(getpass.getpass())", soon("up"), b"lost\r", r"Password: ", b"kept\r"),
    case("input of a program that reads a line by read(2)", "import os", "print(os.read(0, 99))", r"run prog\n" + AT, b"one\recho two$((2))\r", r"two2\n\$ " + AT),

    # Output
    case("last output", "import os", "\n    for i in range(100): os.write(1, b'line %d\\n' % i)\n    os._exit(3)", "line 99", systemd=True),
    case("much output", "import os, sys", "sys.stdout.write(('x' * 78 + '\\n') * 2500); sys.stdout.flush(); os._exit(0)", r"x\n\$ " + AT, counted=b"x"),
    case("much output, killed", "import os, sys", "sys.stdout.write(('x' * 78 + '\\n') * 500); sys.stdout.flush(); os.kill(os.getpid(), 9)", "Killed", counted=b"x"),
    case("output of an exec", "import os", "os.execvp('seq', ['seq', '1000'])", r"1000\n\$ " + AT),
    case("many lines", "import os", "\n    for i in range(400): os.write(1, b'%d ' % i + b'.' * 70 + b'\\n')", r"399 \.+\n\$ "),
    case("raw output", "import os, tty, termios", "\n    old = termios.tcgetattr(0); tty.setraw(0); os.write(1, b'stair\\ncase\\n\\r'); termios.tcsetattr(0, 1, old)"),
    case("output of a child after the end", "import subprocess", "subprocess.Popen(['sh', '-c', 'until [ -e go ]; do sleep 0.02; done; echo late; echo 1 >done'])", PROMPT, b">go\r", r"late\n", file_has("done", b"1"), b"\r"),
    case("input of a child after the end", "import subprocess", "subprocess.Popen(['sh', '-c', 'until [ -e go ]; do sleep 0.02; done; read x; echo $? >done'])", r"\$ " + AT, b">go\r", file_has("done", b"1")),

    # Settings that a program leaves behind
    case("leaves echo off", "import termios", "a = termios.tcgetattr(0); a[3] &= ~termios.ECHO; termios.tcsetattr(0, termios.TCSANOW, a)"),
    case("leaves raw mode", "import tty", "tty.setraw(0)"),
    case("leaves another erase character", "import os", "os.system('stty erase ^H intr ^G')"),
    case("leaves raw mode by an exception", "import tty", "tty.setraw(0); 1 / 0", "ZeroDivisionError"),
    case("leaves raw mode by exit 3", "import sys, tty", "tty.setraw(0); sys.exit(3)"),
    case("leaves raw mode, killed", "import os, tty", "tty.setraw(0); os.kill(os.getpid(), 9)", "Killed", b"echo hi$((1))\r", r"hi1\n\$ " + AT, systemd=True),
    case("leaves raw mode, terminated", "import os, tty", "tty.setraw(0); os.kill(os.getpid(), 15)", "Terminated", b"echo hi$((1))\r", r"hi1\n\$ " + AT),
    case("leaves raw mode to the next", "import os, sys, termios, tty", "\n    print(termios.tcgetattr(0)[3] & termios.ICANON != 0, end='\\r\\n')\n    tty.setraw(0)", line="run prog; run prog", served=2),
    case("changes settings while another reads", "import os, subprocess, termios", "\n    os.system('stty -echo'); print(termios.tcgetattr(0)[3] & termios.ECHO); os.system('stty echo'); print(termios.tcgetattr(0)[3] & termios.ECHO)"),
    case("settings on stdout", "import termios", "a = termios.tcgetattr(1); a[3] &= ~termios.ECHO; termios.tcsetattr(1, termios.TCSANOW, a)", line="run prog </dev/null"),

    # With some of it redirected
    case("into a pipe", "import os, time", "x = input('? '); time.sleep(0.3); print([os.isatty(fd) for fd in range(3)], x)", r"\? ", b"joe\r", line="run prog | cat"),  # the echo comes another way
    case("a pipeline of two", "import sys", "\n    if sys.argv[1] == '1': print('data')\n    else: t = open('/dev/tty', 'r+b', 0); t.write(b'two? '); print(t.readline(), sys.stdin.read())", r"two\? ", b"joe\r", line="run prog 1 | run prog 2", served=2),
    case("a pipeline of two, interrupted", "import sys, time",
         "\n    try:\n        if sys.argv[1] == '1': time.sleep(30)\n        else: print('up', flush=True); sys.stdin.read(); time.sleep(30)\n    except KeyboardInterrupt: open(sys.argv[1], 'w')", "up", C_C, line="run prog 1 | run prog 2", served=2),
    case("a pipeline of two, stopped", "import sys, time", "\n    if sys.argv[1] == '1': x = input(); time.sleep(0.3); print(x)\n    else: print('up', flush=True); print('got', sys.stdin.read())", "up", C_Z, r"Stopped.*\n\$ " + AT, b"fg\r", r"fg\n.*\n" + AT, b"joe\r", line="run prog 1 | run prog 2", served=2),
    case("from a pipe", "import os, sys", "print([os.isatty(fd) for fd in range(3)], sys.stdin.read())", line="echo x | run prog"),
    case("into a file", "import os", "print([os.isatty(fd) for fd in range(3)], input('? '))", r"run prog >file\n" + AT, b"joe\r", line="run prog >file"),
    case("from a file", "import os, sys", "print([os.isatty(fd) for fd in range(3)], sys.stdin.read())", line="run prog <in", files={"in": "content\n"}),
    case("errors into a file", "import os", "print([os.isatty(fd) for fd in range(3)], flush=True); print(input()); 1 / 0", r"False\]", b"joe\r", line="run prog 2>err"),
    case("readline with output in a pipe", "import readline", "print(input('? '))", r"\? ", b"joe\r", line="run prog | cat"),
    case("through less", "", "for n in range(1, 201): print('line', n)", "line 23\n:", b" ", "line 46", b"q", line="run prog | less", systemd=True),
    case("through less, searched", "", "for n in range(1, 201): print('line', n)", "line 23\n:", b"/150\r", r"line 150", b"G", "line 200", b"q", line="run prog | less"),
    case("through less, interrupted", "import time", UP_AND_WAIT, "up", C_C, r"END", b"q", line="run prog 2>err | less"),
    case("less through it", "import sys", "print(len(sys.stdin.read()))", line="seq 100 | less | run prog"),
    case("substitution", "import os", "print('out', os.isatty(1), os.isatty(0)); t = open('/dev/tty', 'r+b', 0); t.write(b'key? '); print(t.readline())", r"key\? ", b"k\r", line="x=$(run prog); echo \"$x\""),
    case("substitution with keys", "import os, tty", "t = os.open('/dev/tty', os.O_RDWR); tty.setcbreak(t); os.write(t, b'key? '); print(os.read(t, 1)); os.system('stty sane </dev/tty')", r"key\? ", b"k", line="x=$(run prog); echo \"$x\""),
    case("substitution, interrupted", "import os, time", "open('/dev/tty', 'w').write('up'); time.sleep(30)", "up", C_C, line="x=$(run prog); echo after"),
    case("all redirected, interrupted", "import time", "open('up', 'w').write('1'); time.sleep(30)", file_has("up", b"1"), "run prog", C_C, line="run prog </dev/null >out 2>err"),
    case("all redirected, stopped", "import time", "open('up', 'w').write('1'); time.sleep(0.5)", file_has("up", b"1"), "run prog", C_Z, r"Stopped.*\n\$ " + AT, b"fg\r", line="run prog </dev/null >out 2>err"),
    case("closed stdin", "import os, sys", "print(sys.stdin, open('/dev/tty').fileno())", line="run prog <&-"),
    case("all closed", "", "t = open('/dev/tty', 'r+b', 0); t.write(b'there? '); t.readline()", r"there\? ", b"joe\r", line="run prog <&- >&- 2>&-"),
    case("another terminal's name", "import os", "fd = os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY); os.write(fd, b'written\\n'); print(os.read(fd, 9))", "written", b"joe\r"),
    case("terminal at fd 7", "import os", "print(os.isatty(7)); os.write(7, b'seven? '); print(os.read(7, 9))", r"seven\? ", b"joe\r", line="run prog 7<>/dev/tty"),
    case("terminal at fd 7 alone", "import os", "print(os.isatty(7)); os.write(7, b'seven? '); print(os.read(7, 9))", r"seven\? ", b"joe\r", line="run prog 7<>/dev/tty </dev/null >out 2>err"),
    case("nohup", "import signal", "print(signal.getsignal(1))", line="nohup run prog"),
    case("in a session without a terminal", "import os", "\n    try: open('/dev/tty')\n    except OSError as e: print(e)\n    print(os.isatty(0))", line="setsid -w run prog"),
    case("timeout", "import time", UP_AND_WAIT, "up", line="timeout --foreground 2 run prog"),
    case("script", "import os", "print(input('? '), os.isatty(1), end='')", r"\? ", b"joe\r", "joe", line="script -qec 'run prog' /dev/null"),
    case("env -i", "import os", "print(os.isatty(0), os.getcwd() == os.environ.get('PWD'))", line="env -i HOME=$HOME PATH=$PATH XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR LANG=$LANG QUICKEN_ACTIVATION=$QUICKEN_ACTIVATION run prog"),

    # Programs inside
    case("pager", "import pydoc", f"pydoc.pager({NUMBERS!r})", r"line 23 \.+\n:", b" ", r"line 46 ", b"b", r"^line 1 [\s\S]*:", b"q", systemd=True),
    case("pager at its end", "import pydoc", f"pydoc.pager({NUMBERS!r}); print(input('? '))", r"line 23 \.+\n:", b"G", r"line 200 \.+\n\(END\)", b"q", r"\? ", b"joe\r"),
    case("help", "import os", "help(os.getpid)", "END", b"q"),
    case("editor", "import subprocess", "print(subprocess.call(['vim.tiny', '-u', 'NONE', 'note']))", r"^~[\s\S]*note", b"ihello", "hello", C_C, "hell" + AT + "o", b":wq\r", r"\n0\n\$ "),
    case("editor, stopped", "import subprocess", "print(subprocess.call(['vim.tiny', '-u', 'NONE', 'note']))", r"^~[\s\S]*note", b"ihello", "hello", C_C, "hell" + AT + "o", b":suspend\r", STOPPED, b"fg\r", "^hell" + AT + "o", b":wq\r", r"\n0\n\$ "),
    case("child that reads", "import subprocess", "print(subprocess.run(['sh', '-c', 'read x; echo got $x']).returncode)", r"run prog\n" + AT, b"joe\r"),
    case("child that reads from the terminal", "import os", "os.system('read x </dev/tty; echo got $x >/dev/tty')", r">out\n" + AT, b"joe\r", line="run prog </dev/null >out"),
    case("shell", "import os, subprocess", "print(subprocess.call(['bash', '--norc', '--noprofile', '-i'], env=dict(os.environ, PS1='% ')))", "% " + AT, b"echo in$((1))\r", r"^in1\n% ", b"exit 4\r", r"\n4\n\$ "),
    case("job control in a shell", "import os, subprocess", "print(subprocess.call(['bash', '--norc', '--noprofile', '-i'], env=dict(os.environ, PS1='% ')))", "% " + AT, b"cat\r", r"cat\n" + AT, C_Z, r"Stopped +cat\n% " + AT,
         b"jobs\r", r"jobs\n\[1\]\+ +Stopped +cat\n% " + AT, b"fg\r", r"fg\ncat\n" + AT, b"echoed\r", r"echoed\nechoed\n", C_C, r"\^C\n% " + AT, b"exit\r", r"\n130\n\$ "),
    case("shell by exec", "import os", "os.execvp('bash', ['bash', '--norc', '--noprofile', '-c', 'read -p \"? \" x; echo got $x'])", r"\? ", b"joe\r"),
    case("pty.spawn", "import pty", "print(pty.spawn(['sh', '-c', 'echo up; read x; echo got $x; exit 3']))", "up", b"joe\r", r"768"),
    case("a session of its own inside", "import os, pty", "\n    pid, fd = pty.fork()\n    if not pid: print(os.getsid(0) == os.getpid(), os.isatty(0), flush=True); os._exit(0)\n    with os.fdopen(fd, 'rb') as told: print(told.readline())\n    os.waitpid(pid, 0)"),
    case("background group reads", "import os, subprocess", "\n    child = subprocess.Popen(['cat'], process_group=0)\n    print(os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])); child.kill()"),
    case("gives the terminal to a child", "import os, signal, subprocess", "\n    signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n    child = subprocess.Popen(['sh', '-c', 'kill -STOP $$; read x; echo got $x'], process_group=0)\n"
         "    os.waitpid(child.pid, os.WUNTRACED); os.tcsetpgrp(0, child.pid); os.kill(child.pid, 18); child.wait(); os.tcsetpgrp(0, os.getpgrp()); print(input('? '))", r"run prog\n" + AT, b"joe\r", r"\? ", b"jim\r"),
    case("orphan", "import os, time", "\n    if os.fork(): os._exit(0)\n    while os.getppid() != 1 and not os.path.exists('go'): time.sleep(0.02)\n    open('out', 'w').write(repr(os.isatty(0)))", r"\$ " + AT, b">go\r", file_has("out", b"True")),
    case("pdb", "x = 1", "breakpoint()\n    x = 2\n    print(x)", r"\(Pdb\) " + AT, b"n\r", r"Pdb[\s\S]*\(Pdb\) " + AT, b"p x + 40\r", r"^42\n\(Pdb\) " + AT, UP + b"\r", r"42[\s\S]*^42\n\(Pdb\) " + AT, b"c\r"),
    case("pdb, quit", "", "breakpoint(); print(1)", r"\(Pdb\) " + AT, b"q\r", "BdbQuit"),
    case("console", "import code", "code.interact(banner='hello', exitmsg='bye')", ">>> " + AT, b"1 + 41\r", r"^42\n>>> " + AT, b"def f():\r", r"\.\.\. " + AT, C_C, r"KeyboardInterrupt\n>>> " + AT, C_D, "bye"),
    case("exception in raw mode is seen", "import tty, termios", "\n    old = termios.tcgetattr(0)\n    try: tty.setraw(0); 1 / 0\n    finally: termios.tcsetattr(0, termios.TCSADRAIN, old)", "ZeroDivisionError"),

    # Ends
    case("killed", "import time", UP_AND_WAIT, "up", kill(signal.SIGKILL), "Killed"),
    case("killed in raw mode", "import time, tty", "tty.setraw(0); print('up', flush=True); time.sleep(30)", "up", kill(signal.SIGKILL), "Killed", b"echo hi$((1))\r", r"hi1\n\$ " + AT),
    case("killed by the program that runs it", "import time", UP_AND_WAIT, "late", line="python3 killer", files={"killer": KILLER}),
    case("killed before a program that reads", "import time", UP_AND_WAIT, "late", b"joe\r", "'joe'", line="python3 killer", files={"killer": KILLER + "print(ascii(input()))\n"}),
    case("killed while it reads", "", "input('? ')", r"\? ", kill(signal.SIGKILL), "Killed", b"cat\r", r"cat\n" + AT, b"joe\r", r"joe\njoe\n", C_D),
    case("terminated", "import time", UP_AND_WAIT, "up", kill(signal.SIGTERM), "Terminated"),
    case("terminated while the terminal is stopped", "import os, sys, time", "\n    open('up', 'w').write('1')\n    while not os.path.exists('go'): time.sleep(0.02)\n    for _ in range(9999): sys.stdout.write('x' * 78 + '\\n')\n    sys.stdout.flush()",
         file_has("up", b"1"), C_S, make_file("go"), lambda _: time.sleep(0.5), end(signal.SIGTERM), C_Q, r"Terminated\n\$ " + AT, line="run prog </dev/null"),
    case("terminated, handled", "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(6))", UP_AND_WAIT, "up", kill(signal.SIGTERM)),
    case("hung up", "import time", UP_AND_WAIT, "up", kill(signal.SIGHUP), "Hangup"),
    case("stopped from outside", "", "print(input('? '))", r"\? ", kill(signal.SIGSTOP), r"Stopped.*\n\$ " + AT, b"fg\r", r"run prog\n" + AT, b"joe\r"),
    case("stopped and continued from outside", "import os, time", "print('up', flush=True)" + FOR_GO + "print('end')", "up", kill(signal.SIGSTOP), STOPPED, b"kill -CONT %1; >go; wait\r", r"end[\s\S]*Done.*\n\$ "),
    case("signal from outside", "import signal, time\nsignal.signal(10, lambda *_: print('heard', flush=True))", "print('up', flush=True); signal.pause(); print(input('? '))", "up", kill(signal.SIGUSR1), r"heard\n\? ", b"joe\r"),
    case("terminal closed", "import signal, sys, time\ndef f(*_): open('said', 'w').write('hup'); sys.exit(0)", "signal.signal(1, f); print('up', flush=True); time.sleep(30)", "up", hang_up, file_has("said", b"hup"), ends=True, systemd=True),
    case("terminal closed, default", "import time", UP_AND_WAIT, "up", hang_up, ends=True),
    case("terminal closed at input", "", "\n    try: input('? ')\n    except EOFError: pass", r"\? ", hang_up, ends=True),
    case("terminal closed, stopped", "import time", UP_AND_WAIT, "up", C_Z, STOPPED, hang_up, ends=True),
    case("terminal closed, ignored", "import os, signal, time\nsignal.signal(1, signal.SIG_IGN)", "print('up', flush=True)" + FOR_GO + "open('said', 'w').write('end')", "up", hang_up, make_file("go"), file_has("said", b"end"), ends=True),
    case("terminal closed, ignored, at input", "import signal\nsignal.signal(1, signal.SIG_IGN)", "\n    try: input('? ')\n    except (EOFError, OSError): open('said', 'w').write('end')", r"\? ", hang_up, file_has("said", b"end"), ends=True),
    case("terminal closed, ignored, printing", "import os, signal, time\nsignal.signal(1, signal.SIG_IGN)",
         "\n    try:\n        while True: os.write(1, b'x'); time.sleep(0.02)\n    except OSError: open('said', 'w').write('end')", soon("x"), hang_up, file_has("said", b"end"), ends=True),
    case("terminal closed, nohup", "import os, time", "open('up', 'w').write('1')" + FOR_GO + "open('said', 'w').write('end')", STARTED, file_has("up", b"1"), hang_up, make_file("go"), file_has("said", b"end"), ends=True, line="nohup run prog 2>err &"),
    case("shell left", "import os, time", "open('up', 'w').write('1')" + FOR_GO + "open('said', 'w').write('end')", STARTED, file_has("up", b"1"), b"disown; exit\r", soon("exit"), make_file("go"), file_has("said", b"end"), ends=True, line="run prog &"),
    case("server killed", "import os, tty, termios", "\n    old = termios.tcgetattr(0); tty.setraw(0); os.write(1, b'key? '); print(os.read(0, 1), end='\\r\\n'); termios.tcsetattr(0, 1, old); exit(3)", r"key\? ", kill_server, b"k", served=0),
    case("server killed at input", "", "print(input('? ')); exit(3)", r"\? ", kill_server, b"joe\r", served=0),
    case("server killed, interrupted", "import time", UP_AND_WAIT, "up", kill_server, C_C, served=0),
    case("exit status after a stop", "import sys", "input('? '); sys.exit(9)", r"\? ", C_Z, STOPPED, b"fg\r", r"run prog\n" + AT, b"\r"),
    case("ten runs", "import sys", "print(sys.argv[1], end=' ')", r"9 10 \$ ", line="for i in {1..10}; do run prog $i; done", served=10),
    case("four at once", "import sys, time", "time.sleep(0.2 + 0.1 * int(sys.argv[1]))", line="python3 four", files={"four": FOUR}, served=4),
    case("a run in a run", "import os, sys", "\n    if len(sys.argv) > 1: print(input('inner? '))\n    else: print(os.system('run prog x')); print(input('outer? '))", r"inner\? ", b"joe\r", r"outer\? ", b"jim\r", served=2),

    # Debian's programs
    case("ranger", "", "", r"one[\s\S]*two", b"j", r"__name__", b"k", r"first line", b"G", r"second line", b"q", line="run /usr/bin/ranger --clean", script="/usr/bin/ranger",
         files={"one": "first line\n", "two": "second line\n"}),
    case("hg pages", "", "", r"^:", b"q", line="run /usr/bin/hg help revsets --config pager.pager=less", script="/usr/bin/hg"),
    case("http asks for a password", "", "", "password for joe", b"secret\r", "refused", line="run /usr/bin/http -a joe http://localhost:1 | cat", script="/usr/bin/http"),
)

# `stopped` returns when the last job in the background has stopped, or ended.
RC = """
PS1='$ '
ulimit -c 0
unset HISTFILE MAILCHECK
bind 'set enable-bracketed-paste off'
stopped() { while read -r _ _ state _ <"/proc/$!/stat" && [[ $state != T ]]; do sleep 0.02; done; }
"""

MASKS = (
    (re.compile(r"^\[(\d+)\] \d+$", re.MULTILINE), r"[\1] PID"),
    (re.compile(r"pts/\d+ *"), "pts/N "),
    (re.compile(r"\S+ sum, \S+ free"), "SUM, FREE"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), "TIME"),
)


class Session:
    """One run of a case: a shell on a terminal, in the bed's directory."""

    def __init__(self, bed, options, quickened):
        self.bed = bed
        self.options = options
        self.quickened = quickened
        self.script = options.get("script") or bed.path("prog")
        self.env = {"TERM": "linux", "LESSHISTFILE": "-"}
        self.result = {}

    def read_file(self, name):
        try:
            with open(self.bed.path(name), "rb") as file:
                return file.read()
        except OSError:
            return b""

    @staticmethod
    def program(prelude, main):
        """Its text. A main part that starts with a line break is indented if it is not; any other has one first line."""
        if re.match(r"\n\S", main):
            main = main.strip("\n").replace("\n", "\n    ")
        return f"{prelude}\nif __name__ == '__main__':\n    {main}\n"

    def launcher(self):
        return [harness.PYTHON] if not self.quickened else LAUNCHER or self.bed.quick_argv([])

    def status(self):
        """What the server says of itself."""
        return self.bed.status(self.script, env=self.env)

    def start(self):
        launcher = self.launcher()
        run = os.path.join(self.bed.home, "run")
        with open(run, "w") as file:
            file.write(f'#!/bin/sh\nexec {shlex.join(launcher)} "$@"\n')
        os.chmod(run, 0o755)
        rc = os.path.join(self.bed.home, "bashrc")
        with open(rc, "w") as file:
            file.write(RC)
        self.settings = os.path.join(self.bed.home, "settings")
        self.env.update(PATH=f"{self.bed.home}:{harness.PATH}", SETTINGS=self.settings)
        # HOME is the bed's own, and of all processes of the terminal: a server that systemd starts has another.
        mark = b"HOME=" + os.fsencode(self.bed.home)
        self.terminal = screen.Terminal(["bash", "--noprofile", "--rcfile", rc, "-i"], self.bed.env(self.env),
                                        self.bed.work, mark)

    def run(self, steps):
        """Everything there is to compare, by name."""
        self.start()
        try:
            self.terminal.wait(PROMPT)
            self.terminal.type(self.options.get("line", "run prog").encode() + b"\r")
            for step in steps:
                self.do(step)
            if self.options.get("ends"):
                self.terminal.close()
            else:
                self.finish()
            if not harness.wait_until(lambda: not self.left(), 10):
                raise AssertionError(f"left running: {self.left()}\n{self.terminal}")
        except BaseException:
            screen.kill_all(self.terminal.mark)
            raise
        finally:
            self.terminal.close()
        self.result["files"] = self.take_files()
        return self.result

    def do(self, step):
        if isinstance(step, bytes):
            self.terminal.type(step)
        elif isinstance(step, str):
            self.terminal.wait(step, rest=not isinstance(step, Soon))
        else:
            step(self)

    def finish(self):
        """The shell has its terminal back: its $?, what is on the screen, the settings it would give to a program."""
        self.terminal.wait(PROMPT)
        self.terminal.type(b"echo \"=$?=\"; stty -a >$SETTINGS\r")
        self.terminal.wait(r"=\d+=[\s\S]*\$ " + AT)
        text = self.terminal.text()
        for pattern, replacement in MASKS:
            text = pattern.sub(replacement, text)
        self.result["screen"] = text
        with open(self.settings) as file:
            self.result["settings"] = file.read()
        if "counted" in self.options:
            self.result["counted"] = self.terminal.received.count(self.options["counted"])
        self.terminal.hang_up()

    def left(self):
        """What runs and is no server: of the terminal, or a command."""
        others = set(screen.processes(self.terminal.mark)) - harness.processes_of(self.bed.runtime)
        left = [f"{pid}: {harness.command_line(pid)}" for pid in others if harness.process_state(pid)]
        if self.quickened and not LAUNCHER and self.options.get("served", 1):
            running = self.status().get("commands_running")
            left += [f"{running} commands of the server"] if running else []
        return left

    def take_files(self):
        """Their contents; only the program stays."""
        files = {}
        for name in sorted(os.listdir(self.bed.work)):
            if name != "prog" and name not in self.options.get("files", ()):
                files[name] = self.read_file(name)
                os.unlink(self.bed.path(name))
        return files


def differences(expected, actual, what):
    for name in expected:
        if expected[name] != actual.get(name):
            return f"{name} differs, {what}\n-- plain\n{expected[name]}\n-- {what}\n{actual.get(name)}"
    return ""


def count(session):
    return 0 if LAUNCHER else int(session.status().get("commands_run") or 0)


def compare(bed, prelude, main, steps, options, Session=Session):
    """What is wrong, or an empty text."""
    bed.write("prog", Session.program(prelude, main).encode())
    for name, text in options.get("files", {}).items():
        bed.write(name, text.encode())
    expected, before = None, 0
    for what in "plain", "cold", "warm":
        session = Session(bed, options, quickened=what != "plain")
        if what == "warm":
            before = count(session)
        try:
            result = session.run(steps)
        except AssertionError as error:
            return f"{what}: {error}"
        wrong = expected and differences(expected, result, what)
        if wrong:
            return wrong
        expected = expected or result
    wanted = before + options.get("served", 1)
    if LAUNCHER or wanted == before or harness.wait_until(lambda: count(session) == wanted, 5):
        return ""
    return f"the warm run was not the server's: it counted {before} commands before and {count(session)} after, not {wanted}"


def job(activation, index, Session=Session):
    """As compare(), with a bed of its own."""
    bed = harness.Bed(activation)
    try:
        wrong = compare(bed, *CASES[index][1:], Session=Session)
    except Exception:  # of another process, perhaps: there the text is all that is left of it
        wrong = traceback.format_exc()
    try:
        bed.close()
    except AssertionError as error:
        wrong = wrong or str(error)
    return wrong


class Terminal(harness.Case):
    """Its tests are made from the table."""

    ahead = {}  # results to come, if the whole table is run

    def setUp(self):
        reason = harness.user_manager() if self.activation == "systemd" else ""
        if reason:
            self.skipTest(reason)

    def check(self, index):
        future = self.ahead.get((self.activation, index))
        wrong = future.result() if future else job(self.activation, index)
        if wrong:
            self.fail(wrong)


def make_tests():
    for activation in "self", "systemd":
        tests = {"activation": activation, "__module__": __name__}
        for index, (name, *_, options) in enumerate(CASES):
            if activation == "self" or options.get("systemd"):
                method = "test_" + re.sub(r"\W", "_", name)
                assert method not in tests, name
                tests[method] = lambda self, index=index: self.check(index)
        globals()[f"Terminal_{activation}"] = type(f"Terminal_{activation}", (Terminal,), tests)


def load_tests(_loader, tests, _pattern):
    """Called by unittest if no single test is asked for: cases run ahead, some at once, and their tests wait for them.

    Those of systemd do not: they share a manager, whose servers a bed takes for its own.
    """
    pool = concurrent.futures.ProcessPoolExecutor(JOBS)
    for index in range(len(CASES)):
        Terminal.ahead["self", index] = pool.submit(job, "self", index)
    return tests


make_tests()

if __name__ == "__main__":
    harness.main()
