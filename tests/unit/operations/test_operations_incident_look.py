"""What a look makes of conditions: whom each is about as words of their own, and what only follows from something else."""

from typing import Literal

import pytest

from photosynth.documents import Condition, NodeCondition, NodeDocument
from photosynth.operations.incidents.looking import (
    critically_wrong,
    following,
    not_yet_seen,
    seen,
    seen_at_site,
    seen_of_nodes,
    seen_of_troubles,
)
from photosynth.operations.supervisor import Trouble


def node(name: str, *kinds: str, site: str | None = None, state: Literal["healthy", "down", "unknown"] = "down") -> NodeDocument:
    conditions = [
        NodeCondition(kind=kind, severity=severity, summary="it does not answer", evidence="e", runbook="r", since_ms=0)
        for kind in kinds
        for severity in (("info" if kind == "not_watched" else "critical"),)
    ]
    return NodeDocument(
        id=name,
        network="bitcoin",
        chain="regtest",
        role="full",
        site=site,
        run="external",
        state=state,
        head=None,
        lag=None,
        peers=None,
        version=None,
        observed_ms=None,
        conditions=conditions,
        process=None,
    )


def condition(kind: str, subject: str = "pool", severity: Literal["info", "warning", "critical"] = "critical") -> Condition:
    return Condition(id=kind, severity=severity, subject=subject, summary="s", evidence="e", advice="a", since_ms=0)


def test_a_node_is_named_as_a_word_of_its_own_with_its_site_and_each_of_its_troubles() -> None:
    found = seen_of_nodes([node("btc-1", "node_unreachable", "node_warns", "node_warns", site="south"), node("btc-10")], [])
    assert [(item.key, item.kind, item.site, item.subject) for item in found] == [
        ("|node_unreachable:btc-1", "node_unreachable", "south", "node btc-1"),
        ("|node_warns:btc-1", "node_warns", "south", "node btc-1"),
        ("|node_warns:btc-1:2", "node_warns", "south", "node btc-1"),
    ]
    assert "btc-1" in found[0].subject.split()


def test_a_node_whose_part_does_not_run_is_silent_because_of_that() -> None:
    down = Trouble("node:btc-1", "node", "down", "its folder is damaged", 0)
    (silent,) = seen_of_nodes([node("btc-1", "node_unreachable")], [down])
    (part,) = seen_of_troubles([down])
    assert silent.cause == "it does not run here: its folder is damaged"
    assert (part.kind, part.subject, part.cause) == ("part_down", "node btc-1", None)


def test_what_is_only_told_is_no_work_for_anybody() -> None:
    assert seen_of_nodes([node("btc-1", "not_watched")], []) == []
    assert seen([condition("day_ended", "clock", "info")], "fleet") == []


def test_a_site_that_mines_on_one_node_repeats_nothing_of_it_and_names_it_as_the_cause() -> None:
    own = [condition("node_unreachable", "bitcoin"), condition("pool"), condition("meters_unreachable", "meters")]
    nodes = [node("btc-1", "node_unreachable")]
    found = seen_at_site("south", own, ["btc-1"], critically_wrong(nodes))
    assert [(item.key, item.subject, item.site, item.cause) for item in found] == [
        ("south|pool", "site south pool", "south", "node btc-1: it does not answer"),
        ("south|meters_unreachable", "site south meters", "south", None),
    ]
    well = seen_at_site("south", own, ["btc-1"], {})
    assert [item.cause for item in well] == [None, None]


def test_a_site_with_several_nodes_says_that_none_serves_and_only_all_of_them_are_the_cause() -> None:
    own = [condition("node_unreachable", "bitcoin"), condition("pool")]
    one = critically_wrong([node("btc-1", "node_unreachable"), node("btc-2")])
    assert [item.cause for item in seen_at_site("south", own, ["btc-1", "btc-2"], one)] == [None, None]
    both = critically_wrong([node("btc-1", "node_unreachable"), node("btc-2", "node_unreachable")])
    found = seen_at_site("south", own, ["btc-1", "btc-2"], both)
    assert {item.cause for item in found} == {"node btc-1: it does not answer; node btc-2: it does not answer"}


def test_of_machines_only_what_a_node_explains_follows_from_it() -> None:
    machines = seen(
        [condition("hash_without_shares:m-1", "m-1"), condition("stays_awake:m-2", "m-2")], "site south machine", "south"
    )
    found = following(machines, ["btc-1"], {"btc-1": "gone"})
    assert [(item.subject, item.cause) for item in found] == [
        ("site south machine m-1", "node btc-1: gone"),
        ("site south machine m-2", None),
    ]
    assert following(machines, [], {}) == machines


@pytest.mark.parametrize(
    ("scope", "name", "subject", "site"),
    [
        ("fleet", "books of bitcoin/regtest", "fleet books of bitcoin/regtest", None),
        ("site:south", "mining", "site south part mining", "south"),
        ("node:btc-1", "node", "node btc-1", None),
    ],
)
def test_a_part_that_waits_does_so_because_of_what_it_waits_for(scope: str, name: str, subject: str, site: str | None) -> None:
    (waits,) = seen_of_troubles([Trouble(scope, name, "waits", "waits for node:btc-1 node (gone)", 0)])
    assert (waits.kind, waits.subject, waits.site) == ("part_waits", subject, site)
    assert waits.cause == "waits for node:btc-1 node (gone)"
    (starts,) = seen_of_troubles([Trouble(scope, name, "starts", "its start has not come to an end for 20 s", 0)])
    assert (starts.kind, starts.cause) == ("part_starts", None)


def test_a_node_that_nobody_has_looked_at_since_the_start_is_neither_well_nor_ill() -> None:
    nodes = [node("a", state="unknown"), node("b", "node_unreachable", state="unknown"), node("c", state="healthy")]
    assert not_yet_seen(nodes) == {"node a"}


def test_while_the_system_starts_a_node_that_has_not_answered_yet_is_given_time() -> None:
    nodes = [node("a", "node_unreachable", state="unknown"), node("b", "node_unreachable", state="down")]
    assert [item.subject for item in seen_of_nodes(nodes, [], starting=True)] == ["node b"], "that one had answered"
    assert not_yet_seen(nodes, starting=True) == {"node a"}
    assert [item.subject for item in seen_of_nodes(nodes, [])] == ["node a", "node b"]
