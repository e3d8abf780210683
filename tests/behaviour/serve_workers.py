"""Workers: the protocol over a real socket, threads and forks that compute, their end, and their jobs across a reload."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import serving

TOKEN = re.compile("[0-9a-f]{40}")
STOPS = float(os.environ.get("QUICKEN_TEST_SECONDS") or 3)  # seconds of starts and stops; minutes find more

WORKERS = """
import os, threading, time
notes = []
@server.json_get('/notes', 0)
def get_notes(req, args):
    return notes
@server.json_worker('/add')
def add(args):
    return {'sum': args['a'] + args['b'], 'also': [None, True, float('nan'), 'é']}
@server.json_worker('/wait')
def wait(args):
    time.sleep(args['seconds'])
    return args
@server.json_worker('/loop')
def loop(args):
    notes.append('begun')
    try:
        while True:
            try:
                time.sleep(0.001)
            except Exception:
                notes.append('an Exception')
    except WorkerDeath:
        notes.append('death')
        raise
@server.json_worker('/fail')
def fail(args):
    if args.get('code'):
        raise PreventDefaultResponse(args['code'], args['text'])
    if args.get('exit'):
        sys.exit(3)
    raise ValueError('one of ours')
@server.json_worker('/long')
def long(args):
    return 'x' * args['size']
@server.json_worker('/payload')
def payload(args):
    return args
"""

# The workers' clock is the test's.
CLOCK = """
import types, quick_server._workers
now = [1000.0]
quick_server._workers.time = types.SimpleNamespace(monotonic=lambda: now[0])
@server.json_get('/later', 1)
def later(req, args):
    now[0] += float(args['paths'][0])
    return now
@server.json_get('/threads', 0)
def get_threads(req, args):
    return [thread.name for thread in threading.enumerate() if thread.name.startswith('worker /')]
"""


def dumped(**members):
    """As json_dumps() has it."""
    return json.dumps(members, indent=2, sort_keys=True).encode()


class Client:
    def post(self, script, mask, **body):
        return script.ask(mask, "POST", json.dumps(body), {"Content-Type": "application/json"})

    def say(self, script, mask, **body):
        """The answer as what it means; the status has to be 200."""
        answer = self.post(script, mask, **body)
        self.assertEqual(200, answer.status, answer)
        return json.loads(answer.body)

    def begin(self, script, mask, **payload):
        """The token of a job that runs."""
        answer = self.say(script, mask, action="start", payload=payload)
        self.assertEqual((False, True, None), (answer["done"], answer["continue"], answer["result"]), answer)
        return answer["token"]

    def compute(self, script, mask, **payload):
        """A job's result, however long it takes."""
        answer = self.say(script, mask, action="start", payload=payload)
        return json.loads(answer["result"]) if answer["done"] else self.finish(script, mask, answer["token"])

    def finish(self, script, mask, token, seconds=10):
        """What its job has computed."""
        answers = []

        def ask():
            answers.append(self.say(script, mask, action="get", token=token))
            return not answers[-1]["continue"] or answers[-1]["done"]

        self.assertTrue(harness.wait_until(ask, seconds, 0.05))
        self.assertTrue(answers[-1]["done"], answers[-1])
        return json.loads(answers[-1]["result"])

    def outcome(self, script, mask, **payload):
        """The last answer about a job, with whatever status."""
        answer = self.post(script, mask, action="start", payload=payload)
        end = time.monotonic() + 10
        while answer.status == 200 and not json.loads(answer.body)["done"] and time.monotonic() < end:
            time.sleep(0.02)
            answer = self.post(script, mask, action="get", token=json.loads(answer.body)["token"])
        return answer

    def get(self, script, path):
        return json.loads(script.ask(path).body)


