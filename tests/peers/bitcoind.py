"""A real bitcoind for tests: fixtures that start one on regtest, on free ports of loopback, and stop it again.

Where none can be had, tests that ask for it are skipped and say why; with CI=true in the environment that is a failure.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.peers.setup_bitcoind import Bitcoind, NotToBeHadError, obtain

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
ATTEMPTS = 3


class RpcRefusedError(Exception):
    """bitcoind answered a call of a test with an error: ``code`` is its JSON-RPC code."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class RunningBitcoind:
    """A bitcoind that answers: where, with which cookie, and its process."""

    version: str
    folder: Path
    rpc_port: int
    p2p_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The address of its JSON-RPC."""
        return f"http://127.0.0.1:{self.rpc_port}"

    @property
    def cookie(self) -> Path:
        """Its cookie file."""
        return self.folder / "regtest" / ".cookie"

    def rpc(self, method: str, *params: Any, timeout_s: float = 60) -> Any:
        """Call a method and return its result, numbers with a fraction as Decimal. Raises RpcRefusedError, OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rpc_port, timeout=timeout_s)
        try:
            token = base64.b64encode(self.cookie.read_bytes()).decode()
            body = json.dumps({"id": 1, "method": method, "params": params})
            connection.request("POST", "/", body, {"Authorization": f"Basic {token}"})
            answer = json.loads(connection.getresponse().read(), parse_float=Decimal)
        finally:
            connection.close()
        if answer["error"]:
            raise RpcRefusedError(method, answer["error"]["code"], answer["error"]["message"])
        return answer["result"]


@contextmanager
def running_bitcoind(
    software: Bitcoind, folder: Path, *flags: str, rpc_port: int | None = None, throw_away: bool = False
) -> Iterator[RunningBitcoind]:
    """Start a bitcoind on regtest in a folder and stop it by its process at the end.

    It can be started again in the same folder, unless ``throw_away`` ends it at once.
    """
    node = _start(software, folder, flags, rpc_port)
    try:
        yield node
    finally:
        stop(node.process, at_once=throw_away)


def stop(process: subprocess.Popen[bytes], *, at_once: bool = False) -> None:
    """Ask a process to end, and end it where it does not or where its data is not needed."""
    if at_once:
        process.kill()
    else:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


def free_port() -> int:
    """A port of loopback that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(software: Bitcoind, folder: Path, flags: tuple[str, ...], wanted_port: int | None) -> RunningBitcoind:
    said = ""
    for _ in range(ATTEMPTS):
        rpc_port, p2p_port = wanted_port or free_port(), free_port()
        command = [
            *software.command,
            "-regtest",
            f"-datadir={folder}",
            f"-rpcport={rpc_port}",
            "-rpcbind=127.0.0.1",
            "-rpcallowip=127.0.0.1",
            f"-bind=127.0.0.1:{p2p_port}",
            "-server",
            "-dnsseed=0",
            "-discover=0",
            "-listenonion=0",
            "-fallbackfee=0.0001",
            "-addresstype=bech32",
            "-changetype=bech32",
            "-blockmaxweight=3996000",
            "-printtoconsole=0",
            *flags,
        ]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        node = RunningBitcoind(software.version, folder, rpc_port, p2p_port, process)
        ready = False
        try:
            ready = _answers(node)
        finally:
            if not ready:
                stop(process)
        if ready:
            return node
        said = (folder / "output.txt").read_text(errors="replace")[-500:]
    raise AssertionError(f"bitcoind did not start in {ATTEMPTS} attempts; it said: {said}")


def _answers(node: RunningBitcoind) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and node.process.poll() is None:
        try:
            node.rpc("getblockcount", timeout_s=5)
        except (OSError, ValueError, RpcRefusedError, http.client.HTTPException):
            time.sleep(0.05)
        else:
            return True
    return False


@pytest.fixture(scope="session")
def bitcoind_software() -> Bitcoind:
    """The bitcoind to start; set up where the cache has none."""
    try:
        return obtain()
    except NotToBeHadError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no bitcoind for this test: {error}")
        pytest.skip(f"no bitcoind for this test: {error}")


@pytest.fixture
def bitcoind(bitcoind_software: Bitcoind, tmp_path: Path) -> Iterator[RunningBitcoind]:
    """A fresh regtest bitcoind for one test."""
    with running_bitcoind(bitcoind_software, tmp_path / "bitcoind", throw_away=True) as node:
        yield node
