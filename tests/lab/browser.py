"""A headless Chromium in a machine of a laboratory, steered by its DevTools protocol over a pipe."""

import base64
import json
import os
import shutil
import subprocess
import tempfile

PROGRAM = shutil.which("chromium-headless-shell") or shutil.which("chromium")


class Browser:
    """One page. Use as a context."""

    def __init__(self, lab, machine):
        self.profile = tempfile.mkdtemp(prefix="duet-browser-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # The protocol is spoken on descriptors 3 and 4.
        script = "exec %s --no-sandbox --headless --disable-gpu --remote-debugging-pipe --user-data-dir=%s 3<&%d 4>&%d" % (
            PROGRAM, self.profile, to_browser, from_browser)
        self.process = lab.spawn(machine, "bash", "-c", script, pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._rest, self._number, self._session = b"", 0, None

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                data = os.read(self._in, 65536)
                if not data:
                    raise RuntimeError("the browser ended")
                self._rest += data
            line, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError("%s: %s" % (method, answer["error"]))
                return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)["result"].get("value")

    def picture(self, path, width=780, height=560):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
