"""The site's clock: a straight line over the machine's monotonic clock, remembered over restarts."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from photosynth.files.whole import write_whole
from photosynth.quantities.instants import ScaledTime


@dataclass(frozen=True, slots=True)
class RunningClock:
    """The clock of a running site; satisfies ``quantities.instants.Clock``."""

    time: ScaledTime

    @classmethod
    def starting_at(cls, site_ms: int, speed_milli: int, end_ms: int | None = None) -> "RunningClock":
        """A clock that shows ``site_ms`` now and runs ``speed_milli`` site milliseconds in a wall second."""
        return cls(ScaledTime(site_ms, time.monotonic_ns(), speed_milli, end_ms))

    def site_ms(self) -> int:
        """The site's time now."""
        return self.time.site_ms(time.monotonic_ns())

    def wall_ms(self) -> int:
        """The machine's time now."""
        return time.time_ns() // 1_000_000

    def wall_seconds_until(self, site_ms: int) -> float:
        """Wall seconds until the site reaches a time."""
        return self.time.wall_seconds_until(site_ms, time.monotonic_ns())

    @property
    def speed(self) -> float:
        """Site seconds in a wall second."""
        return self.time.speed_milli / 1000

    @property
    def ended(self) -> bool:
        """Whether site time has come to the end it was given, as a replayed day has."""
        return self.time.end_ms is not None and self.site_ms() >= self.time.end_ms


@dataclass(frozen=True, slots=True)
class RememberedTime:
    """Where the site's time stood when it was last written down."""

    site_ms: int
    wall_ms: int

    def save(self, path: Path) -> None:
        """Write it down whole, so that a kill leaves the old or the new one."""
        write_whole(path, json.dumps({"site_ms": self.site_ms, "wall_ms": self.wall_ms}).encode(), durable=False)

    @classmethod
    def load(cls, path: Path) -> "RememberedTime | None":
        """What was written down; None where nothing was or it cannot be read, as the books tell the time too."""
        try:
            document = json.loads(path.read_bytes())
            return cls(int(document["site_ms"]), int(document["wall_ms"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
