"""Incidents through the API: open to readers, taken on by whoever has the token and says a name."""

import httpx2
import pytest
from tests.browser.fake_site import FakeSite

from photosynth.api import create_app
from photosynth.operations.supervisor import NotRunningError

TOKEN = "a-token-for-tests"
WRITE = {"authorization": f"Bearer {TOKEN}"}


def client(site: FakeSite) -> httpx2.AsyncClient:
    app = create_app(site, token=TOKEN)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [2, 1]),
        ("?resolved=true", [3, 2, 1]),
        ("?resolved=true&limit=1", [3]),
        ("?resolved=true&before_id=2", [1]),
        ("?site=backnang", [2]),
    ],
)
async def test_what_is_not_over_is_listed_or_everything(query: str, ids: list[int]) -> None:
    async with client(FakeSite()) as http:
        answer = await http.get(f"/api/v1/incidents{query}")
    assert [one["id"] for one in answer.json()] == ids


async def test_one_is_taken_on_once_it_is_known_who_does() -> None:
    site = FakeSite()
    async with client(site) as http:
        assert (await http.post("/api/v1/incidents/1/ack", json={"by": "anna"})).status_code == 401
        taken = await http.post("/api/v1/incidents/1/ack", json={"by": "  anna "}, headers=WRITE)
        codes = {
            (path, str(body)): (await http.post(f"/api/v1/incidents/{path}/ack", json=body, headers=WRITE)).status_code
            for path in ("1", "3", "99", "x", str(2**64))
            for body in ({"by": "anna"}, {"by": ""}, {"by": "x" * 101}, {"by": "a\x1b[2J"}, {"by": "anna", "more": 1}, {})
        }
    assert (taken.status_code, taken.json()["actor"], taken.json()["result"]) == (200, "anna", "done")
    assert site.made_up.all[-1].acknowledged_by == "anna"
    named = {path: code for (path, body), code in codes.items() if body == "{'by': 'anna'}"}
    assert named == {"1": 200, "3": 409, "99": 404, "x": 422, str(2**64): 422}
    assert {code for (_, body), code in codes.items() if body != "{'by': 'anna'}"} == {422}


async def test_alerts_are_tried_with_the_token_alone() -> None:
    async with client(FakeSite()) as http:
        assert (await http.post("/api/v1/alerts/test", json={"by": "anna"})).status_code == 401
        answer = await http.post("/api/v1/alerts/test", json={"by": "anna"}, headers=WRITE)
    assert answer.json() == [{"id": "office", "delivered": True, "why": None}]


async def test_while_the_watch_does_not_run_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(self: FakeSite, incident_id: int, by: str) -> None:
        raise NotRunningError("fleet incidents does not run: the disk is full")

    monkeypatch.setattr(FakeSite, "acknowledge", fails)
    async with client(FakeSite()) as http:
        answer = await http.post("/api/v1/incidents/1/ack", json={"by": "anna"}, headers=WRITE)
    assert (answer.status_code, answer.json()["detail"]) == (503, "fleet incidents does not run: the disk is full")
