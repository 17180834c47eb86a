"""The site's power as its meters said it, with age: what is stale is shown as such and never steers a machine on."""

from dataclasses import dataclass

from photosynth.energy.meters import MeterReading, MeterSpec, Quality, SourceReading
from photosynth.quantities.balance import sums_by_role

STALE_AFTER_MS = 5_000
"""Wall milliseconds after which a reading no longer says how things are."""
LOST_AFTER_MS = 30_000
"""Wall milliseconds after which nothing is known any more."""


@dataclass(frozen=True, slots=True)
class PowerPicture:
    """One look at all meters and the inverters, in watts; None where a meter of the role does not say its power."""

    at_ms: int
    wall_ms: int
    generation_w: int | None
    load_w: int | None
    mining_w: int | None
    grid_w: int | None
    source: SourceReading | None

    @classmethod
    def of(
        cls,
        specs: tuple[MeterSpec, ...],
        readings: dict[str, MeterReading],
        source: SourceReading | None,
        site_ms: int,
        wall_ms: int,
    ) -> "PowerPicture":
        """Bring readings together by the roles of their meters."""
        by_role = sums_by_role(specs, {name: _power_w(reading) for name, reading in readings.items()})
        imported, exported = by_role["import"], by_role["export"]
        grid_w = None if imported is None or exported is None else imported - exported
        at_ms = min((reading.at_ms for reading in readings.values()), default=site_ms)
        return cls(
            at_ms=at_ms,
            wall_ms=wall_ms,
            generation_w=by_role["own_generation"],
            load_w=by_role["factory"],
            mining_w=by_role["mining"],
            grid_w=grid_w,
            source=source,
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


def _power_w(reading: MeterReading) -> int | None:
    """A meter's power, as far as it stands by it itself."""
    return reading.power_w if reading.quality in ("good", "estimated") else None
