"""What a pool is told, and whom it asks: its settings, the coinbase's policy, and the ear for found blocks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Protocol

from photosynth.bitcoin.node import Template
from photosynth.pool.results import FoundBlock


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Settings of a pool; the defaults suit machines on a local network.

    ``host``, ``port`` where it listens (port 0: any); ``allow`` networks that may connect; ``share_interval_s`` what
    vardiff aims at per connection; ``version_mask`` the version bits that may be rolled (BIP320); ``refresh_s`` how often
    jobs are renewed; the extranonce's sizes are bytes of the pool's and of the miner's part.
    """

    host: str = "127.0.0.1"
    port: int = 3333
    allow: tuple[IPv4Network | IPv6Network, ...] = field(default_factory=lambda: (ip_network("127.0.0.0/8"),))
    share_interval_s: float = 10.0
    version_mask: int = 0x1FFFE000
    start_difficulty: float = 1.0
    min_difficulty: float = 2.0**-25
    """No share is cheaper: 128 hashes, so that nobody fills the disk without hashing for it."""
    max_difficulty: float = 2.0**60
    refresh_s: float = 30.0
    extranonce1_size: int = 4
    extranonce2_size: int = 8
    tag: bytes = b"/photosynth/"
    mark: bytes = b""
    """Stands in each coinbase behind the tag: no other pool that pays to the same script may have the same one. Without it a
    share could be handed in at both, and after a crash each would take the other's block for its own."""

    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Workers of the fleet's own machines, who always have a place, each with the sources that its machines mine from (as
    ``places.source_of`` writes them); everybody else is a guest."""
    max_connections: int = 20_000
    max_connections_per_address: int = 10_000
    """Connections of guests in all, and from one address (of IPv6: one /64)."""
    max_workers: int = 10_000
    max_workers_per_address: int = 1_000
    """Names of guests that are counted one by one, in all, and that one address may bring."""
    name_kept_s: float = 900.0
    """How long a guest's name that brought a share keeps its place after it left: so a quarter hour has so many names only."""
    max_write_buffer: int = 512 * 1024
    """Bytes that may wait for a slow client; past them it is dropped."""
    max_open_shares: int = 2_000
    """Shares of one connection that may wait for the disk before its reading pauses."""
    max_rejects_in_a_row: int = 2_000
    idle_requests_per_s: float = 50.0
    """Lines of a connection that bring no share, in the long run: past a burst of 20 s of them its reading waits."""
    login_timeout_s: float = 30.0
    """A connection that is not subscribed and authorized by then is dropped."""
    idle_timeout_s: float = 3_600.0
    job_lifetime_s: float = 300.0
    max_jobs: int = 512
    max_time_ahead_s: int = 7_000
    """How far past the job's time a header's may lie (ckpool's limit; the network's own is two hours)."""
    submit_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class CoinbasePlan:
    """What a coinbase shall pay (satoshis) to which output script, and the 32 bytes it commits to (or none)."""

    value_sat: int
    script: bytes
    commitment: bytes


class CoinbasePolicy(Protocol):
    """Decides every job's coinbase. What it leaves of the template's value stays unclaimed, which is valid."""

    def plan(self, template: Template, unclaimed_represented: int) -> CoinbasePlan:
        """The plan for one job; ``unclaimed_represented`` hashes were accounted and not claimed by a block yet."""
        ...


class PoolEvents(Protocol):
    """Who wants to hear of found blocks."""

    def block_found(self, block: FoundBlock) -> None:
        """A share solved a block and the node gave its verdict. May come twice for one hash, after a restart."""
        ...
