"""The control loop: look at the meters, decide, tell machines and sources, and write down what was seen."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from photosynth.actions import ActionSink, NotAuditedError
from photosynth.energy.coin_market import CoinMarket
from photosynth.energy.dispatch import DispatchPolicy, Plan, SiteState, dispatch
from photosynth.energy.import_peak import ImportPeak
from photosynth.energy.market import Market
from photosynth.energy.meters import MeterError, Meters, MeterSpec, Quality, Sources
from photosynth.energy.prices import Prices
from photosynth.energy.reasons import eur
from photosynth.miners.control import MinerControl
from photosynth.miners.guard import named
from photosynth.miners.view import MachineView
from photosynth.operations.offers import offers_of
from photosynth.operations.power_picture import PowerPicture
from photosynth.quantities.instants import INTERVAL_MS, Clock, interval_start_ms
from photosynth.storage.observations import DayObservation

log = structlog.get_logger()

PERIOD_S = 0.4
"""Wall seconds between two decisions: 24 site seconds at 60 times the speed, and well within a machine's ramp at 1."""
OBSERVE_EVERY_MS = 60_000
"""Site time between two points of the day's curve."""
LIMIT_RETRY_S = 10.0
"""Wall seconds until the sources are told the same limits again where reading back shows others."""
STEADY_MS = 120_000
"""Site time for which a machine keeps a power before it is raised: a passing cloud shall not move it twice.

Lowering is never held back. Some firmware stops hashing for a moment with every change of its profile.
"""
UNSEEN = "Sleeps: the meters do not answer, so nobody knows of a surplus."
UNPRICED = "Sleeps: nobody knows what energy or a coin is worth now."
UNDECIDED = "Sleeps: no decision can be made, by a mistake of the program."


@dataclass(frozen=True, slots=True)
class _Limits:
    source_w: int | None
    export_w: int | None

    def __str__(self) -> str:
        source = "no limit" if self.source_w is None else f"at most {self.source_w} W"
        export = "no limit" if self.export_w is None else f"at most {self.export_w} W"
        return f"generation: {source}, feed-in: {export}"


