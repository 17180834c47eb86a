"""The door to a fleet: through the API of the running system, or straight into the state of a stopped one."""

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter, ValidationError

from photosynth.cli.errors import CommandError, ExitCode, sentence
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
from photosynth.operations.state import ApiAddress, StateError, StateFolder, StateInUseError
from photosynth.operations.view import FleetView, IncomePage, NotKnownError, RefusedError
from photosynth.quantities.instants import MARKET_ZONE
from photosynth.storage.address import Place

if TYPE_CHECKING:
    import httpx2

D = TypeVar("D", bound=BaseModel)
T = TypeVar("T")
TIMEOUT_S = 30
STOP_TIMEOUT_S = 120
"""Seconds that a stop may take: each machine has its ramp and a margin to prove that it sleeps, and one may never answer."""
RESTART_TIMEOUT_S = 660
"""Seconds that a node's restart may take: a bitcoind has ten minutes to write its coins, and then it is killed."""
START_PATIENCE_S = 15.0
"""Seconds that a command waits for a system that starts or stops; a start on a long chain may take ten."""


class ApiClient:
    """A running system through its API: a FleetView, and the streams of chain and evidence.

    Raises CommandError where it does not answer or refuses, NotKnownError where it does not know what was asked for, and
    RefusedError where that cannot be done as things are.
    """

    def __init__(self, address: ApiAddress, transport: "httpx2.AsyncBaseTransport | None" = None) -> None:
        import httpx2

        self.url = address.url
        self.zones: dict[str, ZoneInfo] = {}
        self._errors = (httpx2.HTTPError, httpx2.InvalidURL)
        try:
            self._http = httpx2.AsyncClient(
                base_url=address.url,
                headers={"Authorization": f"Bearer {address.token}"},
                timeout=TIMEOUT_S,
                trust_env=False,
                transport=transport,
            )
        except httpx2.InvalidURL:
            raise CommandError(f"{address.url!r} in api.json is not an address.", ExitCode.UNAVAILABLE) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def __aenter__(self) -> "ApiClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def answers(self, question: str) -> bool:
        """Whether a Photosynth answers there; of a status ``zones`` are its sites' from then on."""
        import httpx2

        try:
            found = await self._http.get(f"/api/v1/{question}", timeout=5)
        except httpx2.ConnectError:
            return False
        except self._errors as error:
            raise self._no_answer(error) from None
        if found.status_code == 200 and question == "status":
            self.zones = _zones_in(found.content)
        return found.status_code == 200

    async def status(self, site: str | None = None) -> Status:
        """Everything in one document, of one site or of all."""
        return await self._get("/api/v1/status", Status, site=site)

    async def workers(self, site: str | None = None) -> WorkersDocument:
        """The pools' workers."""
        return await self._get("/api/v1/workers", WorkersDocument, site=site)

    async def machines(self, site: str | None = None) -> list[MachineDocument]:
        """Every machine."""
        return await self._list("/api/v1/machines", MachineDocument, site=site)

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        """What networks paid, a page of it."""
        params = _given({"network": network, "limit": limit, "cursor": cursor})
        answer = await self._request("GET", "/api/v1/income", params=params)
        from urllib.parse import parse_qs, urlsplit

        following = answer.links.get("next", {}).get("url", "")
        cursors = parse_qs(urlsplit(following).query).get("cursor", [])
        return IncomePage(self._read(answer, TypeAdapter(list[IncomeDocument])), cursors[0] if cursors else None)

    async def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        """All of it as lines of JSON, in pieces as they come."""
        async for piece in self._stream("GET", "/api/v1/income/export", params=_given({"network": network})):
            yield piece

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> list[IncidentDocument]:
        """Incidents newest first."""
        wanted = {"site": site, "resolved": resolved, "limit": limit, "before_id": before_id}
        return await self._list("/api/v1/incidents", IncidentDocument, **wanted)

    async def acknowledge(self, incident_id: int, by: str) -> ActionDocument:
        """Somebody takes an incident on."""
        answer = await self._request("POST", f"/api/v1/incidents/{incident_id}/ack", json={"by": by})
        return self._read(answer, TypeAdapter(ActionDocument))

    async def test_alerts(self, actor: str) -> list[AlertTestDocument]:
        """A message to every target of alerts."""
        answer = await self._request("POST", "/api/v1/alerts/test", json={"by": actor}, timeout=STOP_TIMEOUT_S)
        return self._read(answer, TypeAdapter(list[AlertTestDocument]))

    async def nodes(self) -> list[NodeDocument]:
        """Every node of the fleet."""
        return await self._list("/api/v1/nodes", NodeDocument)

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """The last lines of a node's log."""
        answer = await self._request("GET", f"/api/v1/nodes/{_quoted(node_id)}/log", params={"lines": lines})
        return self._read(answer, TypeAdapter(list[str]))

    async def restart_node(self, node_id: str, actor: str, reason: str) -> ActionDocument:
        """End a node's process; it is started anew."""
        return await self._act(f"nodes/{_quoted(node_id)}/restart", actor, reason, RESTART_TIMEOUT_S)

    async def day(self, points: int = 288, site: str | None = None) -> list[DayPoint]:
        """A site's curve of the day."""
        return await self._list("/api/v1/day", DayPoint, points=points, site=site)

    async def blocks(self, limit: int = 100, site: str | None = None) -> list[BlockDocument]:
        """Blocks that our pools found."""
        return await self._list("/api/v1/blocks", BlockDocument, limit=limit, site=site)

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> LedgerDocument:
        """Trial balance and postings."""
        wanted = {"from_ms": from_ms, "to_ms": to_ms, "limit": limit, "before_id": before_id, "site": site}
        return await self._get("/api/v1/ledger", LedgerDocument, **wanted)

    async def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
        site: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The ledger as lines of JSON, in pieces as they come."""
        params = _given(
            {"from_ms": from_ms, "to_ms": to_ms, "limit": limit, "before_id": before_id, "oldest_first": oldest_first}
            | {"site": site}
        )
        async for piece in self._stream("GET", "/api/v1/ledger/export", params=params):
            yield piece

    async def trace(self, block_or_txid: str, site: str | None = None) -> TraceDocument:
        """A block's satoshis back to their meters."""
        return await self._get(f"/api/v1/trace/{_quoted(block_or_txid)}", TraceDocument, site=site)

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> list[ActionDocument]:
        """Every change to the world."""
        wanted = {"limit": limit, "before_id": before_id, "subject": subject, "site": site}
        return await self._list("/api/v1/actions", ActionDocument, **wanted)

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Everything off, at one site or at all."""
        return await self._act("actions/stop-mining", actor, reason, site=site)

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Let the dispatch decide again, at one site or at all."""
        return await self._act("actions/resume-mining", actor, reason, site=site)

    async def chain_lines(self, node: str | None = None) -> AsyncIterator[bytes]:
        """The pieces of the export of a node's chain."""
        async for piece in self._stream("GET", "/api/v1/chain/export", params=_given({"node": node})):
            yield piece

    async def evidence_lines(self, site: str | None = None) -> AsyncIterator[bytes]:
        """The pieces of the evidence's export, of one site or of all streams."""
        async for piece in self._stream("GET", "/api/v1/evidence/export", params=_given({"site": site})):
            yield piece

    async def import_chain(self, pieces: AsyncIterator[bytes], node: str | None = None) -> dict[str, Any]:
        """Hand blocks to a node; the last line of the answer, which counts the verdicts."""
        answer, last = b"", b""
        async for piece in self._stream("POST", "/api/v1/chain/import", pieces, _given({"node": node})):
            answer += piece
            *lines, answer = answer.split(b"\n")
            last = next((line for line in reversed(lines) if line), last)
        try:
            found: dict[str, Any] = json.loads(answer or last)
            return {"reasons": dict(found["reasons"]), "blocks": int(found["blocks"]), **found}
        except (ValueError, KeyError, TypeError):
            raise CommandError("The import broke off without a result; run it again.", ExitCode.UNAVAILABLE) from None

    async def _stream(
        self, method: str, path: str, content: AsyncIterator[bytes] | None = None, params: dict[str, Any] | None = None
    ) -> AsyncIterator[bytes]:
        try:
            async with self._http.stream(method, path, content=content, params=params, timeout=None) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise self._refused(answer)
                async for piece in answer.aiter_bytes():
                    yield piece
        except self._errors as error:
            raise self._no_answer(error) from None

    async def _act(self, path: str, actor: str, reason: str, timeout_s: int = STOP_TIMEOUT_S, **more: object) -> ActionDocument:
        body = {"actor": actor, "reason": reason, **more}
        answer = await self._request("POST", f"/api/v1/{path}", json=body, timeout=timeout_s)
        return self._read(answer, TypeAdapter(ActionDocument))

    async def _get(self, path: str, document: type[D], **params: object) -> D:
        return self._read(await self._request("GET", path, params=_given(params)), TypeAdapter(document))

    async def _list(self, path: str, document: type[D], **params: object) -> list[D]:
        return self._read(await self._request("GET", path, params=_given(params)), TypeAdapter(list[document]))  # type: ignore[valid-type]

    async def _request(self, method: str, path: str, **options: Any) -> "httpx2.Response":
        try:
            answer = await self._http.request(method, path, **options)
        except self._errors as error:
            raise self._no_answer(error) from None
        if answer.status_code != 200:
            raise self._refused(answer)
        return answer

    def _read(self, answer: "httpx2.Response", adapter: TypeAdapter[T]) -> T:
        try:
            return adapter.validate_json(answer.content)
        except ValidationError:
            raise CommandError(
                f"The system at {self.url} answers in another version's words; use the command line that it was started with.",
                ExitCode.UNAVAILABLE,
            ) from None

    def _refused(self, answer: "httpx2.Response") -> Exception:
        try:
            said = answer.json()
            wrong = [f"{error['field']}: {error['what']}" for error in said.get("errors", [])]
            detail = " ".join([str(said["detail"]), *wrong])
        except (ValueError, KeyError, TypeError, AttributeError):
            detail = f"the answer was {answer.status_code}"
        if answer.status_code == 404:
            return NotKnownError(detail)
        if answer.status_code == 409:
            return RefusedError(detail)
        return CommandError(f"The system at {self.url} refused: {detail}", ExitCode.UNAVAILABLE)

    def _no_answer(self, error: Exception) -> CommandError:
        why = str(error) or type(error).__name__
        return CommandError(f"The system at {self.url} does not answer ({why}); try again, or restart it.", ExitCode.UNAVAILABLE)


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Opened:
    """An open fleet: its view, and in words whether it runs and where."""

    view: FleetView
    where: str
    zones: dict[str, ZoneInfo]
    """Of each site's clock, in the fleet file's order."""

    def zone(self, site: str | None = None) -> ZoneInfo:
        """Where the clocks hang: of a site, else of the first one, else of the market."""
        return self.zones.get(site or next(iter(self.zones), ""), MARKET_ZONE)


