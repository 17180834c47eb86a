"""How long a quarter hour that is over stays open for its meters: until their latched registers come, or a grace has passed.

Meters latch their registers at each quarter hour's end and keep them for days, so that what is read late is as exact as
what is read at once. The grace is wall time that the site's clock ran for since the end: what is waited for is a cable, a
device or a person, and those are no faster where a simulated clock is; a simulated clock that stands while the site is
stopped does not use it up. So it needs no memory of its own over a restart. A clock that ran on while nobody asked, as a real
site's does, may have used it up: then the meters are still asked for a moment.

Quarter hours are closed in their order. One that waits holds up those after it, whose own grace runs meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from photosynth.energy.meters import IntervalReading, MeterError, Meters
from photosynth.quantities.instants import INTERVAL_MS, Clock, interval_start_ms, iso_utc

log = structlog.get_logger()

Registers = dict[str, IntervalReading]

PROMPT_S = 10.0
"""Wall seconds within which sound meters have latched and answered: a longer wait is told; nothing is given up sooner."""
ASK_AGAIN_S = (0.1, 1.0)
"""Wall seconds between two questions: at first, and when it takes longer than sound meters do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first quarter hour that cannot be closed, the meters that are missing and why, and for how long (wall seconds)."""

    start_ms: int
    meters: tuple[str, ...]
    why: str
    open_intervals: int
    waited_s: float
    left_s: float


class MeterWait:
    """Asks the meters for the registers of quarter hours that are over, one after the other.

    ``speed_milli`` is how many site milliseconds pass in a wall second; ``seconds`` a clock that never runs backwards.
    """

    def __init__(
        self,
        meters: Meters,
        ids: Sequence[str],
        clock: Clock,
        *,
        site: str,
        speed_milli: int,
        grace_s: float,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site, self._meters, self._ids = site, meters, tuple(ids)
        self._clock, self._speed_milli, self._grace_s, self._seconds = clock, speed_milli, grace_s, seconds
        self._ended_s: dict[int, float] = {}
        self._asking_since_s: float | None = None
        self._told = False
        self._given_up_ms: int | None = None
        self.waiting: Waiting | None = None
        """What is waited for now; None where no meter is late."""

    async def registers(self, start_ms: int) -> Registers | None:
        """The latched registers of a quarter hour that is over, as far as there are any; None where it stays open."""
        now_s = self._seconds()
        self._note_ends(start_ms, now_s)
        answer, why = await self._ask(start_ms)
        lost = False
        if self._missing(answer) and await self._have_later(start_ms, self._missing(answer)):
            # They may have come back between the two questions: only what they do not know now is lost.
            answer, why = await self._ask(start_ms)
            lost = answer is not None
        found, missing = answer or {}, self._missing(answer)
        if not missing:
            self._all_answer()
            return found
        if self._asking_since_s is None:
            self._asking_since_s = now_s
        if lost:
            self._give_up(start_ms, missing, "they have later quarter hours, but keep this one no longer")
            return found
        waited_s, asked_s = now_s - self._ended_s[start_ms], now_s - self._asking_since_s
        left_s = max(self._grace_s - waited_s, min(PROMPT_S, self._grace_s) - asked_s)
        if left_s <= 0:
            self._give_up(start_ms, missing, f"they did not answer within {self._grace_s:g} s")
            return found
        if asked_s >= PROMPT_S:
            self.waiting = Waiting(start_ms, tuple(missing), why, len(self._ended_s), waited_s, left_s)
            if not self._told:
                self._told = True
                log.warning(
                    "quarter hours wait for meters",
                    site=self._site,
                    first=iso_utc(start_ms),
                    meters=missing,
                    why=why,
                    left_s=round(left_s),
                )
        return None

    async def pause(self) -> None:
        """Wait until the meters shall be asked again."""
        await asyncio.sleep(ASK_AGAIN_S[self.waiting is not None])

    def ended_wall_ms(self, start_ms: int) -> int:
        """What the machine's clock showed when a quarter hour ended, as far as the site's clock ran steadily since."""
        since_ms = max(0, self._clock.site_ms() - start_ms - INTERVAL_MS)
        return self._clock.wall_ms() - since_ms * 1000 // self._speed_milli

    def _note_ends(self, start_ms: int, now_s: float) -> None:
        """Remember when each open quarter hour ended; the clock may stand still later, as a replayed day's does.

        One is forgotten when a later one is asked for, as the books may be unable to take it at first.
        """
        for known in [known for known in self._ended_s if known < start_ms]:
            del self._ended_s[known]
        site_ms = self._clock.site_ms()
        newest = max(self._ended_s, default=start_ms - INTERVAL_MS)
        for open_ms in range(max(start_ms, newest + INTERVAL_MS), site_ms - INTERVAL_MS + 1, INTERVAL_MS):
            self._ended_s[open_ms] = now_s - (site_ms - open_ms - INTERVAL_MS) / self._speed_milli
        self._ended_s.setdefault(start_ms, now_s)

    async def _ask(self, start_ms: int) -> tuple[Registers | None, str]:
        """What the meters have of a quarter hour, None where they did not answer, and why there is not more."""
        try:
            found = await self._meters.profile(start_ms)
        except MeterError as error:
            return None, str(error)
        return found or {}, "no sound registers of this quarter hour were given"

    def _missing(self, answer: Registers | None) -> list[str]:
        found = answer or {}
        return [name for name in self._ids if name not in found or found[name].quality == "unknown"]

    async def _have_later(self, start_ms: int, missing: Sequence[str]) -> bool:
        """Whether every missing meter has a later quarter hour."""
        latest_ms = interval_start_ms(self._clock.site_ms()) - INTERVAL_MS
        if latest_ms <= start_ms:
            return False
        later, _ = await self._ask(latest_ms)
        return later is not None and not set(missing) & set(self._missing(later))

    def _give_up(self, start_ms: int, missing: Sequence[str], why: str) -> None:
        if self._given_up_ms != start_ms:
            self._given_up_ms = start_ms
            log.warning(
                "a quarter hour is closed with unknown meters",
                site=self._site,
                start=iso_utc(start_ms),
                meters=list(missing),
                why=why,
            )
        if max(self._ended_s) == start_ms:
            self.waiting = None

    def _all_answer(self) -> None:
        self.waiting, self._asking_since_s = None, None
        if self._told:
            self._told = False
            log.info("quarter hours wait for no meter any more", site=self._site)
