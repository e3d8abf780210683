"""Both sides of a connection must be the same user. Only root can try that: run in a bed of root's."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

OTHER = 65534  # nobody

CONNECT = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(5)
peer.connect(sys.argv[1])
print(peer.recv(4096))
"""


@unittest.skipIf(os.geteuid() != 0, "only root can be another user")
class Peers(harness.Case):
    def setUp(self):
        super().setUp()
        self.script = self.bed.write("who.py", "import os\nif __name__ == '__main__':\n    print(os.getuid())\n")
        self.assert_same([self.script])
        # Opened by hand, as quicken never does: the sockets' owner is what is left to be checked.
        for path in (self.bed.root, self.bed.runtime, self.bed.sockets, self.bed.work):
            os.chmod(path, 0o755)
        self.socket = next(os.path.join(self.bed.sockets, name) for name in os.listdir(self.bed.sockets)
                           if name.endswith(".sock"))
        os.chmod(self.socket, 0o666)
        self.addCleanup(os.chmod, self.bed.sockets, 0o700)

    def as_other(self, argv, **options):
        return self.bed.run(["setpriv", f"--reuid={OTHER}", "--", *argv], **options)

    def test_a_server_serves_its_own_user_alone(self):
        # The modes above make the template stale: a spare of that one only hangs up, and a client would connect anew.
        answers = set()

        def is_told():
            answers.add(self.as_other([harness.PYTHON, "-c", CONNECT, self.socket]).stdout)
            return any(b"the client is another user" in answer for answer in answers)
        self.assertTrue(harness.wait_until(is_told, 20, 0.2), answers)
        os.chmod(self.bed.sockets, 0o700)  # quickenctl does not look into any other
        self.assert_served([self.script])

    def test_a_client_asks_its_own_user_alone(self):
        """Same groups, so the same instance; another user's server has it."""
        result = self.as_other(self.bed.quick_argv([self.script]), env={"QUICKEN_VERBOSE": "1"})
        self.assertEqual((0, f"{OTHER}\n".encode()), (result.status, result.stdout))
        self.assertIn(b"plain run: ", result.stderr)
        self.assertIn(b"user", result.stderr)


if __name__ == "__main__":
    harness.main()
