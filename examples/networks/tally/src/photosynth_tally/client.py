"""How a counter is spoken to: JSON-RPC over HTTP, with a time-out and an answer of bounded size."""

import json
from typing import Any

import httpx2

TIMEOUT_S = 5.0
MOST_BYTES = 1_000_000


class TallyError(Exception):
    """The counter gave no usable answer; the message says what and what to do."""


class TallyClient:
    """Calls methods of one counter. Close it when done."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def call(self, method: str, *params: int) -> dict[str, Any]:
        """The result of a method. Raises TallyError."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            async with self._http.stream("POST", self._url, json=body) as answer:
                raw = b""
                async for piece in answer.aiter_bytes():
                    raw += piece
                    if len(raw) > MOST_BYTES:
                        raise TallyError(f"{self.name}: it answers with more than {MOST_BYTES} bytes; see what listens there")
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise TallyError(f"{self.name}: {self._url} does not answer ({why}); see that it runs") from error
        try:
            result = json.loads(raw)["result"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TallyError(f"{self.name}: it answers with what is no JSON-RPC result; see what listens there") from error
        if not isinstance(result, dict):
            raise TallyError(f"{self.name}: the result of {method} is no object; see which version it is")
        return result

    async def close(self) -> None:
        """Let its connection go."""
        await self._http.aclose()
