"""The ports of a run, taken before anything is opened or changed: no machine mines for a start that fails."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from photosynth.api.server import PortInUseError, listen
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.options import UpOptions
from photosynth.fleet import MiningSite


@dataclass(frozen=True, slots=True)
class Ports:
    """The listening sockets of console and pool. Who connects early waits until the run serves or fails."""

    console: socket.socket
    pool: socket.socket

    def console_url(self) -> str:
        """Where a browser finds the console."""
        return f"http://{_name(self.console)}"

    def pool_url(self) -> str:
        """What a miner is told."""
        return f"stratum+tcp://{_name(self.pool)}"


@contextlib.contextmanager
def take_ports(mining: MiningSite, options: UpOptions) -> Iterator[Ports]:
    """Take every port of a run, or none, and let them go at the end. Raises CommandError naming the one that is not to be had."""
    console, pool = mining.fleet.console.listen, mining.site.pool.listen
    console_port = console.port if options.port is None else options.port
    pool_port = pool.port if options.pool_port is None else options.pool_port
    with contextlib.ExitStack() as taken:
        try:
            ports = Ports(
                taken.enter_context(listen(console.host, console_port, "--port N or console.listen")),
                taken.enter_context(listen(pool.host, pool_port, "--pool-port N or the site's pool.listen")),
            )
        except PortInUseError as error:
            raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
        yield ports


def _name(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
