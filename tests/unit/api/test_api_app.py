"""The API: documents, errors as problems, the token before every write, and nothing of the inside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import Message
from tests.browser.fake_fleet import FakeFleet, fleet
from tests.browser.fake_site import FakeSite

from photosynth.api import create_app
from photosynth.api.app import health_of
from photosynth.api.chain import LineTooLongError, split_lines
from photosynth.bitcoin.node import NodeUnavailableError, Verdict
from photosynth.documents import IncomeDocument, LedgerDocument, PostingDocument, SitePart, Status
from photosynth.operations.view import CursorError, IncomePage, NotKnownError
from photosynth.storage import StorageError

TOKEN = "a-token-for-tests"
WRITE = {"authorization": f"Bearer {TOKEN}"}


class Chain:
    """Three blocks, and a memory of what was handed in and to whom."""

    def __init__(self) -> None:
        self.submitted: list[bytes] = []
        self.named: list[str | None] = []
        self.down = False
        self.closed = 0

    def _known(self, node: str | None) -> None:
        if node not in (None, "btc-1"):
            raise NotKnownError(f"There is no node {node!r} in this fleet; its Bitcoin nodes are btc-1.")
        self.named.append(node)

    async def blocks(self, from_height: int, node: str | None = None) -> AsyncIterator[bytes]:
        self._known(node)
        if self.down:
            raise NodeUnavailableError("the node is not up; wait for it")
        for height in range(from_height, 4):
            yield bytes([height]) * 4

    @contextlib.asynccontextmanager
    async def _taking(self) -> AsyncIterator["Chain"]:
        if self.down:
            raise NodeUnavailableError("the node is not up; wait for it")
        try:
            yield self
        finally:
            self.closed += 1

    def taking(self, node: str | None = None) -> contextlib.AbstractAsyncContextManager["Chain"]:
        self._known(node)
        return self._taking()

    async def submit_block(self, raw: bytes) -> Verdict:
        if raw == b"\x04" * 4:
            raise NodeUnavailableError("the node went away; wait for it")
        self.submitted.append(raw)
        return Verdict("duplicate" if raw == b"\x02" * 4 else None)


class Evidence:
    async def lines(self, stream: str | None = None) -> AsyncIterator[bytes]:
        if stream not in (None, "backnang"):
            raise NotKnownError(f"There is no evidence of {stream}; there is of backnang, books.")
        for line in (b'{"format":"x"}', b'{"count":0}') if stream is None else (b'{"count":0}',):
            yield line


def client(site: Any, chain: Chain | None = None, evidence: Evidence | None = None) -> httpx2.AsyncClient:
    app = create_app(site, token=TOKEN, chain=chain, evidence=evidence)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480")


@pytest.mark.parametrize(
    "path",
    [
        "status",
        "workers",
        "machines",
        "machines/backnang/hall-a-01",
        "day",
        "day?points=24",
        "blocks",
        "ledger?limit=5",
        "trace/120",
        "actions",
        "openapi.json",
    ],
)
async def test_every_document_is_served_with_the_security_headers(path: str) -> None:
    async with client(FakeSite()) as http:
        answer = await http.get(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_ledger_as_a_page_and_as_lines_says_what_the_view_says() -> None:
    site = FakeSite()
    async with client(site) as http:
        page = await http.get("/api/v1/ledger?limit=5&before_id=9")
        lines = await http.get("/api/v1/ledger/export?limit=5&oldest_first=true")
        described = (await http.get("/api/v1/openapi.json")).json()["paths"]["/api/v1/ledger"]["get"]["responses"]["200"]
    assert page.headers["content-type"] == "application/json"
    assert [posting.id for posting in LedgerDocument.model_validate_json(page.content).postings] == [8, 7, 6, 5, 4]
    assert described["content"]["application/json"]["schema"]["$ref"].endswith("/LedgerDocument")
    head, *postings = lines.text.splitlines()
    document = LedgerDocument.model_validate_json(head)
    assert document.postings == []
    assert document.trial_balance
    ids = [PostingDocument.model_validate_json(line).id for line in postings]
    assert ids == list(range(document.total_postings - 4, document.total_postings + 1))


async def test_a_page_of_the_ledger_is_read_no_faster_than_it_is_taken() -> None:
    class Long(FakeSite):
        pieces = 0

        async def ledger_lines(self, *_: Any, **__: Any) -> AsyncIterator[bytes]:
            yield b'{"postings":[]}\n'
            for self.pieces in range(1, 100):
                yield b"{}\n"

    site, held_up, taken = Long(), asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            held_up.set()
            await taken.wait()

    headers = [(b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "path": "/api/v1/ledger", "query_string": b"", "headers": headers}
    answering = asyncio.create_task(create_app(site, token=TOKEN)(scope, receive, send))
    async with asyncio.timeout(20):
        await held_up.wait()
        assert site.pieces <= 2
        taken.set()
        await answering
    assert site.pieces == 99


async def test_big_numbers_stay_decimal_text_and_unknown_stays_null() -> None:
    async with client(FakeSite(empty=True)) as http:
        status = (await http.get("/api/v1/status")).json()
    assert isinstance(status["sites"][0]["pool"]["work_hashes"], str)
    assert status["sites"][0]["site"]["generation_w"] is None


@pytest.mark.parametrize("path", ["machines/backnang/none", "machines/nowhere/hall-a-01", "trace/999999", "nothing", "ledger/x"])
async def test_what_is_not_known_is_a_404_problem(path: str) -> None:
    async with client(FakeSite()) as http:
        answer = await http.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


class Paid(FakeSite):
    """A fleet that was paid 450 times."""

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        if network not in (None, "tally"):
            raise NotKnownError(f"There is no network {network!r} here; there is bitcoin, tally.")
        if cursor is not None and not cursor.isdecimal():
            raise CursorError("cursor is none that a page of this list gave")
        first = int(cursor or 0)
        fee = {"network": "tally", "node": "t", "validator": None, "kind": "fee", "asset": "TALLY", "amount": "1"}
        more = {"state": "received", "time_ms": 1, "position": "count 1"}
        page = [IncomeDocument.model_validate({"id": f"fee-{n}", **fee, **more}) for n in range(first, min(450, first + limit))]
        return IncomePage(page, str(first + limit) if first + limit < 450 else None)


async def test_income_is_a_bounded_answer_that_names_the_next_page() -> None:
    found: list[str] = []
    async with client(Paid()) as http:
        following = "/api/v1/income?network=tally&limit=200"
        while following:
            answer = await http.get(following)
            assert len(answer.json()) <= 200
            found += [one["id"] for one in answer.json()]
            following = answer.links.get("next", {}).get("url", "")
        assert len((await http.get("/api/v1/income")).json()) == 200, "nobody asked for a limit"
        wrong = [await http.get(f"/api/v1/income?{query}") for query in ("cursor=x", "limit=1001", "network=etherium")]
    assert found == [f"fee-{n}" for n in range(450)]
    assert [answer.status_code for answer in wrong] == [422, 422, 404]
    assert "there is bitcoin, tally" in wrong[2].json()["detail"]


async def test_a_status_is_narrowed_to_a_site() -> None:
    async with client(fleet("two")) as http:
        every = (await http.get("/api/v1/status")).json()
        one = (await http.get("/api/v1/status?site=jever")).json()
        unknown = await http.get("/api/v1/status?site=nowhere")
    assert [part["name"] for part in every["sites"]] == ["backnang", "jever"]
    assert [part["name"] for part in one["sites"]] == ["jever"]
    assert one["conditions"] == every["conditions"], "what is wrong with the fleet goes with every site"
    assert one["incidents"]["open"] == len(one["conditions"]) + len(one["sites"][0]["conditions"])
    assert (unknown.status_code, "there is backnang, jever" in unknown.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    "path",
    [
        "actions?limit=0",
        "actions?limit=100000",
        "ledger?from_ms=-1",
        "ledger?from_ms=5&to_ms=2",
        "ledger/export?from_ms=5&to_ms=2",
        "ledger/export?limit=-1",
        "day?points=x",
        "chain/export?from_height=-1",
    ],
)
async def test_what_is_out_of_bounds_is_a_422_problem(path: str) -> None:
    async with client(FakeSite(), Chain()) as http:
        answer = await http.get(f"/api/v1/{path}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bug_answers_500_without_the_inside() -> None:
    class Broken(FakeSite):
        async def status(self, site: str | None = None) -> Any:
            raise ZeroDivisionError("secret of the inside")

    async with client(Broken()) as http:
        answer = await http.get("/api/v1/status")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text


@pytest.mark.parametrize("path", ["workers", "machines", "day", "blocks", "ledger", "ledger/export", "trace/57", "actions"])
async def test_a_site_narrows_an_answer_and_one_that_is_not_there_is_a_404_with_the_names(path: str) -> None:
    async with client(fleet("two")) as http:
        every, one = await http.get(f"/api/v1/{path}"), await http.get(f"/api/v1/{path}?site=jever")
        unknown = await http.get(f"/api/v1/{path}?site=nowhere")
    assert (every.status_code, one.status_code) == (200, 200)
    assert every.content != one.content
    assert '"site":"backnang"' not in one.text.replace(" ", "")
    assert unknown.status_code == 404
    assert unknown.headers["content-type"] == "application/problem+json"
    assert unknown.json()["detail"] == "There is no site 'nowhere' in this fleet; there is backnang, jever."


async def test_a_machine_is_named_with_its_site() -> None:
    async with client(fleet("two")) as http:
        here, there = [(await http.get(f"/api/v1/machines/{site}/hall-a-01")).json() for site in ("backnang", "jever")]
        nowhere = await http.get("/api/v1/machines/jever/hall-c-11")
    assert [(found["site"], found["id"], found["model"]) for found in (here, there)] == [
        ("backnang", "hall-a-01", "s21-xp"),
        ("jever", "hall-a-01", "s21"),
    ]
    assert (nowhere.status_code, "at jever" in nowhere.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("body", "stopped", "site"),
    [
        ({}, [True, True], None),
        ({"site": None}, [True, True], None),
        ({"site": "jever"}, [False, True], "jever"),
    ],
)
async def test_one_site_is_stopped_or_all_are(body: dict[str, Any], stopped: list[bool], site: str | None) -> None:
    found = fleet("two")
    assert isinstance(found, FakeFleet)
    async with client(found) as http:
        action = (await http.post("/api/v1/actions/stop-mining", headers=WRITE, json={"reason": "storm", **body})).json()
        assert [one.stopped for one in found.sites] == stopped
        await http.post("/api/v1/actions/resume-mining", headers=WRITE, json={"reason": "over", **body})
    assert [one.stopped for one in found.sites] == [False, False]
    assert action["site"] == site
    lines = action["read_back"].split("\n")
    assert [line.partition(":")[0] for line in lines] == (["backnang", "jever"] if site is None else ["every machine is asleep"])


@pytest.mark.parametrize(("kind", "site"), [("none", None), ("none", "jever"), ("two", "nowhere")])
async def test_a_stop_of_no_site_is_a_404_in_a_sentence(kind: str, site: str | None) -> None:
    async with client(fleet(kind)) as http:
        answer = await http.post("/api/v1/actions/stop-mining", headers=WRITE, json={"reason": "storm", "site": site})
    assert answer.status_code == 404
    assert ("has no mining site" if site is None else "There is no site") in answer.json()["detail"]


async def test_a_fleet_of_nodes_answers_every_question() -> None:
    async with client(fleet("none")) as http:
        for path in ("status", "workers", "machines", "day", "blocks", "ledger", "actions", "nodes"):
            assert (await http.get(f"/api/v1/{path}")).status_code == 200, path
        assert (await http.get("/api/v1/status")).json()["sites"] == []


async def test_the_api_describes_the_site_and_what_is_not_known() -> None:
    async with client(FakeSite()) as http:
        paths = (await http.get("/api/v1/openapi.json")).json()["paths"]
    for path in ("workers", "machines", "day", "blocks", "ledger", "ledger/export", "trace/{block_or_txid}", "actions"):
        described = paths[f"/api/v1/{path}"]["get"]
        (site,) = [parameter for parameter in described["parameters"] if parameter["name"] == "site"]
        assert (site["in"], site["required"], "site" in site["description"]) == ("query", False, True)
        assert "application/problem+json" in described["responses"]["404"]["content"]


async def test_a_full_disk_is_a_503_that_says_what_to_do() -> None:
    class Full(FakeSite):
        async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> Any:
            raise StorageError("full", Path("site.sqlite3"), "the disk is full. Free some space")

    async with client(Full()) as http:
        answer = await http.post("/api/v1/actions/stop-mining", headers=WRITE, json={"reason": "storm"})
    assert answer.status_code == 503
    assert answer.json()["detail"] == "site.sqlite3: the disk is full. Free some space"


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"authorization": "Bearer tökén"}]
)
@pytest.mark.parametrize("path", ["actions/stop-mining", "actions/resume-mining", "chain/import"])
async def test_a_write_without_the_token_changes_nothing(path: str, headers: dict[str, str]) -> None:
    site, chain = FakeSite(), Chain()
    async with client(site, chain) as http:
        raw = {key.encode(): value.encode() for key, value in headers.items()}
        answer = await http.post(f"/api/v1/{path}", headers=raw, json={"reason": "try"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (site.stopped, site.log, chain.submitted) == (False, [], [])


async def test_stop_and_resume_are_audited_with_actor_and_reason() -> None:
    site = FakeSite()
    async with client(site) as http:
        stop = await http.post("/api/v1/actions/stop-mining", headers=WRITE, json={"reason": " storm ", "actor": "command line"})
        assert site.stopped
        resume = await http.post("/api/v1/actions/resume-mining", headers=WRITE, json={"reason": "calm"})
    assert stop.json()["reason"] == "storm"
    assert [(a.actor, a.kind) for a in site.log] == [("command line", "stop_mining"), ("api", "resume_mining")]
    assert resume.status_code == 200


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"reason": "x", "more": 1}, []])
async def test_a_write_says_why(body: Any) -> None:
    site = FakeSite()
    async with client(site) as http:
        answer = await http.post("/api/v1/actions/stop-mining", headers=WRITE, json=body)
    assert answer.status_code == 422
    assert not site.stopped


@pytest.mark.parametrize("field", ["reason", "actor", "site"])
@pytest.mark.parametrize(("letter", "name"), [("\0", "U+0000"), ("\x1b", "U+001B"), ("\n", "U+000A"), ("\x9b", "U+009B")])
async def test_a_control_character_is_refused_by_the_name_of_its_field(field: str, letter: str, name: str) -> None:
    site = FakeSite()
    async with client(site) as http:
        body = {"reason": "storm", field: f"sto{letter}rm"}
        answer = await http.post("/api/v1/actions/stop-mining", headers=WRITE, json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == f"body.{field}"
    assert f"a control character, {name}, as its character 4" in error["what"]
    assert (site.stopped, site.log) == (False, [])


@pytest.mark.parametrize(
    "path", ["actions?subject=%00", "actions?site=%00", "trace/%00", "income?network=%00", "day?site=%00", "nodes/%00/log"]
)
async def test_no_question_reaches_a_database_with_what_it_cannot_hold(path: str) -> None:
    async with client(FakeSite()) as http:
        answer = await http.get(f"/api/v1/{path}")
    assert answer.status_code == 422
    assert "control character, U+0000" in answer.json()["errors"][0]["what"]


async def test_the_chain_leaves_and_enters_as_lines_of_hex() -> None:
    chain = Chain()
    async with client(FakeSite(), chain) as http:
        export = await http.get("/api/v1/chain/export?from_height=2")
        answer = await http.post("/api/v1/chain/import", headers=WRITE, content=b"01010101\n\n02020202\r\n03030303")
    assert export.text == "02020202\n03030303\n"
    assert chain.submitted == [b"\x01" * 4, b"\x02" * 4, b"\x03" * 4]
    assert httpx2.Response(200, content=answer.content.splitlines()[-1]).json() == {
        "line": 4, "blocks": 3, "accepted": 2, "reasons": {"duplicate": 1}, "done": True,
    }  # fmt: skip


async def test_an_import_names_the_line_that_is_no_block() -> None:
    chain = Chain()
    async with client(FakeSite(), chain) as http:
        answer = await http.post("/api/v1/chain/import", headers=WRITE, content=b"01010101\nnot hex\n03030303\n")
    last = httpx2.Response(200, content=answer.content.splitlines()[-1]).json()
    assert last["done"] is False
    assert "line 2" in last["error"]
    assert chain.submitted == [b"\x01" * 4]
    assert chain.closed == 1


async def test_a_node_is_named_and_one_that_there_is_not_is_a_404_that_says_which_there_are() -> None:
    chain = Chain()
    async with client(FakeSite(), chain) as http:
        assert (await http.get("/api/v1/chain/export?node=btc-1")).status_code == 200
        assert (await http.post("/api/v1/chain/import?node=btc-1", headers=WRITE, content=b"01010101")).status_code == 200
        unknown = [
            await http.get("/api/v1/chain/export?node=btc-9"),
            await http.post("/api/v1/chain/import?node=btc-9", headers=WRITE, content=b"01010101"),
        ]
    assert chain.named == ["btc-1", "btc-1"]
    assert [answer.status_code for answer in unknown] == [404, 404]
    assert all("its Bitcoin nodes are btc-1" in answer.json()["detail"] for answer in unknown)


async def test_an_import_tells_a_node_that_went_away_from_a_line_that_is_no_block() -> None:
    chain = Chain()
    async with client(FakeSite(), chain) as http:
        answer = await http.post("/api/v1/chain/import", headers=WRITE, content=b"01010101\n04040404\n")
        chain.down = True
        down = await http.post("/api/v1/chain/import", headers=WRITE, content=b"01010101\n")
    last = httpx2.Response(200, content=answer.content.splitlines()[-1]).json()
    assert (last["done"], last["unavailable"]) == (False, True)
    assert (down.status_code, chain.closed) == (503, 1)


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_lines_arrive_in_any_pieces_and_none_is_longer_than_a_block() -> None:
    found = [line async for line in split_lines(_pieces(b"a", b"b\nc", b"\n\nd"), limit=4)]
    assert found == [(1, b"ab"), (2, b"c"), (4, b"d")]
    with pytest.raises(LineTooLongError, match="line 2"):
        [line async for line in split_lines(_pieces(b"a\n", b"xxxx", b"xxxx"), limit=4)]


async def test_a_node_that_is_down_is_a_503_before_the_stream_begins() -> None:
    chain = Chain()
    chain.down = True
    async with client(FakeSite(), chain) as http:
        answer = await http.get("/api/v1/chain/export")
    assert answer.status_code == 503
    assert "wait for it" in answer.json()["detail"]


async def test_evidence_is_streamed_line_by_line_and_absent_where_none_is_kept() -> None:
    async with client(FakeSite(), evidence=Evidence()) as http:
        assert (await http.get("/api/v1/evidence/export")).text == '{"format":"x"}\n{"count":0}\n'
        assert (await http.get("/api/v1/evidence/export?site=backnang")).text == '{"count":0}\n'
        unknown = await http.get("/api/v1/evidence/export?site=nowhere")
        assert unknown.status_code == 404
        assert "there is of backnang, books" in unknown.json()["detail"]
    async with client(FakeSite()) as http:
        assert (await http.get("/api/v1/evidence/export")).status_code == 503


async def test_health_is_never_ok_where_something_fails_or_nothing_says() -> None:
    site = FakeSite()
    status = await site.status()
    (part,) = status.sites
    well = part.model_copy(update={"conditions": []})

    def of_sites(*sites: SitePart) -> Status:
        return status.model_copy(update={"sites": list(sites)})

    healthy = of_sites(well)
    assert health_of(healthy).status == "ok"
    assert health_of(status).status == "degraded"
    blind = well.model_copy(update={"site": part.site.model_copy(update={"quality": "unknown"})})
    assert health_of(of_sites(well, blind)).status == "unknown", "one site is enough"
    behind = well.model_copy(update={"chain": part.chain.model_copy(update={"synchronised": False})})
    assert health_of(of_sites(well, behind)).checks["chain"] == "failing"
    stale = well.model_copy(update={"site": part.site.model_copy(update={"quality": "stale"})})
    assert health_of(of_sites(blind, stale)).checks["meters"] == "failing"
    critical = status.model_copy(update={"sites": [], "conditions": part.conditions})
    assert health_of(critical).checks == {"conditions": "failing"}, "without sites there are no meters"
    assert health_of(of_sites()).status == "ok"
    async with client(site) as http:
        assert (await http.get("/api/v1/health")).status_code == 503


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="token"):
        create_app(FakeSite(), token="")
