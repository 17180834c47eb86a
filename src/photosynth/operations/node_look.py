"""One look at a node through its network's package, whatever that package does: it ends in time, and what it says is sound.

A package of somebody else's network runs in our process. Whatever it raises, gives back or never ends is that node's alone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.networks.grammar import Judgement, Probe, Report
from photosynth.quantities.texts import printable

log = structlog.get_logger()

LONGEST_LOOK_S = 15.0
"""A probe bounds itself; one that does not is cut off."""
LONGEST_CLOSE_S = 3.0
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
        self._probe: Probe | None = None
        self._looking: asyncio.Task[Report] | None = None
        self._said = ""

    async def look(self, now_ms: int) -> Report:
        """One look, over within its time. Raises nothing."""
        if self._looking is not None and not self._looking.done():
            return failed_look(now_ms, "its probe does not end the look before, although it was cut off")
        self._looking = asyncio.create_task(self._guarded(now_ms), name=f"look at {self._node_id}")
        try:
            await asyncio.wait({self._looking}, timeout=LONGEST_LOOK_S)
        except asyncio.CancelledError:
            self._looking.cancel()
            raise
        if self._looking.done():
            return self._looking.result()
        self._looking.cancel()
        return failed_look(now_ms, f"no answer within {LONGEST_LOOK_S:g} s")

    async def close(self) -> None:
        """Let its connections go. Raises nothing, and ends in time."""
        if self._probe is not None:
            closing = asyncio.create_task(self._let_go(self._probe), name=f"close {self._node_id}")
            await asyncio.wait({closing}, timeout=LONGEST_CLOSE_S)

    async def _guarded(self, now_ms: int) -> Report:
        try:
            if self._probe is None:
                self._probe = self._make()
            return sound(await self._probe.look(now_ms), now_ms)
        except asyncio.CancelledError:
            return failed_look(now_ms, "its probe gave the look up")
        except NodeUnavailableError as error:
            return failed_look(now_ms, words_of(error))
        except BaseException as error:  # a package may even ask the program to exit
            why = f"its probe failed: {words_of(error)}"
            if why != self._said:
                self._said = why
                mistake = None if isinstance(error, NonsenseError) else error
                log.error("a probe failed", node=self._node_id, exc_info=mistake, reason=why)
            return failed_look(now_ms, why)

    @staticmethod
    async def _let_go(probe: Probe) -> None:
        with suppress(BaseException):  # nothing is asked of it any more
            await probe.close()


def failed_look(now_ms: int, why: str) -> Report:
    """A look that told nothing, and why."""
    unreachable = Judgement("node_unreachable", "critical", "it does not answer", why, "See that it runs and what its log says.")
    return Report(now_ms, problem=why, judgements=(unreachable,))


def words_of(error: BaseException) -> str:
    """What an exception says of itself, as far as that can be had."""
    text = ""
    with suppress(Exception):
        text = printable(str(error), MOST_TEXT)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
