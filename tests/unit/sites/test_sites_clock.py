"""The site's clock: a straight line, an end where one is given, and a memory that is whole or absent."""

from pathlib import Path

import pytest

from photosynth.sites.clock import RememberedTime, RunningClock


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("time.monotonic_ns", lambda: int(seconds * 1_000_000_000))


def test_site_time_runs_at_its_speed_from_where_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 100)
    clock = RunningClock.starting_at(5_000, 60_000)
    assert (clock.speed, clock.site_ms(), clock.ended) == (60.0, 5_000, False)
    at(monkeypatch, 110)
    assert clock.site_ms() == 605_000
    assert clock.wall_seconds_until(665_000) == 1.0
    assert clock.wall_seconds_until(1) == 0.0


def test_a_replayed_day_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 0)
    clock = RunningClock.starting_at(0, 300_000, end_ms=600_000)
    at(monkeypatch, 1.9)
    assert (clock.ended, clock.site_ms()) == (False, 570_000)
    at(monkeypatch, 60)
    assert (clock.ended, clock.site_ms()) == (True, 600_000)


def test_the_time_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    assert RememberedTime.load(path) is None
    RememberedTime(12, 34).save(path)
    assert RememberedTime.load(path) == RememberedTime(12, 34)
    assert [file.name for file in tmp_path.iterdir()] == ["clock.json"]


@pytest.mark.parametrize(
    "garbled", [b"", b"{", b"[]", b"null", b'{"site_ms": 1}', b'{"site_ms": null, "wall_ms": 1}', b"\xff\xfe"]
)
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, garbled: bytes) -> None:
    path = tmp_path / "clock.json"
    path.write_bytes(garbled)
    assert RememberedTime.load(path) is None
