"""What the API, the console and the command line may ask of a fleet, running or stopped."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from photosynth.documents import (
    ActionDocument,
    AlertTestDocument,
    BlockDocument,
    DayPoint,
    IncidentDocument,
    IncomeDocument,
    LedgerDocument,
    MachineDocument,
    NodeDocument,
    Status,
    TraceDocument,
    WorkersDocument,
)

NAMED = 20
"""How many sites a sentence names."""


LONGEST_CURSOR = 4000


class NotKnownError(Exception):
    """What was asked for does not exist here; the message says what does."""


class RefusedError(Exception):
    """What was asked for cannot be done as things are; the message says why."""


class CursorError(ValueError):
    """A cursor is none that a page gave."""


@dataclass(frozen=True, slots=True)
class IncomePage:
    """Some payments, newest first, and the cursor of the page behind them; None where these were the last."""

    entries: Sequence[IncomeDocument]
    cursor: str | None


class FleetView(Protocol):
    """The one door to a fleet. Reads never change anything; writes are audited actions.

    ``site`` narrows an answer to one site, None means all of them. Whatever takes it raises NotKnownError for a site that the
    fleet does not have.
    """

    async def status(self, site: str | None = None) -> Status:
        """Everything in one document; of a site its part and its books, with what is the whole fleet's."""
        ...

    async def workers(self, site: str | None = None) -> WorkersDocument:
        """The pools' workers over the life of the state."""
        ...

    async def machines(self, site: str | None = None) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        ...

    async def day(self, points: int = 288, site: str | None = None) -> list[DayPoint]:
        """The curve of a site's current market day so far, thinned to about so many points; None is the first site."""
        ...

    async def blocks(self, limit: int = 100, site: str | None = None) -> list[BlockDocument]:
        """Blocks that our pools found, newest first."""
        ...

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> LedgerDocument:
        """Trial balance of a period (the fleet's time) and its postings, newest first."""
        ...

    def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
        site: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The same as lines of JSON: a LedgerDocument without postings, then pieces of whole lines, a PostingDocument each.

        The newest ``limit`` postings of the period, all where it is None; ``before_id`` does not go with ``oldest_first``.
        """
        ...

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        """What networks paid, newest first, of all or of one: so much of it, from where the page before says.

        Raises NotKnownError for a network that is not installed, and CursorError.
        """
        ...

    def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        """All of it as pieces of whole lines of JSON, an IncomeDocument each. Raises NotKnownError."""
        ...

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> list[IncidentDocument]:
        """Incidents newest first: those that are not over, and the others too where ``resolved``."""
        ...

    async def acknowledge(self, incident_id: int, by: str) -> ActionDocument:
        """Somebody takes an incident on. Raises NotKnownError, and RefusedError where it is over."""
        ...

    async def test_alerts(self, actor: str) -> list[AlertTestDocument]:
        """Send a message to every target of alerts and say what came of it; empty where there is none."""
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

    async def trace(self, block_or_txid: str, site: str | None = None) -> TraceDocument:
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError.

        A height that blocks of ours have on several chains is not enough without a site.
        """
        ...

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> list[ActionDocument]:
        """Every change to the world, newest first; those of the whole fleet go with every site."""
        ...

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Everything off at once, at one site or at all, and it stays off until resumed.

        Of several sites ``read_back`` has a line each. Raises NotKnownError where there is no site.
        """
        ...

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Let the dispatch decide again, at one site or at all. Raises NotKnownError where there is no site."""
        ...


def known_site(names: Sequence[str], site: str | None) -> str | None:
    """A site that was asked for, None where all are meant. Raises NotKnownError, which names the fleet's sites."""
    if site is None or site in names:
        return site
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    there = f"there is {', '.join(names[:NAMED])}{more}" if names else "it has none"
    raise NotKnownError(f"There is no site {site[:80]!r} in this fleet; {there}.")


def known_network(network: str | None) -> str | None:
    """A network that was asked for, None where all are meant. Raises NotKnownError, which names the installed ones."""
    from photosynth.networks.registry import installed

    if network is None or network in (known := installed()):
        return network
    raise NotKnownError(f"There is no network {network[:40]!r} here; there is {', '.join(known[:NAMED])}.")


def chosen_sites(names: Sequence[str], site: str | None) -> Sequence[str]:
    """The sites that a stop or a resume is for. Raises NotKnownError where there is none."""
    if known_site(names, site) is not None:
        return [name for name in names if name == site]
    if not names:
        raise NotKnownError("This fleet has no mining site, so there is no mining to stop or to resume.")
    return names
