"""The Nodes page: every node of the fleet, the sites' pools, and how to point a machine there."""

import time

from fastapi import Request
from nicegui import Client

from photosynth.console import links
from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.icons import icon
from photosynth.console.markup import Values, chip, conditions, empty, no_match, short, table, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import Page, box, search_box
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ChainStatus, NodeCondition, NodeDocument

_WORKER_ROWS = 150
NODE_STATES = {
    "healthy": ("running", "healthy"),
    "degraded": ("starting", "degraded"),
    "down": ("faulty", "down"),
    "unknown": ("unknown", "never answered"),
}
"""A node's state as a chip's kind and its word."""


def difficulty(chain: ChainStatus, numbers: Numbers) -> str:
    """The difficulty of the next block, or why there is none now."""
    if chain.target is not None and int(chain.target) == 0:
        return "none now: no hash counts for half a second after each block of a demonstration"
    if chain.difficulty is None:
        return UNKNOWN
    return f"{chain.difficulty:.6g}".replace(".", "," if numbers.locale == "de" else ".")


def node_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """What the node says of itself."""
    status, part = snapshot.status, snapshot.part
    if status is None or part is None:
        return {
            "health!": chip("unknown", "unknown"),
            "facts!": empty("Unknown", "Nothing was seen of the node yet."),
            "warnings!": "",
        }
    chain = part.chain
    if snapshot.error is not None or chain.height is None:
        health = chip("unreachable", "not answering")
    else:
        health = (
            chip("running", "in step")
            if chain.synchronised and not chain.warnings
            else chip("starting", "catching up")
            if not chain.synchronised
            else chip("faulty", "warns")
        )
    money = "demonstration: difficulty and coins have no value" if chain.demonstration else "as the network's"
    facts = (
        ("Software", text(chain.software or UNKNOWN)),
        ("Network", f"{text(chain.network)}, {money}"),
        ("Height", f"<b>{numbers.integer(chain.height)}</b>"),
        ("Tip", UNKNOWN if chain.tip is None else short(chain.tip, 16)),
        (
            "Tip's age",
            "no block yet" if chain.height == 0 else f"{numbers.span(chain.last_block_age_s)} (wall)",
        ),
        (
            "Peers",
            numbers.integer(chain.peers)
            + ((" (none needed: the chain is this site's own)") if chain.network == "regtest" and chain.peers == 0 else ""),
        ),
        ("Difficulty", difficulty(chain, numbers)),
        ("Target", UNKNOWN if chain.target is None else f'<code class="wrap">{int(chain.target):064x}</code>'),
        (
            "Books agree up to",
            UNKNOWN if status.ledger.reconciled_height is None else f"block {numbers.integer(status.ledger.reconciled_height)}",
        ),
    )
    return {
        "health!": health,
        "facts!": "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in facts) + "</dl>",
        "warnings!": conditions(("warning", f"<p>{text(w)}</p>") for w in chain.warnings),
    }


