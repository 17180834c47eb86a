"""One look at a node through its network's package, whatever that package does: it ends in time, and what it says is sound.

A package of somebody else's network runs in our process. Whatever it raises, gives back or never ends is that node's alone.
"""

import asyncio
from collections.abc import Callable

import structlog

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.networks.grammar import Judgement, Probe, Report
from photosynth.operations.foreign import ForeignCall, ForeignError, let_go
from photosynth.quantities.texts import printable

log = structlog.get_logger()

LONGEST_LOOK_S = 15.0
"""A probe bounds itself; one that does not is cut off."""
LARGEST = 2**63 - 1
MOST_TEXT = 500
MOST_JUDGEMENTS = 50
_SEVERITIES = ("critical", "warning", "info")


class NonsenseError(Exception):
    """What a probe gave back is no report; the message says what of it is not."""


class NodeLook:
    """Looks at one node by a probe that is made when it is first needed."""

    def __init__(self, node_id: str, make: Callable[[], Probe]) -> None:
        self._node_id, self._make = node_id, make
        self._call = ForeignCall[Report](f"look at {node_id}", LONGEST_LOOK_S)
        self._probe: Probe | None = None
        self._said = ""

    async def look(self, now_ms: int) -> Report:
        """One look, over within its time. Raises nothing."""

        async def work() -> Report:
            if self._probe is None:
                self._probe = self._make()
            return sound(await self._probe.look(now_ms), now_ms)

        try:
            return await self._call(work)
        except ForeignError as error:
            return failed_look(now_ms, self._why(error, error.__cause__))

    async def close(self) -> None:
        """Let its connections go. Raises nothing, and ends in time."""
        if self._probe is not None:
            await let_go(self._probe)

    def _why(self, error: ForeignError, cause: BaseException | None) -> str:
        """Why a look told nothing; a mistake of the package is logged once."""
        if cause is None or isinstance(cause, NodeUnavailableError):
            return str(error)
        if isinstance(cause, asyncio.CancelledError):
            return "its probe gave the look up"
        why = f"its probe failed: {error}"
        if why != self._said:
            self._said = why
            mistake = None if isinstance(cause, NonsenseError) else cause
            log.error("a probe failed", node=self._node_id, exc_info=mistake, reason=why)
        return why


def failed_look(now_ms: int, why: str) -> Report:
    """A look that told nothing, and why."""
    unreachable = Judgement("node_unreachable", "critical", "it does not answer", why, "See that it runs and what its log says.")
    return Report(now_ms, problem=why, judgements=(unreachable,))


def sound(report: object, now_ms: int) -> Report:
    """A report as it may be judged and shown: its texts bounded, its numbers numbers. Raises NonsenseError."""
    if not isinstance(report, Report):
        raise NonsenseError(f"its probe gave {type(report).__name__} and no report")
    problem = None if report.problem is None else _text(report.problem, "problem")
    judged = report.judgements
    if not isinstance(judged, tuple | list):
        raise NonsenseError("judgements are no list")
    judgements = tuple(_judgement(item) for item in judged[:MOST_JUDGEMENTS])
    if problem is not None:
        judgements = judgements or failed_look(now_ms, problem).judgements
        return Report(now_ms, problem, judgements=judgements, alive=report.alive is True)
    head = _number(report.head, "head")
    if head is None and all(item.severity == "info" for item in judgements):
        runbook = "See whether its version is one that its network's package knows."
        judgements += (Judgement("node_silent_on", "warning", "it does not tell its head", "the answer lacks it", runbook),)
    version = None if report.version is None else _text(report.version, "version")
    return Report(now_ms, None, head, _number(report.peers, "peers"), version, judgements)


def _judgement(item: object) -> Judgement:
    if not isinstance(item, Judgement) or item.severity not in _SEVERITIES:
        raise NonsenseError("one of judgements is none")
    kind, summary = _text(item.kind, "kind"), _text(item.summary, "summary")
    return Judgement(kind, item.severity, summary, _text(item.evidence, "evidence"), _text(item.runbook, "runbook"))


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise NonsenseError(f"{what} is no text")
    return printable(value, MOST_TEXT)


def _number(value: object, what: str) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= LARGEST):
        return value
    raise NonsenseError(f"{what} is no whole number from 0 to {LARGEST}")
