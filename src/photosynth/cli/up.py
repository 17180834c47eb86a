"""`photosynth up`: start a fleet, show it live, stop it cleanly."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from photosynth.cli.errors import CommandError, ExitCode, os_sentence, sentence, state_errors
from photosynth.cli.fleet_check import usable_fleet
from photosynth.cli.format import output
from photosynth.cli.logs import configure_logs
from photosynth.cli.options import UpOptions
from photosynth.cli.ports import Ports, take_ports
from photosynth.fleet import Fleet, MiningSite
from photosynth.operations.manifest import begin, check_parts
from photosynth.operations.state import ApiAddress, StateError, StateFolder
from photosynth.runtimes.process import left_running
from photosynth.storage.address import Address, Place
from photosynth.storage.errors import StorageError

if TYPE_CHECKING:
    from photosynth.cli.markets import Markets
    from photosynth.documents import Status
    from photosynth.operations.running import RunningView
    from photosynth.operations.running_fleet import Left, RunningFleet
    from photosynth.sites.site import SiteSettings

SHOW_EVERY_S = 1.0
SAVE_STATUS_EVERY_S = 5.0
FULL_SPEED_MILLI = 1000
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_up(options: UpOptions) -> int:
    """Run a fleet until Ctrl-C, SIGTERM or the end of ``--for``. Raises CommandError where it cannot start."""
    fleet = usable_fleet(options.fleet)
    speed_milli = _speed(fleet, options)
    markets = {mining.site.name: _markets(mining, options) for mining in fleet.mining_sites()}  # before the state is touched
    os.umask(0o077)  # what is kept is for this user alone, also in a folder that others may enter
    state = StateFolder(options.state)
    with _locked(state), take_ports(fleet, options) as ports:
        _prepare(state, fleet, options)
        configure_logs(state.log, to_terminal=options.json_log)
        return _run_loop(_Up(fleet, speed_milli, markets, state, options, ports))


@contextmanager
def _locked(state: StateFolder) -> Iterator[None]:
    """The state folder as this process's own. What is wrong with it is a CommandError, also of what is done there."""
    try:
        state.lock()
        yield
    except (StateError, StorageError) as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    finally:
        state.unlock()


def _prepare(state: StateFolder, fleet: Fleet, options: UpOptions) -> None:
    """See that the folder holds this fleet's history, whole, or nothing; do what the operator allowed. Raises StateError."""
    if options.fresh and (running := left_running(state.nodes)):
        names = ", ".join(f"{name} (process {pid})" for name, pid in running.items())
        raise StateError(
            f"--fresh would set aside what still runs and keeps its ports: {names}. "
            "Start without --fresh, which takes it over, and stop with Ctrl-C; or end it: "
            f"kill {' '.join(map(str, running.values()))}"
        )
    if options.fresh:
        _end_simulations(state)
    if options.fresh and isinstance(state.database, Address):
        from photosynth.storage.postgres import set_tables_aside

        if (schema := set_tables_aside(state.database)) is not None:
            typer.echo(
                f"The tables in {state.database} are in its schema {schema} now; drop that when you no longer need it.", err=True
            )
    if options.fresh and (aside := state.set_aside()) is not None:
        typer.echo(f"What was in {state.root} is in {aside} now; remove that folder when you no longer need it.", err=True)
    embedded = {node.id: f"{node.network}/{node.chain}" for node in fleet.nodes if node.run == "embedded"}
    begun = begin(
        state, fleet.operator, {mining.site.name: _identity(mining, options) for mining in fleet.mining_sites()}, embedded
    )
    manifest = begun.manifest
    for site in begun.left_out:
        typer.echo(f"The site {site} is not in {options.fleet} any more. What it kept stays in {state.sites / site}.", err=True)
    if options.accept_lost_shares:
        from photosynth.operations.lost_shares import give_up_lost_shares

        manifest, said = give_up_lost_shares(state, manifest)
        for sentence_of_site in said:
            typer.echo(sentence_of_site, err=True)
    check_parts(state, manifest)


def _end_simulations(state: StateFolder) -> None:
    """End the children of a killed run that would otherwise go on in what is set aside. Raises OSError."""
    from photosynth.cli.simulated_nodes import PROCESS
    from photosynth.simulation.one_process import end_left

    worlds = [state.site(path.name).world for path in (state.sites.iterdir() if state.sites.is_dir() else ())]
    for folder in (*worlds, state.nodes / PROCESS):
        end_left(folder)


def _markets(mining: MiningSite, options: UpOptions) -> "Markets":
    from photosynth.cli.markets import declared_markets, recorded_markets
    from photosynth.energy.recorded_files import RecordedDataError

    try:
        if options.replay is not None and options.data is not None:
            return recorded_markets(mining, options.replay, options.data)
        return declared_markets(mining)
    except RecordedDataError as error:
        raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None


