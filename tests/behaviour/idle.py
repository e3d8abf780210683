"""A server ends when idle, and nobody who connects at that moment is lost."""

import concurrent.futures
import random
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SCRIPT = """
import os, sys
if __name__ == '__main__':
    print(sys.argv[1], os.getppid())
"""

IDLE = 0.05  # seconds
ROUNDS = harness.ROUNDS or 60
LIMIT = 0 if harness.ROUNDS else 75  # seconds for the default number of rounds; 0: none


@harness.each_activation
class Idle:
    def setUp(self):
        super().setUp()
        self.bed.environment["QUICKEN_IDLE_TIMEOUT"] = str(IDLE)
        self.script = self.bed.write("script.py", SCRIPT)

    def run_one(self, word):
        """Right output or an AssertionError; the parent of the command."""
        result = self.bed.quick([self.script, word])
        words = result.stdout.split()
        self.assertEqual((0, b"", word.encode()), (result.status, result.stderr, words[0] if words else b""), result)
        return int(words[1])

    def test_ends_when_idle(self):
        self.run_one("first")
        self.assertTrue(harness.wait_until(lambda: not self.bed.processes()),
                        "the server is still there")
        self.run_one("again")

    def test_ends_after_a_refusal(self):
        chooser = self.bed.write("python3", f'#!/bin/sh\nexec {harness.PYTHON} "$@"\n', 0o755)
        result = self.bed.quick([self.script, "first"], python=chooser)
        self.assertEqual((0, b"first"), (result.status, result.stdout.split()[0]), result)
        self.assertTrue(harness.wait_until(lambda: not self.bed.processes()), "the server is still there")

    def test_does_not_end_while_a_command_runs(self):
        script = self.bed.write("long.py", "import time\nif __name__ == '__main__':\n"
                                           "    time.sleep(0.6)\n    print('done')\n")
        for _ in range(3):
            self.assertEqual(harness.Result(0, b"done\n", b""), self.bed.quick([script]))

    def test_a_longer_time_is_kept(self):
        script = self.bed.write("kept.py", SCRIPT)
        env = {"QUICKEN_IDLE_TIMEOUT": "30"}
        self.bed.quick([script, "x"], env=env)
        pid = self.bed.server_pid(script)
        time.sleep(0.5)
        self.assertEqual(pid, self.bed.server_pid(script))
        self.assertTrue(harness.process_state(pid))

    def spares(self, script):
        """Children of the server but the template, while no command runs."""
        pid = self.bed.server_pid(script)
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return len(children.read().split()) - 1

    def test_spares_follow_the_demand(self):
        """Clients at once find more of them the next time, and what nobody takes is given back."""
        script = self.bed.write("many.py", SCRIPT)
        env = {"QUICKEN_IDLE_TIMEOUT": "60"}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(4):
                results = list(pool.map(lambda number: self.bed.quick([script, str(number)], env=env), range(8)))
                self.assertEqual([(0, b"")] * 8, [(result.status, result.stderr) for result in results])
        self.assertTrue(harness.wait_until(lambda: self.spares(script) == 8, 5), self.spares(script))
        self.assertTrue(harness.wait_until(lambda: self.spares(script) == 2, 30), self.spares(script))
        self.assertEqual(0, self.bed.quick([script, "x"], env=env).status)
        self.assertTrue(harness.wait_until(lambda: self.spares(script) == 2, 5), self.spares(script))

    def test_connections_at_random_moments_of_idle_exits(self):
        """QUICKEN_TEST_ROUNDS idle exits, each counted by the change of the server's pid.

        Pauses lie around the idle time, so that connections fall before,
        within and after the server's end, one by one and several at once.
        """
        random.seed(1)
        servers = set()
        last = self.run_one("start")
        exits = runs = 0
        deadline = time.monotonic() + LIMIT if LIMIT else float("inf")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            while exits < ROUNDS and time.monotonic() < deadline:
                # The last command's end counts, so the server's own part is added.
                time.sleep(random.uniform(0.6, 1.3) * IDLE)
                words = [f"w{runs}.{i}" for i in range(random.choice((1, 1, 1, 3)))]
                parents = list(pool.map(self.run_one, words))
                runs += len(words)
                servers.update(parents)
                if parents[-1] != last:
                    exits += 1
                last = parents[-1]
        print(f"{runs} runs, {exits} idle exits", file=sys.stderr)
        self.assertNotIn(os.getpid(), servers, "these were plain runs")
        self.assertGreaterEqual(exits, ROUNDS if not LIMIT else min(ROUNDS, 30))


if __name__ == "__main__":
    harness.main()
