"""What a quick_server script does beside serving: messages, restarts, exit statuses, shutdown, the command loop.

Scripts run in a process of their own here (QUICKEN_DISABLE), but for those that become `quicken serve` (HandOver), and
those of Shutdown and Input and the real ones at the end, which run both ways.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import screen
import serving

NO_LOOP = "[SERVER] no command loop - use CTRL-C to terminate"


class Messages(serving.Case):
    HEAD = "import sys, quick_server\nfrom quick_server import msg, set_log_file, debug\n"

    def run_script(self, text, env=None, head=""):
        script = self.script(text, head=harness.dedent(head) + self.HEAD, wait=False, env=env)
        self.assertEqual(0, script.end(), script.log)
        return script

    def test_prefix(self):
        """Each line, with the file's name and the line of the call; formatted only if there is something to format."""
        script = self.run_script("msg('{0} and {1:.1f}\\nsecond {a}', 'x', 2, a=3)\nmsg('{0} {a}')\nmsg(5)\n")
        self.assertEqual(["site.py (3): x and 2.0", "site.py (3): second 3", "site.py (4): {0} {a}", "site.py (5): 5"],
                         script.log)

    def test_short(self):
        script = self.run_script("quick_server.LONG_MSG = False\nmsg('a\\nb')")
        self.assertEqual(["[SERVER] a", "[SERVER] b"], script.log)

    def test_log_file(self):
        """A file or a path; standard error as well, but for MSG_STDERR = False; None is standard error alone."""
        script = self.run_script("""
            set_log_file('by_path')
            msg('first')
            quick_server.MSG_STDERR = False
            msg('second')
            set_log_file(open('by_file', 'w'))
            msg('third')
            set_log_file(None)
            msg('fourth')
            """)
        self.assertEqual(["site.py (4): first", "site.py (10): fourth"], script.log)
        with open(self.bed.path("by_path")) as by_path, open(self.bed.path("by_file")) as by_file:
            self.assertEqual("site.py (4): first\nsite.py (6): second\nsite.py (8): third\n",
                             by_path.read() + by_file.read())

    def test_at_the_end(self):
        """Other threads have nothing to say while the interpreter ends, which would die of their being in its way."""
        script = self.run_script("""
            ends, said = threading.Event(), threading.Event()
            threading.Thread(target=lambda: ends.wait() and (msg('other') or said.set()), daemon=True).start()
            """, head="""
            import atexit, threading
            atexit.register(lambda: msg('main') or ends.set() or said.wait())
            """)
        self.assertEqual(["site.py (2): main"], script.log)

    def test_debug(self):
        text = "debug(lambda: msg('called') or 'text')"
        self.assertEqual([], self.run_script(text).log)
        self.assertEqual([], self.run_script(text, env={"QUICK_SERVER_DEBUG": "0"}).log)
        self.assertEqual(["site.py (3): called", "site.py (3): [DEBUG] text"],
                         self.run_script(text, env={"QUICK_SERVER_DEBUG": "1"}).log)


