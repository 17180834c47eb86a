"""Who has a place: machines always, guests within bounds, and nobody's name for ever."""

from dataclasses import dataclass, field

import pytest

from photosynth.pool.accounting import WorkAccount
from photosynth.pool.config import PoolConfig
from photosynth.pool.places import (
    CONNECTIONS_OF_A_MACHINE,
    FORGET_AFTER_MS,
    GUESTS,
    LOGIN_ROOM,
    NOBODY,
    THIS_COMPUTER,
    Places,
    source_of,
)
from photosynth.pool.records import ShareRecord
from photosynth.pool.unclaimed import Piece, attribute_work
from photosynth.quantities.work import work_of_target

TARGET = 1 << 240
DECLARED = {"asic-1": frozenset({"10.0.0.1"}), "asic-2": frozenset({"10.0.0.2"}), "asic-1@10.0.0.3": frozenset({"10.0.0.4"})}


@dataclass
class Client:
    number: int
    source: str = "10.0.0.1"
    dropped: bool = False
    workers: list[str] = field(default_factory=list)

    def drop(self) -> None:
        self.dropped = True


class Hall:
    """Places with the clients that came to them."""

    def __init__(self, account: WorkAccount | None = None, **settings: int) -> None:
        self.account = account or WorkAccount()
        self.places = Places(PoolConfig(declared=DECLARED, **settings), self.account)  # type: ignore[arg-type]
        self.number = 0
        self.now_s = 0.0

    def enter(self, source: str = "10.0.0.1") -> Client:
        self.number += 1
        client = Client(self.number, source)
        self.places.enter(client)
        return client

    def log_in(self, worker: str, source: str = "10.0.0.1") -> tuple[Client, str | None]:
        client = self.enter(source)
        return client, self.name(client, worker)

    def name(self, client: Client, worker: str) -> str | None:
        reason = self.places.admit(client, worker, self.now_s)
        if reason is None:
            client.workers.append(worker)
        return reason

    def leave(self, client: Client, *, owed: bool = False) -> None:
        self.places.leave(client, tuple(client.workers), self.now_s, owed=owed)

    def share(self, worker: str, wall_ms: int = 1000) -> None:
        share = ShareRecord(worker, 1, TARGET, 1, wall_ms, wall_ms, 1, bytes(80), bytes(12))
        self.account.apply_share(self.account.last_seq + 1, share, bytes(32))

    def visit(self, worker: str, source: str = "10.0.0.1", wall_ms: int = 1000) -> None:
        """Log in, bring one share, and leave."""
        client, reason = self.log_in(worker, source)
        assert reason is None
        self.share(worker, wall_ms)
        self.leave(client)

    def wait(self) -> None:
        """Until those who left may give way."""
        self.now_s += PoolConfig().name_kept_s


def test_names_that_never_brought_a_share_take_no_place() -> None:
    hall = Hall(max_workers=3)
    for number in range(100):
        client, reason = hall.log_in(f"name-{number}")
        assert reason is None
        assert hall.places.counted_as(f"name-{number}") == GUESTS
        hall.leave(client)
    assert hall.account.totals == {}
    assert hall.log_in("another")[1] is None


def test_machines_have_their_place_beside_any_number_of_guests() -> None:
    hall = Hall(max_workers=3, max_connections=3, max_connections_per_address=3)
    for number in range(3):
        assert hall.log_in(f"guest-{number}")[1] is None
    assert "connections: 3 from one address is the limit" in str(hall.log_in("guest-3")[1])
    machine, reason = hall.log_in("asic-1")
    assert reason is None
    assert hall.log_in("asic-2", "10.0.0.2")[1] is None
    assert "too many workers: 3 is the limit" in str(hall.name(machine, "guest-9"))
    hall.leave(machine)
    assert hall.log_in("asic-1")[1] is None


def test_a_machines_name_is_no_way_around_the_limit() -> None:
    hall = Hall(max_connections=2)
    for _ in range(CONNECTIONS_OF_A_MACHINE + 2):
        assert hall.log_in("asic-1")[1] is None
    assert "too many connections: 2 is the limit" in str(hall.log_in("asic-1")[1])
    assert hall.log_in("asic-2")[1] is None


def test_names_and_connections_are_bounded_for_each_address() -> None:
    hall = Hall(max_workers_per_address=2, max_connections_per_address=3)
    first, reason = hall.log_in("a")
    assert reason is None
    assert hall.name(first, "b") is None
    assert "2 from one address is the limit" in str(hall.name(first, "c"))
    assert hall.log_in("b", "10.0.0.1")[1] is None, "a name that is there already is no new one"
    assert hall.log_in("a", "10.0.0.1")[1] is None
    assert "connections: 3 from one address" in str(hall.log_in("a", "10.0.0.1")[1])
    assert hall.log_in("c", "10.0.0.2")[1] is None


