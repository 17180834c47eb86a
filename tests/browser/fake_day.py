"""The physical side of a site that is not there: its sun, load, price and machines as functions of site time."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from photosynth import documents as doc
from photosynth.operations.view import known_site
from photosynth.quantities.instants import market_day_bounds_ms, market_day_of

START_MS = 1_781_427_600_000  # 2026-06-14T11:00 in Berlin
Model = tuple[str, str, str, int, int, int]
"""Id, name, group, how many, TH/s, watts."""
MODELS: tuple[Model, ...] = (
    ("s21-xp", "Antminer S21 XP", "hall-a", 36, 270, 3645),
    ("s21", "Antminer S21", "hall-b", 34, 200, 3500),
    ("s19j-pro", "Antminer S19j Pro", "hall-c", 32, 104, 3068),
)
QUARTER_MS = 900_000
BLOCK_MS = 600_000
REWARD_SAT = 314_500_000


def noise(seed: str, at: int) -> float:
    return int.from_bytes(hashlib.blake2s(f"{seed}{at}".encode(), digest_size=4).digest()) / 2**32


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class FakeDay:
    """Sun, load, price and machines. ``blocks_before`` is how many blocks the chain has at the start.

    ``models`` are the machines, a group each; ``size`` is how large sun and load are beside those of Backnang.
    """

    speed: float = 60.0
    blocks_before: int = 131
    empty: bool = False
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False
    now: Callable[[], int] | None = None
    name: str = "backnang"
    title: str = "Factory roof, Backnang"
    models: tuple[Model, ...] = MODELS
    size: float = 1.0

    def known(self, site: str | None) -> None:
        """Raise NotKnownError for another site."""
        known_site((self.name,), site)

    def now_ms(self) -> int:
        if self.now is not None:
            return self.now()
        return START_MS + int((time.monotonic() - self.began) * 1000 * self.speed)

    # the physical day

    def point(self, at: int) -> doc.DayPoint:
        start, _ = market_day_bounds_ms(market_day_of(at))
        hour = (at - start) / 3_600_000
        sun = max(0.0, math.sin((hour - 5.4) / 15.6 * math.pi)) if 5.4 < hour < 21 else 0.0
        cloud = 1 - 0.16 * noise("cloud", at // 600_000) - 0.05 * noise("wisp", at // 60_000)
        generation = int(468_000 * self.size * sun**1.25 * cloud)
        busy = 38_000 + 24_000 * max(0.0, math.sin((hour - 6) / 14 * math.pi))
        load = int(self.size * busy + 2_500 * noise("load", at // 60_000))
        surplus = generation - load
        wanted = min(max(0, surplus - 5_000), int(341_000 * self.size))
        mining = (
            0 if self.stopped and at > self.now_ms() - 3_600_000 else int(wanted * (0.985 + 0.015 * noise("m", at // 60_000)))
        )
        spot = int((62 - 88 * math.exp(-(((hour - 13.2) / 3.1) ** 2)) + 24 * math.exp(-(((hour - 20) / 1.8) ** 2))) * 100)
        return doc.DayPoint(
            time_ms=at,
            generation_w=generation,
            load_w=load,
            surplus_w=surplus,
            set_point_w=0 if self.stopped else wanted,
            mining_power_w=mining,
            grid_w=load + mining - generation,
            spot_cent_per_mwh=spot - spot % 7,
        )

    async def day(self, points: int = 288, site: str | None = None) -> list[doc.DayPoint]:
        self.known(site)
        now = self.now_ms()
        start, _ = market_day_bounds_ms(market_day_of(now))
        step = max(300_000, 86_400_000 // points)
        if self.empty:
            return []
        found = [self.point(at) for at in range(start, now + 1, step)]
        gap = start + 8 * 3_600_000  # a quarter hour without observations
        return [
            p
            if not gap <= p.time_ms < gap + QUARTER_MS
            else doc.DayPoint(
                **{
                    **p.model_dump(),
                    "generation_w": None,
                    "load_w": None,
                    "surplus_w": None,
                    "set_point_w": None,
                    "mining_power_w": None,
                    "grid_w": None,
                }
            )
            for p in found
        ]

    def height(self) -> int:
        return 0 if self.empty else self.blocks_before + max(0, (self.now_ms() - START_MS) // BLOCK_MS)

    # machines

    async def machines(self, site: str | None = None) -> list[doc.MachineDocument]:
        self.known(site)
        now = self.now_ms()
        left = self.point(now).set_point_w or 0
        out: list[doc.MachineDocument] = []
        for model, _name, group, count, th, watts in self.models:
            for n in range(1, count + 1):
                machine = f"{group}-{n:02d}"
                run = left >= watts and not self.stopped
                power = watts if run else 1900 if left >= 1900 and not self.stopped else 25
                left -= power if power > 25 else 0
                out.append(self._machine(machine, group=group, model=model, th=th, watts=watts, power=power, now=now))
        return out

    def _machine(self, name: str, *, group: str, model: str, th: int, watts: int, power: int, now: int) -> doc.MachineDocument:
        state: str = "running" if power > 25 else "sleeping"
        strike = {"s21-xp": 6690, "s21": 5160, "s19j-pro": 3061}[model]
        worth = f"{strike / 100:.2f} EUR/MWh in this machine and {self.export_price(now) / 100:.2f} EUR/MWh at the grid"
        if power > 25:
            reason = f"Runs: own surplus is worth {worth}."
        elif self.stopped:
            reason = "Sleeps: stopped by an operator until mining is resumed."
        else:
            reason = "Sleeps: the surplus is used by machines that make more of it."
        commanded: int | None = power if power > 25 else 0
        actual: int | None = int(power * (0.985 + 0.03 * noise(name, now // 60_000)))
        conditions: list[doc.Condition] = []
        found = next((c for c in self.conditions(now) if c.subject == name), None)
        if found is not None:
            conditions = [found]
        if name == "hall-c-23" and (now // 240_000) % 3 == 0:
            state, actual, reason = (
                "unreachable",
                None,
                "Unknown: it does not answer; its share of the set-point is given to others.",
            )
        elif name == "hall-c-11":
            state, actual, reason = (
                "faulty",
                3068,
                "Runs although told to sleep: it answers OK and does nothing. Its power is planned around.",
            )
            commanded = 0
        elif name == "hall-b-07":
            state, actual, reason = (
                "running",
                3498,
                "Runs at its own power: it ignores wattages, so it is only switched on and off.",
            )
        elif state == "running" and name == "hall-b-31":
            state, reason = "starting", "Starting: told to run 40 s ago, its boards are warming up."
        rate = None if actual is None else 0 if actual < 100 else int(th * 10**12 * min(1.0, 0.3 + 0.7 * actual / watts))
        fresh = state in ("running", "starting", "faulty")
        return doc.MachineDocument(
            id=name,
            site=self.name,
            group=group,
            model=model,
            party="photosynth-demo",
            driver="luxos",
            address=f"127.0.0.1:{40000 + len(name)}",
            worker=name,
            state=state,  # type: ignore[arg-type]
            power_w=actual,
            hash_rate_hs=None if rate is None else str(rate),
            commanded_w=commanded,
            commanded_ms=None if commanded is None else now - 900_000,
            commanded_result=None if commanded is None else "unverified" if name == "hall-c-11" else "done",
            reason=reason,
            temperature_c=None if actual is None else 58 + int(9 * noise(name, now // 300_000)) if fresh else 31,
            observed_ms=now - 500 if actual is not None else now - 190_000,
            state_since_ms=START_MS - 1_800_000,
            starts=2,
            accepted=1200 + int(90 * noise(name, 1)) + (now - START_MS) // 11_000,
            rejected=int(3 * noise(name, 2)),
            last_share_wall_ms=int(time.time() * 1000) - int(9000 * noise(name, now // 9000))
            if fresh
            else int(time.time() * 1000) - 840_000,
            strike_cent_per_mwh=strike,
            conditions=conditions,
        )

    def conditions(self, now: int) -> list[doc.Condition]:
        if self.empty or self.models is not MODELS:
            return []
        return [
            doc.Condition(
                id="ignores_power_limit:hall-b-07",
                severity="warning",
                subject="hall-b-07",
                summary="Ignores its power limit",
                evidence="told 1,850 W at 11:02, read 3,498 W five minutes later",
                advice="It is only switched on and off now. Update its firmware or check the profile list.",
                since_ms=START_MS - 600_000,
            ),
            doc.Condition(
                id="says_ok_does_nothing:hall-c-11",
                severity="critical",
                subject="hall-c-11",
                summary="Answers OK and does nothing",
                evidence="sleep was answered 'S' three times; power stayed at 3,068 W and shares went on",
                advice="Switch it off at its breaker; the dispatch plans around its power meanwhile.",
                since_ms=START_MS - 420_000,
            ),
            doc.Condition(
                id="drops_out:hall-c-23",
                severity="warning",
                subject="hall-c-23",
                summary="Drops out and comes back",
                evidence="4 times in the last hour, 240 s each",
                advice="Check its network cable and power supply.",
                since_ms=START_MS - 1_900_000,
            ),
        ]

    def export_price(self, now: int) -> int:
        spot = self.point(now).spot_cent_per_mwh or 0
        return spot - 200 + (1300 if spot >= 0 else 0)