class Restart(serving.Case):
    """Restarts by the script's own means, where there is no supervisor."""

    TEXT = """
        import os
        print('run', is_original(), has_been_restarted(), os.environ.get('QUICK_SERVER_RESTART'),
              os.environ.get('QUICK_SERVER_SUBSEQ'), flush=True)
        @server.text_get('/')
        def get(req, args):
            return str(os.getpid())
        serve()
        print('end', flush=True)
        """
    HEAD = serving.HEAD.replace("server = create", "if 'setup' in sys.argv: setup_restart()\nserver = create")

    def told(self, script):
        return [line for line in script.lines if line.split()[0] in ("run", "end", "atexit")]

    def test_with_setup(self):
        """A parent starts it again as often as it ends with 42; its own status is the last one's."""
        script = self.script(self.TEXT, head=self.HEAD, arguments=["setup"])
        pids = set()
        for _ in range(2):
            pids.add(script.ask("/").text)
            script.type("restart")
            script.wait_for_port()
        pids.add(script.ask("/").text)
        self.assertNotIn(str(script.process.pid), pids)
        self.assertEqual(3, len(pids))
        script.type("quit")
        self.assertEqual(0, script.end())
        self.assertEqual(["run False False 42 None", "end", "run False True 42 1", "end", "run False True 42 1", "end"],
                         self.told(script))

    def test_without_setup(self):
        """It executes itself at its end, after all that the script has for that."""
        script = self.script("import atexit\natexit.register(print, 'atexit')\n" + harness.dedent(self.TEXT),
                             head=self.HEAD)
        script.ask("/")
        script.type("restart")
        script.wait_for_port()
        self.assertEqual(str(script.process.pid), script.ask("/").text)
        script.type("quit")
        self.assertEqual(0, script.end())
        self.assertEqual(["run True False None None", "end", "atexit", "run True True None 1", "end", "atexit"],
                         self.told(script))

    def test_exit_codes(self):
        """Of the restart and of an error, also through the parent."""
        fails = "import os, signal, threading\nsignal.signal(signal.SIGUSR1, lambda *_: 1 / 0)\n" \
                "threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGUSR1]).start()\n"
        for arguments, text, status in (
                ([], "import threading\nset_restart_exit_code(9)\n"
                     "threading.Timer(0.3, server.run_command, ['restart']).start()", 9),
                (["setup"], "sys.exit(5)", 5),
                (["setup"], "import os\nos.kill(os.getpid(), 9)", 137),
                ([], fails + "set_error_exit_code(8)", 8),
                ([], fails, 1)):
            env = {"QUICK_SERVER_RESTART": "42"} if status == 9 else None
            script = self.script(text + "\nserve()", head=self.HEAD, arguments=arguments, wait=False, env=env)
            self.assertEqual(status, script.end(), (text, script.log))

    def test_terminated(self):
        """The parent passes SIGTERM on, and nothing is left."""
        script = self.script(self.TEXT, head=self.HEAD, arguments=["setup"])
        child = int(script.ask("/").text)
        script.process.send_signal(signal.SIGTERM)
        self.assertEqual(143, script.end())
        self.assertFalse(harness.process_state(child))

    def test_exec_arr(self):
        """The command line again, however it was."""
        script = self.script("print(get_exec_arr())\nserver.server_close()", arguments=["a b", "-x"], wait=False)
        script.end()
        self.assertEqual([str([harness.PYTHON, self.bed.path("site.py"), "a b", "-x"])], script.lines)

    def test_time(self):
        script = self.script("a = get_time()\nprint(0 <= get_time() - a < 5)\nserver.server_close()", wait=False)
        script.end()
        self.assertEqual(["True"], script.lines)


@serving.both_ways
class Shutdown:
    def test_shutdown_hooks(self):
        """In reverse, at either signal; one that fails is logged; status 130."""
        for number in (signal.SIGINT, signal.SIGTERM):
            script = self.script("""
                for name in 'abc':
                    add_shutdown_hook(lambda name=name: print(name, server.done))
                add_shutdown_hook(lambda: 1 / 0)
                server.register_shutdown()
                add_shutdown_hook(lambda: print('last', server.done))
                serve()
                """)
            script.ask("/")
            script.process.send_signal(number)
            self.assertEqual(130, script.end(), script.log)
            self.assertEqual(["last False", "c True", "b True", "a True"], script.lines[1:])
            self.assertTrue(script.has_logged("ZeroDivisionError"))

    def test_setup_shutdown(self):
        """Without a server of its own."""
        script = self.script("setup_shutdown()\nadd_shutdown_hook(lambda: print('hook'))\nserve()")
        script.ask("/")
        script.process.send_signal(signal.SIGTERM)
        self.assertEqual((130, "hook"), (script.end(), script.lines[-1]))

    def test_quit(self):
        """Is no signal."""
        script = self.script("setup_shutdown()\nadd_shutdown_hook(lambda: print('hook'))\nserve()\nprint('after')")
        script.type("quit")
        self.assertEqual((0, "after"), (script.end(), script.lines[-1]))
        self.assertNotIn("hook", script.lines)


