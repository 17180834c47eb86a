"""A real Prometheus for tests, out of Debian's package: on a free port of loopback, stopped by its id.

Where none can be had, tests that ask for it are skipped and say why; with CI=true in the environment that is a failure.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.peers.bitcoind import free_port, stop
from tests.peers.debian_programs import obtain
from tests.peers.setup_bitcoind import NotToBeHadError

START_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class RunningPrometheus:
    """A Prometheus that answers."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        answer = httpx2.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        answer.raise_for_status()
        return answer.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series that an expression gives now."""
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=expression)["result"]]


@dataclass(frozen=True, slots=True)
class PrometheusPrograms:
    """Where prometheus and promtool are."""

    prometheus: Path
    promtool: Path

    def check(self, *arguments: str, given: str = "") -> str:
        """What promtool prints. Fails where it does not end with 0."""
        done = subprocess.run(
            [str(self.promtool), *arguments], input=given, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def running(self, configuration: Path, folder: Path) -> Iterator[RunningPrometheus]:
        """Start one with a configuration; what it keeps and says lies in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        command = [str(self.prometheus), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            end_s = time.monotonic() + START_TIMEOUT_S
            while not _ready(f"http://127.0.0.1:{port}"):
                said = (folder / "output.txt").read_text(errors="replace")[-2000:]
                assert process.poll() is None, f"prometheus ended: {said}"
                assert time.monotonic() < end_s, f"prometheus does not answer: {said}"
                time.sleep(0.05)
            yield RunningPrometheus(f"http://127.0.0.1:{port}")
        finally:
            stop(process)


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.fixture(scope="session")
def prometheus_programs() -> PrometheusPrograms:
    """Prometheus and promtool; unpacked where neither this machine nor the cache has them."""
    try:
        return PrometheusPrograms(obtain("prometheus", "prometheus"), obtain("prometheus", "promtool"))
    except NotToBeHadError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Prometheus for this test: {error}")
        pytest.skip(f"no Prometheus for this test: {error}")
