"""What the API, the console and the command line may ask of a site, running or stopped."""

from collections.abc import AsyncIterator
from typing import Protocol

from photosynth.documents import (
    ActionDocument,
    BlockDocument,
    DayPoint,
    LedgerDocument,
    MachineDocument,
    NodeDocument,
    Status,
    TraceDocument,
    WorkersDocument,
)


class NotKnownError(Exception):
    """What was asked for does not exist here; the message says what does."""


class SiteView(Protocol):
    """The one door to a site. Reads never change anything; the two writes are audited actions."""

    async def status(self) -> Status:
        """Everything in one document."""
        ...

    async def workers(self) -> WorkersDocument:
        """The pool's workers over the life of the state."""
        ...

    async def machines(self) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        ...

    async def day(self, points: int = 288) -> list[DayPoint]:
        """The curve of the current market day so far, thinned to about so many points."""
        ...

    async def blocks(self, limit: int = 100) -> list[BlockDocument]:
        """The site's own blocks, newest first."""
        ...

    async def ledger(
        self, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
    ) -> LedgerDocument:
        """Trial balance of a period (site time) and its postings, newest first."""
        ...

    def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
    ) -> AsyncIterator[bytes]:
        """The same as lines of JSON: a LedgerDocument without postings, then pieces of whole lines, a PostingDocument each.

        The newest ``limit`` postings of the period, all where it is None; ``before_id`` does not go with ``oldest_first``.
        """
        ...

    async def nodes(self) -> list[NodeDocument]:
        """Every node of the fleet, in the file's order."""
        ...

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """The last lines of what a node's process said. Raises NotKnownError."""
        ...

    async def restart_node(self, node_id: str, actor: str, reason: str) -> ActionDocument:
        """End a node's process in its own time; it is started anew. Raises NotKnownError."""
        ...

    async def trace(self, block_or_txid: str) -> TraceDocument:
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        ...

    async def actions(self, limit: int = 200, before_id: int | None = None, subject: str | None = None) -> list[ActionDocument]:
        """Every change to the world, newest first."""
        ...

    async def stop_mining(self, actor: str, reason: str) -> ActionDocument:
        """Everything off at once, and it stays off until resumed."""
        ...

    async def resume_mining(self, actor: str, reason: str) -> ActionDocument:
        """Let the dispatch decide again."""
        ...
