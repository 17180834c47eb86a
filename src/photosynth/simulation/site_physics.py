"""The physics of the simulated site: energy flows balance exactly, whatever limits are set and however time is cut.

Power times time is counted in watt-milliseconds (millijoules), all integers. Within a step the sources' and the factory's
power are those of the site's minute; a step never crosses a minute, so never a quarter hour.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from photosynth.energy.meters import MeterSpec, Quality
from photosynth.quantities.balance import MeterRole
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.simulation.registers import SimulatedMeter

MINUTE_MS = 60_000
ESTIMATE_ERROR_PERMILLE = 20
"""How far an inverter's estimate of what it could make is off, either way."""

Watts = Callable[[int], int]
"""Power (W) in the minute that an instant of site time (ms) lies in."""


class Flows(NamedTuple):
    """Energy of a step in millijoules: made, used, and across the connection; ``lost_mj`` is what limits kept from being made."""

    span_ms: int
    generated_mj: int
    factory_mj: int
    mining_mj: int
    import_mj: int
    export_mj: int
    lost_mj: int


def balance(
    *, span_ms: int, available_mj: int, factory_mj: int, mining_mj: int, source_limit_w: int | None, export_limit_w: int | None
) -> Flows:
    """What is generated and what crosses the connection, exactly: generated + import = factory + mining + export."""
    made_mj = generated_mj(span_ms, available_mj, factory_mj + mining_mj, source_limit_w, export_limit_w)
    net_mj = made_mj - factory_mj - mining_mj
    import_mj, export_mj = (0, net_mj) if net_mj > 0 else (-net_mj, 0)
    return Flows(span_ms, made_mj, factory_mj, mining_mj, import_mj, export_mj, available_mj - made_mj)


def generated_mj(span_ms: int, available_mj: int, used_mj: int, source_limit_w: int | None, export_limit_w: int | None) -> int:
    """What the sources make under both limits while the site itself uses so much (energies in millijoules)."""
    made_mj = available_mj
    if source_limit_w is not None and made_mj > source_limit_w * span_ms:
        made_mj = source_limit_w * span_ms
    if export_limit_w is not None and made_mj > used_mj + export_limit_w * span_ms:
        made_mj = used_mj + export_limit_w * span_ms
    return made_mj


def _counted(flows: Flows, role: MeterRole) -> int:
    return {
        "own_generation": flows.generated_mj,
        "import": flows.import_mj,
        "export": flows.export_mj,
        "factory": flows.factory_mj,
        "mining": flows.mining_mj,
    }[role]


@dataclass
class SitePhysics:
    """Sources, factory, connection and meters at a site time; machines' energy is passed in.

    ``connection_w`` caps the export where the sources are ``curtailable``: the plant controller's own setting.
    """

    available_w: Watts
    load_w: Watts
    meters: dict[str, SimulatedMeter]
    now_ms: int
    connection_w: int
    curtailable: bool
    seed: int
    source_limit_w: int | None = None
    export_limit_w: int | None = None
    flows: Flows | None = field(init=False, default=None)
    _estimated: bool = field(init=False, default=False)

    @classmethod
    def at(cls, specs: Sequence[MeterSpec], now_ms: int, *, state: dict[str, Any] | None = None, **rest: Any) -> "SitePhysics":
        """A site at a time, its meters new or as a ``state`` left them; then it stands at the state's time.

        Raises KeyError, TypeError or ValueError where the state is garbled.
        """
        meters = {}
        for spec in specs:
            kept = None if state is None else state["meters"].get(spec.id)
            meters[spec.id] = SimulatedMeter.new(spec, rest["seed"]) if kept is None else SimulatedMeter.restored(spec, kept)
        site = cls(meters=meters, now_ms=now_ms if state is None else int(state["now_ms"]), **rest)
        if state is not None:
            site.source_limit_w, site.export_limit_w = state["source_limit_w"], state["export_limit_w"]
        return site

    def state(self) -> dict[str, Any]:
        """What outlives the process, as JSON."""
        return {
            "now_ms": self.now_ms,
            "source_limit_w": self.source_limit_w,
            "export_limit_w": self.export_limit_w,
            "meters": {name: meter.state() for name, meter in self.meters.items()},
        }

    def export_cap_w(self) -> int | None:
        """What may leave the site now: the lower of the connection and the limit that was set."""
        if not self.curtailable:
            return None
        return self.connection_w if self.export_limit_w is None else min(self.connection_w, self.export_limit_w)

    def advance(self, site_ms: int, mining_mj: int, *, estimated: bool = False) -> None:
        """Let time pass until ``site_ms`` with so much energy taken by machines, spread evenly over it.

        ``estimated`` marks the quarter hours touched: what flowed was not observed. A time not later changes nothing.
        """
        span_ms = site_ms - self.now_ms
        if span_ms <= 0:
            return
        start_ms, given_mj = self.now_ms, 0
        self._estimated |= estimated
        while self.now_ms < site_ms:
            end_ms = min(site_ms, self.now_ms - self.now_ms % MINUTE_MS + MINUTE_MS)
            due_mj = mining_mj * (end_ms - start_ms) // span_ms
            self._step(end_ms, due_mj - given_mj)
            given_mj = due_mj
            if end_ms % INTERVAL_MS == 0:
                quality: Quality = "estimated" if self._estimated else "good"
                for meter in self.meters.values():
                    meter.latch(end_ms - INTERVAL_MS, quality)
                self._estimated = estimated

    def _step(self, end_ms: int, mining_mj: int) -> None:
        span_ms = end_ms - self.now_ms
        self.flows = balance(
            span_ms=span_ms,
            available_mj=self.available_w(self.now_ms) * span_ms,
            factory_mj=self.load_w(self.now_ms) * span_ms,
            mining_mj=mining_mj,
            source_limit_w=self.source_limit_w if self.curtailable else None,
            export_limit_w=self.export_cap_w(),
        )
        for meter in self.meters.values():
            meter.count(_counted(self.flows, meter.spec.role), span_ms)
        self.now_ms = end_ms

    def source(self) -> tuple[int, int, bool]:
        """What the inverters say: power, their estimate of what they could make (W), and whether a limit holds them back."""
        if self.flows is None:
            return 0, 0, False
        power_w = self.flows.generated_mj // self.flows.span_ms
        true_w = (self.flows.generated_mj + self.flows.lost_mj) // self.flows.span_ms
        error = random.Random(f"{self.seed}/estimate/{self.now_ms // 3_600_000}").randint(
            -ESTIMATE_ERROR_PERMILLE, ESTIMATE_ERROR_PERMILLE
        )
        throttled = self.flows.lost_mj > 0
        return power_w, max(power_w, true_w + true_w * error // 1000) if throttled else power_w, throttled
