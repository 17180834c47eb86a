"""A real Prometheus and Alertmanager for tests, out of Debian's packages: on free ports of loopback, stopped by their ids.

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
    """Where the programs are."""

    prometheus: Path
    promtool: Path
    alertmanager: Path

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
        with _answering("prometheus", command, f"http://127.0.0.1:{port}", folder / "output.txt"):
            yield RunningPrometheus(f"http://127.0.0.1:{port}")


@contextmanager
def running_alertmanager(program: Path, folder: Path) -> Iterator[int]:
    """Start an Alertmanager that tells nobody; its port."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yaml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    command = [*_at_home(program), f"--config.file={folder / 'alertmanager.yaml'}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=warn"]
    with _answering("alertmanager", command, f"http://127.0.0.1:{port}", folder / "output.txt"):
        yield port


def _at_home(program: Path) -> list[str]:
    """The words that start an Alertmanager; one that is only unpacked alone sees its own templates in /usr/share."""
    share = program.parents[1] / "share"
    if share == Path("/usr/share"):
        return [str(program)]
    inside = 'mount --bind "$0" /usr/share && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", inside, str(share), str(program)]


@contextmanager
def _answering(name: str, command: list[str], url: str, output: Path) -> Iterator[None]:
    """Start a program, wait until it answers, and stop it at the end."""
    with output.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + START_TIMEOUT_S
        while not _ready(url):
            last = output.read_text(errors="replace")[-2000:]
            assert process.poll() is None, f"{name} ended: {last}"
            assert time.monotonic() < end_s, f"{name} does not answer: {last}"
            time.sleep(0.05)
        yield
    finally:
        stop(process)


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/-/ready", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.fixture(scope="session")
def prometheus_programs() -> PrometheusPrograms:
    """Prometheus, promtool and Alertmanager; unpacked where neither this machine nor the cache has them."""
    try:
        alertmanager = obtain("prometheus-alertmanager", "prometheus-alertmanager")
        return PrometheusPrograms(obtain("prometheus", "prometheus"), obtain("prometheus", "promtool"), alertmanager)
    except NotToBeHadError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Prometheus for this test: {error}")
        pytest.skip(f"no Prometheus for this test: {error}")
