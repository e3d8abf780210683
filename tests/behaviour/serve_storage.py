"""Tokens and cached results: what scripts and clients see of them, in memory and on disk, with several processes at once,
and with files that are of no use."""

import json
import os
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import serving

TOKENS = """
@server.json_post('/make', 0)
def make(req, args):
    return server.create_token()
@server.json_post('/add/:token', 0)
def add(req, args):
    post = args['post']
    obj = server.get_token_obj(args['segments']['token'], *post.get('expire', []))
    obj.setdefault('items', []).append(post.get('item'))
    return obj
@server.json_get('/see/:token', 0)
def see(req, args):
    with server.get_token_obj(args['segments']['token'], readonly=True) as obj:
        obj['seen'] = True
        return obj
@server.json_get('/ttl/:token', 0)
def ttl(req, args):
    return [server.get_token_ttl(args['segments']['token'])]
@server.json_get('/tokens', 0)
def tokens(req, args):
    return sorted(server.get_tokens())
"""


@serving.both_ways
class Tokens:
    """Each test in memory; on_disk() is the same script with a file."""

    on_disk = ""

    def add(self, script, token, item, *expire):
        answer = script.ask("/add/" + token, "POST", json.dumps({"item": item, "expire": list(expire)}),
                            {"Content-Type": "application/json"})
        return json.loads(answer.body)

    def get(self, script, path):
        return json.loads(script.ask(path).body)

    def begin(self, text=""):
        script = self.script(self.on_disk + text + TOKENS + "serve()")
        return script, json.loads(script.ask("/make", "POST").body)

    def test_names_are_those_of_uuid4(self):
        script, token = self.begin()
        self.assertRegex(token, "^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$")
        self.assertNotEqual(token, json.loads(script.ask("/make", "POST").body))

    def test_what_is_put_in_stays(self):
        script, token = self.begin()
        self.assertEqual({"items": [1]}, self.add(script, token, 1))
        self.assertEqual({"items": [1, 2]}, self.add(script, token, 2))
        self.assertEqual({"items": [1, 2], "seen": True}, self.get(script, "/see/" + token))
        self.assertEqual({"items": [1, 2], "seen": True}, self.get(script, "/see/" + token), "a copy each time")
        self.assertEqual([token], self.get(script, "/tokens"))

    def test_an_hour_by_default(self):
        script, token = self.begin()
        self.add(script, token, 1)
        self.assertTrue(3590 < self.get(script, "/ttl/" + token)[0] <= 3600)

    def test_another_default(self):
        script, token = self.begin("assert server.get_default_token_expiration() == 3600\n"
                                   "server.set_default_token_expiration(60)\n"
                                   "assert server.get_default_token_expiration() == 60\n")
        self.add(script, token, 1)
        self.assertTrue(50 < self.get(script, "/ttl/" + token)[0] <= 60)

    def test_each_use_renews(self):
        script, token = self.begin()
        for item in range(4):
            self.assertEqual(item + 1, len(self.add(script, token, item, 1.5)["items"]))
            time.sleep(0.6)
        self.assertTrue(self.get(script, "/ttl/" + token)[0] > 0)
        time.sleep(1.2)
        self.assertEqual([0.0], self.get(script, "/ttl/" + token))
        self.assertEqual([], self.get(script, "/tokens"))
        self.assertEqual({"items": ["new"]}, self.add(script, token, "new"))

    def test_never_and_at_once(self):
        script, token = self.begin()
        self.add(script, token, 1, None)
        self.assertEqual([None], self.get(script, "/ttl/" + token))
        for gone in (0, -1):
            self.add(script, token, 1, None)
            self.assertEqual({"items": ["lost"]}, self.add(script, token, "lost", gone))
            self.assertEqual([0.0], self.get(script, "/ttl/" + token))

    def test_a_block_is_one_threads_alone(self):
        script = self.script(self.on_disk + harness.dedent("""
            import threading, time
            token = server.create_token()
            def count():
                for _ in range(100):
                    with server.get_token_obj(token) as obj:
                        number = obj.get('n', 0)
                        time.sleep(0)
                        obj['n'] = number + 1
            threads = [threading.Thread(target=count) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            @server.json_get('/n', 0)
            def n(req, args):
                return [server.get_token_obj(token)['n']]
            serve()
            """))
        self.assertEqual([500], self.get(script, "/n"))

    def test_a_handler_of_the_scripts_own(self):
        """Is asked for every token, with the expiration that is meant."""
        script = self.script(harness.dedent("""
            asked = []
            class Own(DefaultTokenHandler):
                def get(self, token, expire, readonly=False):
                    asked.append([token, expire, readonly])
                    return super().get(token, expire, readonly)
                def ttl(self, token):
                    return 7
            server = create_server(('localhost', 0), token_handler=Own())
            @server.json_get('/asked', 0)
            def get_asked(req, args):
                return asked
            """) + TOKENS + "serve()")
        self.add(script, "a", 1)
        self.add(script, "a", 2, None)
        self.assertEqual({"items": [1, 2], "seen": True}, self.get(script, "/see/a"))
        self.assertEqual([["a", 3600, False], ["a", None, False], ["a", 3600, True]], self.get(script, "/asked"))
        self.assertEqual([7], self.get(script, "/ttl/a"))

    def test_a_name_has_a_limit(self):
        script, _ = self.begin()
        self.assertEqual(500, script.ask("/see/" + "x" * 257).status)
        self.assertTrue(script.has_logged("a token has at most 256 characters"))


