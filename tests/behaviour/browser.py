"""Debian's Chromium, without a window, driven by the DevTools protocol through two pipes (--remote-debugging-pipe)."""

import json
import os
import select
import shutil
import signal
import subprocess
import time

CHROMIUM = shutil.which("chromium", path="/usr/bin:/bin")
TIMEOUT = 30  # seconds


class Browser:
    """scratch: a directory of its own, for its profile."""

    def __init__(self, scratch):
        to_browser, self.requests = os.pipe()
        self.answers, from_browser = os.pipe()
        argv = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", f"--user-data-dir={scratch}",
                "--remote-debugging-pipe", "about:blank"]

        def place():  # the browser reads 3 and writes 4
            reader, writer = os.dup(to_browser), os.dup(from_browser)
            high = [os.dup2(fd, 60 + place) for place, fd in enumerate((reader, writer))]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            os.closerange(5, 64)

        self.log = open(os.path.join(scratch, "log"), "wb")
        self.process = subprocess.Popen(argv, env=dict(os.environ, HOME=scratch, XDG_CONFIG_HOME=scratch,
                                                       XDG_CACHE_HOME=scratch), close_fds=False,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=place,
                                        start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self.data, self.number, self.events = b"", 0, []

    def call(self, method, session=None, **parameters):
        """The result of a method; RuntimeError if the browser says it is an error."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                break
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self):
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.data:
            if not select.select([self.answers], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser says nothing")
            part = os.read(self.answers, 1 << 16)
            if not part:
                raise EOFError("the browser has ended")
            self.data += part
        message, _, self.data = self.data.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        """A new page; complete() when it has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        page.go(url)
        return page

    def close(self):
        os.close(self.requests)
        os.close(self.answers)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended
        self.process.wait()
        self.log.close()


class Page:
    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session

    def go(self, url):
        self.browser.call("Page.enable", self.session)
        self.browser.call("Page.navigate", self.session, url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    def do(self, expression):
        """The expression's value, awaited if it is a promise; RuntimeError with the exception if it throws."""
        answer = self.browser.call("Runtime.evaluate", self.session, expression=expression, awaitPromise=True,
                                   returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait(self, expression, seconds=15):
        """Its first true value; AssertionError without one in that time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                value = self.do(expression)
            except RuntimeError:
                value = None  # between two pages
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"not so in {seconds} s: {expression}; the page: "
                             + str(self.do("document.documentElement.outerText"))[:1000])

    def choose(self, selector, path):
        """A file for an input of a form."""
        root = self.browser.call("DOM.getDocument", self.session)["root"]["nodeId"]
        node = self.browser.call("DOM.querySelector", self.session, nodeId=root, selector=selector)["nodeId"]
        self.browser.call("DOM.setFileInputFiles", self.session, nodeId=node, files=[path])

    def reload(self):
        self.do("document.stale = true")
        self.browser.call("Page.reload", self.session)
        self.wait("document.readyState === 'complete' && !document.stale")

    def leave(self):
        """As a user closes a tab: the page hears that it goes. Twice does no harm."""
        if self.target:
            self.browser.call("Page.close", self.session)
            self.target = ""
