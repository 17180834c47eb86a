"""The life of incidents, from one look at all conditions to the next: no I/O, and the time is passed in (wall milliseconds).

A condition is an incident once it was there in so many looks in a row as its kind wants. It is resolved once it was away for
so many, and the same one, no new one, if it comes back within ``REOPENS_MS``. One that came back twice flaps: it stays one open
incident until it was away for ``CALM_LOOKS``. What nobody could look at is neither there nor away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from photosynth.operations.incidents.kinds import kind_of
from photosynth.quantities.texts import printable

Severity = Literal["warning", "critical"]
State = Literal["open", "acknowledged", "resolved"]

REOPENS_MS = 3_600_000
"""Whoever had an hour of rest has to look anew."""
FLAPS_AFTER = 3
"""Times that one opened, its first included."""
CALM_LOOKS = 360
"""Half an hour at a look every five seconds."""
SETTLED_MS = 60_000
"""What was resolved for so long is told to be; what comes back before goes on as it was, acknowledgement and all."""
FIRST_LOOKS = 12
"""Looks after a start in which what was open before and is not seen yet stays open: a minute, in which all is looked at once."""
KEPT_MS = 86_400_000
"""How long a resolved one is held in memory, for targets of alerts that could not be told."""
MOST = 5_000
"""Unresolved ones at a time: beyond these, further ones are counted in one."""
EVIDENCE_EVERY_MS = 300_000
"""Evidence that changes is written down so often, so that a counter in it does not write all day."""
SEEN_EVERY_MS = 3_600_000
LONGEST_KEY, LONGEST_SUBJECT, LONGEST_SUMMARY, LONGEST_EVIDENCE, LONGEST_NAME = 400, 200, 300, 1_000, 100


@dataclass(frozen=True, slots=True)
class Seen:
    """One condition in one look.

    ``key`` tells it from every other and is the same after a restart; ``subject`` begins with what it is about (node, site,
    wallet or fleet) and its name; ``cause`` is the condition that this one only follows from, None where none is known.
    """

    key: str
    kind: str
    site: str | None
    subject: str
    severity: Severity
    summary: str
    evidence: str
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that is wrong at a moment.

    Nothing is known of what ``blind`` names, by its key or by the beginning of its subject, nor of the kinds ``blind_kinds``.
    """

    seen: Sequence[Seen]
    blind: frozenset[str] = frozenset()
    blind_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Incident:
    """A condition with a life. ``openings`` counts how often it opened, ``seen_ms`` is when its evidence was seen."""

    id: int
    key: str
    kind: str
    site: str | None
    subject: str
    severity: Severity
    state: State
    opened_ms: int
    seen_ms: int
    summary: str
    evidence: str
    cause: str | None = None
    resolved_ms: int | None = None
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None
    openings: int = 1

    @property
    def flaps(self) -> bool:
        """Whether it comes and goes."""
        return self.openings >= FLAPS_AFTER

    @property
    def runbook(self) -> str:
        """Where a person reads what to do."""
        return kind_of(self.kind).runbook

    def settled(self, now_ms: int) -> bool:
        """Whether it was resolved for so long that it may be told to be; a clock that was set back delays nothing."""
        return self.resolved_ms is not None and not 0 <= now_ms - self.resolved_ms < SETTLED_MS


