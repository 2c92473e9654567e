"""Worker processes, asked from here: one a framework, so that their thread pools do not share a
process. Standard library only."""

import json
import os
import subprocess
import tempfile
import time

import frameworks
from frameworks import FRAMEWORKS, LIMITS, PeerError

# Idle threads spin for some milliseconds (libgomp) or 200 (libomp, unless told): another
# framework's turn begins after that.
PAUSE = 0.1
# torch.compile's helpers would stay behind while others are measured: it compiles by itself.
ENVIRONMENT = {"KMP_BLOCKTIME": "50", "TORCHINDUCTOR_COMPILE_THREADS": "1",
               "PYTHONDONTWRITEBYTECODE": "1"}


class Process:
    """The worker of one framework for one mode. Use it in a `with`, or close() it."""

    def __init__(self, framework: str, mode: str, threads: int, batch: int, isa: str = ""):
        row = FRAMEWORKS[framework]
        script, *arguments = row.workers[mode]
        self.framework = framework
        self.log = tempfile.TemporaryFile()
        environment = {**os.environ, **ENVIRONMENT, **LIMITS[isa], "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [frameworks.python(row.environment), str(frameworks.HERE / script), str(threads),
             str(batch), *arguments], env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, do: str, **arguments):
        line = ""
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            pass
        if not line:
            raise PeerError(f"{self.framework} ended during '{do}' {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f"(exit code {self.process.returncode}): {lines[-1] if lines else 'no message'}"

    def rate(self, images: int, batches: int) -> float:
        """Images/s of one turn of so many batches (calls) of `images`."""
        time.sleep(PAUSE)
        return batches * images / self.ask("time", batches=batches)

    def batches_for(self, images: int, seconds: float) -> int:
        """Batches of a turn of about `seconds`; the measurement itself is the warm-up."""
        self.ask("values", batches=1)
        return max(4, round(seconds * self.rate(images, 3) / images))

    def close(self) -> None:
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
