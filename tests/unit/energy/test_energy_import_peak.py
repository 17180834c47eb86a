"""The peak so far, by the calendar of Europe/Berlin."""

from datetime import UTC, datetime

import pytest

from photosynth.energy.import_peak import DemandPeriod, ImportPeak, period_start_ms


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("instant", "period", "start"),
    [
        ("2026-06-14T09:00", "year", "2025-12-31T23:00"),
        ("2026-06-14T09:00", "month", "2026-05-31T22:00"),
        ("2025-12-31T22:59", "year", "2024-12-31T23:00"),
        ("2025-12-31T23:00", "year", "2025-12-31T23:00"),
        ("2026-03-31T21:59", "month", "2026-02-28T23:00"),
    ],
)
def test_a_period_begins_at_local_midnight(instant: str, period: DemandPeriod, start: str) -> None:
    assert period_start_ms(ms(instant), period) == ms(start)


def test_the_peak_rises_and_begins_anew_with_the_period() -> None:
    peak = ImportPeak("month")
    assert peak.watts_at(ms("2026-06-14T09:00")) == 0
    for instant, import_w in (("2026-06-14T09:00", 40_000), ("2026-06-14T09:15", 90_000), ("2026-06-14T09:30", 10_000)):
        peak.count(ms(instant), import_w)
    assert peak.watts_at(ms("2026-06-30T21:59")) == 90_000
    assert peak.watts_at(ms("2026-06-30T22:00")) == 0, "July has begun, and none of its quarter hours is closed"
    peak.count(ms("2026-06-30T22:00"), 20_000)
    assert peak.watts_at(ms("2026-07-14T09:00")) == 20_000
    peak.count(ms("2026-06-30T21:45"), 99_000)
    assert peak.watts_at(ms("2026-07-14T09:00")) == 20_000, "a late one of June's"
