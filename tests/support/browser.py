"""Headless Chromium for tests, spoken to over its DevTools protocol: NUL-terminated JSON on file
descriptors 3 (commands) and 4 (answers) of --remote-debugging-pipe."""
import json
import os
import shutil
import subprocess

PROGRAM = shutil.which("chromium")


class Browser:
    """One page. `messages` are what it wrote to the console, exceptions and failed loads."""

    def __init__(self, folder):
        to_child, self.commands = os.pipe()
        self.answers, from_child = os.pipe()
        # Through a shell, which puts the pipes where Chromium looks for them.
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{to_child} 4>&{from_child}', "browser", PROGRAM,
             "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(to_child, from_child), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []
        self.messages = []
        page = next(target for target in self.command("Target.getTargets")["targetInfos"]
                    if target["type"] == "page")
        self.session = self.command("Target.attachToTarget", targetId=page["targetId"],
                                    flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.command(domain + ".enable")

    def receive(self):
        while b"\0" not in self.buffer:
            read = os.read(self.answers, 1 << 16)
            if not read:
                raise EOFError("the browser ended")
            self.buffer += read
        message, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(message)
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown",
                                     "Log.entryAdded"):
            self.messages.append(message["params"])
        self.events.append(message.get("method"))
        return message

    def command(self, method, **parameters):
        self.number += 1
        call = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            call["sessionId"] = self.session
        data = json.dumps(call).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def open(self, address):
        self.events.clear()
        self.command("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self.receive()

    def width(self, pixels):
        self.command("Emulation.setDeviceMetricsOverride", width=pixels, height=900,
                     deviceScaleFactor=1, mobile=False)

    def value(self, expression):
        """The value of a JavaScript expression, or of what it promises."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True,
                              awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def close(self):
        os.close(self.commands)
        os.close(self.answers)
        self.process.kill()
        self.process.wait()