def fleet_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Every node of the fleet: how it is, what it says, how old that is, and what is wrong with it.

    Where a site is chosen, those that stand there and those that stand nowhere in particular.
    """
    nodes = [node for node in snapshot.nodes if snapshot.site is None or node.site in (None, snapshot.site)]
    if not nodes:
        advice = "Nothing was seen of the fleet's nodes yet." if not snapshot.nodes else "Choose all sites to see the others."
        return {"nodes!": empty("No node here" if snapshot.nodes else "Unknown", advice), "nodes.count": "", "nodes.wrong!": ""}
    now_ms = time.time_ns() // 1_000_000
    rows = [_node_row(node, numbers, now_ms) for node in nodes]
    heads = ("Node", "State", "Network", "Site", "Runs", "Head", "Behind", "Peers", "Seen", "Software")
    listed = table("Nodes of the fleet", heads, rows, numbers=frozenset({5, 6, 7, 8}), css="dense")
    judged = [(node.id, found) for node in nodes for found in node.conditions if found.severity != "info"]
    return {
        "nodes!": listed,
        "nodes.count": numbers.integer(len(rows)),
        "nodes.wrong!": conditions((found.severity, _what_is_wrong(node_id, found)) for node_id, found in judged),
    }


def _what_is_wrong(node_id: str, found: NodeCondition) -> str:
    """What is wrong with a node, what was seen, and what to do."""
    return (
        f"<p><b>{text(node_id)}</b> {text(found.summary)} <span class=unseen>{found.severity}</span></p>"
        f"<p class=sub>{text(found.evidence)}</p><p>{text(found.runbook)}</p>"
    )


def _node_row(node: NodeDocument, numbers: Numbers, now_ms: int) -> list[tuple[str, str | int]]:
    kind, word = NODE_STATES[node.state]
    age_s = None if node.observed_ms is None else max(0, now_ms - node.observed_ms) // 1000
    process = "" if node.process is None else f" <span class=sub>pid {node.process.pid}</span>"
    return [
        (f"<b>{text(node.id)}</b>", node.id),
        (chip(kind, word), word),
        (f"{text(node.network)} <span class=sub>{text(node.chain)}, {text(node.role)}</span>", f"{node.network} {node.chain}"),
        (text(node.site or "the fleet"), node.site or ""),
        (text(node.run) + process, node.run),
        (numbers.integer(node.head), -1 if node.head is None else node.head),
        (numbers.integer(node.lag), -1 if node.lag is None else node.lag),
        (numbers.integer(node.peers), -1 if node.peers is None else node.peers),
        ("never" if age_s is None else f"{numbers.span(age_s)} ago", -1 if age_s is None else age_s),
        (f"<div class=wrapped>{text(node.version or UNKNOWN)}</div>", node.version or ""),
    ]


def pool_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """The pool in figures."""
    if snapshot.part is None:
        return {"pool!": empty("Unknown", "Nothing was seen of the pool yet.")}
    pool = snapshot.part.pool
    rejected = (
        ", ".join(
            f"{text(cause)} {numbers.integer(n)}" for cause, n in sorted(pool.rejected_by_cause.items(), key=lambda c: -c[1])
        )
        or "none"
    )
    facts = (
        ("Listens at", f"<code>{text(pool.listen)}</code>"),
        ("Connections", numbers.integer(pool.connections)),
        ("Workers", numbers.integer(pool.workers)),
        ("Shares accepted", f"<b>{numbers.integer(pool.shares_accepted)}</b>"),
        ("Shares rejected", f"{numbers.integer(pool.shares_rejected)}: {rejected}" if pool.shares_rejected else "0"),
        ("Really hashed", f"{numbers.power_of_ten(pool.work_hashes)} hashes"),
        ("Standing for", f"{numbers.power_of_ten(pool.represented_hashes)} hashes"),
        ("Hash rate", (f"{numbers.si(pool.hash_rate_hs, 'H/s')} represented") if pool.hash_rate_hs is not None else UNKNOWN),
    )
    return {"pool!": "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in facts) + "</dl>"}


def commands(listen: str) -> str:
    """Commands that point a miner at the pool, each with a button that copies it."""
    url = f"stratum+tcp://{listen}"
    rows = (
        ("A machine's own page", f"{url}", "pool URL; the user name is the worker's name, any password"),
        ("cpuminer", f"minerd -a sha256d -o {url} -u guest.1 -p x", "real shares at scale 1, on any computer"),
        ("bfgminer, cgminer", f"bfgminer -o {url} -u guest.2 -p x", "for USB and network machines"),
    )
    items = "".join(
        f'<li><div><b>{text(name)}</b><span>{text(note)}</span></div><div class="command">'
        f'<code tabindex="0" role="region" aria-label="Command for {text(name)}">{text(command)}</code>'
        f'<button class="quiet" type="button" data-copy="{text(command)}" onclick="photosynth.copy(this)" '
        f'aria-label="Copy the command for {text(name)}">{icon("copy")}<span>Copy</span></button></div></li>'
        for name, command, note in rows
    )
    local = listen.startswith(("127.", "localhost", "[::1]"))
    hint = (
        "It listens on this computer only. For machines elsewhere set pool.listen and pool.allow in the fleet file."
        if local
        else "Networks that may connect are pool.allow in the fleet file."
    )
    return f"<ul class=commands>{items}</ul><p class=age>{hint}</p>"


def pools_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Every site's pool and the chain that it mines on, a line each."""
    rows = [
        (
            (f'<a href="/nodes{links.kept(part.name)}">{text(part.site.title)}</a>', part.site.title),
            text(f"{part.chain.network}" + (", demonstration" if part.chain.demonstration else "")),
            (numbers.integer(part.chain.height), -1 if part.chain.height is None else part.chain.height),
            chip("running", "in step") if part.chain.synchronised else chip("faulty", "not in step"),
            f"<code>{text(part.pool.listen)}</code>",
            (numbers.integer(part.pool.connections), part.pool.connections),
            (numbers.integer(part.pool.shares_accepted), part.pool.shares_accepted),
            (numbers.integer(part.pool.blocks_found), part.pool.blocks_found),
            numbers.si(part.pool.hash_rate_hs, "H/s"),
        )
        for part in snapshot.parts
    ]
    heads = ("Site", "Chain", "Height", "Node", "Pool listens at", "Connections", "Accepted", "Blocks", "Hash rate")
    return {"pools!": table("Pools of the sites", heads, rows, numbers=frozenset({2, 5, 6, 7, 8}), css="dense")}


