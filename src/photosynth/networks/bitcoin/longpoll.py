"""One outstanding long poll to a bitcoind, shared by all who wait for it.

Each long poll holds one of bitcoind's few RPC threads until its tip or its transactions change, also when nobody listens
any more: so one that is under way is taken up again rather than started anew.
"""

import asyncio
from typing import Any

from photosynth.networks.bitcoin.rpc import RpcClient

LONG_POLL_TIMEOUT_S = 3600.0


class LongPoll:
    """Keeps at most one ``getblocktemplate`` waiting for a change since an id of the node's."""

    def __init__(self, rpc: RpcClient, request: dict[str, Any]) -> None:
        self._rpc = rpc
        self._request = request
        self._id: str | None = None
        self._task: asyncio.Task[Any] | None = None

    def since(self, node_id: str) -> asyncio.Task[Any]:
        """The call that answers when the template is another than that of the id; started where none is under way."""
        if self._task is None or self._id != node_id:
            self._drop()
            request = {**self._request, "longpollid": node_id}
            self._id = node_id
            self._task = asyncio.create_task(
                self._rpc.call("getblocktemplate", request, timeout_s=LONG_POLL_TIMEOUT_S), name="long poll of bitcoind"
            )
        return self._task

    def take(self, call: asyncio.Task[Any]) -> Any:
        """The answer of a call that is done, or what it raised; None where another waiter's newer id has ended it."""
        if self._task is call:
            self._task = None
        return None if call.cancelled() else call.result()

    async def close(self) -> None:
        """End the call that is under way."""
        task = self._task
        self._drop()
        if task is not None:
            await asyncio.wait([task])

    def _drop(self) -> None:
        if self._task is not None:
            self._task.add_done_callback(_retrieve)
            self._task.cancel()
            self._task = None


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at what a dropped call raised, so that it is not reported as never retrieved."""
    if not task.cancelled():
        task.exception()
