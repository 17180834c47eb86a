"""Who has a place at the pool: connections and worker names, the fleet's own machines first, guests within bounds.

Guests share a number of connections and of names, in all and for each address. A declared machine's place is beside those,
so no guest can take it; and a machine's name is the machine's only where the fleet says that it is, for Stratum asks for
no proof of a name. Whoever has not logged in yet waits in a room of its own, where the newest push out the oldest. A
guest's name is kept while it mines; afterwards only where it brought a share, and it gives way to newer ones after a quarter
hour: whoever brings one name after the other would else make as many rows of work as it likes. What a forgotten name did is
counted with all other forgotten ones.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from photosynth.pool.accounting import WorkAccount
from photosynth.pool.config import PoolConfig
from photosynth.pool.records import is_worker
from photosynth.pool.vardiff import Vardiff

NOBODY = "(unauthorized)"
"""Whom refused shares are counted for that name no authorized worker."""
GUESTS = "(guests)"
"""Whom is counted for what guests did whose names are not kept."""
THIS_COMPUTER = "127.0.0.1"
"""Where whoever calls from the pool's own computer comes from."""
LOGIN_ROOM = 64
"""Connections of one address that may wait for their login when its places are taken: a machine may be among them."""
CONNECTIONS_OF_A_MACHINE = 4
"""A machine that dials again may leave some half open behind it; more under one name are guests'."""
PUNISHED_S = 60.0
MAX_PUNISHED = 4096
FORGET_AFTER_MS = 90 * 24 * 3_600_000
"""A guest without an accepted share for a quarter of a year is forgotten."""