class Incidents:
    """All incidents that are not resolved, and those that were until lately; ``unwritten`` are the ids of those that changed."""

    def __init__(self, known: Iterable[Incident] = (), next_id: int = 1) -> None:
        self.by_id = {incident.id: incident for incident in known}
        self.unwritten: set[int] = set()
        self._next_id = next_id
        self._by_key = {incident.key: incident.id for incident in sorted(self.by_id.values(), key=lambda item: item.id)}
        self._unseen = {incident.id for incident in self.by_id.values() if incident.state != "resolved"}
        self._there: dict[str, int] = {}
        """Looks in a row, by key, that a condition which is no incident was there."""
        self._away: dict[int, int] = {}
        """Looks in a row, by id, that an incident's condition was away."""
        self._looks = 0
        self.left_out = 0
        """Conditions of the last look for which there was no room."""

    def unresolved(self) -> list[Incident]:
        """Those that are open or acknowledged."""
        return [incident for incident in self.by_id.values() if incident.state != "resolved"]

    def open(self, site: str | None = None) -> int:
        """How many nobody has taken on; of a site its own and those of the whole fleet."""
        of_site = (item for item in self.by_id.values() if site is None or item.site in (None, site))
        return sum(incident.state == "open" for incident in of_site)

    def look(self, look: Look, now_ms: int) -> None:
        """Go on by one look."""
        self._looks += 1
        seen = dict[str, Seen]()
        for item in look.seen:
            seen.setdefault(_key(item), item)
        before, self._there = self._there, {}
        self.left_out, room = 0, MOST - len(self.unresolved())
        for key, item in seen.items():
            known = self._known(key, now_ms)
            if known is not None and known.state != "resolved":
                self._is_there(known, item, now_ms)
                continue
            self._there[key] = before.get(key, 0) + 1
            if self._there[key] < kind_of(item.kind).opens_after:
                continue
            if room <= 0 and item.kind != "incidents_overflow":
                self.left_out += 1
                continue
            room -= 1
            del self._there[key]
            if known is None:
                self._open(key, item, now_ms)
            else:
                self._reopen(known, item, now_ms)
        for incident in self.unresolved():
            if incident.key not in seen and not _blind(incident, look):
                self._is_away(incident, now_ms)
        self._forget(now_ms)

    def acknowledge(self, incident_id: int, by: str, now_ms: int) -> Incident:
        """Somebody takes one on; whoever did first stays. Raises KeyError where it is not here, ValueError where it is over."""
        incident = self.by_id[incident_id]
        if incident.state == "resolved":
            raise ValueError("it is resolved")
        if incident.state == "open":
            name = printable(by, LONGEST_NAME)
            self._put(replace(incident, state="acknowledged", acknowledged_ms=now_ms, acknowledged_by=name))
        return self.by_id[incident_id]

    def _known(self, key: str, now_ms: int) -> Incident | None:
        """The incident that a condition belongs to; None where a new one would be."""
        found = self.by_id.get(self._by_key.get(key, 0))
        if found is None or found.resolved_ms is None:
            return found
        return found if now_ms - found.resolved_ms < REOPENS_MS else None

    def _open(self, key: str, item: Seen, now_ms: int) -> None:
        incident = Incident(
            self._next_id,
            key,
            item.kind,
            item.site,
            printable(item.subject, LONGEST_SUBJECT),
            item.severity,
            "open",
            now_ms,
            now_ms,
            printable(item.summary, LONGEST_SUMMARY),
            printable(item.evidence, LONGEST_EVIDENCE),
            None if item.cause is None else printable(item.cause, LONGEST_SUMMARY),
        )
        self._next_id += 1
        self._by_key[key] = incident.id
        self._put(incident)

    def _reopen(self, incident: Incident, item: Seen, now_ms: int) -> None:
        keeps = incident.acknowledged_ms is not None and not incident.settled(now_ms)
        again = replace(
            incident,
            state="acknowledged" if keeps else "open",
            resolved_ms=None,
            acknowledged_ms=incident.acknowledged_ms if keeps else None,
            acknowledged_by=incident.acknowledged_by if keeps else None,
            openings=incident.openings + 1,
        )
        self._put(_with(again, item, now_ms))

    def _is_there(self, incident: Incident, item: Seen, now_ms: int) -> None:
        self._away.pop(incident.id, None)
        self._unseen.discard(incident.id)
        new = _with(incident, item, now_ms)
        graver = (new.severity, new.cause, new.summary) != (incident.severity, incident.cause, incident.summary)
        age_ms = now_ms - incident.seen_ms
        due = EVIDENCE_EVERY_MS if new.evidence != incident.evidence else SEEN_EVERY_MS
        if graver or not 0 <= age_ms < due:
            self._put(new)

    def _is_away(self, incident: Incident, now_ms: int) -> None:
        if incident.id in self._unseen and self._looks <= FIRST_LOOKS:
            return
        self._away[incident.id] = self._away.get(incident.id, 0) + 1
        if self._away[incident.id] >= (CALM_LOOKS if incident.flaps else kind_of(incident.kind).clears_after):
            self._unseen.discard(incident.id)
            del self._away[incident.id]
            self._put(replace(incident, state="resolved", resolved_ms=now_ms))

    def _put(self, incident: Incident) -> None:
        self.by_id[incident.id] = incident
        self.unwritten.add(incident.id)

    def _forget(self, now_ms: int) -> None:
        """Let go of what was resolved long ago and is written down."""
        for incident in list(self.by_id.values()):
            if (
                incident.resolved_ms is not None
                and now_ms - incident.resolved_ms >= KEPT_MS
                and incident.id not in self.unwritten
            ):
                del self.by_id[incident.id]
                if self._by_key.get(incident.key) == incident.id:
                    del self._by_key[incident.key]


def _key(item: Seen) -> str:
    return printable(item.key, LONGEST_KEY)


def _with(incident: Incident, item: Seen, now_ms: int) -> Incident:
    """The same with what is seen of it now."""
    return replace(
        incident,
        severity=item.severity,
        seen_ms=now_ms,
        summary=printable(item.summary, LONGEST_SUMMARY),
        evidence=printable(item.evidence, LONGEST_EVIDENCE),
        cause=None if item.cause is None else printable(item.cause, LONGEST_SUMMARY),
    )


def _blind(incident: Incident, look: Look) -> bool:
    """Whether an incident, or what it is about, is among what nobody could look at."""
    if incident.kind in look.blind_kinds or incident.key in look.blind:
        return True
    words = incident.subject.split(" ")
    return any(" ".join(words[:number]) in look.blind for number in range(1, len(words) + 1))
