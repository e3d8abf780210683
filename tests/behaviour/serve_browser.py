"""worker.js and the example's page in Debian's Chromium: start, status, cancel, and what happens when a page is left."""

import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser
import harness
import serving

EXAMPLE = os.path.join(harness.REPOSITORY, "contrib", "examples", "serve")

SCRIPT = """
import os, threading, time
server.bind_path('/', 'www')
server.link_worker_js('/worker.js')
server.mirror_worker_js('www/mirror.js')
server.max_chunk_size = 100
running = []
asked = []
@server.json_get('/running', 0)
def get_running(req, args):
    return running
@server.json_get('/asked', 0)
def get_asked(req, args):
    return asked
@server.json_worker('/add')
def add(args):
    asked.append(args)
    time.sleep(args.get('seconds', 0))
    return {'sum': args['a'] + args['b'], 'text': 'é' * args.get('size', 0)}
@server.json_worker('/loop')
def loop(args):
    running.append(args['name'])
    try:
        while True:
            time.sleep(0.01)
    finally:
        running.remove(args['name'])
@server.json_worker('/fail')
def fail(args):
    raise ValueError('it fails')
@server.json_worker('/isolated', isolate=True)
def isolated(args):
    time.sleep(60)
serve()
"""

CLASSIC = """<!DOCTYPE html><script src="/worker.js"></script>
<script>
const seen = [];
const work = new quick_server.Worker();
work.status((jobs, error) => seen.push(jobs < 0 ? [jobs, error.status] : jobs));
</script>"""

MODULE = """<!DOCTYPE html><script type="module">
import Default, { Worker, VERSION } from "/worker.js";
window.seen = [];
window.work = new Worker();
work.status = (jobs, error) => seen.push(jobs < 0 ? [jobs, error.status] : jobs);
window.same = Default === Worker && Worker === quick_server.Worker && VERSION === quick_server.VERSION;
</script>"""


class Case(serving.Case):
    served = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if browser.CHROMIUM is None:
            raise AssertionError("Chromium is not there: apt-get install chromium")
        cls.scratch = tempfile.mkdtemp(prefix="qkb.", dir="/tmp")
        cls.browser = browser.Browser(cls.scratch)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        shutil.rmtree(cls.scratch, ignore_errors=True)
        super().tearDownClass()

    def open(self, url):
        page = self.browser.open(url)
        self.addCleanup(page.leave)
        return page

    def get(self, script, path):
        return json.loads(script.ask(path).body)

    def assert_becomes(self, expected, function, seconds=5):
        found = []
        harness.wait_until(lambda: found.append(function()) or found[-1] == expected, seconds, 0.05)
        self.assertEqual(expected, found[-1])