def _speed(fleet: Fleet, options: UpOptions) -> int:
    speed_milli = options.speed_milli if options.speed_milli is not None else fleet.clock.speed * 1000
    real = [part for site in fleet.sites for part in site.real_parts()]
    if real and speed_milli != FULL_SPEED_MILLI:
        if options.speed_milli is not None:
            names = ", ".join(real[:3]) + (" and more" if len(real) > 3 else "")
            typer.echo(f"{names} are real, so the fleet runs at speed 1; --speed is for simulated sites.", err=True)
        return FULL_SPEED_MILLI
    return speed_milli


def _identity(mining: MiningSite, options: UpOptions) -> dict[str, str]:
    """What never changes of a site."""
    return {
        "chain": f"{mining.node.network}/{mining.node.chain}",
        "payout_script": mining.wallet.output_script().hex(),
        "day": "synthetic" if options.replay is None else f"recorded {options.replay.isoformat()}",
    }


def _run_loop(up: "_Up") -> int:
    import uvloop

    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # a Ctrl-C from here on waits until the loop listens for it
    return uvloop.run(up.run())


@dataclass
class _Up:
    """One run of the command."""

    fleet: Fleet
    speed_milli: int
    markets: "dict[str, Markets]"
    state: StateFolder
    options: UpOptions
    ports: Ports
    out_of_time: bool = field(default=False, init=False)

    async def run(self) -> int:
        """Start, show, stop; the exit code."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self.options.run_for_s is not None:
            loop.call_later(self.options.run_for_s, self._end_of_time, stop)

        try:
            return await self._serve(stop)
        except (CommandError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever ends the fleet is said in a sentence, and kept in the log
            raise ended_by(error, self.state.log) from None

    def _end_of_time(self, stop: asyncio.Event) -> None:
        self.out_of_time = True
        stop.set()

    async def _serve(self, stop: asyncio.Event) -> ExitCode:
        from photosynth.cli.simulated_nodes import StartSimulatedNodes
        from photosynth.operations.opening import open_fleet
        from photosynth.operations.running import RunningView
        from photosynth.operations.running_fleet import FleetSettings, RunningFleet

        options, state = self.options, self.state
        sites = tuple([await self._site(mining) for mining in self.fleet.mining_sites()])
        opened: list[RunningFleet] = []

        async def start() -> None:
            settings = FleetSettings(self.fleet, state, self.speed_milli, sites, StartSimulatedNodes(_log_networks))
            opened.append(await open_fleet(settings))
            await opened[0].start()

        try:
            if not await _done_unless(stop, start()):  # whoever stops it while it starts does not wait for the start
                if self.out_of_time:
                    raise CommandError(
                        f"The {options.run_for_s} s of --for were over before the fleet had started; nothing ran. "
                        "Give it longer.",
                        ExitCode.UNAVAILABLE,
                    )
                typer.echo("Stopped before the fleet had started; nothing ran.", err=options.json_log)
                return ExitCode.OK
            view = RunningView(opened[0])
            async with self._web(view, opened[0]) as url:
                await self._until_stopped(stop, view, url)
                opened[0].end_soon()
            if ending := view.processes():
                said = f"Ending {', '.join(ending)}; a node may need minutes to write what it holds."
                typer.echo(said, err=options.json_log)
        finally:
            for fleet in opened:
                await fleet.close()
        said, code = last_words(opened[0].left(), options.state, self.state.audit_spool)
        typer.echo(said, err=options.json_log)
        return code

    async def _site(self, mining: MiningSite) -> "SiteSettings":
        """What one site of this run is given."""
        from photosynth.cli.simulated_field import SimulatedField
        from photosynth.sites.site import SiteSettings

        name = mining.site.name
        markets, world = self.markets[name], self.state.site(name).world
        series = await asyncio.to_thread(markets.series_in, world)
        return SiteSettings(
            mining=mining,
            market=markets.energy,
            coin_market=markets.coin,
            open_field=SimulatedField(mining.site, world, series),
            pool_listener=self.ports.pools[name],
            start_ms=markets.start_ms,
            end_ms=markets.end_ms,
            replay=None if self.options.replay is None else self.options.replay.isoformat(),
        )

    @asynccontextmanager
    async def _web(self, view: "RunningView", fleet: "RunningFleet") -> AsyncIterator[str]:
        """The API and the console; the address is known to the command line as long as they answer."""
        from photosynth.api.app import LOOPBACK_NAMES, create_app
        from photosynth.api.server import WebServer
        from photosynth.console import mount
        from photosynth.operations.chain_door import ChainDoor

        token = secrets.token_urlsafe(32)
        hosts = (*LOOPBACK_NAMES, self.fleet.console.listen.host)
        chain = ChainDoor(self.fleet, fleet.nodes, fleet.watch)
        app = create_app(view, token=token, allowed_hosts=hosts, chain=chain, evidence=view)
        mount(app, view)
        server = WebServer(app)
        await server.start(self.ports.console)
        url = self.ports.console_url()
        try:
            self.state.write_api(ApiAddress(url, token, os.getpid()))
            yield url
        finally:
            self.state.remove_api()
            await server.stop()

    async def _until_stopped(self, stop: asyncio.Event, view: "RunningView", url: str) -> None:
        banner = self._banner()
        typer.echo(f"{banner}\n{self._addresses(url)}", err=self.options.json_log)
        if self.options.open_browser and sys.stdout.isatty() and _has_windows():
            import webbrowser

            # Nobody waits for it: some take as long as they are open.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        showing = asyncio.ensure_future(self._show(view, url, banner))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    self._save(await view.status())
            for task in (showing, stopping):
                task.cancel()
            await asyncio.gather(showing, stopping, return_exceptions=True)

    def _addresses(self, url: str) -> str:
        pools = self.ports.pool_urls()
        only = len(pools) == 1
        said = "".join(f"   Pool {'' if only else f'of {site} '}{pool}" for site, pool in pools.items())
        return f"Console {url}{said}   State {self.options.state}"

    def _banner(self) -> str:
        sites = self.fleet.sites
        if not sites:
            return f"{self.fleet.operator}: {len(self.fleet.nodes)} nodes and no mining site."
        replay = self.options.replay is not None
        day = "a recorded day" if replay else "a synthetic day"
        pace = f"time runs {self.speed_milli / 1000:g} times faster"
        several = len(sites) > 1
        lines = [f"{self.fleet.operator}: {len(sites)} sites and {len(self.fleet.nodes)} nodes; {pace}."] if several else []
        lines += [f"{site.title}: {day}" + ("." if several else f", {pace}.") for site in sites]
        lines += [
            "Simulated: loads, meters and the machines' bodies; prices, sun and wind are recorded."
            if replay
            else "Simulated: sun, wind, loads, meters, prices and the machines' bodies.",
            "Real: the chain and its rules, the Stratum pool, every hash, the ledger and the proof.",
        ]
        scales = {site.title: site.scale(self.speed_milli) for site in sites}
        if any(mining.node.demonstration is not None for mining in self.fleet.mining_sites()):
            said = "; ".join(f"{scale:,}" + (f" at {title}" if several else "") for title, scale in scales.items())
            lines.append(f"Demonstration difficulty and money on regtest: 1 real hash stands for {said}.")
        return "\n".join(lines)

    async def _show(self, view: "RunningView", url: str, banner: str) -> None:
        """The live status, and its last state on disk for questions after the end."""
        from photosynth.cli.live import display

        def redraw_on_resize(redraw: Callable[[], None]) -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, redraw)

        saved_s = 0.0
        with display(output(), url, banner, quiet=self.options.json_log, redraw_on_resize=redraw_on_resize) as show:
            while True:
                with contextlib.suppress(StorageError):  # a busy or full disk: the next look may see more
                    status = await view.status()
                    show(status)
                    if time.monotonic() - saved_s > SAVE_STATUS_EVERY_S:
                        saved_s = time.monotonic()
                        self._save(status)
                await asyncio.sleep(SHOW_EVERY_S)

    def _save(self, status: "Status") -> None:
        from photosynth.files.whole import write_whole

        with contextlib.suppress(OSError):
            write_whole(self.state.status, status.model_dump_json().encode(), durable=False)


def last_words(left: "Left", state: Place, spool: Path) -> tuple[str, ExitCode]:
    """What the state holds now that everything is closed, and what it does not; UNAVAILABLE where the next start lacks some."""
    said = []
    if left.spooled:
        said.append(
            f"The database did not take {left.spooled} entries of the audit; they wait in {spool}, "
            "and the next start writes them."
        )
    if left.lost:
        said.append(f"{left.lost} entries of the audit are lost: neither the database nor the disk took them.")
    if left.unkept_switches:
        names = ", ".join(left.unkept_switches)
        said.append(f"Whether an operator stopped {names} could not be written down: look at it after the next start.")
    if not said:
        return f"Stopped. {state} holds everything; the next start resumes there.", ExitCode.OK
    said.append("Quarter hours that are not in the books yet are closed from share log and meters.")
    return " ".join(("Stopped.", *said)), ExitCode.UNAVAILABLE if left.forgotten else ExitCode.OK


def ended_by(error: Exception, log: Path) -> CommandError:
    """The sentence for what ended the fleet: what can be mended says how, anything else is a bug."""
    import structlog

    from photosynth.energy.recorded_files import RecordedDataError
    from photosynth.simulation.child import WorldError

    first = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, RecordedDataError):
        return CommandError(sentence(first), ExitCode.BAD_INPUT)
    structlog.get_logger().error("the fleet was ended", exc_info=error)
    if isinstance(first, (*state_errors(), WorldError)):
        return CommandError(sentence(first), ExitCode.UNAVAILABLE)
    if isinstance(first, OSError):
        return CommandError(os_sentence(first), ExitCode.UNAVAILABLE)
    return CommandError(
        f"A mistake in Photosynth ended the fleet ({type(first).__name__}: {first}). Nothing that was kept is lost: "
        f"start again, and please report it with the end of {log}.",
        ExitCode.BUG,
    )


async def _done_unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do some work to its end, or cancel it when told to stop; whether it was done."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _log_networks(line: str) -> None:
    import structlog

    structlog.get_logger().info("simulated networks", said=line)


def _has_windows() -> bool:
    """Whether a browser opens beside this terminal and not in it."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
