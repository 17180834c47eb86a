"""A whole site in a process of its own, as a user starts it, for the tests that look at it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from photosynth.storage.address import Address

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = [sys.executable, "-m", "photosynth.cli"]
PATIENCE_S = 200
"""What anything is given on a computer that has other things to do; how long it takes is measured by the benchmarks."""


def photosynth(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command of the command line, until it ends; ``options`` are those of subprocess.run."""
    answer: subprocess.CompletedProcess[str] = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL, **options,
    )  # fmt: skip
    return answer


class RunningSite:
    """`photosynth up` on free ports; ends with :meth:`stop` (Ctrl-C) or :meth:`kill`."""

    def __init__(
        self, state: Path, *arguments: str, fleet: Path = EXAMPLES / "backnang.yaml", database: Address | None = None
    ) -> None:
        """With the address of a database, ``state`` is the platform's data folder."""
        self.place = str(state if database is None else database)
        self.state = state if database is None else state / "photosynth" / "databases" / database.folder_name
        self.environment = {**os.environ, "XDG_DATA_HOME": str(state)}
        self.fleet = fleet
        self.output = state.with_suffix(".out")
        self._arguments = [
            *COMMAND,
            "up",
            str(fleet),
            "--state",
            self.place,
            "--port",
            "0",
            "--pool-port",
            "0",
            "--no-open",
        ]
        self._arguments += [*arguments, "--json-log"]
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0

    def start(self) -> "RunningSite":
        """Start it and wait until its API answers."""
        (self.state / "api.json").unlink(missing_ok=True)
        self.started_s = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self._arguments,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self.environment,
            )
        self.wait_for(self._answers, "its API to answer")
        return self

    def wait_for(self, holds: Callable[[], bool], what: str) -> float:
        """Wait until something holds; seconds since the start. Fails with the output where it never does."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.output.read_text(errors="replace")[-4000:]
                raise AssertionError(
                    f"waited for {what}; exit code {self.process.poll()}; output ends:\n{tail}\nit says: {self._last_words()}"
                )
            time.sleep(0.05)
        return time.monotonic() - self.started_s

    def _last_words(self) -> str:
        """What the site says of itself, for whoever reads why a test failed."""
        try:
            said = {part: self.get(part) for part in ("status", "blocks", "ledger?limit=5")}
        except (FileNotFoundError, ValueError, httpx2.HTTPError) as error:
            return f"nothing ({error})"
        return json.dumps(said)[:8000]

    def _api(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.state / "api.json").read_bytes())
        return document

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self._api()['url']}/api/v1/health", timeout=2).status_code in (200, 503)
        except (FileNotFoundError, ValueError, httpx2.HTTPError):
            return False

    @property
    def url(self) -> str:
        """Where the console and the API answer."""
        return str(self._api()["url"])

    def get(self, path: str) -> Any:
        """A document of the API."""
        answer = httpx2.get(f"{self.url}/api/v1/{path}", timeout=PATIENCE_S)
        answer.raise_for_status()
        return answer.json()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the command line on this state."""
        return photosynth(*arguments, "--state", self.place, env=self.environment)

    def stop(self) -> float:
        """Ctrl-C; the seconds it took. Fails where it did not end cleanly."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"ended with {code}; output ends:\n{self.output.read_text(errors='replace')[-4000:]}"
        return time.monotonic() - started

    def kill(self, *, all_processes: bool = True) -> None:
        """kill -9, of the process or of all that it started."""
        assert self.process is not None
        if all_processes:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