class Worker:
    """`page` is one of the two ways to load worker.js."""

    html = ""

    def begin(self):
        os.makedirs(self.bed.path("www"), exist_ok=True)
        self.bed.write("www/page.html", self.html)
        script = self.script(SCRIPT)
        return script, self.open(f"http://localhost:{script.port}/page.html")

    def test_results_and_status(self):
        script, page = self.begin()
        result = page.do("work.post('one', '/add', {a: 1, b: 2, seconds: 0.7}).then((result) => [result, seen])")
        self.assertEqual([{"sum": 3, "text": ""}, [1, 0]], result)
        self.assertEqual("called 5", page.do(
            "new Promise((resolve) => work.post('two', '/add', {a: 2, b: 3},"
            " (result) => resolve('called ' + result.sum)))"))
        both = page.do("seen.length = 0; Promise.all([work.post('a', '/add', {a: 1, b: 1, seconds: 0.3}),"
                       "work.post('b', '/add', {a: 2, b: 2, seconds: 0.3})]).then((all) => [all.map((r) => r.sum), seen])")
        self.assertEqual([[2, 4], [1, 2, 1, 0]], both)

    def test_a_result_in_pieces(self):
        script, page = self.begin()
        self.assertEqual("é" * 300, page.do("work.post('a', '/add', {a: 1, b: 1, size: 300}).then((r) => r.text)"))

    def test_errors(self):
        script, page = self.begin()
        page.do("window.told = []; work.post('a', '/fail', {}, () => told.push('done'), (error) => told.push(error.status,"
                " error.message)); 0")
        page.wait("told.length")
        self.assertEqual([[500, "worker error"], [1, 0, [-1, 500]]], page.do("[told, seen]"))
        self.assertEqual(404, page.do("work.post('a', '/nothing', {}).catch((error) => error.status)"))

    def test_what_a_page_s_function_throws(self):
        """Is in the console, and ends nothing: the job has its result, status is told."""
        script, page = self.begin()
        page.do("window.thrown = []; addEventListener('error', (event) => { thrown.push(event.error.message);"
                " event.preventDefault(); }); 0")
        self.assertEqual(3, page.do("work.post('a', '/add', {a: 1, b: 2}, () => { throw new Error('of done'); })"
                                    ".then((result) => result.sum)"))
        page.do("work.post('b', '/fail', {}, null, () => { throw new Error('of failed'); }); 0")
        page.wait("thrown.length > 1")
        self.assertEqual([["of done", "of failed"], [1, 0, 1, 0, [-1, 500]]], page.do("[thrown, seen]"))

    def test_cancel_stops_the_job_on_the_server(self):
        script, page = self.begin()
        page.do("work.post('a', '/loop', {name: 'one'}, () => seen.push('done'), () => seen.push('failed')); 0")
        self.assert_becomes(["one"], lambda: self.get(script, "/running"))
        self.assertEqual([True, 0, False], page.do("[work.cancel('a'), work.active(), work.cancel('a')]"))
        self.assert_becomes([], lambda: self.get(script, "/running"))
        time.sleep(0.7)  # the next question would have come
        self.assertEqual([1, 0], page.do("seen"))

    def test_cancel_before_the_server_has_answered(self):
        script, page = self.begin()
        page.do("work.post('a', '/loop', {name: 'one'}); work.cancel('a')")
        page.wait("performance.getEntriesByType('resource').filter((entry) => /loop/.test(entry.name)).length >= 2")
        self.assert_becomes([], lambda: self.get(script, "/running"))
        time.sleep(0.5)
        self.assertEqual([], self.get(script, "/running"))

    def test_pauses_between_questions(self):
        """Half a second, then ever longer ones up to a minute; they are noted, not waited for."""
        script, page = self.begin()
        page.do("window.pauses = []; window.setTimeout = (then, time) => { if (pauses.push(time) < 480)"
                " Promise.resolve().then(then); }; work.post('a', '/loop', {name: 'one'}); 0")
        page.wait("pauses.length === 480", 60)
        expected = serving.pauses(500, 10, 60000, 480)
        self.assertEqual((expected, 60000), (page.do("pauses"), expected[-1]))

    def test_a_job_of_the_same_name_takes_the_place(self):
        script, page = self.begin()
        page.do("work.post('a', '/loop', {name: 'one'}); 0")
        self.assert_becomes(["one"], lambda: self.get(script, "/running"))
        self.assertEqual(5, page.do("work.post('a', '/add', {a: 2, b: 3}).then((result) => result.sum)"))
        self.assert_becomes([], lambda: self.get(script, "/running"))

    def test_a_page_that_is_left_stops_its_jobs(self):
        """By going elsewhere, by loading it again, by closing it."""
        script, page = self.begin()
        url = f"http://localhost:{script.port}/page.html"
        for name, leave in (("away", lambda: page.go(url + "?again")), ("reload", page.reload), ("close", page.leave)):
            with self.subTest(name):
                page.do(f"work.post('a', '/loop', {{name: '{name}'}}); work.post('b', '/isolated', {{}}); 0")
                self.assert_becomes([name], lambda: self.get(script, "/running"))
                page.wait("performance.getEntriesByType('resource')"
                          ".filter((entry) => /loop|isolated/.test(entry.name)).length >= 2")
                leave()
                self.assert_becomes([], lambda: self.get(script, "/running"))

    def test_a_server_that_starts_anew_meanwhile(self):
        """Its successor passes on what the page asks."""
        script, page = self.begin()
        page.do("window.sum = null; work.post('a', '/add', {a: 4, b: 5, seconds: 3}, (result) => { sum = result.sum; }); 0")
        self.assert_becomes(1, lambda: len(self.get(script, "/asked")))
        with open(self.bed.path("site.py"), "a") as file:
            file.write("# edited\n")
        self.assert_becomes(0, lambda: len(self.get(script, "/asked")), 20)
        self.assertEqual(9, page.wait("sum"))


