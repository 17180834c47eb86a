"""The conversation of Stratum V1 from both ends, line by line, and with anything at all in between."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photosynth.stratum.client import (
    Authorized,
    DifficultyChanged,
    NewJob,
    StratumClient,
    SubmitResult,
    Subscribed,
    VersionRolling,
)
from photosynth.stratum.framing import LineBuffer, LineTooLongError
from photosynth.stratum.messages import MalformedError, encode_error, encode_request, encode_true
from photosynth.stratum.names import shown_text
from photosynth.stratum.server import (
    MAX_MALFORMED,
    AuthorizeRequested,
    HangUp,
    ServerSession,
    Submit,
    SubmitRefused,
    Suggested,
)
from photosynth.stratum.work import Job, notify_params

MASK = 0x1FFFE000
JOB = Job("2a00", bytes(range(32)), b"prefix", b"suffix", (bytes(32),), 0x20000000, 0x207FFFFF, 1_780_000_000, True)


def session() -> ServerSession:
    return ServerSession(b"\x00\x00\x00\x01", 8, MASK)


def ask(pool: ServerSession, method: str, params: list[Any], message_id: Any = 1) -> tuple[list[Any], list[Any]]:
    """The events of one request and the answers to it."""
    events = []
    for event in pool.receive(encode_request(message_id, method, params)):
        events.append(event)
        if isinstance(event, AuthorizeRequested):
            pool.authorize(event, True)
    return events, [json.loads(line) for line in pool.outgoing().splitlines()]


def open_session() -> ServerSession:
    pool = session()
    ask(pool, "mining.configure", [["version-rolling"], {"version-rolling.mask": "ffffffff"}])
    ask(pool, "mining.subscribe", ["tester/1"])
    ask(pool, "mining.authorize", ["w.1", "x"])
    return pool


def test_client_and_server_understand_each_other() -> None:
    client = StratumClient("w.1", user_agent="tester/1", suggested_difficulty=0.001)
    pool = session()
    events = list(pool.receive(client.start()))
    asked = next(event for event in events if isinstance(event, AuthorizeRequested))
    assert asked.worker == "w.1"
    assert Suggested(0.001) in events
    pool.authorize(asked, True)
    assert pool.ready
    assert pool.user_agent == "tester/1"
    assert client.receive(pool.outgoing()) == [
        VersionRolling(MASK), Subscribed(b"\x00\x00\x00\x01", 8), Authorized(True, "")
    ]  # fmt: skip
    lines = encode_request(None, "mining.set_difficulty", [0.001]) + encode_request(None, "mining.notify", notify_params(JOB))
    changed, new = client.receive(lines)
    assert isinstance(changed, DifficultyChanged)
    assert isinstance(new, NewJob)
    assert new.job.target == changed.target
    assert new.job.extranonce1 == b"\x00\x00\x00\x01"
    (share,) = pool.receive(client.submit(new.job, bytes(8), JOB.time_s, 0xDEADBEEF, 0xFFFFFFFF))
    assert share == Submit(client.last_id, "w.1", 0x2A00, bytes(8), JOB.time_s, 0xDEADBEEF, MASK)
    assert client.receive(encode_true(client.last_id)) == [SubmitResult(client.last_id, True, None, "")]
    client.submit(new.job, bytes(8), JOB.time_s, 1)
    refusal = encode_error(client.last_id, 23, "low difficulty share")
    assert client.receive(refusal) == [SubmitResult(client.last_id, False, 23, "low difficulty share")]
    assert client.open_shares == 0


def test_a_difficulty_and_an_extranonce_hold_from_the_next_job_on() -> None:
    client = StratumClient("w")
    client.start()
    notify = encode_request(None, "mining.notify", notify_params(JOB))
    (first,) = client.receive(notify)
    client.receive(encode_request(None, "mining.set_difficulty", [1024]))
    client.receive(encode_request(None, "mining.set_extranonce", ["aabb", 6]))
    (second,) = client.receive(notify)
    assert isinstance(first, NewJob)
    assert isinstance(second, NewJob)
    assert first.job.target > second.job.target
    assert (second.job.extranonce1, second.job.extranonce2_size) == (b"\xaa\xbb", 6)


def test_the_client_answers_what_a_pool_may_ask() -> None:
    client = StratumClient("w", user_agent="tester/1")
    client.receive(encode_request(7, "client.get_version", []))
    assert json.loads(client.outgoing()) == {"id": 7, "result": "tester/1", "error": None}
    assert client.outgoing() == b""


def test_a_bitaxe_speaks_in_its_own_order() -> None:
    """configure, subscribe, authorize, suggest_difficulty, extranonce.subscribe, submits with six parameters."""
    pool = session()
    options = {"version-rolling.mask": "ffffffff"}
    _, (answer,) = ask(pool, "mining.configure", [["version-rolling"], options], 1)
    assert answer["result"] == {"version-rolling": True, "version-rolling.mask": "1fffe000"}
    _, (answer,) = ask(pool, "mining.subscribe", ["bitaxe/BM1370/v2.9.0"], 2)
    assert answer["result"][1:] == ["00000001", 8]
    _, (answer,) = ask(pool, "mining.authorize", ["bc1qexample.bitaxe", "x"], 3)
    assert answer["result"] is True
    events, (answer,) = ask(pool, "mining.suggest_difficulty", [1000], 4)
    assert events == [Suggested(1000.0)]
    _, (answer,) = ask(pool, "mining.extranonce.subscribe", [], 5)
    assert answer["result"] is True
    share = ["bc1qexample.bitaxe", "2a00", "00" * 8, "6a1856c0", "0000abcd", "00a2c000"]
    (event,), _ = ask(pool, "mining.submit", share, 6)
    assert isinstance(event, Submit)
    assert event.version_bits == 0x00A2C000


def test_extensions_that_are_not_known_are_declined_one_by_one() -> None:
    pool = session()
    _, (answer,) = ask(pool, "mining.configure", [["minimum-difficulty", "info"], {"minimum-difficulty.value": 1}])
    assert answer["result"] == {"minimum-difficulty": False, "info": False}
    assert pool.version_mask == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["w.1", "2a00", "00" * 8, "6a1856c0"], 20),
        (["w.1", "2a00", "00" * 7, "6a1856c0", "00000000"], 20),
        (["w.1", "2a00", "zz" * 8, "6a1856c0", "00000000"], 20),
        (["w.1", "2a00", "00" * 8, "6a1856c000", "00000000"], 20),
        (["w.1", "2a00", "00" * 8, "6a1856c0", "00000000", "00000001"], 20),
        (["w.1", "2a00", "00" * 8, "6a1856c0", 17], 20),
        (["other", "2a00", "00" * 8, "6a1856c0", "00000000"], 24),
    ],
)
def test_a_wrong_share_is_refused_with_its_code(params: list[Any], code: int) -> None:
    events, (answer,) = ask(open_session(), "mining.submit", params)
    assert isinstance(events[0], SubmitRefused)
    assert answer["error"][0] == code == events[0].code


def test_a_share_before_subscribing_is_refused() -> None:
    _, (answer,) = ask(session(), "mining.submit", ["w", "1", "00" * 8, "00", "00"])
    assert answer["error"][0] == 25


def test_a_job_id_that_is_no_number_is_none_of_ours() -> None:
    (event,), _ = ask(open_session(), "mining.submit", ["w.1", "not hex", "00" * 8, "6a1856c0", "00000000"])
    assert event.job == -1


def test_methods_that_are_not_known_are_refused_politely_and_notifications_not_at_all() -> None:
    _, (answer,) = ask(session(), "mining.get_transactions", ["2a00"], 9)
    assert (answer["id"], answer["error"][0]) == (9, 20)
    _, answers = ask(session(), "mining.whatever", [], None)
    assert answers == []


def test_ten_thousand_names_are_not_kept() -> None:
    pool = open_session()
    for number in range(100):
        ask(pool, "mining.authorize", [f"w.{number}", "x"])
    assert len(pool.workers) == 16


def test_what_a_peer_says_of_itself_is_cleaned() -> None:
    assert shown_text("  miner<script>\n") == "miner_script_"
    assert shown_text("x" * 1000) == "x" * 64
    assert shown_text("") == "anonymous"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("w" * 129, "1 to 128 characters, not 129"),
        ("w" * 300, "1 to 128 characters, not 300"),
        ("", "1 to 128 characters, not 0"),
        ("rig<1>", "has letters, digits"),
        ("rig 1 ", "blanks inside"),
        ("(guests)", "has letters, digits"),
        ("m\u00fcller", "has letters, digits"),
    ],
)
def test_a_name_that_cannot_be_kept_as_it_is_is_refused_with_the_limit(name: str, why: str) -> None:
    pool = session()
    ask(pool, "mining.subscribe", ["tester/1"])
    events, (answer,) = ask(pool, "mining.authorize", [name, "x"], 3)
    assert events == []
    assert (answer["id"], answer["error"][0]) == (3, 24)
    assert why in answer["error"][1]
    assert not pool.ready


def test_long_names_that_differ_at_their_end_are_two_workers() -> None:
    pool = session()
    address = "bc1p" + "q" * 58
    for rig in ("rig1", "rig2"):
        _, (answer,) = ask(pool, "mining.authorize", [f"{address}.{rig}", "x"])
        assert answer["result"] is True
    assert pool.workers == (f"{address}.rig1", f"{address}.rig2")
    assert len(pool.workers[0]) == 67


def test_a_share_behind_its_workers_login_in_one_packet_is_judged_after_it() -> None:
    pool = session()
    lines = encode_request(1, "mining.subscribe", ["t"]) + encode_request(2, "mining.authorize", ["w.1", "x"])
    lines += encode_request(3, "mining.submit", ["w.1", "2a00", "00" * 8, "6a1856c0", "0000abcd"])
    lines += encode_request(4, "mining.submit", ["w.2", "2a00", "00" * 8, "6a1856c0", "0000abcd"])
    lines += encode_request(5, "mining.ping", [])
    events: list[Any] = []
    for event in pool.receive(lines):
        events.append(event)
        if isinstance(event, AuthorizeRequested):
            pool.authorize(event, True)
    assert [type(event) for event in events] == [AuthorizeRequested, Submit, SubmitRefused]
    assert [json.loads(line)["id"] for line in pool.outgoing().splitlines()] == [1, 2, 4, 5], "in the order of the requests"


def test_lines_beyond_a_turn_wait_for_the_next() -> None:
    pool = open_session()
    lines = b"".join(encode_request(number, "mining.suggest_difficulty", [number]) for number in range(1, 11))
    assert list(pool.receive(lines, 4)) == [Suggested(1.0), Suggested(2.0), Suggested(3.0), Suggested(4.0)]
    assert pool.waiting == 6
    assert list(pool.receive(encode_request(11, "mining.suggest_difficulty", [11]), 6))[-1] == Suggested(10.0)
    assert list(pool.receive()) == [Suggested(11.0)]
    assert pool.waiting == 0


def test_an_endless_line_is_the_end() -> None:
    pool = session()
    assert list(pool.receive(b"x" * 16384)) == []
    (event,) = pool.receive(b"x")
    assert isinstance(event, HangUp)
    lines = LineBuffer(10)
    with pytest.raises(LineTooLongError):
        lines.feed(b"12345678901\n")
    assert lines.buffered == 0


def test_a_web_browser_is_sent_away() -> None:
    request = b"GET / HTTP/1.1\r\nHost: localhost:3333\r\nUser-Agent: Mozilla\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    pool = session()
    assert isinstance(list(pool.receive(request))[-1], HangUp)
    assert len(pool.outgoing().splitlines()) == MAX_MALFORMED


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_lines_do_not_depend_on_the_pieces_they_come_in(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    buffer = LineBuffer()
    lines = [line for piece in pieces for line in buffer.feed(piece)]
    assert lines == [line for line in whole.split(b"\n")[:-1] if line and not line.isspace()]
    assert buffer.buffered == len(whole.split(b"\n")[-1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
METHODS = st.sampled_from(
    [
        "mining.submit", "mining.subscribe", "mining.authorize", "mining.configure", "mining.suggest_difficulty",
        "mining.suggest_target", "mining.extranonce.subscribe", "mining.notify", "mining.set_difficulty",
        "mining.set_target", "mining.set_extranonce", "mining.set_version_mask", "client.get_version", "mining.ping", "x",
    ]
)  # fmt: skip
MESSAGES = st.fixed_dictionaries({}, optional={"id": JSON, "method": METHODS, "params": JSON, "result": JSON, "error": JSON})
SOME_BYTES = st.lists(st.binary(max_size=200) | MESSAGES.map(lambda m: json.dumps(m).encode() + b"\n"), max_size=12)


@settings(max_examples=80, deadline=None)
@given(SOME_BYTES)
def test_the_server_never_raises_and_stays_bounded(pieces: list[bytes]) -> None:
    pool = open_session()
    for piece in pieces:
        for event in pool.receive(piece):
            if isinstance(event, AuthorizeRequested):
                pool.authorize(event, True)
        for line in pool.outgoing().splitlines():
            json.loads(line)
    assert len(pool.workers) <= 16
    assert pool.version_mask & ~MASK == 0


@settings(max_examples=80, deadline=None)
@given(SOME_BYTES)
def test_the_client_raises_only_what_it_says(pieces: list[bytes]) -> None:
    client = StratumClient("w")
    client.start()
    for piece in pieces:
        try:
            client.receive(piece)
        except (MalformedError, LineTooLongError):
            continue
    assert len(client.outgoing()) < 100_000


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["w.1", "2a00", "00" * 8, "6a1856c0", "00000001"]) | st.text(max_size=20), max_size=7))
def test_a_share_of_any_texts_is_answered_or_handed_on(params: list[str]) -> None:
    pool = open_session()
    (event,) = pool.receive(encode_request(5, "mining.submit", params))
    assert isinstance(event, Submit | SubmitRefused)
    assert bool(pool.outgoing()) == isinstance(event, SubmitRefused)