@serving.both_ways
class TokensOnDisk(Tokens):
    on_disk = "server.token_file = 'tokens.db'\n"

    def test_they_outlive_the_process(self):
        script, token = self.begin()
        self.add(script, token, {"a": [1, None]}, None)
        self.add(script, token, 2, None)
        script.close()
        again, _ = self.begin()
        self.assertEqual({"items": [{"a": [1, None]}, 2, 3]}, self.add(again, token, 3, None))
        self.assertEqual(0o600, os.stat(self.bed.path("tokens.db")).st_mode & 0o777)

    def test_two_processes_at_once(self):
        """As while one drains. Each sees what the other has done, to values within values as well."""
        one, token = self.begin()
        two = self.script(self.on_disk + TOKENS + "serve()", name="two.py")
        for number in range(10):
            found = self.add((one, two)[number % 2], token, number)
        self.assertEqual({"items": list(range(10))}, found)

    def test_a_file_that_is_none(self):
        self.bed.write("tokens.db", "not a database at all\n" * 100, 0o600)
        script, token = self.begin()
        self.add(script, token, 1)
        self.assertEqual({"items": [1, 2]}, self.add(script, token, 2))
        self.assertTrue(script.has_logged("file is not a database; begins anew"), script.log)
        self.assertTrue(os.path.exists(self.bed.path("tokens.db.broken")), "it may be of use to somebody")

    def test_a_file_that_others_can_write_to(self):
        """Whoever can write to it could run code in the server. Tokens are in memory then."""
        self.bed.write("tokens.db", "", 0o666)
        script, token = self.begin()
        self.add(script, token, 1)
        self.assertEqual({"items": [1, 2]}, self.add(script, token, 2))
        self.assertTrue(script.has_logged("others may write to it"), script.log)
        self.assertEqual(0, os.path.getsize(self.bed.path("tokens.db")))

    def test_what_cannot_be_kept_is_said(self):
        script = self.script(self.on_disk + harness.dedent("""
            @server.json_get('/try', 0)
            def attempt(req, args):
                obj = server.get_token_obj('t')
                obj['function'] = lambda: 1
                obj['tuple'] = (1, {2})
                return sorted(obj)
            @server.json_get('/see', 0)
            def see(req, args):
                return [sorted(server.get_token_obj('t')), server.get_token_obj('t')['tuple'] == (1, {2})]
            serve()
            """))
        self.assertEqual(["function", "tuple"], self.get(script, "/try"))
        self.assertEqual([["tuple"], True], self.get(script, "/see"))
        self.assertTrue(script.has_logged("item 'function' cannot be kept on disk"), script.log)


