"""The API's routes: every document of a fleet at ``/api/v1``, described by ``/api/v1/openapi.json``."""

import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.params import Depends as DependsMarker
from fastapi.responses import Response, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from photosynth.api import problems
from photosynth.api.chain import ChainImport, hex_lines
from photosynth.api.chain_port import ChainPort
from photosynth.api.evidence_port import EvidencePort
from photosynth.api.guard import Guard
from photosynth.api.scrape import Scrape
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
from photosynth.operations.ledger_document import as_document
from photosynth.operations.view import LONGEST_CURSOR, CursorError, FleetView, NotKnownError
from photosynth.quantities.texts import objection

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
HEIGHT_LIMIT = 2**31
ID_LIMIT = 2**63 - 1


def _kept(text: str) -> str:
    if (said := objection(text)) is not None:
        raise ValueError(f"it {said}")
    return text


Text = Annotated[str, AfterValidator(_kept)]
"""What is written to the database, or looked for in it."""
Count = Annotated[int, Query(ge=1, le=1000)]
Before = Annotated[int | None, Query(ge=1, le=ID_LIMIT, description="only what is older than this id")]
Instant = Annotated[int | None, Query(ge=0, le=ID_LIMIT, description="the fleet's time, milliseconds since the epoch, UTC")]
IncidentId = Annotated[int, Path(ge=1, le=ID_LIMIT)]
Name = Annotated[Text, Path(min_length=1, max_length=128)]
OfNetwork = Annotated[Text | None, Query(max_length=32, description="one network; without it all of them")]
OfNode = Annotated[Text | None, Query(max_length=128, description="a node by its name; without it the first Bitcoin node")]
OfSite = Annotated[Text | None, Query(max_length=128, description="one site by its name; without it all of them")]


class WriteRequest(BaseModel):
    """Why something is to change, and who says so; both go into the audit."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: Text = Field(min_length=1, max_length=500)
    actor: Text = Field(default="api", min_length=1, max_length=100)


class ByRequest(BaseModel):
    """Who does it; that goes into the audit."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    by: Text = Field(min_length=1, max_length=100)


class MiningRequest(WriteRequest):
    """The same of mining: at one site, or at all of them."""

    site: Text | None = Field(default=None, max_length=128, description="one site by its name; null is every site")


class Health(BaseModel):
    """Whether the fleet may be trusted now: every check, and unknown where nothing fresh says."""

    status: Literal["ok", "degraded", "unknown"]
    version: str
    checks: dict[str, Literal["ok", "failing", "unknown"]]


NOT_KNOWN: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "The fleet has no such site, machine, node or block; `detail` says what there is.",
        "content": {problems.PROBLEM_TYPE: {"schema": {"type": "object"}}},
    }
}

_METERS: dict[str, Literal["ok", "failing", "unknown"]] = {"good": "ok", "estimated": "ok", "stale": "failing"}


def health_of(status: Status) -> Health:
    """Judge a status: every site's chain follows and its meters are fresh, no critical condition. Unknown is never ok.

    A fleet without sites has neither chain nor meters to judge.
    """
    checks: dict[str, Literal["ok", "failing", "unknown"]] = {}
    if status.sites:
        checks["chain"] = "ok" if all(part.chain.synchronised for part in status.sites) else "failing"
        found_meters = {_METERS.get(part.site.quality, "unknown") for part in status.sites}
        checks["meters"] = next(worst for worst in ("failing", "unknown", "ok") if worst in found_meters)
    conditions = [*status.conditions, *(condition for part in status.sites for condition in part.conditions)]
    checks["conditions"] = "failing" if any(c.severity == "critical" for c in conditions) else "ok"
    found = set(checks.values())
    overall: Literal["ok", "degraded", "unknown"] = (
        "degraded" if "failing" in found else "unknown" if "unknown" in found else "ok"
    )
    return Health(status=overall, version=status.version, checks=checks)


