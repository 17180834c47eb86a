"""Errors as RFC 9457 problem documents: what happened and what to do, and never the inside of the program."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.operations.supervisor import NotRunningError
from photosynth.operations.view import NotKnownError, RefusedError
from photosynth.storage import StorageError

PROBLEM_TYPE = "application/problem+json"


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: list[dict[str, str]] | None = None
) -> JSONResponse:
    """A problem document (RFC 9457) with the status's own title."""
    content: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        content["errors"] = errors
    return JSONResponse(content, status_code=status, headers=headers, media_type=PROBLEM_TYPE)


async def _not_known(_request: Request, error: Exception) -> JSONResponse:
    return problem(404, str(error))


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    return problem(409, str(error))


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    return problem(503, str(error), headers={"Retry-After": "1"})


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": ".".join(str(part) for part in e["loc"]), "what": str(e["msg"])} for e in error.errors()[:50]]
    return problem(422, "The request is not as the API's document says; see errors.", errors=errors)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    return problem(500, "Something failed inside Photosynth; its log has the details. Please report this as a bug.")


def install(app: FastAPI) -> None:
    """Make an application answer every error with a problem document."""
    app.add_exception_handler(NotKnownError, _not_known)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(NodeUnavailableError, _unavailable)
    app.add_exception_handler(NotRunningError, _unavailable)
    app.add_exception_handler(StorageError, _unavailable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
