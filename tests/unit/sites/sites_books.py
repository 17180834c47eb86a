"""A bookkeeper for tests: everything that its books, its chain and its meters do not decide is made here."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from tests.unit.clock_and_audit import START_MS
from tests.unit.sites.sites_fakes import QUOTE, FakeMarket, Surroundings

from photosynth.bitcoin.node import BitcoinNode
from photosynth.energy.coin_market import DeclaredCoinMarket
from photosynth.pool.results import IntervalWork
from photosynth.pool.server import Pool
from photosynth.sites.bookkeeper import Bookkeeper, Ledgers
from photosynth.sites.clock import RunningClock
from photosynth.sites.meter_wait import MeterWait


@dataclass
class QuietPool:
    """A pool in which nobody works; ``checkpoints`` are those that its log was told of."""

    checkpoints: list[int] = field(default_factory=list)

    async def close_interval(self, start_ms: int) -> IntervalWork:
        return IntervalWork(start_ms, (), {}, {}, {}, 7)

    def refresh(self) -> None:
        """Nobody has a job."""

    @property
    def log(self) -> SimpleNamespace:
        return SimpleNamespace(checkpoint=self.checkpoints.append)


def bookkeeper(
    ledgers: Ledgers,
    meter_wait: MeterWait,
    clock: RunningClock,
    head: bytes,
    *,
    node: object = None,
    pool: QuietPool | None = None,
) -> Bookkeeper:
    """A bookkeeper that begins at START_MS, of a site without machines."""
    return Bookkeeper(
        ledgers=ledgers,
        node=cast(BitcoinNode, node),
        pool=cast(Pool, pool or QuietPool()),
        meter_wait=meter_wait,
        controller=Surroundings().controller,
        market=FakeMarket(),
        coin_market=DeclaredCoinMarket(QUOTE),
        clock=clock,
        parties={},
        machine_memory=dict,
        next_start_ms=START_MS,
        wall_start_ms=START_MS,
        head=head,
        closed=lambda _record, _last_seq: None,
    )