def login_room(max_connections: int) -> int:
    """Connections in all that may wait for their login when all places are taken."""
    return max(LOGIN_ROOM, max_connections // 16)


def source_of(address: str, own: str = "") -> str:
    """What counts as one address: an IPv4 address, or the /64 that a network hands to one customer (RFC 6177).

    Whoever calls from this computer, by loopback or by its ``own`` address, is :data:`THIS_COMPUTER`.
    """
    try:
        peer = ip_address(address)
    except ValueError:
        return address
    if isinstance(peer, IPv6Address):
        peer = peer.ipv4_mapped or peer
    if peer.is_loopback or address == own:
        return THIS_COMPUTER
    return str(IPv6Address(int(peer) >> 64 << 64) if isinstance(peer, IPv6Address) else peer)


class Client(Protocol):
    """What is asked of a connection."""

    number: int
    source: str

    def drop(self) -> None:
        """Cut it."""
        ...


@dataclass(slots=True)
class _Name:
    source: str
    open: int = 0
    owed: bool = False
    """Whether somebody left whose share may have been accepted since."""


class Places:
    """The places of one pool; ``account`` says who brought shares."""

    def __init__(self, config: PoolConfig, account: WorkAccount) -> None:
        self._config = config
        self._account = account
        self.paces: dict[str, Vardiff] = {}
        """Where each worker that has a place was when it mined last."""
        self._waiting: dict[int, Client] = {}
        self._waiting_of: dict[str, dict[int, Client]] = {}
        self._guests: dict[int, str] = {}
        self._guests_of: dict[str, int] = {}
        self._machines: dict[int, str] = {}
        self._machines_of: dict[str, int] = {}
        self._names: dict[str, _Name] = {}
        self._names_of: dict[str, int] = {}
        self._punished: dict[str, float] = {}
        # Names that nobody mines under now and since when, the longest unused first; and the same by address.
        self._idle: dict[str, float] = {}
        self._idle_of: dict[str, dict[str, None]] = {}
        self.trim(0)

    # Connections.

    def enter(self, client: Client) -> None:
        """Let a connection wait for its login, in place of the oldest that waits where there are too many."""
        self._waiting[client.number] = client
        mine = self._waiting_of.setdefault(client.source, {})
        mine[client.number] = client
        config = self._config
        if len(mine) + self._guests_of.get(client.source, 0) > config.max_connections_per_address + LOGIN_ROOM:
            self._send_away(next(iter(mine.values())))
        if len(self._waiting) + len(self._guests) > config.max_connections + login_room(config.max_connections):
            self._send_away(next(iter(self._waiting.values())))

    def _send_away(self, client: Client) -> None:
        self._no_longer_waiting(client)
        client.drop()

    def _no_longer_waiting(self, client: Client) -> None:
        if self._waiting.pop(client.number, None) is not None:
            mine = self._waiting_of[client.source]
            del mine[client.number]
            if not mine:
                del self._waiting_of[client.source]

    def leave(self, client: Client, workers: tuple[str, ...], now_s: float, *, owed: bool = False) -> None:
        """A connection is gone, and mined for these until now; ``owed``: a share of it may still be accepted."""
        self._no_longer_waiting(client)
        if self._guests.pop(client.number, None) is not None:
            _count_down(self._guests_of, client.source)
        machine = self._machines.pop(client.number, None)
        if machine is not None:
            _count_down(self._machines_of, machine)
        for worker in workers:
            name = self._names.get(worker)
            if name is not None:
                name.open -= 1
                name.owed |= owed
                if not name.open:
                    self._unused(worker, name, now_s)
                    if not name.owed and worker not in self._account.totals:
                        self._forget(worker)

    def admit(self, client: Client, worker: str, now_s: float) -> str | None:
        """Give a connection its place for a worker that it did not mine for yet, or say why not."""
        declared = worker in self._config.declared
        if client.number not in self._guests and client.number not in self._machines:
            if declared and self._machines_of.get(worker, 0) < CONNECTIONS_OF_A_MACHINE:
                self._machines[client.number] = worker
                self._machines_of[worker] = self._machines_of.get(worker, 0) + 1
            elif (reason := self._no_room(client.source)) is not None:
                return reason
            else:
                self._guests[client.number] = client.source
                self._guests_of[client.source] = self._guests_of.get(client.source, 0) + 1
            self._no_longer_waiting(client)
        return None if declared else self._take_name(worker, client.source, now_s)

    def _no_room(self, source: str) -> str | None:
        config = self._config
        if self._guests_of.get(source, 0) >= config.max_connections_per_address:
            return f"too many connections: {config.max_connections_per_address} from one address is the limit"
        if len(self._guests) >= config.max_connections:
            return f"too many connections: {config.max_connections} is the limit"
        return None

    def punish(self, source: str, now_s: float) -> None:
        """Remember an address from where a connection had to be dropped."""
        self._punished.pop(source, None)
        self._punished[source] = now_s + PUNISHED_S
        if len(self._punished) > MAX_PUNISHED:
            del self._punished[next(iter(self._punished))]

    def punished(self, source: str, now_s: float) -> bool:
        """Whether that was within the last minute."""
        return self._punished.get(source, now_s) > now_s

    # Names.

    def name_for(self, worker: str, source: str) -> str:
        """The name that somebody is counted under: a machine's is another one with who comes from elsewhere, a guest."""
        while (sources := self._config.declared.get(worker)) is not None and source not in sources:
            worker = f"{worker}@{source}"
        return worker

    def remember(self, workers: tuple[str, ...], pace: Vardiff, came_from: Iterable[Vardiff]) -> None:
        """Keep for workers where a connection of theirs was; call before it leaves.

        Of two connections that went on from the same moment the first to leave is believed, and the harder one: a calm one
        beside it is no way to forget a burst.
        """
        for worker in workers:
            known = self.paces.get(worker)
            if known is None or pace.difficulty > known.difficulty or any(known is one for one in came_from):
                self.paces[worker] = pace

    def _take_name(self, worker: str, source: str, now_s: float) -> str | None:
        name = self._names.get(worker)
        if name is None:
            config = self._config
            if self._names_of.get(source, 0) >= config.max_workers_per_address and not self._forget_oldest(
                self._idle_of.get(source), now_s
            ):
                return f"too many workers: {config.max_workers_per_address} from one address is the limit"
            if len(self._names) >= config.max_workers and not self._forget_oldest(self._idle, now_s):
                return f"too many workers: {config.max_workers} is the limit"
            name = self._add_name(worker, source)
        else:
            self._used(worker, name)
        name.open += 1
        return None

    def _add_name(self, worker: str, source: str) -> _Name:
        name = self._names[worker] = _Name(source)
        self._names_of[source] = self._names_of.get(source, 0) + 1
        return name

    def _used(self, worker: str, name: _Name) -> None:
        if self._idle.pop(worker, None) is not None:
            mine = self._idle_of[name.source]
            del mine[worker]
            if not mine:
                del self._idle_of[name.source]

    def _unused(self, worker: str, name: _Name, since_s: float) -> None:
        self._idle[worker] = since_s
        self._idle_of.setdefault(name.source, {})[worker] = None

    def _forget_oldest(self, idle: Iterable[str] | None, now_s: float) -> bool:
        oldest = next(iter(idle or ()), None)
        if oldest is None or self._idle[oldest] > now_s - self._config.name_kept_s:
            return False
        self._forget(oldest)
        return True

    def _forget(self, worker: str) -> None:
        name = self._names.pop(worker)
        self._used(worker, name)
        _count_down(self._names_of, name.source)
        self.paces.pop(worker, None)
        self._account.fold(worker, GUESTS)

    def counted_as(self, worker: str | None) -> str:
        """Under which name a refused share is counted: a guest has one of its own once a share of it was accepted."""
        if worker is None:
            return NOBODY
        return worker if worker in self._config.declared or worker in self._account.totals else GUESTS

    def trim(self, wall_ms: int) -> None:
        """Give every guest in the account a place, then forget those that have not mined for long, or are too many."""
        account = self._account
        unknown = [
            (totals.last_share_wall_ms or 0, worker)
            for worker, totals in account.totals.items()
            if is_worker(worker) and worker not in self._config.declared and worker not in self._names
        ]
        for _, worker in sorted(unknown):
            self._unused(worker, self._add_name(worker, ""), -math.inf)
        for worker in list(self._idle):
            totals = account.totals.get(worker)
            seen_ms = wall_ms if totals is None else totals.last_share_wall_ms or 0
            if len(self._names) > self._config.max_workers or seen_ms < wall_ms - FORGET_AFTER_MS:
                self._forget(worker)


def _count_down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
