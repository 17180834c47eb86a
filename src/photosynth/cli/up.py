"""`photosynth up`: start a site, show it live, stop it cleanly."""

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
from photosynth.cli.fleet_check import only_site
from photosynth.cli.format import output
from photosynth.cli.logs import configure_logs
from photosynth.cli.options import UpOptions
from photosynth.cli.ports import Ports, take_ports
from photosynth.fleet import MiningSite
from photosynth.operations.manifest import begin, check_parts
from photosynth.operations.state import ApiAddress, StateError, StateFolder
from photosynth.runtimes.process import left_running
from photosynth.storage.address import Address
from photosynth.storage.errors import StorageError

if TYPE_CHECKING:
    from photosynth.cli.markets import Markets
    from photosynth.cli.simulated_field import SimulatedField
    from photosynth.operations.documents import Status
    from photosynth.operations.running import RunningSite
    from photosynth.operations.site import Site

SHOW_EVERY_S = 1.0
SAVE_STATUS_EVERY_S = 5.0
FULL_SPEED_MILLI = 1000
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_up(options: UpOptions) -> int:
    """Run a site until Ctrl-C, SIGTERM or the end of ``--for``. Raises CommandError where it cannot start."""
    mining = only_site(options.fleet)
    speed_milli = _speed(mining, options)
    markets = _markets(mining, options)  # a day that cannot be had leaves the state alone
    os.umask(0o077)  # what is kept is for this user alone, also in a folder that others may enter
    state = StateFolder(options.state)
    with _locked(state), take_ports(mining, options) as ports:
        _prepare(state, _identity(mining, options), options)
        configure_logs(state.log, to_terminal=options.json_log)
        return _run_loop(_Up(mining, speed_milli, markets, state, options, ports))


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


def _prepare(state: StateFolder, identity: dict[str, str], options: UpOptions) -> None:
    """See that the folder holds this site's history, whole, or nothing; do what the operator allowed. Raises StateError."""
    if options.fresh and (running := left_running(state.nodes)):
        names = ", ".join(f"{name} (process {pid})" for name, pid in running.items())
        raise StateError(
            f"--fresh would set aside what still runs and keeps its ports: {names}. "
            "Start without --fresh, which takes it over, and stop with Ctrl-C; or end it: "
            f"kill {' '.join(map(str, running.values()))}"
        )
    if options.fresh and isinstance(state.database, Address):
        from photosynth.storage.postgres import set_tables_aside

        if (schema := set_tables_aside(state.database)) is not None:
            typer.echo(
                f"The tables in {state.database} are in its schema {schema} now; drop that when you no longer need it.", err=True
            )
    if options.fresh and (aside := state.set_aside()) is not None:
        typer.echo(f"What was in {state.root} is in {aside} now; remove that folder when you no longer need it.", err=True)
    manifest = begin(state, identity)
    if options.accept_lost_shares:
        from photosynth.operations.lost_shares import give_up_lost_shares

        manifest, said = give_up_lost_shares(state, manifest)
        typer.echo(said, err=True)
    check_parts(state, manifest)


def _markets(mining: MiningSite, options: UpOptions) -> "Markets":
    from photosynth.cli.markets import recorded_markets, synthetic_markets
    from photosynth.energy.recorded_files import RecordedDataError

    try:
        if options.replay is not None and options.data is not None:
            return recorded_markets(mining, options.replay, options.data)
        return synthetic_markets(mining)
    except RecordedDataError as error:
        raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None


def _speed(mining: MiningSite, options: UpOptions) -> int:
    speed_milli = options.speed_milli if options.speed_milli is not None else mining.fleet.clock.speed * 1000
    real = mining.site.real_parts()
    if real and speed_milli != FULL_SPEED_MILLI:
        if options.speed_milli is not None:
            names = ", ".join(real[:3]) + (" and more" if len(real) > 3 else "")
            typer.echo(f"{names} are real, so the fleet runs at speed 1; --speed is for simulated sites.", err=True)
        return FULL_SPEED_MILLI
    return speed_milli