class Controller:
    """Decides every ``PERIOD_S`` what everything shall draw, and keeps what it saw for the pages."""

    def __init__(
        self,
        *,
        specs: Sequence[MeterSpec],
        meters: Meters,
        sources: Sources,
        market: Market,
        coin_market: CoinMarket,
        control: MinerControl,
        parties: dict[str, str],
        policy: Callable[[], DispatchPolicy],
        audit: ActionSink,
        clock: Clock,
        import_peak: ImportPeak,
        speed_milli: int,
    ) -> None:
        self._specs = tuple(specs)
        self._meters, self._sources = meters, sources
        self._market, self._coin_market = market, coin_market
        self._control, self._parties = control, parties
        self._policy, self._audit, self._clock, self._speed_milli = policy, audit, clock, speed_milli
        self.import_peak = import_peak
        self.picture: PowerPicture | None = None
        self.plan: Plan | None = None
        self.prices: Prices | None = None
        self.fault: str | None = None
        self.mistake: str | None = None
        self.observations: list[DayObservation] = []
        self._last_observed_ms = 0
        self._limits: _Limits | None = None
        self._told: tuple[_Limits, float] | None = None
        self._limiting: asyncio.Task[None] | None = None
        self._power_changed_ms: dict[str, int] = {}
        self._curtailed: dict[int, int] = {}
        self._curtailed_at_ms: int | None = None

    async def run(self) -> None:
        """Decide for ever. A fault of the meters is told once and survived; where no decision can be made, everything sleeps."""
        try:
            while True:
                try:
                    await self.step()
                    self.mistake = None
                except Exception as error:  # noqa: BLE001 - one wrong decision must not end the control of everything else
                    self._mistaken(error)
                await asyncio.sleep(PERIOD_S)
        finally:
            if self._limiting is not None:
                self._limiting.cancel()

    async def step(self) -> None:
        """One look and one decision."""
        await self._look()
        now_ms = self._clock.site_ms()
        views = self._control.machines()
        self.prices, quote = self._market.prices(now_ms), self._coin_market.at(now_ms)
        if self.prices is None or quote is None:
            self._rest(views)
        else:
            policy, quality = self._policy(), self._quality()
            offers = offers_of(views, self._parties, self.picture.mining_w if self.picture and quality == "good" else None)
            state = self._state(policy, quality)
            plan = dispatch(state, offers, self.prices, policy, eur_per_hash=quote.eur_per_hash, now_ms=now_ms)
            self.plan = plan = self._held_back(plan, views, quality, now_ms)
            self._control.apply(plan.targets, plan.reasons)
            self._limit(_Limits(plan.source_limit_w, plan.export_limit_w), self.prices)
        self._note(now_ms)

    async def settle(self) -> None:
        """Wait until the sources have answered to what they were told."""
        if self._limiting is not None:
            await self._limiting

    def curtailed_estimate_j(self, interval_start: int) -> int | None:
        """What the sources could have made beyond their limit in a quarter hour, estimated; None where nothing told."""
        return self._curtailed.get(interval_start)

    def forget_curtailed(self, before_ms: int) -> None:
        """Drop estimates of quarter hours before an instant, which are closed."""
        for start in [start for start in self._curtailed if start < before_ms]:
            del self._curtailed[start]

    async def _look(self) -> None:
        try:
            readings = await self._meters.read()
            site_ms, wall_ms = self._clock.site_ms(), self._clock.wall_ms()
            source = await self._sources.read_source()
        except MeterError as error:
            self._notice(str(error))
            return
        seen = PowerPicture.of(self._specs, readings, source, site_ms=site_ms, wall_ms=wall_ms, speed_milli=self._speed_milli)
        self._notice("; ".join(seen.silent) or None)
        self.picture = seen.after(self.picture)
        self._limits = _Limits(source.source_limit_w, source.export_limit_w)
        self._count_curtailed(self.picture)

    def _notice(self, fault: str | None) -> None:
        """Keep what is wrong with the meters; the log has its beginning and its end."""
        if fault is not None and self.fault is None:
            log.warning("the meters cannot be read", error=fault)
        elif fault is None and self.fault is not None:
            log.info("the meters answer again")
        self.fault = fault

    def _quality(self) -> Quality:
        return "unknown" if self.picture is None else self.picture.quality(self._clock.wall_ms())

    def _state(self, policy: DispatchPolicy, quality: Quality) -> SiteState:
        """What the dispatch may believe; without a trustworthy look there is neither surplus nor room to buy."""
        picture, peak_w = self.picture, self.import_peak.watts_at(self._clock.site_ms())
        if picture is None or quality == "unknown":
            return SiteState(generation_w=0, load_w=policy.connection_w, import_peak_w=peak_w)
        return SiteState(
            generation_w=picture.generation_w or 0,
            load_w=picture.load_w or 0,
            available_w=None if picture.source is None else picture.source.available_w,
            throttled=picture.throttled,
            import_peak_w=peak_w,
        )

    def _held_back(self, plan: Plan, views: Sequence[MachineView], quality: Quality, now_ms: int) -> Plan:
        """The plan without raising what was changed a moment ago, or anything on an old look; with what is held said."""
        targets, reasons, set_point_w = dict(plan.targets), dict(plan.reasons), plan.set_point_w
        for view in views:
            wanted, present = targets.get(view.id), view.desired_w or 0
            if wanted is None:
                continue
            if wanted == 0 and quality == "unknown" and not self._control.stopped:
                reasons[view.id] = UNSEEN
            if wanted == view.desired_w:
                continue
            recent = now_ms - self._power_changed_ms.get(view.id, -STEADY_MS) < STEADY_MS
            if wanted > present and (quality != "good" or (present and recent)):
                targets[view.id] = present
                set_point_w -= wanted - (present or view.model.standby_w)
                why = "until it was left alone for two minutes" if quality == "good" else "until the meters answer again"
                reasons[view.id] = f"Kept at {present} W {why}; then {wanted} W."
            else:
                self._power_changed_ms[view.id] = now_ms
        return replace(plan, targets=targets, reasons=reasons, set_point_w=set_point_w)

    def _rest(self, views: Sequence[MachineView], why: str = UNPRICED) -> None:
        """Nothing is mined while nobody knows what energy or hashes are worth, or what to decide."""
        self.plan = None
        resting = {view.id: 0 for view in views if view.available}
        self._control.apply(resting, dict.fromkeys(resting, why))

    def _mistaken(self, error: Exception) -> None:
        if self.mistake is None:
            log.error("no decision can be made", exc_info=error)
        self.mistake = named(error)
        self._rest(self._control.machines(), UNDECIDED)

    def _limit(self, wanted: _Limits, prices: Prices) -> None:
        """Tell the sources where the last look shows other limits; the next decision does not wait for that."""
        now_s = asyncio.get_running_loop().time()
        told = self._told
        if wanted == self._limits or (told is not None and told[0] == wanted and now_s < told[1] + LIMIT_RETRY_S):
            return
        if self._limiting is None or self._limiting.done():
            self._limiting = asyncio.get_running_loop().create_task(self._tell_limit(wanted, prices, now_s))

    async def _tell_limit(self, wanted: _Limits, prices: Prices, now_s: float) -> None:
        """An action that is proven by reading back."""
        why = f"feeding in fetches {eur(prices.export_cent_per_mwh)} net"
        try:
            action = await self._audit.planned("dispatch", "limit_sources", "sources", why, str(wanted))
        except NotAuditedError:
            return  # it is tried again with the next decision
        self._told = wanted, now_s
        try:
            await self._sources.limit(wanted.source_w, wanted.export_w)
            seen = await self._sources.read_source()
        except MeterError as error:
            self._audit.finished(action, "failed", str(error), None, None)
            return
        except asyncio.CancelledError:
            self._audit.finished(action, "failed", "cut off before it was answered", None, None)
            raise
        self._limits = found = _Limits(seen.source_limit_w, seen.export_limit_w)
        self._audit.finished(action, "done" if found == wanted else "unverified", "accepted", str(found), found == wanted)

    def _count_curtailed(self, picture: PowerPicture) -> None:
        """Add what was not made since the last look, to the quarter hours that it falls in."""
        before, self._curtailed_at_ms = self._curtailed_at_ms, picture.at_ms
        if before is None or picture.curtailed_w is None or not 0 < picture.at_ms - before <= INTERVAL_MS:
            return
        border = max(before, interval_start_ms(picture.at_ms))
        for from_ms, to_ms in ((before, border), (border, picture.at_ms)):
            if from_ms < to_ms:
                start = interval_start_ms(from_ms)
                self._curtailed[start] = self._curtailed.get(start, 0) + picture.curtailed_w * (to_ms - from_ms) // 1000

    def _note(self, now_ms: int) -> None:
        if now_ms - self._last_observed_ms < OBSERVE_EVERY_MS:
            return
        self._last_observed_ms = now_ms - now_ms % OBSERVE_EVERY_MS
        plan, seen = self.plan, self.picture if self._quality() == "good" else None
        self.observations.append(
            DayObservation(
                time_ms=self._last_observed_ms,
                generation_w=seen.generation_w if seen else None,
                load_w=seen.load_w if seen else None,
                surplus_w=seen.surplus_w if seen else None,
                set_point_w=plan.set_point_w if plan else None,
                mining_power_w=seen.mining_w if seen else None,
                grid_w=seen.grid_w if seen else None,
                spot_cent_per_mwh=self.prices.spot_cent_per_mwh if self.prices else None,
            )
        )