@serving.both_ways
class Protocol(Client):
    def test_a_fast_job_is_answered_at_once_to_the_byte(self):
        script = self.script(WORKERS + "serve()")
        answer = self.outcome(script, "/add", a=1, b=2)
        token = json.loads(answer.body)["token"]
        self.assertRegex(token, TOKEN)
        text = json.dumps({"also": [None, True, "NaN", "é"], "sum": 3}, indent=2, sort_keys=True)
        self.assert_answer((200, "application/json", dumped(token=token, done=True, result=text, **{"continue": False})),
                           answer)

    def test_a_slow_job_is_asked_for_and_its_result_released_once(self):
        script = self.script(WORKERS + "serve()")
        began = time.monotonic()
        answer = self.post(script, "/wait", action="start", payload={"seconds": 1})
        self.assertGreaterEqual(time.monotonic() - began, 0.1)
        token = json.loads(answer.body)["token"]
        running = dumped(token=token, done=False, result=None, **{"continue": True})
        self.assert_answer((200, running), answer)
        self.assert_answer((200, running), self.post(script, "/wait", action="get", token=token))
        self.assertEqual({"seconds": 1}, self.finish(script, "/wait", token))
        unknown = dumped(token=token, done=False, result=None, **{"continue": False})
        self.assert_answer((200, unknown), self.post(script, "/wait", action="get", token=token))

    def test_a_token_may_be_a_number_and_unknown(self):
        script = self.script(WORKERS + "serve()")
        for token in (7, "7", "0" * 40, None):
            answer = self.say(script, "/wait", action="get", token=token)
            self.assertEqual({"token": str(token), "done": False, "result": None, "continue": False}, answer)

    def test_stop_raises_worker_death_in_the_thread(self):
        script = self.script(WORKERS + "serve()")
        token = self.begin(script, "/loop")
        stopped = dumped(token=token, done=True, result=None, **{"continue": False})
        self.assert_answer((200, stopped), self.post(script, "/loop", action="stop", token=token))
        self.assertTrue(harness.wait_until(lambda: self.get(script, "/notes") == ["begun", "death"]),
                        self.get(script, "/notes"))
        self.assert_answer((200, stopped), self.post(script, "/loop", action="stop", token=token))
        self.assertFalse(self.say(script, "/loop", action="get", token=token)["continue"])

    def test_a_long_result_comes_in_pieces_each_once(self):
        script = self.script(WORKERS + "server.max_chunk_size = 1000\nserve()")
        answer = json.loads(self.outcome(script, "/long", size=2498).body)
        self.assertEqual((True, True, 3), (answer["done"], answer["continue"], len(answer["result"])))
        text = ""
        for token in answer["result"]:
            piece = self.post(script, "/long", action="cargo", token=token)
            part = json.loads(piece.body)["result"]
            self.assert_answer((200, dumped(token=token, result=part)), piece)
            text += part
            self.assertEqual(404, self.post(script, "/long", action="cargo", token=token).status)
        self.assertEqual("x" * 2498, json.loads(text))
        whole = json.loads(self.outcome(script, "/long", size=998).body)
        self.assertEqual(1000, len(whole["result"]), "a result of that size is one piece")

    def test_errors_are_answered_and_logged(self):
        script = self.script(WORKERS + "serve()")
        failed = self.outcome(script, "/fail")
        self.assertEqual((500, "worker error"), (failed.status, failed.reason))
        self.assertIn(b"<p>Message: worker error.</p>", failed.body)
        self.assertTrue(script.has_logged("ValueError: one of ours"), script.log)
        self.assertTrue(script.has_logged("in fail"), script.log)
        own = self.outcome(script, "/fail", code=418, text="tea")
        self.assertEqual((418, "tea"), (own.status, own.reason))
        left = self.outcome(script, "/fail", exit=True)
        self.assertEqual((500, "worker error"), (left.status, left.reason))
        self.assertEqual({"seconds": 0}, self.compute(script, "/wait", seconds=0))

    def test_what_is_no_request_of_the_protocol(self):
        script = self.script(WORKERS + "serve()")
        for body in ({}, {"action": "go"}, {"action": ["start"]}, {"action": None}):
            self.assertEqual(400, self.post(script, "/add", **body).status, body)
        self.assertEqual(400, script.ask("/add", "POST", "[1]", {"Content-Type": "application/json"}).status)
        self.assertEqual(404, script.ask("/add").status)
        self.assertEqual({}, self.compute(script, "/payload"))

    def test_a_result_that_nobody_asks_for_goes(self):
        script = self.script("import quick_server._workers\nquick_server._workers.RESULT_KEPT = 0.5\n"
                             "quick_server._workers.CARGO_KEPT = 0.5\nserver.max_chunk_size = 1000\n"
                             + WORKERS + "serve()")
        token = self.begin(script, "/wait", seconds=0.2)
        pieces = json.loads(self.outcome(script, "/long", size=2000).body)["result"]
        time.sleep(1.2)
        self.assertFalse(self.say(script, "/wait", action="get", token=token)["done"])
        self.assertEqual(404, self.post(script, "/long", action="cargo", token=pieces[0]).status)

    def test_how_long_what_nobody_asks_for_is_kept(self):
        """A result two minutes from the end of its job, a piece of one ten from when it was named."""
        script = self.script(WORKERS + CLOCK + "server.max_chunk_size = 1000\nserve()")
        read, unread = self.begin(script, "/wait", seconds=1), self.begin(script, "/wait", seconds=1)
        self.assertTrue(harness.wait_until(lambda: not self.get(script, "/threads")))
        self.get(script, "/later/119.9")
        self.assertTrue(self.say(script, "/wait", action="get", token=read)["done"])
        self.get(script, "/later/0.2")
        unknown = {"token": unread, "done": False, "result": None, "continue": False}
        self.assertEqual(unknown, self.say(script, "/wait", action="get", token=unread))
        pieces = json.loads(self.outcome(script, "/long", size=1500).body)["result"]
        self.get(script, "/later/599.9")
        self.assertEqual(1000, len(self.say(script, "/long", action="cargo", token=pieces[0])["result"]))
        self.get(script, "/later/0.2")
        self.assertEqual(404, self.post(script, "/long", action="cargo", token=pieces[1]).status)

    def test_at_most_so_many_at_once(self):
        script = self.script(WORKERS + "server.max_workers = 3\nserve()")
        tokens = [self.begin(script, "/loop") for _ in range(3)]
        refused = self.post(script, "/loop", action="start")
        self.assertEqual((503, "too many workers"), (refused.status, refused.reason))
        self.say(script, "/loop", action="stop", token=tokens[0])
        self.begin(script, "/loop")

    def test_the_client_in_python(self):
        script = self.script(WORKERS + "server.max_chunk_size = 1000\nserve()")
        program = """
            from quick_server import worker_request, WorkerError
            base = 'http://localhost:%d'
            print(worker_request(base + '/wait', {'seconds': 0.7}), len(worker_request(base + '/long', {'size': 5000})))
            for mask, payload, more in (('/fail', {}, {}), ('/none', {}, {}), ('/loop', {}, {'timeout': 1})):
                try:
                    print(worker_request(base + mask, payload, **more))
                except WorkerError as error:
                    print(error.status, error)
        """ % script.port
        path = self.bed.write("client.py", program)
        done = self.bed.run([harness.PYTHON, path], env={"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": "1"})
        self.assertEqual("{'seconds': 0.7} 5000\n500 worker error\n404 Not Found\nNone timeout\n",
                         done.stdout.decode(), done.stderr.decode())
        self.assertTrue(harness.wait_until(lambda: "death" in self.get(script, "/notes")), "it is stopped at the end")

    def test_pauses_of_the_client_in_python(self):
        """Half a second, then ever longer ones up to a minute; they are noted, not waited for."""
        script = self.script(WORKERS + "serve()")
        path = self.bed.write("client.py", """
            import json, time, types
            from quick_server import _worker_client, worker_request
            class Enough(Exception):
                pass
            pauses = []
            def sleep(seconds):
                pauses.append(seconds)
                if len(pauses) == 480:
                    raise Enough
            _worker_client.time = types.SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
            try:
                worker_request('http://localhost:%d/loop', {})
            except Enough:
                print(json.dumps(pauses))
        """ % script.port)
        done = self.bed.run([harness.PYTHON, path], env={"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": "1"})
        expected = serving.pauses(0.5, 0.01, 60, 480)
        self.assertEqual((expected, 60), (json.loads(done.stdout), expected[-1]), done.stderr)

    def test_other_requests_go_on_while_a_worker_computes(self):
        """All of them are answered while a thread never lets the interpreter go by itself."""
        script = self.script(WORKERS + """
@server.json_worker('/spin')
def spin(args):
    while True:
        pass
serve()
""")
        token = self.begin(script, "/spin")
        for _ in range(50):
            self.assertEqual([], self.get(script, "/notes"))
        self.say(script, "/spin", action="stop", token=token)