class Ending(serving.Case):
    def test_interrupt(self):
        """CTRL-C ends serve_forever(), and what follows in the script is run."""
        script = self.script("serve()\nprint('after')")
        script.ask("/")
        script.process.send_signal(signal.SIGINT)
        self.assertEqual(0, script.end())
        self.assertEqual("after", script.lines[-1])
        self.assertNotIn("Traceback", "".join(script.log))

    def test_done(self):
        """Set anywhere, also before it serves; answers that have begun have shutdown_latency seconds."""
        script = self.script("""
            import threading, time
            server.shutdown_latency = 5
            @server.text_get('/')
            def get(req, args):
                threading.Timer(0.3, setattr, [server, 'done', True]).start()
                time.sleep(1)
                return 'answered'
            serve()
            print('after', server.done)
            """)
        self.assertEqual("answered", script.ask("/").text)
        self.assertEqual((0, "after True"), (script.end(), script.lines[-1]))
        early = self.script("server.done = True\nserve()\nprint('after')")
        self.assertEqual((0, "after"), (early.end(), early.lines[-1]))

    def test_closed(self):
        """The port is free again, and nothing can be served."""
        script = self.script("""
            port = server.server_port
            server.server_close()
            server.server_close()
            create_server(('localhost', port)).server_close()
            try:
                server.serve_forever()
            except ValueError as error:
                print(error)
            """, wait=False)
        self.assertEqual(0, script.end(), script.log)
        self.assertEqual(["the server has been closed"], script.lines)

    def test_port_taken(self):
        script = self.script("create_server(server.server_address)", wait=False)
        self.assertEqual(1, script.end())
        self.assertRegex(script.log[-1], "OSError: .*Address already in use: cannot listen at 127.0.0.1:[0-9]+")


@serving.both_ways
class Input:
    TEXT = """
        @server.cmd(argc=1, complete=lambda args, text: ['joe', 'jane'])
        def add_user(args):
            print('added', args[0], flush=True)
        @server.cmd(no_replace=True)
        def under_score(args):
            raise ValueError('in a command')
        server.add_cmd_method('own name', lambda args: print('own', args, flush=True))
        server.prompt = 'site> '
        serve()
        """

    def test_pipe(self):
        script = self.script(self.TEXT)
        script.type("# comment", "", "add user joe", "add user", "under_score", "own name 1 2", "no such", "help",
                    "quit")
        self.assertEqual(0, script.end())
        self.assertEqual(["added joe", "own ['1', '2']"], script.lines[1:])
        log = "\n".join(script.log)
        for text in ("[SERVER] 'add user' expects 1 argument, not 0", "ValueError: in a command",
                     "[SERVER] unknown command: 'no such'", "[SERVER] available commands:\n[SERVER]   add user\n"
                     "[SERVER]   help\n[SERVER]   own name\n[SERVER]   quit\n[SERVER]   restart\n"
                     "[SERVER]   under_score"):
            self.assertIn(text, log)

    def test_end_of_input(self):
        """Says so, and goes on serving."""
        script = self.script("server.add_text_get_mask('/', lambda req, args: 'x')\nserve()")
        script.process.stdin.close()
        line = NO_LOOP.replace("[SERVER] ", "") if self.served else NO_LOOP
        self.assertEqual(line, script.has_logged("no command loop"), script.log)
        self.assertEqual(b"x", script.ask("/").body)


class CommandLoop(serving.Case):
    def test_no_command_loop(self):
        script = self.script("server.no_command_loop = True\nserve()")
        self.assertTrue(script.has_logged(NO_LOOP), script.log)
        script.type("quit")
        time.sleep(0.3)
        self.assertEqual(404, script.ask("/").status)

    def test_terminal(self):
        """Prompt, completion, history from run to run; the terminal as it was afterwards."""
        path = self.bed.write("site.py", harness.dedent(serving.HEAD) + harness.dedent(Input.TEXT))
        env = self.bed.env({"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": "1", "PS1": "$ ", "TERM": "xterm"})
        terminal = screen.Terminal(["/bin/sh"], env, self.bed.work, b"HOME=" + self.bed.home.encode())
        self.addCleanup(terminal.close)
        for keys, shown in ((b"stty -a > before; python3 %s\n" % path.encode(), "site> "),
                            (b"ad\tus\tja\t\n", "added jane"), (b"quit\n", "$ "),
                            (b"stty -a | cmp - before && python3 %s\n" % path.encode(), "site> "),
                            (b"\x1b[A\x1b[A\n", "added jane")):
            terminal.type(keys)
            self.assertTrue(harness.wait_until(lambda: self.shows(terminal, shown), 10), terminal.text())
        terminal.type(b"quit\n")
        with open(self.bed.path(".cmd_history")) as history:
            self.assertIn("add user jane", history.read())

    def shows(self, terminal, text):
        terminal.read(0.05)
        lines = [line for line in terminal.text().splitlines() if line.strip()]
        return any(line.startswith(text) for line in lines[-2:])