class Classic(Worker, Case):
    html = CLASSIC

    def test_status_without_a_function_gives_it(self):
        script, page = self.begin()
        self.assertTrue(page.do("typeof work.status() === 'function' && work.status(null) === work"
                                " && work.status() === null"))

    def test_the_mirrored_file(self):
        script, page = self.begin()
        self.assertEqual(script.ask("/worker.js").body, script.ask("/mirror.js").body)
        self.assertEqual("text/javascript", script.ask("/worker.js").headers["Content-Type"].split(";")[0])


class Module(Worker, Case):
    html = MODULE

    def test_what_it_exports(self):
        script, page = self.begin()
        self.assertTrue(page.do("same"))


class Example(Case):
    """The page of contrib/examples/serve, used as by hand."""

    def begin(self):
        path = self.bed.path("example")
        shutil.copytree(EXAMPLE, path)
        with open(os.path.join(path, "example.py")) as file:
            text = file.read()
        text = text.replace("server.serve_forever()",
                            "print('port', server.server_port, flush=True)\nserver.serve_forever()")
        script = serving.Script(self.bed, self.bed.write("example/example.py", text), ["0"], served=True)
        self.addCleanup(script.close)
        script.wait_for_port()
        return script, self.open(f"http://localhost:{script.port}/")

    def test_it_all(self):
        script, page = self.begin()
        text = "document.getElementById('%s').textContent"
        page.do("document.querySelector('#hello button').click()")
        self.assertIn('"hello":"world"', page.wait(text % "hello-answer"))

        page.do("document.querySelector('#primes input').value = 3000; document.querySelector('#primes button').click()")
        self.assertEqual("430 primes below 3000", page.wait(text % "primes-answer"))
        page.do("document.querySelector('#primes input').value = 20000000;"
                "document.querySelector('#primes button').click()")
        page.wait("document.getElementById('progress').value > 0")
        self.assertEqual("1", page.do(text % "status"))
        page.do("document.getElementById('cancel').click()")
        self.assertEqual(["cancelled", "0"], [page.do(text % "primes-answer"), page.do(text % "status")])
        self.assert_becomes({}, lambda: self.get(script, "/api/jobs"))

        page.choose("#upload input", self.bed.write("upload.txt", b"what is uploaded"))
        page.do("document.querySelector('#upload button').click()")
        self.assertIn('"bytes":16', page.wait(text % "upload-answer"))

        self.assertEqual("1", page.wait(text % "visits"))
        self.assertEqual("The other server was asked for /some/path?a=b", page.wait(text % "other"))
        self.assertEqual(b"name,value\nsome,1\nmore,2\n", script.ask("/table.csv").body)

        with open(self.bed.path("example/example.py"), "a") as file:
            file.write("# edited\n")
        before = self.get(script, "/api/hello")["process"]
        harness.wait_until(lambda: self.get(script, "/api/hello")["process"] != before, 20, 0.1)
        page.reload()
        self.assertEqual("2", page.wait(text % "visits"), "the token has outlived the process")


if __name__ == "__main__":
    harness.main()
