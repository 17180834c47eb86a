"""What a target of alerts has to be told now, and in which words: no I/O, and the time is passed in (wall milliseconds).

A target is told once that an incident opened and once that it is over, however often it came and went in between; what only
follows from another incident, and what somebody has taken on, is told to nobody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from photosynth.fleet.alerts import QuietHours
from photosynth.operations.incidents.life import Incident

What = Literal["opened", "resolved"]
MOST_GROUPS, MOST_SUBJECTS = 20, 10
LONGEST_TITLE = 150


@dataclass(frozen=True, slots=True)
class Told:
    """What a target was told last of an incident, and when."""

    what: What
    told_ms: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``tells`` is what it says of which incidents, by their ids."""

    title: str
    body: str
    tells: Mapping[int, What]


def due(
    incidents: Iterable[Incident], told: Mapping[int, Told], now_ms: int, *, repeat_ms: int | None = None, quiet: bool = False
) -> list[tuple[Incident, What]]:
    """What has to be told now, by what was told; while it is ``quiet``, only of what is critical."""
    found: list[tuple[Incident, What]] = []
    for incident in incidents:
        if quiet and incident.severity != "critical":
            continue
        last = told.get(incident.id)
        if incident.state == "open" and incident.cause is None:
            again = last is not None and repeat_ms is not None and now_ms - last.told_ms >= repeat_ms
            if last is None or last.what == "resolved" or again:
                found.append((incident, "opened"))
        elif incident.settled(now_ms) and last is not None and last.what == "opened":
            found.append((incident, "resolved"))
    return found


def is_quiet(hours: QuietHours | None, now_ms: int) -> bool:
    """Whether it is among the quiet hours, on their own clock; they may go over midnight."""
    if hours is None:
        return False
    local = datetime.fromtimestamp(now_ms / 1000, hours.zone)
    minute = local.hour * 60 + local.minute
    if hours.from_ < hours.to:
        return hours.from_ <= minute < hours.to
    return minute >= hours.from_ or minute < hours.to


def message(wanted: Iterable[tuple[Incident, What]]) -> Message:
    """All of it in one message: what is the same of many is said once, the gravest first, and bounded."""
    every = list(wanted)
    groups: dict[tuple[str, str, str, str], list[Incident]] = {}
    ranked = sorted(every, key=lambda item: (item[1] == "resolved", item[0].severity != "critical", item[0].id))
    for incident, what in ranked:
        groups.setdefault((what, incident.severity, incident.kind, incident.summary), []).append(incident)
    lines: list[str] = []
    for key, found in [*groups.items()][:MOST_GROUPS]:
        lines += _group(found, over=key[0] == "resolved")
    if len(groups) > MOST_GROUPS:
        lines.append(f"And {len(groups) - MOST_GROUPS} more kinds of trouble: photosynth incidents")
    if any(what == "opened" for _, what in every):
        lines.append("Take one on, and it wakes nobody any more: photosynth incident ack ID --by NAME")
    return Message(_title(ranked), "\n".join(lines), {incident.id: what for incident, what in every})


def _title(ranked: list[tuple[Incident, What]]) -> str:
    opened = sum(what == "opened" for _, what in ranked)
    (first, what), over = ranked[0], len(ranked) - opened
    if len(ranked) == 1:
        word = first.severity if what == "opened" else "over"
        return f"Photosynth: {word}: {first.subject}: {first.summary}"[:LONGEST_TITLE]
    counts = [text for number, text in ((opened, f"{opened} opened"), (over, f"{over} over")) if number]
    gravest = f", {first.severity} at worst" if opened else ""
    return f"Photosynth: incidents: {', '.join(counts)}{gravest}"


def _group(found: list[Incident], *, over: bool) -> list[str]:
    first = found[0]
    word = "over" if over else first.severity
    named = ", ".join(f"{one.subject} (incident {one.id})" for one in found[:MOST_SUBJECTS])
    more = f" and {len(found) - MOST_SUBJECTS} more" if len(found) > MOST_SUBJECTS else ""
    lines = [f"{word}: {first.summary}", f"  {named}{more}"]
    if over:
        return [*lines, ""]
    flaps = [f"  It comes and goes: {first.openings} times."] if first.flaps and len(found) == 1 else []
    return [*lines, *flaps, f"  seen: {first.evidence}", f"  what to do: {first.runbook}", ""]