class CommandLine(serving.Case):
    """python -m quick_server"""

    def start(self, *arguments, disabled="1"):
        env = self.bed.env({"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": disabled})
        process = subprocess.Popen([harness.PYTHON, "-m", "quick_server", *arguments], env=env, cwd=self.bed.work,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_files(self):
        os.mkdir(self.bed.path("dir"))
        self.bed.write("dir/x.txt", "content")
        for options, logged in ((["-v"], True), ([], False)):
            process = self.start("-a", "localhost", "-p", "0", "--www", "dir", *options)
            port = re.search(r"serving .*/dir at http://localhost:([0-9]+)/", process.stderr.readline()).group(1)
            done = subprocess.run(["curl", "-sS", "-m", "5", f"http://localhost:{port}/x.txt"], capture_output=True)
            self.assertEqual((b"content", b""), (done.stdout, done.stderr))
            process.send_signal(signal.SIGINT)
            self.assertEqual(0, process.wait(10))
            self.assertIs(logged, "GET /x.txt" in process.stderr.read())

    def test_all_interfaces(self):
        """An empty address; the log says localhost. By the interpreter, and by what it hands over to."""
        self.bed.write("x.txt", "content")
        line = re.compile(r"\[SERVER\] serving (.*) at http://localhost:([0-9]+)/\n")
        for options, disabled in (((), "1"), (("-v",), "1"), (("-v",), None), ((), None)):
            process = self.start("-a", "", "-p", "0", *options, disabled=disabled)
            found = line.fullmatch(process.stderr.readline())
            self.assertEqual(os.path.realpath(self.bed.work), found and os.path.realpath(found.group(1)))
            done = subprocess.run(["curl", "-sS", "-m", "5", f"http://127.0.0.2:{found.group(2)}/x.txt"],
                                  capture_output=True)
            self.assertEqual((b"content", b""), (done.stdout, done.stderr))
            process.send_signal(signal.SIGTERM)
            process.wait(10)

    def test_handed_over(self):
        """To the program that serves files without an interpreter."""
        self.bed.write("x.txt", "content")
        with socket.create_server(("localhost", 0)) as taken:
            port = taken.getsockname()[1]
        process = self.start("-p", str(port), disabled=None)
        arguments = ["curl", "-sS", "-m", "5", "--retry", "20", "--retry-connrefused", f"http://localhost:{port}/x.txt"]
        self.assertEqual(b"content", subprocess.run(arguments, capture_output=True).stdout)
        self.assertIn("quicken-serve", os.readlink(f"/proc/{process.pid}/exe"))
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    def test_wrong_usage(self):
        for arguments, text in ((["--www", "nowhere"], "there is no directory nowhere"),
                                (["-p", "70000"], "is no port"),
                                (["-p", "x"], "invalid int value"), (["extra"], "unrecognized arguments")):
            process = self.start(*arguments)
            self.assertEqual(2, process.wait(10))
            self.assertIn(text, process.stderr.read())




class HandOver(serving.Case):
    """python3 script.py becomes `quicken serve script.py`, where that is the same."""

    SHOW = """
        @server.json_get('/')
        def show(req, args):
            import os
            return [server._supervisor is not None, sys.argv[1:], os.environ.get('OWN')]
        serve()
        """

    def handed_over(self, script):
        found = json.loads(script.ask("/").body)
        self.assertEqual([["a b"], "1"], found[1:])
        return found[0]

    def test_script(self):
        """The first of setup_restart() and create_server(); once; the process that was started is what ends."""
        for head in (serving.HEAD, Restart.HEAD.replace("if 'setup' in sys.argv: ", "")):
            script = self.script(self.SHOW, head=head, arguments=["a b"], env={"QUICKEN_DISABLE": None, "OWN": "1"})
            self.assertTrue(self.handed_over(script))
            script.type("quit")
            self.assertEqual(0, script.end(), script.log)

    def test_disabled(self):
        script = self.script(self.SHOW, arguments=["a b"], env={"OWN": "1"})
        self.assertFalse(self.handed_over(script))

    def test_by_another(self):
        """A test, or a debugger, that imports the script is left alone."""
        self.bed.write("site.py", harness.dedent(serving.HEAD) + harness.dedent(self.SHOW))
        self.bed.write("framework.py", "def run():\n    import site_\n")
        for text in ("import framework\nframework.run()", "sys.settrace(lambda *a: None)\nimport site_"):
            os.rename(self.bed.path("site.py"), self.bed.path("site_.py"))
            script = self.script(text, head="import sys\n", name="runner.py", arguments=["a b"],
                                 env={"QUICKEN_DISABLE": None, "OWN": "1"})
            self.assertFalse(self.handed_over(script))
            script.close()
            os.rename(self.bed.path("site_.py"), self.bed.path("site.py"))

    def test_command_and_input(self):
        """-c and a script on standard input serve by themselves."""
        text = harness.dedent(serving.HEAD) + "print(server._supervisor)\nserver.done = True\nserve()\n"
        env = self.bed.env({"PYTHONPATH": serving.PACKAGE})
        for argv, given in ((["-c", text], ""), (["-"], text), ([], text)):
            done = subprocess.run([harness.PYTHON, *argv], input=given, env=env, cwd=self.bed.work, text=True,
                                  capture_output=True, timeout=20)
            self.assertEqual((0, "None"), (done.returncode, done.stdout.splitlines()[0]), done)


    def test_end_amid_a_message(self):
        """A thread that has not come to the end of its line when the process ends is waited for."""
        text = harness.dedent("""
            import atexit, threading, time
            from quick_server import *
            server = create_server(('localhost', 0))
            atexit.register(print, 'ends', flush=True)
            begun = threading.Event()
            def write():
                begun.set()
                msg('x' * 1000000)
            threading.Thread(target=write, daemon=True).start()
            begun.wait()
            time.sleep(0.3)
            """)
        process = subprocess.Popen([harness.PYTHON, "-c", text], env=self.bed.env({"PYTHONPATH": serving.PACKAGE}),
                                   cwd=self.bed.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(b"ends\n", process.stdout.readline())
        time.sleep(0.5)
        shown = process.communicate(timeout=20)[1]
        self.assertEqual((0, 1000000), (process.returncode, shown.count(b"x")), shown[-500:])


class RealScripts(serving.Case):
    """Scripts as users write them, both ways."""

    def sample(self, name, served):
        for each in os.listdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples", "serve")):
            with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples", "serve", each), "rb") as file:
                self.bed.write(each, file.read())
        script = serving.Script(self.bed, self.bed.path(name), ["0"], served=served)
        self.addCleanup(script.close)
        line = script.has_logged("http://", 20)
        self.assertTrue(line, script.log)
        script.port = int(re.search(":([0-9]+)/", line).group(1))
        return script

    def test_notes(self):
        """A small back end in the manner of 0.4.11."""
        for served in (False, True):
            with self.subTest(served=served):
                site = self.sample("notes.py", served)
                self.assertEqual({"id": 1}, json.loads(site.ask("/api/note", "POST", b'{"text": "one"}', {
                    "Content-Type": "application/json"}).body))
                self.assertEqual({"1": "one"}, json.loads(site.ask("/api/notes").body))
                self.assertEqual({"1": "changed"}, json.loads(site.ask("/api/note/1", "PUT", b"text=changed", {
                    "Content-Type": "application/x-www-form-urlencoded"}).body))
                self.assertEqual(404, site.ask("/api/note/7", "DELETE").status)
                self.assertEqual(b"<p>1: changed</p>", site.ask("/notes.html").body)
                site.type("notes clear", "quit")
                self.assertEqual(0, site.end(), site.log)
                self.assertIn("cleared 1", site.lines)

    def test_upload(self):
        """One in the manner of 0.10.0: middlewares, files, cookies, errors."""
        for served in (False, True):
            with self.subTest(served=served):
                site = self.sample("upload.py", served)
                self.assertEqual(403, site.ask("/api/files").status)
                login = site.ask("/login", "POST", b'{"user": "joe"}', {"Content-Type": "application/json"})
                cookie = login.headers["Set-Cookie"].partition(";")[0]
                content = os.urandom(2 << 20)
                self.bed.write("big", content)
                done = subprocess.run(["curl", "-sS", "-m", "10", "-b", cookie, "-F", f"f=@{self.bed.path('big')}",
                                       f"http://localhost:{site.port}/api/files"], capture_output=True, timeout=20)
                self.assertEqual({"big": len(content)}, json.loads(done.stdout))
                self.assertEqual(content, site.ask("/api/files/big", headers={"Cookie": cookie}).body)
                site.process.send_signal(signal.SIGINT)
                self.assertEqual(130, site.end(), site.log)


if __name__ == "__main__":
    harness.main()