@contextlib.asynccontextmanager
async def open_fleet(state: Place) -> AsyncIterator[Opened]:
    """The fleet of a state folder, running or stopped. Raises CommandError where there is none or it cannot be read."""
    until_s, view = time.monotonic() + START_PATIENCE_S, None
    while (api := await running_api(state, "status")) is None:
        try:
            view = await _stopped(state)
            break
        except StateInUseError as error:  # by a system that began meanwhile
            if time.monotonic() > until_s:
                raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
        except StateError as error:
            raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
        await asyncio.sleep(0.1)
    try:
        if api is not None:
            yield Opened(api, f"Running at {api.url}", api.zones)
        else:
            assert view is not None
            yield Opened(view, f"Stopped; as it was left in {state}", _zones_left_in(StateFolder(state)))
    finally:
        closing = (api or view).close()  # type: ignore[union-attr]
        if inspect.isawaitable(closing):
            await closing


def _zones_left_in(state: StateFolder) -> dict[str, ZoneInfo]:
    try:
        return _zones_in(state.status.read_bytes())
    except OSError:  # a fleet that never lived to say so
        return {}


def _zones_in(status: bytes) -> dict[str, ZoneInfo]:
    """The zones of the sites that a status document names, as far as this machine knows them."""
    zones = {}
    with contextlib.suppress(ValueError, KeyError, TypeError):
        for part in json.loads(status)["sites"]:
            with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
                zones[str(part["name"])] = ZoneInfo(part["site"]["zone"])
    return zones


async def _stopped(state: Place) -> Any:
    from photosynth.operations.stopped import open_stopped

    return open_stopped(state)


async def running_api(state: Place, question: str = "nodes") -> ApiClient | None:
    """The API of the system that runs on a state folder, None where none does; one that starts or stops is waited for.

    It is asked a question first; the nodes are known without the database, so that a stop waits for none.
    """
    until_s = time.monotonic() + START_PATIENCE_S
    while (api := await _answering(state, question)) is None and (user := StateFolder(state).user()) is not None:
        if time.monotonic() > until_s:
            raise CommandError(
                f"Process {user} runs on {state} and does not answer: it is starting or stopping. "
                "Try again in a moment, or stop it.",
                ExitCode.UNAVAILABLE,
            )
        await asyncio.sleep(0.1)
    return api


async def _answering(state: Place, question: str) -> ApiClient | None:
    try:
        address = StateFolder(state).read_api()
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    if address is None:
        return None
    api = ApiClient(address)
    try:
        if await api.answers(question):
            return api
    except CommandError:
        await api.close()
        raise
    await api.close()
    return None