def create_app(
    view: FleetView,
    *,
    token: str,
    allowed_hosts: Sequence[str] = LOOPBACK_NAMES,
    chain: ChainPort | None = None,
    evidence: EvidencePort | None = None,
) -> FastAPI:
    """The API of one fleet. Reads are open to whoever reaches the port; writes need the bearer token.

    ``allowed_hosts`` are the names that a ``Host`` header may carry. Without ``chain`` or ``evidence`` their streams
    answer 503. Raises ValueError where the token is empty.
    """
    if not token:
        raise ValueError("the API needs a token: without one anybody could write")
    scrape = Scrape(view)
    app = FastAPI(
        title="Photosynth",
        version="1",
        summary="One fleet: sites, machines, pools, nodes, ledger, proof",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=scrape.lifespan,
    )
    problems.install(app)
    app.add_middleware(Guard, allowed_hosts=allowed_hosts, token=token)

    bearer = HTTPBearer(auto_error=False, description="the token in api.json of the state folder, new at each start")

    def writer(request: Request, _described: Annotated[object, Depends(bearer)]) -> None:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            detail = "A write needs the token in 'Authorization: Bearer ...'; it is in api.json of the state folder."
            raise HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})

    _add_reads(app, view)
    _add_income(app, view)
    _add_streams(app, chain, evidence, Depends(writer))

    @app.post("/api/v1/actions/stop-mining", tags=["actions"], dependencies=[Depends(writer)], responses=NOT_KNOWN)
    async def stop_mining(wanted: MiningRequest) -> ActionDocument:
        """Everything off at once, until resumed, at one site or at all. Audited; of several sites `read_back` has a line each."""
        return await view.stop_mining(wanted.actor, wanted.reason, wanted.site)

    @app.post("/api/v1/actions/resume-mining", tags=["actions"], dependencies=[Depends(writer)], responses=NOT_KNOWN)
    async def resume_mining(wanted: MiningRequest) -> ActionDocument:
        """Let the dispatch decide again, at one site or at all. Audited; of several sites `read_back` has a line each."""
        return await view.resume_mining(wanted.actor, wanted.reason, wanted.site)

    @app.post("/api/v1/nodes/{node_id}/restart", tags=["actions"], dependencies=[Depends(writer)], responses=NOT_KNOWN)
    async def restart_node(node_id: Name, wanted: WriteRequest) -> ActionDocument:
        """End a node's process in its own time; it is started anew. Audited."""
        return await view.restart_node(node_id, wanted.actor, wanted.reason)

    app.add_api_route("/metrics", scrape.answer, include_in_schema=False, response_class=Response)

    refused: dict[int | str, dict[str, Any]] = {**NOT_KNOWN, 409: {"description": "It is over: nobody has to take it on."}}

    @app.post("/api/v1/incidents/{incident_id}/ack", tags=["incidents"], dependencies=[Depends(writer)], responses=refused)
    async def acknowledge(incident_id: IncidentId, wanted: ByRequest) -> ActionDocument:
        """Somebody takes an incident on: it wakes nobody any more. Audited."""
        return await view.acknowledge(incident_id, wanted.by)

    @app.post("/api/v1/alerts/test", tags=["incidents"], dependencies=[Depends(writer)])
    async def test_alerts(wanted: ByRequest) -> list[AlertTestDocument]:
        """Send a message to every target of alerts and say what came of it. Audited."""
        return await view.test_alerts(wanted.by)

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def unknown(rest: str) -> None:
        raise NotKnownError(f"There is no /api/{rest[:200]} with this method; /api/v1/openapi.json lists what there is.")

    return app


