"""A recorded or computed series of watts by site minute, in a file: what a replayed day hands to the world process."""

from pathlib import Path

import msgspec

from photosynth.files.whole import write_whole

MINUTE_MS = 60_000


class Series(msgspec.Struct, frozen=True):
    """Whole watts by minute from ``start_ms`` on; before and after, the first and the last hold."""

    start_ms: int
    watts: tuple[int, ...]
    source: str

    def at(self, site_ms: int) -> int:
        """Watts in the minute that an instant lies in."""
        index = (site_ms - self.start_ms) // MINUTE_MS
        return self.watts[min(max(index, 0), len(self.watts) - 1)]


def write_series(path: Path, series: Series) -> None:
    """Write a series whole or not at all."""
    write_whole(path, msgspec.json.encode(series), durable=False)


def read_series(path: Path) -> Series:
    """Read a series. Raises OSError or msgspec.DecodeError where there is none, ValueError where it is empty."""
    series = msgspec.json.decode(path.read_bytes(), type=Series)
    if not series.watts:
        raise ValueError(f"{path} holds no watts")
    return series