@serving.both_ways
class Settings(Client):
    def test_a_soft_death_is_asked_for(self):
        script = self.script("""
            notes = []
            @server.json_get('/notes', 0)
            def get_notes(req, args):
                return notes
            @server.json_worker('/soft')
            def soft(args):
                check = get_worker_check()
                other = threading.Thread(target=lambda: [time.sleep(.01) for _ in iter(check, False)])
                other.start()
                while is_worker_alive():
                    time.sleep(0.01)
                other.join()
                notes.append([check(), is_worker_alive()])
            assert is_worker_alive() and get_worker_check()()
            serve()
            """, head=serving.HEAD.replace("0))", "0), soft_worker_death=True)\nimport threading, time"))
        token = self.begin(script, "/soft")
        self.say(script, "/soft", action="stop", token=token)
        self.assertTrue(harness.wait_until(lambda: self.get(script, "/notes") == [[False, False]]))

    def test_threads_and_workers_of_the_scripts_own_making(self):
        head = serving.HEAD.replace("server = create_server(('localhost', 0))", """
import threading
made = []
def factory(*args, **kwargs):
    made.append(kwargs.get('name'))
    return threading.Thread(*args, **kwargs)
class Own(DefaultWorker):
    def handle(self, post):
        return dict(super().handle(post), own=self.mask)
server = create_server(('localhost', 0), thread_factory=factory, worker_constructor=Own)
""")
        script = self.script(WORKERS + "@server.json_get('/made', 0)\ndef get(req, args):\n    return made\nserve()",
                             head=head)
        answer = json.loads(self.outcome(script, "/add", a=1, b=1).body)
        self.assertEqual("/add", answer["own"])
        self.assertEqual(["worker /add 1"], [name for name in self.get(script, "/made") if name and "worker" in name])

    def test_verbose_workers(self):
        script = self.script(WORKERS + "server.verbose_workers = True\nserve()")
        token = self.begin(script, "/loop")
        self.say(script, "/loop", action="stop", token=token)
        self.assertTrue(script.has_logged(f"worker /loop: {token} starts"), script.log)
        self.assertTrue(script.has_logged(f"worker /loop: {token} is stopped"), script.log)

    def test_results_are_kept_in_the_cache(self):
        """By two processes, one after the other; not for another argument, and not when the base file has changed."""
        text = """
            import os
            server.cache = QuickCache('base', quota=1, temp='cache')
            @server.json_worker('/pid', cache_id=lambda args: args.get('id'))
            def pid(args):
                return os.getpid()
            @server.json_worker('/isolated', cache_id=lambda args: args.get('id'), isolate=True)
            def isolated(args):
                return os.getpid()
            serve()
            """
        self.bed.write("base", "one")
        first = self.script(text)

        one, isolated = self.compute(first, "/pid", id=1), self.compute(first, "/isolated", id={"a": 2})
        first.close()
        second = self.script(text, name="again.py")
        self.assertEqual((one, isolated), (self.compute(second, "/pid", id=1),
                                           self.compute(second, "/isolated", id={"a": 2})))
        self.assertNotEqual(one, self.compute(second, "/pid", id=2))
        self.assertNotEqual(one, self.compute(second, "/pid"), "no id: not cached")
        self.bed.write("base", "changed")
        self.assertNotEqual(one, self.compute(second, "/pid", id=1))

    def test_stops_at_any_time_leave_cache_and_tokens_usable(self):
        """Many clients, whose jobs wait for one another, store and count when they are stopped."""
        script = self.script("""
            import random, time
            server.cache = QuickCache(quota=20, ram_quota=1, temp='cache')
            server.suppress_noise = True
            kept = server.get_token_obj('t')
            @server.json_worker('/cached', cache_id=lambda args: args['name'])
            def cached(args):
                time.sleep(args['seconds'])
                with server.get_token_obj('t') as obj:
                    obj['n'] = obj.get('n', 0) + 1
                return 'x' * 20000
            @server.json_get('/look', 0)
            def look(req, args):
                with server.get_token_obj('t') as obj, server.cache.get_hnd('h', section='s') as hnd:
                    return [obj['n'] > 0, hnd.read() if hnd.has() else hnd.write(random.random())]
            serve()
            """)
        stops, failures = [], []

        def client(number):
            draw, end = random.Random(number), time.monotonic() + STOPS
            while time.monotonic() < end and not failures:
                name = f"{draw.randrange(3)} {time.monotonic() // 0.3}"
                try:
                    found = self.say(script, "/cached", action="start",
                                     payload={"name": name, "seconds": draw.uniform(0.095, 0.11)})
                    if found["continue"]:
                        self.say(script, "/cached", action="stop", token=found["token"])
                        stops.append(name)
                except (AssertionError, OSError) as error:
                    failures.append(error)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures, "\n".join(script.log[-60:]))
        self.assertTrue(stops)
        self.assertEqual("x" * 20000, self.compute(script, "/cached", name="last", seconds=0))
        self.assertEqual(self.get(script, "/look"), self.get(script, "/look"), "of the cache")
        self.assertEqual([], script.log)

    def test_a_cache_of_the_scripts_own(self):
        """It is asked for what json_worker() was given, or its defaults; has(), read() and write() are called."""
        script = self.script("""
            calls, kept = [], {}
            class Handle:
                def __init__(self, key):
                    self.key = key
                def __enter__(self):
                    return self
                def __exit__(self, *exception):
                    calls.append('exit')
                def has(self):
                    return self.key in kept
                def read(self):
                    calls.append('read')
                    return kept[self.key]
                def write(self, text):
                    kept[self.key] = text
            class Cache:
                def get_hnd(self, obj, section, method):
                    calls.append([obj, section, method])
                    return Handle(str((obj, section, method)))
            server.cache = Cache()
            @server.json_worker('/usual', cache_id=lambda args: {'n': args['n']})
            def usual(args):
                calls.append('computed')
                return args
            server.json_worker('/other', cache_id=lambda args: args['n'], cache_method='json', cache_section='s')(usual)
            @server.json_get('/seen')
            def seen(req, args):
                return [calls, kept]
            serve()
            """)
        for mask, asked, key in (("/usual", [{"n": 1}, "www", "string"], "({'n': 1}, 'www', 'string')"),
                                 ("/other", [1, "s", "json"], "(1, 's', 'json')")):
            for more in (0, 1):
                self.assertEqual({"n": 1, "more": 0}, self.compute(script, mask, n=1, more=more))
            calls, kept = self.get(script, "/seen")
            self.assertEqual([asked, "computed", "exit", asked, "read", "exit"], calls[-6:])
            self.assertEqual('{\n  "more": 0,\n  "n": 1\n}', kept[key])


