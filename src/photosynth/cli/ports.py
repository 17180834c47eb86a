"""The ports of a run, taken before anything is opened or changed: no machine mines for a start that fails."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from photosynth.api.server import PortInUseError, listen
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.options import UpOptions
from photosynth.fleet import Fleet

HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Ports:
    """The listening sockets of the console and of each site's pool. Who connects early waits until the run serves or fails."""

    console: socket.socket
    pools: dict[str, socket.socket]

    def console_url(self) -> str:
        """Where a browser finds the console."""
        return f"http://{_name(self.console)}"

    def pool_urls(self) -> dict[str, str]:
        """What a miner of each site is told."""
        return {site: f"stratum+tcp://{_name(listener)}" for site, listener in self.pools.items()}


@contextlib.contextmanager
def take_ports(fleet: Fleet, options: UpOptions) -> Iterator[Ports]:
    """Take every port of a run, or none, and let them go at the end. Raises CommandError naming the one that is not to be had."""
    console = fleet.console.listen
    with contextlib.ExitStack() as taken:
        try:
            console_port = console.port if options.port is None else options.port
            listener = taken.enter_context(listen(console.host, console_port, "--port N or console.listen"))
            pools = {}
            for number, site in enumerate(fleet.sites):
                at = site.pool.listen
                mend = "--pool-port N or the site's pool.listen"
                pools[site.name] = taken.enter_context(listen(at.host, _pool_port(at.port, options.pool_port, number), mend))
        except PortInUseError as error:
            raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
        yield Ports(listener, pools)


def _pool_port(declared: int, first: int | None, number: int) -> int:
    """The port of a pool: as declared, or from a first one on in the file's order; any free one where that is 0."""
    if first is None:
        return declared
    if first + number > HIGHEST_PORT:
        raise CommandError(
            f"--pool-port {first} leaves no port for every site: the highest is {HIGHEST_PORT}.", ExitCode.BAD_INPUT
        )
    return first + number if first else 0


def _name(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