def _add_reads(app: FastAPI, view: FleetView) -> None:
    @app.get("/api/v1/status", tags=["fleet"], responses=NOT_KNOWN)
    async def status(site: OfSite = None) -> Status:
        """Everything in one document; of a site its part and its books, with what is the whole fleet's."""
        return await view.status(site)

    @app.get("/api/v1/health", tags=["fleet"], responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        """200 where the fleet may be trusted, 503 where a check fails or nothing fresh says."""
        found = health_of(await view.status())
        response.status_code = 200 if found.status == "ok" else 503
        return found

    @app.get("/api/v1/workers", tags=["pool"], responses=NOT_KNOWN)
    async def workers(site: OfSite = None) -> WorkersDocument:
        """The pools' workers over the life of the state."""
        return await view.workers(site)

    @app.get("/api/v1/machines", tags=["machines"], responses=NOT_KNOWN)
    async def machines(site: OfSite = None) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        return await view.machines(site)

    @app.get("/api/v1/machines/{site}/{machine_id}", tags=["machines"], responses=NOT_KNOWN)
    async def machine(site: Name, machine_id: Name) -> MachineDocument:
        """One machine of a site, with why it runs or sleeps; its id is unique in its site only."""
        for found in await view.machines(site):
            if found.id == machine_id:
                return found
        raise NotKnownError(f"There is no machine {machine_id!r} at {site}.")

    @app.get("/api/v1/incidents", tags=["incidents"], responses=NOT_KNOWN)
    async def incidents(
        site: OfSite = None,
        resolved: Annotated[bool, Query(description="those that are over, too")] = False,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        before_id: Before = None,
    ) -> list[IncidentDocument]:
        """What needs somebody, newest first."""
        return await view.incidents(site, resolved=resolved, limit=limit, before_id=before_id)

    @app.get("/api/v1/nodes", tags=["nodes"])
    async def nodes() -> list[NodeDocument]:
        """Every node of the fleet, in the file's order."""
        return await view.nodes()

    @app.get("/api/v1/nodes/{node_id}", tags=["nodes"], responses=NOT_KNOWN)
    async def node(node_id: Name) -> NodeDocument:
        """One node, with what is wrong with it."""
        for found in await view.nodes():
            if found.id == node_id:
                return found
        raise NotKnownError(f"There is no node {node_id!r} in this fleet.")

    @app.get("/api/v1/nodes/{node_id}/log", tags=["nodes"], responses=NOT_KNOWN)
    async def node_log(node_id: Name, lines: Annotated[int, Query(ge=1, le=10_000)] = 100) -> list[str]:
        """The last lines of what a node's process said."""
        return await view.node_log(node_id, lines)

    @app.get("/api/v1/day", tags=["site"], responses=NOT_KNOWN)
    async def day(
        points: Annotated[int, Query(ge=2, le=2000)] = 288,
        site: Annotated[Text | None, Query(max_length=128, description="the site; without it the fleet file's first")] = None,
    ) -> list[DayPoint]:
        """The curve of a site's current market day so far."""
        return await view.day(points, site)

    @app.get("/api/v1/blocks", tags=["ledger"], responses=NOT_KNOWN)
    async def blocks(limit: Count = 100, site: OfSite = None) -> list[BlockDocument]:
        """Blocks that our pools found, newest first."""
        return await view.blocks(limit, site)

    @app.get("/api/v1/ledger", tags=["ledger"], response_model=LedgerDocument, responses=NOT_KNOWN)
    async def ledger(
        from_ms: Instant = None,
        to_ms: Instant = None,
        limit: Annotated[int, Query(ge=0, le=10_000)] = 1000,
        before_id: Before = None,
        site: OfSite = None,
    ) -> Response:
        """Trial balance of a period and its postings, newest first."""
        _check_period(from_ms, to_ms)
        # Written from the database's rows: a page of documents, made and checked one by one, would keep others waiting. And
        # in pieces: the largest page has megabytes, and a crowd that asks for it and reads nothing would fill the memory.
        document = await _started(as_document(view.ledger_lines(from_ms, to_ms, limit, before_id=before_id, site=site)))
        return StreamingResponse(document, media_type="application/json")

    @app.get("/api/v1/ledger/export", tags=["ledger"], response_class=StreamingResponse, responses=NOT_KNOWN)
    async def ledger_export(
        from_ms: Instant = None,
        to_ms: Instant = None,
        limit: Annotated[int | None, Query(ge=0, le=ID_LIMIT, description="the newest of them; else all")] = None,
        oldest_first: bool = False,
        site: OfSite = None,
    ) -> StreamingResponse:
        """The same as lines of JSON, however many: the document without postings, then one posting a line."""
        _check_period(from_ms, to_ms)
        lines = await _started(view.ledger_lines(from_ms, to_ms, limit, oldest_first=oldest_first, site=site))
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})

    @app.get("/api/v1/trace/{block_or_txid}", tags=["ledger"], responses=NOT_KNOWN)
    async def trace(block_or_txid: Name, site: OfSite = None) -> TraceDocument:
        """A block's satoshis back to workers, quarter hours, meters and prices. By height, hash or coinbase txid."""
        return await view.trace(block_or_txid, site)

    @app.get("/api/v1/actions", tags=["actions"], responses=NOT_KNOWN)
    async def actions(
        limit: Count = 200,
        before_id: Before = None,
        subject: Annotated[Text | None, Query(max_length=128)] = None,
        site: OfSite = None,
    ) -> list[ActionDocument]:
        """Every change to the world, newest first; those of the whole fleet go with every site."""
        return await view.actions(limit, before_id, subject, site)