def worker_values(snapshot: Snapshot, numbers: Numbers, words: str = "") -> Values:
    """The pool's workers, guests first; those in whose name, party or software every word stands."""
    every = () if snapshot.workers is None else snapshot.workers.workers
    if not every:
        advice = "Point a miner here with one of the commands above; it appears with its first share."
        return {"workers!": empty("No worker yet", advice), "workers.count": ""}
    wanted = words.lower().split()
    said = {id(w): f"{w.name} {w.site} {w.party or 'guest'} {w.user_agent or ''}".lower() for w in every}
    found = [w for w in every if all(word in said[id(w)] for word in wanted)]
    ordered = sorted(found, key=lambda w: (w.party is not None, w.site, w.name))[:_WORKER_ROWS]
    several = snapshot.several
    rows = [
        (
            (f"<b>{text(w.name)}</b>", w.name),
            *(((text(w.site), w.site),) if several else ()),
            (text(w.party or "guest"), w.party or ""),
            (chip("running", "connected") if w.connected else chip("sleeping", "away"), str(w.connected)),
            (numbers.integer(w.shares_accepted), w.shares_accepted),
            (numbers.integer(rejected := sum(w.rejected_by_cause.values())), rejected),
            (numbers.power_of_ten(w.work_hashes), w.work_hashes),
            (f"×{NBSP}{numbers.power_of_ten(w.scale)}", w.scale),
            (numbers.power_of_ten(w.represented_hashes), w.represented_hashes),
            (f"<div class=wrapped>{text(w.user_agent or 'unknown')}</div>", w.user_agent or ""),
        )
        for w in ordered
    ]
    heads = (
        "Worker",
        *(("Site",) if several else ()),
        "Party",
        "Connection",
        "Accepted",
        "Rejected",
        "Hashed",
        "Scale",
        "Stands for",
        "Software",
    )
    more = (f"<p class=age>{len(found) - len(ordered)} more in GET /api/v1/workers.</p>") if len(found) > len(ordered) else ""
    listed = (
        table("Workers of the pools", heads, rows, numbers=frozenset(range(4, 9) if several else range(3, 8)), css="dense") + more
    )
    return {"workers!": listed if rows else no_match("No worker matches"), "workers.count": numbers.integer(len(found))}


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/nodes", title="Nodes", needs=frozenset({"workers", "nodes"}))
    snapshot = page.snapshot
    with page.main, box("grid"):
        with box("card full", "section", 'aria-label="Nodes"'):
            page.section(
                "<h2>Nodes <span class=count>{{nodes.count}}</span></h2><div class=short>{{nodes!}}</div>{{nodes.wrong!}}",
                fleet_values,
            )
        if snapshot.several:
            with box("card full", "section", 'aria-label="Pools"'):
                page.section(
                    "<h2>Pools</h2><p class=sub>A site leads to its pool's figures and to how to point a miner there.</p>"
                    "<div class=short>{{pools!}}</div>",
                    pools_values,
                )
        elif snapshot.status is None or snapshot.part is not None:
            _pool(page)
        if snapshot.status is None or snapshot.parts:
            with box("card full", "section", 'aria-label="Workers"'):
                _workers(page)


def _pool(page: Page) -> None:
    """The one site's Bitcoin node and pool, and how to mine there."""
    listen = "" if page.snapshot.part is None else page.snapshot.part.pool.listen
    with box("card half", "section", 'aria-label="Bitcoin node"'):
        page.section("<div class=row><h2>Bitcoin node of the site</h2>{{health!}}</div>{{facts!}}{{warnings!}}", node_values)
    with box("card half", "section", 'aria-label="Pool"'):
        page.section("<h2>Pool</h2>{{pool!}}", pool_values)
    with box("card full", "section", 'aria-label="Point your miner here"'):
        page.section(
            "<h2>Point your miner here</h2>"
            + (commands(listen) if listen else empty("The pool is not up", "Its address is shown here when it listens."))
        )


def _workers(page: Page) -> None:
    words = ""

    def values(snapshot: Snapshot, numbers: Numbers) -> Values:
        return worker_values(snapshot, numbers, words)

    def search(wanted: str) -> None:
        nonlocal words
        words = wanted
        page.run("patch", values(page.snapshot, page.numbers))

    with box("gridhead"):
        page.section(
            "<h2>Workers <span class=count>{{workers.count}}</span></h2>",
            lambda s, n: {k: v for k, v in values(s, n).items() if k == "workers.count"},
        )
        search_box("Filter: name, party, software", search)
    page.section("<div class=short>{{workers!}}</div>", lambda s, n: {k: v for k, v in values(s, n).items() if k == "workers!"})