# Each is a program that prints what is compared; for every Python. `check` fails it with a line number.
LIBRARY = """
import os, sys, threading, time
from quick_server import QuickCache
said = []
def cache(**options):
    return QuickCache('base', **dict({'temp': 'kept', 'warnings': said.append, 'quota': 1}, **options))
def computed(cache, name, value, section='s', method='string'):
    with cache.get_hnd(name, section=section, method=method) as hnd:
        return (hnd.read(), 'kept') if hnd.has() else (hnd.write(value), 'new')
"""

KEPT = LIBRARY + """
one = cache()
for method, value in (('string', 'é'), ('json', {'a': [1]}), (None, {1, 2}), ('bytes', b'b')):
    assert computed(one, {'x': 1}, value, method=method) == (value, 'new')
    assert computed(one, {'x': 1}, None, method=method) == (value, 'kept')
    assert computed(cache(ram_quota=1), {'x': 1}, None, method=method) == (value, 'kept')
assert computed(one, {'x': 1}, None, method='pickle') == ({1, 2}, 'kept')
assert computed(one, {'x': 1}, 'v', section='other')[1] == 'new'
assert computed(one, {'x': 2}, 'v')[1] == 'new'
assert computed(one, object, 'v') == ('v', 'new') and computed(one, object, '') == ('v', 'kept')
assert computed(cache(base_string='version 2'), {'x': 1}, 'v')[1] == 'new'
with one.get_hnd('none') as hnd:
    try:
        hnd.read()
        raise AssertionError('there is nothing to read')
    except KeyError:
        pass
for bad in (lambda: one.get_hnd(1, method='none'), lambda: computed(one, 'n', 5)):
    try:
        bad()
        raise AssertionError('an error was expected')
    except (ValueError, TypeError):
        pass
assert one.list_sections() == ['other', 's'], one.list_sections()
one.clean_cache('s')
assert one.list_sections() == ['other'] and computed(one, {'x': 1}, 'v')[1] == 'new'
assert not said, said
"""

BASE = LIBRARY + """
one = cache(ram_quota=1)
assert computed(one, 1, 'old') == ('old', 'new')
with one.get_hnd(2, section='s', method='string') as hnd:
    with open('base', 'w') as file:
        file.write('changed while it is computed')
    hnd.write('of the old one')
assert computed(one, 2, 'new') == ('new', 'new')
assert computed(one, 1, 'new') == ('new', 'new')
assert computed(one, 1, '') == ('new', 'kept')
os.unlink('base')
assert computed(one, 1, 'without') == ('without', 'new')
"""

QUOTA = LIBRARY + """
one = cache(quota=0.5)
for number in range(100):
    computed(one, number, b'x' * 20000, method='bytes')
    assert computed(one, 0, b'?', method='bytes')[1] == 'kept', number
    if number % 10 == 0:
        time.sleep(0.11)
kept = [number for number in range(100) if computed(one, number, b'', method='bytes')[1] == 'kept']
assert 0 in kept and 99 in kept and 20 < len(kept) < 27 and 50 not in kept, kept
assert os.path.getsize('kept/quick_cache.db') < 700000
assert computed(one, 'large', b'x' * 600000, method='bytes')[1] == 'new'
assert computed(one, 'large', b'x' * 600000, method='bytes')[1] == 'new', 'it would take everything'
"""

ONCE = LIBRARY + """
one = cache()
def work():
    with one.get_hnd('k', section='s', method='string') as hnd:
        if not hnd.has():
            print('computed', flush=True)
            time.sleep(0.5)
            hnd.write('v')
        assert hnd.read() == 'v'
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

USELESS = LIBRARY + """
import resource, signal
assert computed(cache(temp='/proc/none'), 1, 'v') == ('v', 'new')
assert computed(cache(temp='/proc/none'), 1, 'v') == ('v', 'new')
assert len(said) == 2 and 'goes on without' in said[0], said
one = cache(temp='/proc/none')
del said[:]
for number in range(5):
    assert computed(one, number, 'v') == ('v', 'new')