ISOLATED = """
import os, subprocess, threading, time
here = os.getpid()
seen = []
@server.json_get('/seen', 0)
def get_seen(req, args):
    return seen
@server.json_worker('/job', isolate=True)
def job(args):
    seen.append(1)
    what = args.get('what')
    if what == 'spin':
        while True:
            pass
    elif what == 'c':
        pow(7, 10 ** 8) % 10
    elif what == 'children':
        subprocess.Popen(['sleep', '600'])
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(600)
    elif what == 'wait':
        time.sleep(args['seconds'])
    elif what == 'raise':
        raise KeyError('of the job')
    elif what == 'refuse':
        raise PreventDefaultResponse(409, 'not now')
    elif what == 'exit':
        os._exit(0)
    elif what == 'signal':
        os.kill(os.getpid(), 11)
    elif what == 'large':
        return 'y' * 5000000
    elif what == 'print':
        print('printed by the job')
    sockets = [fd for fd in os.listdir('/proc/self/fd') if 'socket:' in link(fd)]
    return {'pid': os.getpid(), 'parent': os.getppid(), 'server': here, 'sockets': sockets}
def link(fd):
    try:
        return os.readlink('/proc/self/fd/' + fd)
    except OSError:
        return ''
"""


def descendants(pid):
    """Pids of all processes below that are not zombies, and zombies apart."""
    alive, dead, level = [], [], [pid]
    while level:
        found = []
        for each in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{each}/stat", "rb") as stat:
                    state, parent = stat.read().rpartition(b") ")[2].split()[:2]
            except OSError:
                continue
            if int(parent) in level:
                (dead if state == b"Z" else alive).append(int(each))
                found.append(int(each))
        level = found
    return alive, dead


