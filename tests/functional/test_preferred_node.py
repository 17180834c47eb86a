"""Two sites that prefer a bitcoind which falls silent or was never there: they mine on the next node, at its declared pace."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.functional.test_two_sites import FLEETS, SITES, found, running, until

from photosynth.operations.running import RunningView

pytestmark = pytest.mark.functional


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A port that accepts everybody, reads, and never answers."""

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
        writer.close()

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def fleet_that_prefers(folder: Path, port: int) -> Path:
    """The two sites of the tests, each of them preferring what listens at a port to the embedded node."""
    (folder / "password").write_text("nobody asks")
    for name in SITES:
        text = (FLEETS / f"{name}.yaml").read_text(encoding="utf-8")
        assert "node: btc-1" in text
        (folder / f"{name}.yaml").write_text(text.replace("node: btc-1", "node: [far, btc-1]"), encoding="utf-8")
    text = (FLEETS / "two-sites.yaml").read_text(encoding="utf-8")
    demonstration = text.split("    demonstration:\n")[1].split("\nwallets")[0]
    far = f"""nodes:
  - id: far
    network: bitcoin
    chain: regtest
    role: full
    run: external
    endpoints: {{rpc: "http://127.0.0.1:{port}"}}
    credentials: {{user: u, password_file: {folder / "password"}}}
    demonstration:
{demonstration}"""
    (folder / "fleet.yaml").write_text(text.replace("nodes:\n", far, 1), encoding="utf-8")
    return folder / "fleet.yaml"


async def test_a_node_that_stands_in_for_a_silent_one_keeps_the_pace(tmp_path: Path) -> None:
    async with silent() as port, running(fleet_that_prefers(tmp_path, port), tmp_path / "state") as fleet:
        for name in SITES:
            await until(lambda name=name: found(fleet, name) >= 1, f"a block of {name}")  # type: ignore[misc]
            template = fleet.sites[name].mining.running.pool.template
            assert template is not None
            assert template.target < template.network_target >> 8, "as hard as the demonstration says, not as regtest is"
        assert fleet.watch.node("far").state == "unknown"
        status = await RunningView(fleet).status()
        assert [part.chain.synchronised for part in status.sites] == [True, True]
        await until(lambda: fleet.watch.node("far").conditions, "the watch to say that it is silent")
        said = {condition.subject for condition in (await RunningView(fleet).status()).conditions}
        assert "far" in said, "a preferred node that is silent is told, although both mine"