def _identity(mining: MiningSite, options: UpOptions) -> dict[str, str]:
    return {
        "site": mining.site.name,
        "network": mining.node.chain,
        "node": "embedded" if mining.node.run == "embedded" else "bitcoind",
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

    mining: MiningSite
    speed_milli: int
    markets: "Markets"
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
            await self._serve(stop)
        except (CommandError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever ends the site is said in a sentence, and kept in the log
            raise ended_by(error, self.state.log) from None
        return ExitCode.OK

    def _end_of_time(self, stop: asyncio.Event) -> None:
        self.out_of_time = True
        stop.set()

    async def _serve(self, stop: asyncio.Event) -> None:
        from photosynth.cli.simulated_field import SimulatedField
        from photosynth.operations.node_watch import NodeWatch
        from photosynth.operations.running import RunningSite
        from photosynth.operations.site import Site, SiteSettings

        options, mining, state, markets = self.options, self.mining, self.state, self.markets
        series = await asyncio.to_thread(markets.series_in, state.world)
        field = SimulatedField(mining.site, state.world, series, _log_world)
        settings = SiteSettings(
            mining=mining,
            state=state,
            speed_milli=self.speed_milli,
            start_ms=markets.start_ms,
            end_ms=markets.end_ms,
            market=markets.energy,
            coin_market=markets.coin,
            open_field=field,
            pool_listener=self.ports.pool,
            replay=None if options.replay is None else options.replay.isoformat(),
        )
        site = Site(settings)
        if not await _done_unless(stop, site.start()):  # whoever stops it while it starts does not wait for the start
            if self.out_of_time:
                raise CommandError(
                    f"The {options.run_for_s} s of --for were over before the site had started; nothing ran. Give it longer.",
                    ExitCode.UNAVAILABLE,
                )
            typer.echo("Stopped before the site had started; nothing ran.", err=options.json_log)
            return
        view = RunningSite(
            site, NodeWatch(mining.fleet.nodes, state.nodes, site.state_id, site.audit, embedded=site.embedded_nodes)
        )
        try:
            async with self._web(view, site) as url:
                await self._until_stopped(stop, view, field, url)
        finally:
            if ending := view.processes():
                said = f"Ending {', '.join(ending)}; a node may need minutes to write what it holds."
                typer.echo(said, err=options.json_log)
            await view.close()
        typer.echo(f"Stopped. {options.state} holds everything; the next start resumes there.", err=options.json_log)

    @asynccontextmanager
    async def _web(self, view: "RunningSite", site: "Site") -> AsyncIterator[str]:
        """The API and the console; the address is known to the command line as long as they answer."""
        from photosynth.api.app import LOOPBACK_NAMES, create_app
        from photosynth.api.server import WebServer
        from photosynth.console import mount
        from photosynth.operations.running import ChainDoor

        token = secrets.token_urlsafe(32)
        hosts = (*LOOPBACK_NAMES, self.mining.fleet.console.listen.host)
        app = create_app(view, token=token, allowed_hosts=hosts, chain=ChainDoor(site.node), evidence=view)
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

    async def _until_stopped(self, stop: asyncio.Event, view: "RunningSite", field: "SimulatedField", url: str) -> None:
        banner = self._banner()
        typer.echo(f"{banner}\n{self._addresses(url)}", err=self.options.json_log)
        if self.options.open_browser and sys.stdout.isatty() and _has_windows():
            import webbrowser

            # Nobody waits for it: some take as long as they are open.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        running = asyncio.ensure_future(view.run())
        showing = asyncio.ensure_future(self._show(view, url, banner))
        world = asyncio.ensure_future(field.ended())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait({running, showing, world, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if world in done and stopping not in done:
                raise CommandError(
                    f"The simulated site ended with code {world.result()}; its last words are in {self.state.log}. "
                    "Nothing is lost: start again.",
                    ExitCode.UNAVAILABLE,
                )
            for task in done:
                task.result()
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    self._save(await view.status())
            for task in (running, showing, world, stopping):
                task.cancel()
            await asyncio.gather(running, showing, world, stopping, return_exceptions=True)

    def _addresses(self, url: str) -> str:
        return f"Console {url}   Pool {self.ports.pool_url()}   State {self.options.state}"

    def _banner(self) -> str:
        demonstration = self.mining.node.demonstration
        day = "a recorded day" if self.options.replay else "a synthetic sunny Sunday"
        lines = [
            f"{self.mining.site.title}: {day}, time runs {self.speed_milli / 1000:g} times faster.",
            "Simulated: sun, factory, meters, prices and the machines' bodies."
            if not self.options.replay
            else "Simulated: factory, meters and the machines' bodies; prices and sun are recorded.",
            "Real: the chain and its rules, the Stratum pool, every hash, the ledger and the proof.",
        ]
        if demonstration is not None:
            lines.append(f"Demonstration difficulty and money on regtest: 1 real hash stands for {self._scale():,}.")
        return "\n".join(lines)

    def _scale(self) -> int:
        return self.mining.site.scale(self.speed_milli)

    async def _show(self, view: "RunningSite", url: str, banner: str) -> None:
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


def ended_by(error: Exception, log: Path) -> CommandError:
    """The sentence for what ended the site: what can be mended says how, anything else is a bug."""
    import structlog

    from photosynth.energy.recorded_files import RecordedDataError
    from photosynth.simulation.child import WorldError

    first = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, RecordedDataError):
        return CommandError(sentence(first), ExitCode.BAD_INPUT)
    structlog.get_logger().error("the site was ended", exc_info=error)
    if isinstance(first, (*state_errors(), WorldError)):
        return CommandError(sentence(first), ExitCode.UNAVAILABLE)
    if isinstance(first, OSError):
        return CommandError(os_sentence(first), ExitCode.UNAVAILABLE)
    return CommandError(
        f"A mistake in Photosynth ended the site ({type(first).__name__}: {first}). Nothing that was kept is lost: "
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


def _has_windows() -> bool:
    """Whether a browser opens beside this terminal and not in it."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _log_world(line: str) -> None:
    import structlog

    structlog.get_logger().info("world", said=line)
