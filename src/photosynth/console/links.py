"""Addresses of the console's pages. What is chosen in the site filter stays in them; a machine is named with its site."""

from urllib.parse import quote

from photosynth.documents import BlockDocument

NOBODYS = "-"
"""Stands for the site of a block that no pool of ours found."""


def kept(chosen: str | None) -> str:
    """The query that keeps the chosen site; nothing where all are shown."""
    return "" if chosen is None else f"?site={quote(chosen, safe='')}"


def machine(site: str, machine_id: str, chosen: str | None) -> str:
    """A machine's page: its id is unique in its site only."""
    return f"/miners/{quote(site, safe='')}/{quote(machine_id, safe='')}{kept(chosen)}"


def trace(block: BlockDocument, chosen: str | None) -> str:
    """A block's trace; one that left the chain by its hash, for another may have its height now."""
    which = block.hash if block.state == "orphaned" else str(block.height)
    return f"/ledger/trace/{quote(block.site or NOBODYS, safe='')}/{quote(which, safe='')}{kept(chosen)}"
