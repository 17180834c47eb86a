"""A site's surroundings without sockets: meters and sources, machines and market that a test sets by hand."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from tests.unit.clock_and_audit import RememberingAudit, TurnedClock

from photosynth.energy.coin_market import DeclaredCoinMarket, declared_quote
from photosynth.energy.dispatch import DispatchPolicy
from photosynth.energy.import_peak import ImportPeak
from photosynth.energy.meters import IntervalReading, MeterReading, MeterSpec, SourceReading
from photosynth.energy.prices import PriceComponent, Prices, Tariff
from photosynth.miners.commands import Told
from photosynth.miners.control import MinerControl
from photosynth.miners.model import MachineModel
from photosynth.miners.view import MachineView
from photosynth.quantities.balance import MeterRole
from photosynth.sites.controller import Controller
from photosynth.sites.day_notes import DayNotes
from photosynth.sites.guarded_meters import GuardedMeters

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 0)
QUARTER_MS = 900_000
ROLES: tuple[MeterRole, ...] = ("own_generation", "import", "export", "factory", "mining")
SPECS = tuple(MeterSpec(role, role, "operator", 5000, 360_000) for role in ROLES)
TARIFF = Tariff((PriceComponent("levies", 4500, "test", "2026-01-01"),), 1300, "none_at_negative_price", 200)
QUOTE = declared_quote(
    price_cent_per_btc=5_577_046,
    difficulty="125864590119494",
    subsidy_sat=312_500_000,
    fees_sat=2_000_000,
    source="test",
    as_of_ms=0,
)


@dataclass
class FakeField:
    """Meters and sources that show what a test says; limits are kept unless the sources are ``stubborn``.

    Meters of the ``silent`` roles say no power; ``off_ms`` is how far the meters' clock is from the site's.
    """

    clock: TurnedClock
    watts: dict[MeterRole, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 0))
    source: SourceReading = field(default_factory=lambda: SourceReading(0, 0, None, False, None, None))
    broken: BaseException | None = None
    instead: dict[str, Callable[[], Awaitable[Any]]] = field(default_factory=dict)
    stubborn: bool = False
    silent: set[MeterRole] = field(default_factory=set)
    off_ms: int = 0
    told: list[tuple[int | None, int | None]] = field(default_factory=list)

    def _here(self) -> None:
        if self.broken is not None:
            raise self.broken

    async def read(self) -> dict[str, MeterReading]:
        if "read" in self.instead:
            return cast(dict[str, MeterReading], await self.instead["read"]())
        self._here()
        return {
            role: MeterReading(self.clock.site + self.off_ms, 1_000_000, None if role in self.silent else watts, "good")
            for role, watts in self.watts.items()
        }

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        if "profile" in self.instead:
            return cast(dict[str, IntervalReading], await self.instead["profile"]())
        return None

    async def read_source(self) -> SourceReading:
        self._here()
        return replace(self.source, at_ms=self.clock.site, power_w=self.watts["own_generation"])

    async def close(self) -> None:
        pass

    async def limit(self, source_w: int | None, export_w: int | None) -> None:
        if "limit" in self.instead:
            await self.instead["limit"]()
        self._here()
        self.told.append((source_w, export_w))
        if not self.stubborn:
            self.source = replace(self.source, source_limit_w=source_w, export_limit_w=export_w)


def view(name: str, *, on: bool = False, desired_w: int | None = None, **other: object) -> MachineView:
    """A machine of S21's kind as control sees it: rested, fresh, obedient."""
    made = MachineView(
        id=name,
        model=S21,
        state="running" if on else "sleeping",
        state_since_ms=0,
        on=on,
        available=True,
        power_w=desired_w if on else S21.standby_w,
        hash_rate_hs=0,
        temperature_c=None,
        accepted=0,
        rejected=0,
        pool_url=None,
        observed_ms=0,
        fresh=True,
        desired_w=desired_w,
        told=None if desired_w is None else Told(desired_w, 0, "done", ""),
        reason="",
        regulation="steps",
        fixed_power_w=None,
        steps=S21.power_steps(),
        starts=0,
        changed_ms=0,
        conditions=(),
    )
    return replace(made, **other)  # type: ignore[arg-type]


@dataclass
class FakeControl:
    """Machines that do at once what they are told."""

    views: dict[str, MachineView]
    reasons: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def machines(self) -> list[MachineView]:
        return list(self.views.values())

    def apply(self, targets: Mapping[str, int], reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        for name, watts in targets.items():
            self.views[name] = replace(
                self.views[name], desired_w=watts, on=watts > 0, power_w=watts or S21.standby_w, reason=reasons[name]
            )

    @property
    def targets(self) -> dict[str, int | None]:
        return {name: seen.desired_w for name, seen in self.views.items()}


@dataclass
class FakeMarket:
    """One spot price for all times; None where it is not known."""

    spot_cent: int | None = 2_000

    def prices(self, instant_ms: int) -> Prices | None:
        if self.spot_cent is None:
            return None
        return TARIFF.prices(instant_ms - instant_ms % QUARTER_MS, self.spot_cent, "test", None)


class Surroundings:
    """A controller with everything around it."""

    def __init__(self, *views: MachineView, generation_w: int = 100_000, load_w: int = 60_000, **policy: object) -> None:
        self.clock = TurnedClock()
        self.field = FakeField(self.clock)
        self.meters = GuardedMeters(self.field, limit_s=0.2)
        self.see(generation_w=generation_w, load_w=load_w)
        self.control = FakeControl({seen.id: seen for seen in views})
        self.audit = RememberingAudit()
        self.market = FakeMarket()
        self.policy = replace(DispatchPolicy(connection_w=400_000, guard_w=5_000), **policy)  # type: ignore[arg-type]
        self.notes = DayNotes(ImportPeak(), None)
        self.why_no_work: str | None = None
        self.controller = Controller(
            "here",
            specs=SPECS,
            meters=self.meters,
            sources=self.meters,
            market=self.market,
            coin_market=DeclaredCoinMarket(QUOTE),
            control=cast(MinerControl, self.control),
            parties=dict.fromkeys(self.control.views, "operator"),
            policy=lambda: self.policy,
            audit=self.audit,
            clock=self.clock,
            notes=self.notes,
            why_no_work=lambda: self.why_no_work,
            speed_milli=60_000,
        )

    def see(self, *, generation_w: int, load_w: int, mining_w: int = 0) -> None:
        """Set what the meters show; import and export follow."""
        net_w = load_w + mining_w - generation_w
        self.field.watts = {
            "own_generation": generation_w,
            "import": max(0, net_w),
            "export": max(0, -net_w),
            "factory": load_w,
            "mining": mining_w,
        }

    async def step(self, wall_s: float = 0.4) -> None:
        """Let time pass and decide."""
        self.clock.turn(wall_s)
        await self.controller.step()
        await self.controller.settle()
