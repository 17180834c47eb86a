"""The root over the heads of all streams of evidence: what coinbases commit to, there from the beginning."""

from collections.abc import Callable

from photosynth.treasury.evidence.lines import EvidenceRecord


class EvidenceHeads:
    """The root that the fleet's newest line leads to, empty before the first; whoever listens is told when it moves."""

    def __init__(self) -> None:
        self.root = b""
        self._line = 0
        self._listeners: list[Callable[[], None]] = []

    def moved(self, newest: EvidenceRecord) -> None:
        """Take the newest line, and tell those who listen; an older one than is known, which came later, changes nothing."""
        if newest.id <= self._line:
            return
        self.root, self._line = newest.root, newest.id
        for tell in list(self._listeners):
            tell()

    def listen(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have something called with every move; call what is returned to end that."""
        self._listeners.append(tell)
        return lambda: self._listeners.remove(tell)