def _add_income(app: FastAPI, view: FleetView) -> None:
    @app.get("/api/v1/income", tags=["ledger"], responses=NOT_KNOWN)
    async def income(
        response: Response,
        network: OfNetwork = None,
        limit: Count = 200,
        cursor: Annotated[Text | None, Query(max_length=LONGEST_CURSOR, description="where the page before ended")] = None,
    ) -> list[IncomeDocument]:
        """What networks paid for running their nodes, newest first; the header `Link` names the next page, where there is one."""
        try:
            page = await view.income(network, limit, cursor)
        except CursorError as error:
            raise HTTPException(422, f"{error}.") from None
        if page.cursor is not None:
            wanted = {"network": network, "limit": limit, "cursor": page.cursor}
            query = urlencode({name: value for name, value in wanted.items() if value is not None})
            response.headers["Link"] = f'</api/v1/income?{query}>; rel="next"'
        return list(page.entries)

    @app.get("/api/v1/income/export", tags=["ledger"], response_class=StreamingResponse, responses=NOT_KNOWN)
    async def income_export(network: OfNetwork = None) -> StreamingResponse:
        """All of it as lines of JSON, newest first."""
        lines = await _started(view.income_lines(network))
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


def _add_streams(app: FastAPI, chain: ChainPort | None, evidence: EvidencePort | None, writer: DependsMarker) -> None:
    @app.get("/api/v1/chain/export", tags=["chain"], response_class=StreamingResponse, responses=NOT_KNOWN)
    async def chain_export(
        from_height: Annotated[int, Query(ge=0, le=HEIGHT_LIMIT)] = 1, node: OfNode = None
    ) -> StreamingResponse:
        """Blocks of a node from a height to the tip, one line of hexadecimal each."""
        if chain is None:
            raise HTTPException(503, "No Bitcoin node is attached.")
        lines = await _started(hex_lines(chain.blocks(from_height, node)))
        return StreamingResponse(lines, media_type="text/plain; charset=ascii", headers={"Cache-Control": "no-store"})

    @app.post(
        "/api/v1/chain/import",
        tags=["chain"],
        dependencies=[writer],
        response_class=Response,
        responses={**NOT_KNOWN, 200: {"content": {"application/x-ndjson": {}}}},
        openapi_extra={"requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def chain_import(request: Request, node: OfNode = None) -> Response:
        """Submit blocks to a node, one line of hexadecimal each; answers lines of JSON while it goes."""
        if chain is None:
            raise HTTPException(503, "No Bitcoin node is attached.")
        async with AsyncExitStack() as held:
            taker = await held.enter_async_context(chain.taking(node))
            return ChainImport(request, taker, held.pop_all())

    @app.get("/api/v1/evidence/export", tags=["proof"], response_class=StreamingResponse, responses=NOT_KNOWN)
    async def evidence_export(site: OfSite = None) -> StreamingResponse:
        """The evidence as `photosynth verify` reads it: of one site, or all streams with the books."""
        if evidence is None:
            raise HTTPException(503, "No evidence is kept here.")
        lines = await _started(_ended(evidence.lines(site)))
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


def _check_period(from_ms: int | None, to_ms: int | None) -> None:
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        raise HTTPException(422, "from_ms lies after to_ms.")


async def _ended(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line + b"\n"


async def _started(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same lines with the first one fetched, so that a failure to begin becomes an answer and not a cut stream."""
    first = await anext(lines, None)

    async def all_of_them() -> AsyncIterator[bytes]:
        if first is not None:
            yield first
            async for line in lines:
                yield line

    return all_of_them()
