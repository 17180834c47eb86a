"""A whole site whose PostgreSQL hangs or is killed and stays away while machines are stopped, and while its own process ends.

What went out is told once the database is back, and an operator's stop holds over the restart.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from tests.functional.running_site import RunningSite
from tests.functional.test_site_kill import booked_shares, check_books, check_guest, totals
from tests.functional.test_site_postgres import catches_up, goes_on_without, guest_of, server, site
from tests.peers.postgres import Postgres

__all__ = ["server", "site"]  # fixtures, the same as there
pytestmark = [pytest.mark.functional, pytest.mark.postgres]

DISOBEYS = "hall-c-11"
"""It answers OK to every command and does nothing."""


def awake(site: RunningSite) -> set[str]:
    """The machines that run, or may."""
    return {machine["id"] for machine in site.get("machines") if machine["state"] not in ("sleeping", "unreachable")}


SPOOL = "audit-spool.jsonl"
SOON_S = 25
"""Within so much a stop is answered, and a Ctrl-C ends the process, on a computer that has other things to do. The guide says ten
seconds; a process that waits for every question to a server that hangs takes a minute."""


class Case(NamedTuple):
    """What the server does, whether the site knows that it is away by then, and how the site's process ends."""

    server: Literal["hangs", "is killed"]
    known: bool
    end: Literal["Ctrl-C", "kill -9"]


CASES = [
    Case("hangs", known=False, end="Ctrl-C"),
    Case("hangs", known=True, end="Ctrl-C"),
    Case("hangs", known=True, end="kill -9"),
    Case("is killed", known=True, end="Ctrl-C"),
]


@contextmanager
def away(server: Postgres, how: str) -> Iterator[None]:
    """The server hangs, or is killed, and is back at the end."""
    if how == "hangs":
        with server.hanging():
            yield
        return
    server.kill()
    try:
        yield
    finally:
        server.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.server}-{case.known}-{case.end}")
def test_a_stop_without_the_server_and_what_it_sent_out_outlive_the_process(
    case: Case, site: RunningSite, server: Postgres, tmp_path: Path
) -> None:
    site.start()
    site.wait_for(lambda: (site.part()["machines"]["running"] or 0) >= 1, "a machine to run")
    site.wait_for(lambda: totals(site)["records"] >= 1, "a quarter hour")
    everywhere, before = guest_of(site, "all-the-time"), totals(site)
    with away(server, case.server):
        guest = goes_on_without(site, "meanwhile", everywhere) if case.known else guest_of(site, "meanwhile")
        asked_s = time.monotonic()
        told = site.command("stop-mining", "--reason", "storm", "--json")
        told_s = time.monotonic() - asked_s
        print(f"{case}: stopped in {told_s:.1f} s")
        assert told_s < SOON_S
        stopped = json.loads(told.stdout)
        assert (stopped["id"], stopped["answer"]) == (0, None), (
            "it has no number yet, and the next start knows of it all the same"
        )
        if case.end == "Ctrl-C":
            ended_s = site.stop()
            print(f"{case}: ended in {ended_s:.1f} s")
            assert ended_s < SOON_S
        else:
            killed_once_the_stop_has_ended(site)
        waits = kept_for_the_next_start(site, case.end)
        keys = sorted({line["key"] for line in waits}, key=lambda key: int(key.rsplit(":", 1)[1]))  # as they were told
        assert {line["kind"] for line in waits} >= {"stop_mining", "sleep"}
    for one in (everywhere, guest):
        one.stop()

    site.start()
    assert not (site.state / SPOOL).exists()
    assert site.part()["site"]["stopped"]
    site.wait_for(lambda: awake(site) <= {DISOBEYS}, "everything that obeys to be asleep")
    address = server.address(site.place.rsplit("/", 1)[1])
    booked = [str(key) for (key,) in server.execute(address, "SELECT key FROM actions ORDER BY id")]
    assert len(booked) == len(set(booked))
    assert [key for key in booked if key in keys] == keys, "each once, in the order in which they went out"
    (stop,) = [action for action in site.get("actions") if action["kind"] == "stop_mining"]
    assert (stop["result"], stop["read_back"]) == (stopped["result"], stopped["read_back"])
    assert "wake" not in [action["kind"] for action in site.get("actions") if action["wall_ms"] > stop["wall_ms"]]
    catches_up(site, before)
    shares = booked_shares(site, tmp_path)
    for one in (everywhere, guest):
        check_guest(site, one, shares)
    check_books(site, tmp_path)
    site.stop()


def killed_once_the_stop_has_ended(site: RunningSite) -> None:
    """Its end is kept a moment after the answer."""
    spool = site.state / SPOOL
    site.wait_for(lambda: any('"stop_mining"' in line and '"planned"' not in line for line in lines_of(spool)), "its end")
    site.kill()


def kept_for_the_next_start(site: RunningSite, how: str) -> list[dict[str, Any]]:
    """The lines of what the audit keeps; whoever ended the process with Ctrl-C was told of them."""
    spool = site.state / SPOOL
    first, *waits = map(json.loads, lines_of(spool))
    assert first == {"state": json.loads((site.state / "manifest.json").read_bytes())["state"]}
    number = len({line["key"] for line in waits})
    if how == "Ctrl-C":
        assert f"did not take {number} entries of the audit; they wait in {spool}" in site.output.read_text()
        assert "holds everything" not in site.output.read_text()
    return waits


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