def test_the_guest_that_has_not_mined_for_longest_gives_way_and_its_work_stays_counted() -> None:
    hall = Hall(max_workers=2)
    hall.visit("first")
    hall.visit("second")
    hall.visit("first")
    hall.wait()
    hall.visit("third")
    assert set(hall.account.totals) == {"first", "third", GUESTS}
    assert hall.account.totals[GUESTS].accepted == 1
    assert sum(totals.work for totals in hall.account.totals.values()) == 4 * work_of_target(TARGET)
    assert hall.account.unclaimed_represented == 4 * work_of_target(TARGET)
    owed = attribute_work([Piece(1, hall.account.unclaimed.rows)])
    assert [part.worker for part in owed] == ["first", "second", "third"], "still owed"
    hall.wait()
    hall.visit("second")
    assert hall.account.totals["second"].accepted == 1


def test_only_its_own_names_give_way_to_an_address_that_brings_many() -> None:
    hall = Hall(max_workers=10, max_workers_per_address=3)
    hall.visit("neighbour", "10.0.0.9")
    for number in range(50):
        hall.visit(f"name-{number}", "10.0.0.1")
        hall.wait()
    assert set(hall.account.totals) == {"neighbour", "name-47", "name-48", "name-49", GUESTS}


def test_an_address_makes_no_more_rows_of_work_by_bringing_one_name_after_the_other() -> None:
    hall = Hall(max_workers=10, max_workers_per_address=3)
    for number in range(50):
        client, reason = hall.log_in(f"name-{number}")
        assert (reason is None) == (number < 3)
        if reason is None:
            other, _ = hall.log_in(f"name-{number}")
            hall.leave(client, owed=True)  # it does not wait until its share is on the disk
            hall.leave(other)
            hall.share(f"name-{number}")
    assert len(hall.account.unclaimed.rows) == 3
    assert hall.log_in("name-0")[1] is None, "a name that is there may come back"
    hall.wait()
    assert hall.log_in("name-50")[1] is None


def test_a_restart_keeps_the_latest_guests_and_every_machine() -> None:
    hall = Hall()
    for number in range(6):
        hall.visit(f"guest-{number}", wall_ms=1000 + number)
    hall.visit("asic-1", wall_ms=1)
    Hall(hall.account, max_workers=2)
    assert set(hall.account.totals) == {"guest-4", "guest-5", "asic-1", GUESTS}
    assert hall.account.totals[GUESTS].accepted == 4


def test_a_guest_that_has_not_mined_for_a_quarter_of_a_year_is_forgotten() -> None:
    hall = Hall()
    hall.visit("gone", wall_ms=1000)
    here, _ = hall.log_in("here")
    hall.share("here", wall_ms=1000)
    hall.visit("asic-1", wall_ms=1000)
    hall.places.trim(1000 + FORGET_AFTER_MS)
    assert "gone" in hall.account.totals
    hall.places.trim(1001 + FORGET_AFTER_MS)
    assert set(hall.account.totals) == {"here", "asic-1", GUESTS}
    hall.leave(here)


def test_a_share_that_becomes_durable_after_its_guest_left_gets_a_place_at_the_next_look() -> None:
    hall = Hall(max_workers=1)
    client, _ = hall.log_in("late")
    hall.leave(client)
    hall.share("late")
    assert hall.places.counted_as("late") == "late"
    hall.places.trim(2000)
    hall.visit("next")
    assert set(hall.account.totals) == {"next", GUESTS}


def test_those_who_do_not_log_in_push_out_each_other_and_nobody_else() -> None:
    hall = Hall(max_connections=2, max_connections_per_address=2)
    miners = [hall.log_in("m", source)[0] for source in ("10.0.0.1", "10.0.0.2")]
    silent = [hall.enter() for _ in range(3 * LOGIN_ROOM)]
    assert not any(miner.dropped for miner in miners)
    assert [client.dropped for client in silent] == [True] * (2 * LOGIN_ROOM) + [False] * LOGIN_ROOM
    for client in (*silent, *miners):
        hall.leave(client)
    assert hall.log_in("m")[1] is None


def test_what_nobody_and_what_guests_did_is_counted_under_names_that_no_worker_can_have() -> None:
    hall = Hall()
    assert hall.places.counted_as(None) == NOBODY
    assert hall.places.counted_as("whoever") == GUESTS
    assert hall.places.counted_as("asic-2") == "asic-2"


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("127.0.0.7", THIS_COMPUTER),
        ("::1", THIS_COMPUTER),
        ("::ffff:127.0.0.1", THIS_COMPUTER),
        ("10.0.0.200", THIS_COMPUTER),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("", ""),
    ],
)
def test_an_ipv6_customer_is_one_address(address: str, source: str) -> None:
    assert source_of(address, own="10.0.0.200") == source


def test_no_name_is_made_for_a_guest_that_is_another_machines() -> None:
    places = Hall().places
    assert places.name_for("asic-1", "10.0.0.1") == "asic-1"
    assert places.name_for("asic-1", "10.0.0.2") == "asic-1@10.0.0.2"
    assert places.name_for("asic-1", "10.0.0.3") == "asic-1@10.0.0.3@10.0.0.3"
    assert places.name_for("guest", "10.0.0.3") == "guest"


def test_a_dropped_address_is_remembered_for_a_minute() -> None:
    hall = Hall()
    hall.places.punish("10.0.0.1", 100.0)
    assert hall.places.punished("10.0.0.1", 159.0)
    assert not hall.places.punished("10.0.0.1", 160.0)
    assert not hall.places.punished("10.0.0.2", 101.0)
