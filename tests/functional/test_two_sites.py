"""A fleet of two sites on one embedded node: what is amiss at one leaves the other untouched, and no kill mixes them up."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.functional.kills import Kills
from tests.functional.running_site import PATIENCE_S, RunningSite

from photosynth.cli.markets import declared_markets
from photosynth.cli.simulated_field import SimulatedField
from photosynth.energy.meters import MeterReading
from photosynth.fleet import Fleet, load_fleet
from photosynth.miners.driver import MACHINES
from photosynth.miners.luxos import LuxosMachine
from photosynth.operations.manifest import begin
from photosynth.operations.opening import open_fleet
from photosynth.operations.running import RunningView
from photosynth.operations.running_fleet import FleetSettings, RunningFleet
from photosynth.operations.state import StateFolder
from photosynth.operations.view import NotKnownError
from photosynth.sites.site import SiteSettings

pytestmark = pytest.mark.functional

FLEETS = Path(__file__).parent / "fleets"
TWO_SITES = FLEETS / "two-sites.yaml"
SPEED_MILLI = 300_000
SITES = ("south", "north")


@contextlib.asynccontextmanager
async def running(file: Path, folder: Path) -> AsyncIterator[RunningFleet]:
    """A fleet in this process, its simulated worlds in processes of their own."""
    fleet, state = load_fleet(file), StateFolder(folder)
    state.lock()
    try:
        sites = {mining.site.name: {"chain": "bitcoin/regtest"} for mining in fleet.mining_sites()}
        begin(state, fleet.operator, sites, {node.id: "bitcoin/regtest" for node in fleet.nodes if node.run == "embedded"})
        with contextlib.ExitStack() as ports:
            settings = [_settings(fleet, state, number, ports) for number in range(len(fleet.sites))]
            opened = await open_fleet(FleetSettings(fleet, state, SPEED_MILLI, tuple(settings)))
            try:
                await opened.start()
                yield opened
            finally:
                await opened.close()
    finally:
        state.unlock()


def _settings(fleet: Fleet, state: StateFolder, number: int, ports: contextlib.ExitStack) -> SiteSettings:
    mining = fleet.mining_sites()[number]
    listener = ports.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    markets = declared_markets(mining)
    return SiteSettings(
        mining=mining,
        market=markets.energy,
        coin_market=markets.coin,
        open_field=SimulatedField(mining.site, state.site(mining.site.name).world, None),
        pool_listener=listener,
        start_ms=markets.start_ms,
    )


async def until(holds: Callable[[], Any], what: str) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited for {what}") from None


def found(fleet: RunningFleet, name: str) -> int:
    return fleet.sites[name].site.log.account.blocks_found


def mining(fleet: RunningFleet, name: str) -> int:
    """How many machines of a site run."""
    control = fleet.sites[name].machines.service
    return 0 if control is None else sum(view.state == "running" for view in control.control.machines())


def troubled(fleet: RunningFleet) -> set[str]:
    return {trouble.scope for trouble in fleet.supervisor.troubles()}


async def test_what_is_amiss_at_one_site_leaves_the_other_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: set[tuple[str, int]] = set()

    class Odd(LuxosMachine):
        """A driver with a mistake, for the machines at some addresses."""

        def __init__(self, machine_id: str, host: str, port: int, *more: Any) -> None:
            super().__init__(machine_id, host, port, *more)
            self.at = (host, port)

        async def sleep(self) -> Any:
            if self.at in broken:
                raise KeyError("watts")
            return await super().sleep()

    odd = replace(MACHINES.need("luxos"), open=lambda at, _: Odd(at.id, at.host, at.port, at.site_ms))
    monkeypatch.setitem(MACHINES._loaded, "luxos", odd)
    async with running(TWO_SITES, tmp_path / "state") as fleet:
        south, north = (fleet.sites[name] for name in SITES)
        for name in SITES:
            await until(lambda name=name: found(fleet, name) >= 1, f"a block of {name}")  # type: ignore[misc]
        await until(lambda: mining(fleet, "north") == 8, "all of north to run")
        assert troubled(fleet) == set()
        view = RunningView(fleet)
        every, only = await view.status(), await view.status("north")
        assert ([part.name for part in every.sites], [part.name for part in only.sites]) == ([*SITES], ["north"])
        assert only.ledger.postings < every.ledger.postings
        with pytest.raises(NotKnownError, match="there is south, north"):
            await view.status("nowhere")

        class Broken:
            """Meters whose driver raises what nobody declared."""

            async def read(self) -> dict[str, MeterReading]:
                raise KeyError("registers")

            profile = read_source = limit = close = read

        south.site.meters.connect(Broken())  # type: ignore[arg-type]
        controller = south.energy.running.controller
        await until(lambda: controller.fault is not None, "south to say that its meters are gone")
        await until(lambda: mining(fleet, "south") == 0, "south to sleep, for nobody sees its surplus")
        assert north.energy.running.controller.fault is None
        blocks = found(fleet, "north")
        await until(lambda: found(fleet, "north") > blocks, "north to find blocks on")
        south.site.meters.connect(south.field.running.meters)
        await until(lambda: controller.fault is None and mining(fleet, "south") > 4, "south to mine again")

        broken |= set(list(south.machines.running.addresses.values())[:3])
        action = await RunningView(fleet).stop_mining("test", "in the middle of a mistake")
        assert (action.result, action.verified) == ("unverified", False)
        assert mining(fleet, "north") == 0
        assert mining(fleet, "south") <= 3
        assert "south: 5 of 8 machines are asleep; awake: hall-01 (" in (action.read_back or "")
        assert "north: 8 of 8 machines are asleep" in (action.read_back or "")
        assert troubled(fleet) == set(), "no service ended by it"


async def test_a_world_that_ends_is_its_own_sites_trouble_and_begins_anew(tmp_path: Path) -> None:
    async with running(TWO_SITES, tmp_path / "state") as fleet:
        south, north = (fleet.sites[name] for name in SITES)
        await until(lambda: mining(fleet, "south") > 4 and mining(fleet, "north") > 4, "both to mine")
        lives = {unit: unit.service for unit in (*north.every(), south.mining, south.books)}
        ended = south.field.running
        await ended.field.close()  # as if it had ended by itself
        await until(lambda: south.field.service not in (None, ended), "another world")
        await until(lambda: mining(fleet, "south") > 4, "south to mine again")
        assert {unit: unit.service for unit in lives} == lives, "neither north nor south's pool and books were begun anew"
        assert troubled(fleet) == set()


async def test_a_fleet_of_nodes_alone_runs(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(
        "version: 2\noperator: tester\nnodes:\n  - {id: a, network: bitcoin, chain: regtest, role: full, run: embedded}\n"
    )
    async with running(file, tmp_path / "state") as fleet:
        await until(lambda: fleet.watch.node("a").state == "healthy", "the node to be healthy")
        assert fleet.supervisor.troubles() == []
        with pytest.raises(NotKnownError, match="there is no evidence yet"):
            await anext(RunningView(fleet).lines())
        assert (tmp_path / "state/nodes/a/blocks.log").exists()
    assert (tmp_path / "state/clock.json").exists()


def test_kills_lose_nothing_of_either_site_and_mix_nothing_up(tmp_path: Path) -> None:
    kills = Kills(RunningSite(tmp_path / "state", "--speed", "300", fleet=TWO_SITES), SITES)
    try:
        for _ in range(2):
            kills.one()
        kills.last()
    finally:
        kills.site.end()
    kills.judge()