assert len(said) == 1, 'it is said once'
del said[:]
os.mkdir('kept', 0o700)
with open(os.open('kept/quick_cache.db', os.O_WRONLY | os.O_CREAT, 0o600), 'wb') as file:
    file.write(os.urandom(10000))
assert computed(cache(), 1, 'v') == ('v', 'new')
assert computed(cache(), 1, '') == ('v', 'kept')
assert len(said) == 1 and 'begins anew' in said[0], said
# Full: no file of this process may grow any more.
del said[:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize('kept/quick_cache.db'),) * 2)
one = cache()
for number in range(5):
    assert computed(one, number, b'x' * 200000, method='bytes')[1] == 'new'
assert said and len(said) < 5, said
# In the child of a fork
if os.fork() == 0:
    os._exit(0 if computed(one, 1, 'v') == ('v', 'new') else 1)
assert os.wait()[1] == 0
"""

# A worker's end comes anywhere: while it waits, and right after a call. `faulthandler` ends a program that hangs.
STOPPED = LIBRARY + """
import faulthandler, sqlite3, types
from quick_server import DiskTokenHandler, WorkerDeath, _locks
from quick_server._database import Database
from quick_server._jobs import Job
faulthandler.dump_traceback_later(40, exit=True)
def job(function):
    made = Job(lambda this: repr(function()), lambda delta: None, False, lambda this: None)
    made.start(threading.Thread, 'job')
    return made
def job_in(name, function):
    # One that is in a function of that name and, most likely, in what it waits for there
    made, names = job(function), []
    while name not in names:
        frame, names = sys._current_frames().get(made._thread), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
    time.sleep(0.05)
    return made
def cut(function, when=lambda *args: True):
    # The first time that it returns, it raises what ends a worker instead
    left = [1]
    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        if left and when(*args) and result is not False:
            left.pop()
            raise WorkerDeath()
        return result
    return call
def elsewhere(function):
    # In another process
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0
"""

STOPPED_IN_DATABASE = STOPPED + """
database = Database('kept/some.db', 'CREATE TABLE IF NOT EXISTS t (n)', said.append, True)
def one():
    return database.run(lambda db: db.execute('SELECT 1').fetchone(), None)
# While it waits for another thread
inside, go = threading.Event(), threading.Event()
def wait(db):
    inside.set()
    go.wait()
holder = job(lambda: database.run(wait, None))
inside.wait()
waiter = job_in('run', one)
waiter.stop()
go.set()
holder.done.wait()
waiter.done.wait()
assert one() == (1,)
# While it waits for another process
other = sqlite3.connect('kept/some.db', isolation_level=None, timeout=1)
other.execute('BEGIN IMMEDIATE')
waiter = job_in('_transaction', one)
waiter.stop()
other.execute('COMMIT')
waiter.done.wait()
other.execute('BEGIN IMMEDIATE')
other.execute('COMMIT')
assert one() == (1,)
# Whatever it is that has left a transaction open
database._connection.execute('BEGIN IMMEDIATE')
assert one() == (1,)
other.execute('BEGIN IMMEDIATE')
assert not said, said
"""

STOPPED_WITH_LOCK = STOPPED + """
import fcntl
os.mkdir('kept')
locks = _locks.KeyLocks('kept/locks')
def take():
    with locks.hold(b'k', 5):
        pass
# Right after it has got the lock among threads, for which another one waits
got = cut(lambda result: result, lambda result: threading.current_thread() is not threading.main_thread())
class Lock:
    def __init__(self):
        self.lock = threading.RLock()
    def acquire(self, timeout):
        return got(self.lock.acquire(timeout=timeout))
    def __getattr__(self, name):
        return getattr(self.lock, name)
_locks.threading = types.SimpleNamespace(**dict(vars(threading), RLock=Lock))
with locks.hold(b'k'):
    waiters = [job_in('hold', take) for _ in range(3)]
for waiter in waiters:
    waiter.done.wait()
