"""The newest line of every stream of evidence: what coinbases commit to, there from the beginning."""

from collections.abc import Callable


class EvidenceHeads:
    """The hash of each stream's newest line, empty before the first; whoever listens is told when one moves."""

    def __init__(self) -> None:
        self._heads: dict[str, bytes] = {}
        self._listeners: list[Callable[[], None]] = []

    def of(self, stream: str) -> bytes:
        """The hash of a stream's newest line; empty where it has none yet."""
        return self._heads.get(stream, b"")

    def moved(self, stream: str, head: bytes) -> None:
        """Take a stream's new head, and tell those who listen."""
        self._heads[stream] = head
        for tell in list(self._listeners):
            tell()

    def listen(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have something called with every move; call what is returned to end that."""
        self._listeners.append(tell)
        return lambda: self._listeners.remove(tell)
