"""The one long poll that all waiters share."""

import asyncio
import json
from pathlib import Path

import httpx2

from photosynth.networks.bitcoin.longpoll import LongPoll
from photosynth.networks.bitcoin.rpc import CredentialsFile, RpcClient


class Waiting:
    """A bitcoind that answers a long poll when the test says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = asyncio.Event()

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(json.loads(request.content)["params"][0]["longpollid"])
        await self.release.wait()
        return httpx2.Response(200, content=json.dumps({"result": self.asked[-1], "error": None, "id": 1}))


def long_poll(bitcoind: Waiting, folder: Path) -> tuple[LongPoll, RpcClient]:
    cookie = folder / ".cookie"
    cookie.write_text("a:b")
    rpc = RpcClient("http://127.0.0.1:1", CredentialsFile(cookie), transport=httpx2.MockTransport(bitcoind))
    return LongPoll(rpc, {"rules": ["segwit"]}), rpc


async def test_a_second_waiter_takes_up_the_call_that_is_under_way(tmp_path: Path) -> None:
    bitcoind = Waiting()
    poll, rpc = long_poll(bitcoind, tmp_path)
    first, second = poll.since("a"), poll.since("a")
    assert first is second
    bitcoind.release.set()
    await asyncio.wait([first])
    assert [poll.take(first), poll.take(second)] == ["a", "a"]
    assert bitcoind.asked == ["a"]
    assert poll.since("a") is not first
    await poll.close()
    await rpc.close()


async def test_a_newer_id_ends_the_older_call_and_its_waiter_is_told(tmp_path: Path) -> None:
    bitcoind = Waiting()
    poll, rpc = long_poll(bitcoind, tmp_path)
    older = poll.since("a")
    newer = poll.since("b")
    await asyncio.wait([older])
    assert poll.take(older) is None
    assert poll.since("b") is newer
    bitcoind.release.set()
    await asyncio.wait([newer])
    assert poll.take(newer) == "b"
    await poll.close()
    await rpc.close()


async def test_closing_ends_the_call(tmp_path: Path) -> None:
    poll, rpc = long_poll(Waiting(), tmp_path)
    call = poll.since("a")
    await poll.close()
    assert call.cancelled()
    await poll.close()
    await rpc.close()