assert sorted(waiter.outcome.text or 'died' for waiter in waiters) == ['None', 'None', 'died']
_locks.threading = threading
take()
# Right after it has got the one among processes
members = dict(vars(fcntl), lockf=cut(fcntl.lockf, lambda file, what, *rest: what != fcntl.LOCK_UN))
_locks.fcntl = types.SimpleNamespace(**members)
second = job(take)
second.done.wait()
assert second.outcome.text is None and second.outcome.error is None
file = open('kept/locks', 'r+')  # not in the child: closing it would let go what is locked
assert elsewhere(lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
take()
# Still in each other's way, and reentrant
with locks.hold(b'k'), locks.hold(b'k'), locks.hold(b'l'):
    assert not elsewhere(lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
    waiter = job(take)
    assert not waiter.done.wait(0.2)
waiter.done.wait()
assert waiter.outcome.error is None and waiter.outcome.text
assert elsewhere(lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)) and not locks._locks
"""

# As where the first ones come at the same time, before there is a database.
LOCKS_AT_FIRST = """
import os, threading
from quick_server import _locks
locks = _locks.KeyLocks(os.path.abspath('new/folder/locks'))
with locks.hold(b'k'):
    assert os.path.exists('new/folder/locks')
os.mkdir('directory')
for path in ('directory', '/proc/none/locks'):  # where no file can be
    locks = _locks.KeyLocks(os.path.abspath(path))
    opening, outcomes = threading.Event(), []
    def open_late(*arguments, original=os.open):
        opening.set()
        other.start()
        while other.is_alive() and not locks._guard.locked():
            pass
        other.join(0.2)  # it waits for this one
        return original(*arguments)
    def take():
        with locks.hold(b'l'):
            outcomes.append('taken')
    other = threading.Thread(target=take)
    os.open, original = open_late, os.open
    with locks.hold(b'k'):
        outcomes.append('taken')
    os.open = original
    if opening.is_set():
        other.join()
    else:
        take()
    assert outcomes == ['taken'] * 2, outcomes
"""

# Before the first line of what lets go, which nothing can be around.
STOPPED_AT_EXIT = STOPPED + """
from quick_server import _cache, _tokens
handler = DiskTokenHandler('tokens.db', said.append)
one = cache()
def token():
    with handler.get('t', 60) as obj:
        obj['n'] = 1
for place, function in ((_tokens.TokenObj, token), (_cache.CacheHandle, lambda: computed(one, 1, 'v'))):
    original, frames = place.__exit__, []
    def exit(self, *exception):
        frames.append(sys._getframe(1))  # someone keeps all that it had
        raise WorkerDeath()
    place.__exit__ = exit
    cut_short = job(function)
    cut_short.done.wait()
    assert cut_short.outcome.error is None and cut_short.outcome.text is None
    place.__exit__ = original
    function()
assert not said, said
"""

# While it notes what is in memory, so often that what it has not noted is more than the quota.
STOPPED_IN_MEMORY = STOPPED + """
import collections
class Memory(collections.OrderedDict):
    armed = False
    def popitem(self, last=True):
        item = super().popitem(last)
        if self.armed:
            self.armed = False
            raise WorkerDeath()
        return item
one = cache(ram_quota=0.1)
one._ram = Memory()
for number in range(60):
    one._ram.armed = True
    job(lambda: computed(one, number, 'x' * 9000)).done.wait()
    one._ram.armed = False
    assert computed(one, -number - 1, 'x' * 9000)[1] == 'new'
    assert len(one._ram) < 12
assert not said, said
"""

# At no place in particular, many times.
STOPPED_ANYWHERE = STOPPED + """
import random
handler = DiskTokenHandler('tokens.db', said.append)
one = cache(ram_quota=0.1)
kept = handler.get('t', 60)  # so that no destructor writes it: what is raised in one is lost
def work(numbers):
    while True:
        computed(one, next(numbers) % 20, 'x' * 9000)
        with handler.get('t', 60) as obj:
            obj['n'] = obj.get('n', 0) + 1
def stop_some(seed, end):
    numbers = iter(range(seed, 10 ** 9))
    draw = random.Random(seed)
    while time.monotonic() < end:
        made = job(lambda: work(numbers))
        time.sleep(draw.uniform(0, 0.004))
        made.stop()
        made.done.wait()
        assert made.outcome.error is None, made.outcome.error
end = time.monotonic() + 1.5
threads = [threading.Thread(target=stop_some, args=(seed, end)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert computed(one, 'last', 'v') == ('v', 'new') and computed(one, 'last', '') == ('v', 'kept')
with handler.get('t', 60) as obj:
    obj['n'] = 0
for file in ('kept/quick_cache.db', 'tokens.db'):
    sqlite3.connect(file, isolation_level=None, timeout=1).execute('BEGIN IMMEDIATE')
assert not said, said
"""


class Library(serving.Case):
    """The cache and the tokens without a server, in every Python; one test a version is added below."""

    def run_all(self, python, program, count=1):
        self.bed.write("base", "base")
        path = self.bed.write("program.py", program)
        env = self.bed.env({"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": "1"})
        running = [subprocess.Popen([python, path], env=env, cwd=self.bed.work, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE) for _ in range(count)]
        done = [process.communicate(timeout=harness.TIMEOUT) for process in running]
        self.assertEqual([0] * count, [process.returncode for process in running], done)
        return b"".join(output for output, _ in done)

    def test_tokens_of_two_processes_lose_nothing(self):
        """What is read, changed and written in a `with` block, by two processes of two threads each."""
        program = """
            import threading
            from quick_server import DiskTokenHandler
            handler = DiskTokenHandler('tokens.db', print)
            def count():
                for _ in range(150):
                    with handler.get('t', 60) as obj:
                        obj['n'] = obj.get('n', 0) + 1
            threads = [threading.Thread(target=count) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """
        self.assertEqual(b"", self.run_all(harness.PYTHON, program, 2))
        after = "from quick_server import DiskTokenHandler\nprint(DiskTokenHandler('tokens.db').get('t', 60))"
        self.assertEqual(b"{'n': 600}\n", self.run_all(harness.PYTHON, after))

    def test_what_is_expensive_is_computed_once(self):
        self.assertEqual(b"computed\n", self.run_all(harness.PYTHON, ONCE, 2))

    def test_the_file_is_sound_after_a_kill(self):
        """In the midst of writing."""
        program = LIBRARY + ("one = cache()\nprint('go', flush=True)\n"
                             "for n in range(10 ** 6):\n    computed(one, n, 'x' * 5000)\n"
                             "    n == 9 and print('go on', flush=True)")
        self.bed.write("base", "base")
        path = self.bed.write("program.py", program)
        env = self.bed.env({"PYTHONPATH": serving.PACKAGE, "QUICKEN_DISABLE": "1"})
        process = subprocess.Popen([harness.PYTHON, path], env=env, cwd=self.bed.work, stdout=subprocess.PIPE)
        self.assertEqual(b"go\ngo on\n", process.stdout.readline() + process.stdout.readline())
        time.sleep(0.3)
        process.kill()
        process.communicate()
        database = sqlite3.connect(self.bed.path("kept/quick_cache.db"))
        self.addCleanup(database.close)
        self.assertEqual([("ok",)], database.execute("PRAGMA integrity_check").fetchall())
        kept, total = database.execute("SELECT (SELECT sum(size) FROM entries), size FROM total").fetchone()
        self.assertEqual(kept, total)
        self.assertGreater(kept, 0)


def add(version, python):
    for name, program in (("kept", KEPT), ("base", BASE), ("quota", QUOTA), ("useless", USELESS),
                          ("locks_at_first", LOCKS_AT_FIRST), ("stopped_in_database", STOPPED_IN_DATABASE), ("stopped_with_lock", STOPPED_WITH_LOCK),
                          ("stopped_at_exit", STOPPED_AT_EXIT), ("stopped_in_memory", STOPPED_IN_MEMORY),
                          ("stopped_anywhere", STOPPED_ANYWHERE)):
        setattr(Library, f"test_{name}_python_{version.replace('.', '_')}",
                lambda self, program=program: self.run_all(python, program))


for each in pythons.pythons().items():
    add(*each)


if __name__ == "__main__":
    harness.main()
