"""The site's power as its meters said it, with age: what is stale is shown as such and never steers a machine on."""

from dataclasses import dataclass, replace

from photosynth.energy.meters import MeterReading, MeterSpec, Quality, SourceReading
from photosynth.quantities.balance import sums_by_role
from photosynth.quantities.instants import iso_utc

STALE_AFTER_MS = 5_000
"""Wall milliseconds after which a reading no longer says how things are; no meter's own time may be further from the site's."""
LOST_AFTER_MS = 30_000
"""Wall milliseconds after which nothing is known any more: the grace of a meter that is not heard before everything sleeps."""
SURPLUS_ROLES = ("own_generation", "factory")


@dataclass(frozen=True, slots=True)
class PowerPicture:
    """One look at all meters and the inverters, in watts; None where a meter of the role does not say its power.

    ``silent`` are the meters without which no surplus is known, each with what is wrong with it.
    """

    at_ms: int
    wall_ms: int
    generation_w: int | None
    load_w: int | None
    mining_w: int | None
    grid_w: int | None
    source: SourceReading | None
    silent: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        specs: tuple[MeterSpec, ...],
        readings: dict[str, MeterReading],
        source: SourceReading | None,
        *,
        site_ms: int,
        wall_ms: int,
        speed_milli: int,
    ) -> "PowerPicture":
        """Bring readings together by the roles of their meters; ``speed_milli`` is site milliseconds in a wall second.

        A power counts only where its meter stands by it, and where the meter's own time is the site's, as far as it can be.
        """
        most_off_ms = STALE_AFTER_MS * speed_milli // 1000
        wrong = {name: _wrong(reading, site_ms, most_off_ms) for name, reading in readings.items()}
        sound = {name: reading for name, reading in readings.items() if wrong[name] is None}
        by_role = sums_by_role(specs, {name: reading.power_w for name, reading in sound.items()})
        imported, exported = by_role["import"], by_role["export"]
        return cls(
            at_ms=min((reading.at_ms for reading in sound.values()), default=site_ms),
            wall_ms=wall_ms,
            generation_w=by_role["own_generation"],
            load_w=by_role["factory"],
            mining_w=by_role["mining"],
            grid_w=None if imported is None or exported is None else imported - exported,
            source=source,
            silent=tuple(
                f"{spec.id} {wrong.get(spec.id, 'was not read')}"
                for spec in specs
                if spec.role in SURPLUS_ROLES and spec.id not in sound
            ),
        )

    def after(self, before: "PowerPicture | None") -> "PowerPicture":
        """This look; what a silent meter leaves unknown of the surplus is the earlier look's, and so old is then all of it.

        So one missed reading moves no machine, and one that stays out raises none, and lets none run on beyond the grace.
        """
        if before is None or (self.generation_w is not None and self.load_w is not None):
            return self
        return replace(
            self,
            at_ms=before.at_ms,
            wall_ms=before.wall_ms,
            generation_w=before.generation_w if self.generation_w is None else self.generation_w,
            load_w=before.load_w if self.load_w is None else self.load_w,
        )

    def quality(self, wall_ms: int) -> Quality:
        """How far this look can be trusted now; one from a future that a clock set back has made is as old as one of the past."""
        age_ms = abs(wall_ms - self.wall_ms)
        if age_ms > LOST_AFTER_MS or self.generation_w is None or self.load_w is None:
            return "unknown"
        return "stale" if age_ms > STALE_AFTER_MS else "good"

    @property
    def surplus_w(self) -> int | None:
        """What the sources make beyond the factory's load; None where one of both is not known."""
        return None if self.generation_w is None or self.load_w is None else self.generation_w - self.load_w

    @property
    def throttled(self) -> bool:
        """Whether a limit holds the sources down, as the inverters say."""
        return self.source is not None and self.source.throttled

    @property
    def curtailed_w(self) -> int | None:
        """An estimate of what the sources could make beyond their limit; None where the inverters give none."""
        if self.source is None or self.source.available_w is None:
            return None
        return max(0, self.source.available_w - self.source.power_w) if self.throttled else 0


def _wrong(reading: MeterReading, site_ms: int, most_off_ms: int) -> str | None:
    """Why a meter's power is not that of now; None where it is."""
    if reading.power_w is None or reading.quality not in ("good", "estimated"):
        return "does not say its power"
    if abs(site_ms - reading.at_ms) > most_off_ms:
        return f"says its power of {iso_utc(reading.at_ms)}, and it is {iso_utc(site_ms)}"
    return None