@serving.both_ways
class Isolated(Client):
    def server_pid(self, script):
        return self.compute(script, "/job")["server"]

    def test_it_is_another_process_without_the_servers_sockets(self):
        script = self.script(ISOLATED + "serve()")
        for _ in range(3):
            result = self.compute(script, "/job")
            self.assertNotEqual(result["pid"], result["server"])
            self.assertEqual(result["parent"], result["server"])
            self.assertEqual([], result["sockets"])
        self.assertEqual([], self.get(script, "/seen"), "its memory is its own")
        self.assertEqual(([], []), descendants(result["server"]))

    def test_stop_kills_it_wherever_it_is(self):
        script = self.script(ISOLATED + "serve()")
        server = self.server_pid(script)
        for what in ("spin", "c", "children"):
            with self.subTest(what):
                token = self.begin(script, "/job", what=what)
                family = descendants(server)[0]
                self.assertTrue(family, "it runs")
                if what == "children":
                    self.assertEqual(3, len(family), family)
                self.say(script, "/job", action="stop", token=token)
                self.assertTrue(harness.wait_until(lambda: not any(map(harness.process_state, family)), 5), family)
                self.assertTrue(harness.wait_until(lambda: descendants(server) == ([], []), 5))

    def test_it_ends_with_its_server(self):
        """However that ends: SIGKILL leaves it no time to do anything."""
        script = self.script(ISOLATED + "serve()")
        server = self.server_pid(script)
        self.begin(script, "/job", what="spin")
        job = descendants(server)[0]
        self.assertEqual(1, len(job))
        os.kill(server, signal.SIGKILL)
        self.assertTrue(harness.wait_until(lambda: not harness.process_state(job[0]), 5))

    def test_how_it_can_fail(self):
        script = self.script(ISOLATED + "serve()")
        server = self.server_pid(script)
        for what, status, reason, log in (
                ("raise", 500, "worker error", "KeyError: 'of the job'"), ("refuse", 409, "not now", None),
                ("exit", 500, "worker error", "ended with status 0 without a result"),
                ("signal", 500, "worker error", "killed by signal 11")):
            with self.subTest(what):
                answer = self.outcome(script, "/job", what=what)
                self.assertEqual((status, reason), (answer.status, answer.reason))
                self.assertTrue(log is None or script.has_logged(log), script.log)
        self.assertEqual(([], []), descendants(server))

    def test_large_results_and_output(self):
        script = self.script(ISOLATED + "serve()")
        self.assertEqual(5000000, len(self.compute(script, "/job", what="large")))
        self.compute(script, "/job", what="print")
        self.assertTrue(harness.wait_until(lambda: script.lines.count("printed by the job") == 1), script.lines)

    def test_forks_among_threads_that_hold_locks(self):
        """Threads log, import, and cache all the time: a fork has their locks as they are. None of the jobs, which do
        the same, may wait for one of them."""
        script = self.script(ISOLATED + """
import importlib, logging
cache = QuickCache(quota=1, temp='cache')
def disturb(number):
    while True:
        logging.getLogger('x').debug('%d', number)
        with cache.get_hnd(number, section='s') as hnd:
            hnd.write('x' * 1000)
        importlib.reload(importlib.import_module('colorsys'))
        server.get_token_obj('t')['n'] = number
        msg('disturbed')
        print('disturbed', flush=True)
for number in range(3):
    threading.Thread(target=disturb, args=(number,), daemon=True).start()
@server.json_worker('/busy', isolate=True)
def busy(args):
    import colorsys, logging
    logging.getLogger('x').debug('y')
    with cache.get_hnd(args['n'], section='s') as hnd:
        hnd.write('z')
    server.get_token_obj('t')['n'] = -1
    print('job', flush=True)
    msg('job {0}', args['n'])
    return args['n']
server.token_file = 'tokens.db'
serve()
""")
        answers = []

        def ask(first):
            for number in range(first, first + 25):
                answers.append(self.compute(script, "/busy", n=number))

        threads = [threading.Thread(target=ask, args=(100 * each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(100, len(answers), [line for line in script.log if "disturbed" not in line][-40:])


class Reload(Client, serving.Case):
    """`quicken serve` alone: a successor serves while the jobs of its predecessor go on."""

    served = True

    def edited(self, script):
        """The script's new process serves."""
        before = self.get(script, "/pid")
        with open(self.bed.path("site.py"), "a") as file:
            file.write("# edited\n")
        self.assertTrue(harness.wait_until(lambda: self.get(script, "/pid") != before, 20, 0.1), script.log)
        return before

    def test_jobs_go_on_and_their_results_are_had(self):
        script = self.script(ISOLATED + """
server.max_chunk_size = 1000
@server.json_get('/pid', 0)
def pid(req, args):
    return os.getpid()
@server.json_worker('/wait')
def wait(args):
    time.sleep(args['seconds'])
    return [os.getpid(), 'x' * args.get('size', 0)]
serve()
""")
        old = self.get(script, "/pid")
        thread = self.begin(script, "/wait", seconds=3)
        fork = self.begin(script, "/job", what="wait", seconds=3)
        spins = self.begin(script, "/job", what="spin")
        long = self.begin(script, "/wait", seconds=0.5, size=1500)
        self.assertEqual(old, self.edited(script))
        self.say(script, "/job", action="stop", token=spins)
        self.assertEqual(old, self.finish(script, "/wait", thread)[0])
        self.assertEqual(old, self.finish(script, "/job", fork)["server"])
        self.assertTrue(harness.process_state(old), "it stays as long as it has results")
        pieces = self.say(script, "/wait", action="get", token=long)["result"]
        text = "".join(self.say(script, "/wait", action="cargo", token=piece)["result"] for piece in pieces)
        self.assertEqual([old, "x" * 1500], json.loads(text))
        self.assertTrue(harness.wait_until(lambda: not harness.process_state(old), 10), "nothing keeps it any more")
        self.assertFalse(self.say(script, "/wait", action="get", token=thread)["continue"])

    def test_two_servers(self):
        """Jobs of each go on, also if their workers have the same mask."""
        script = self.script(ISOLATED + """
import threading
other = quick_server.create_server(('localhost', 0))
for each in (server, other):
    each.json_worker('/wait')(lambda args, port=each.server_port: (time.sleep(args['seconds']), os.getpid(), port)[1:])
server.add_json_get_mask('/pid', lambda req, args: os.getpid())
server.add_json_get_mask('/other', lambda req, args: other.server_port)
threading.Thread(target=other.serve_forever, daemon=True).start()
serve()
""", head=serving.HEAD)
        ports = [script.port, self.get(script, "/other")]
        tokens = []
        for port in ports:
            script.port = port
            tokens.append(self.begin(script, "/wait", seconds=3))
        script.port = ports[0]
        old = self.edited(script)
        self.assertEqual(ports[1], self.get(script, "/other"))
        for port, token in zip(ports, tokens):
            script.port = port
            self.assertEqual([old, port], self.finish(script, "/wait", token))

    def test_a_job_may_take_longer_than_a_drain(self):
        """Which is limited to half a second, and some more that the supervisor allows; and is ended by a stop."""
        script = self.script(ISOLATED + """
server.drain_timeout = 0.5
@server.json_get('/pid', 0)
def pid(req, args):
    return os.getpid()
serve()
""")
        old = self.get(script, "/pid")
        waits = self.begin(script, "/job", what="wait", seconds=9)
        self.begin(script, "/job", what="spin")
        self.edited(script)
        self.assertEqual(old, self.finish(script, "/job", waits, 20)["server"])
        self.assertTrue(harness.process_state(old), "another one goes on")
        family = [old, *descendants(old)[0]]
        script.process.send_signal(signal.SIGTERM)
        script.end()
        # The kernel kills a job whose process has ended, but does not wait until it is gone.
        self.assertTrue(harness.wait_until(lambda: not any(map(harness.process_state, family))))


class Relay(serving.Case):
    """The side that has the jobs, in a program of its own."""

    def test_it_goes_on_when_descriptors_and_threads_run_out(self):
        """Until its socket is of no use; then the next job makes another one."""
        program = """
            import errno, json, os, socket, threading, time
            from quick_server import _relay
            class Worker:
                mask = '/w'
                def knows(self, token):
                    return True
                def handle(self, post):
                    return post['action']
            class Listener:
                def __init__(self, *outcomes):
                    self.outcomes = list(outcomes)
                    self.closed = False
                def accept(self):
                    outcome = self.outcomes.pop(0)
                    if isinstance(outcome, int):
                        raise OSError(outcome, os.strerror(outcome))
                    return outcome, None
                def close(self):
                    self.closed = True
            class NoThread(threading.Thread):
                def start(self):
                    raise RuntimeError("can't start new thread")
            worker = Worker()
            token = _relay.new_token(worker)
            pairs = [socket.socketpair() for _ in range(3)]
            for client, _ in pairs:
                client.sendall(json.dumps({'mask': '/w', 'post': {'action': 'get', 'token': token}}).encode() + b'\\n')
            servers = [server for _, server in pairs]
            passing = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED]
            _relay._PAUSE = 0.01
            listener = Listener(*passing, servers[0], errno.EMFILE, servers[1], errno.EINVAL)
            _relay._serve(listener)
            assert listener.closed
            thread, threading.Thread = threading.Thread, NoThread
            _relay._serve(Listener(servers[2], errno.EINVAL))
            threading.Thread = thread
            for client, _ in pairs:
                client.settimeout(20)
                assert client.recv(100) == b'{"answer": "get"}\\n'
            _relay._home.listener.shutdown(socket.SHUT_RDWR)
            while _relay._home.listener is not None:
                time.sleep(0.01)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                _relay.new_token(worker)
                client.connect(_relay._address(token[:16]))
        """
        path = self.bed.write("program.py", harness.dedent(program))
        env = self.bed.env({"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": "1"})
        done = subprocess.run([harness.PYTHON, path], env=env, cwd=self.bed.work, capture_output=True,
                              timeout=harness.TIMEOUT)
        self.assertEqual((0, b"", b""), (done.returncode, done.stdout, done.stderr))


class Versions(Client, serving.Case):
    """Threads and forks that are stopped, in every Python; one test a version is added below."""

    def check(self, python):
        script = self.script(ISOLATED + WORKERS + "serve()", python=python)
        self.assertEqual(3, self.compute(script, "/add", a=1, b=2)["sum"])
        tokens = [self.begin(script, "/loop") for _ in range(5)]
        for token in tokens:
            self.say(script, "/loop", action="stop", token=token)
        self.assertTrue(harness.wait_until(lambda: self.get(script, "/notes") == ["begun"] * 5 + ["death"] * 5),
                        self.get(script, "/notes"))
        result = self.compute(script, "/job")
        self.assertEqual((result["server"], []), (result["parent"], result["sockets"]))
        token = self.begin(script, "/job", what="c")
        self.say(script, "/job", action="stop", token=token)
        self.assertTrue(harness.wait_until(lambda: descendants(result["server"]) == ([], [])))
        self.assertEqual(500, self.outcome(script, "/job", what="raise").status)
        self.assertIsNone(script.has_logged("Warning", 0), script.log)


def add_versions():
    for version, python in pythons.pythons().items():
        name = "test_" + version.replace(".", "_")
        setattr(Versions, name, lambda self, python=python: self.check(python))


add_versions()


if __name__ == "__main__":
    harness.main()
