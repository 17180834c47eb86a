"""A pool of a few lines: gives every miner one job, checks every share with hashlib, and answers."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec


@dataclass
class FakePool:
    """Listens on loopback; ``difficulty`` is asked of every share."""

    difficulty: float = 2**-25
    port: int = 0
    shares: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seen: set[tuple[str, ...]] = field(default_factory=set)
    job: int = 0
    connections: int = 0
    writers: dict[asyncio.StreamWriter, str] = field(default_factory=dict)
    """The extranonce of every connection."""
    server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in tuple(self.writers):
            writer.transport.abort()
        await self.server.wait_closed()

    def new_job(self, clean: bool = True) -> None:
        self.job += 1
        for writer in self.writers:
            self._send(writer, {"id": None, "method": "mining.notify", "params": self._notify(clean)})

    def _notify(self, clean: bool) -> list[Any]:
        return [f"{self.job:x}", "00" * 32, "01" * 40, "02" * 30, ["11" * 32], "20000000", "207fffff", "68000000", clean]

    def _send(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        writer.write(msgspec.json.encode(message) + b"\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers[writer] = f"{self.connections:08x}"
        try:
            while line := await reader.readline():
                self._answer(writer, msgspec.json.decode(line))
        except ConnectionError:
            pass
        finally:
            del self.writers[writer]
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, request: dict[str, Any]) -> None:
        result: Any = True
        params = request["params"]
        match request["method"]:
            case "mining.configure":
                result = {"version-rolling": True, "version-rolling.mask": "1fffe000"}
            case "mining.subscribe":
                result = [[["mining.notify", "1"]], self.writers[writer], 4]
            case "mining.submit":
                self.check(params, self.writers[writer])
        self._send(writer, {"id": request["id"], "result": result, "error": None})
        if request["method"] == "mining.authorize":
            self._send(writer, {"id": None, "method": "mining.set_difficulty", "params": [self.difficulty]})
            self._send(writer, {"id": None, "method": "mining.notify", "params": self._notify(True)})

    def check(self, params: list[str], extranonce1: str) -> None:
        worker, job, extranonce2, time_s, nonce = params[:5]
        coinbase = bytes.fromhex("01" * 40 + extranonce1 + extranonce2 + "02" * 30)
        root = _twice(_twice(coinbase) + bytes.fromhex("11" * 32))
        words = bytes.fromhex("20000000")[::-1] + bytes(32) + root
        header = words + bytes.fromhex(time_s)[::-1] + bytes.fromhex("207fffff")[::-1] + bytes.fromhex(nonce)[::-1]
        value = int.from_bytes(_twice(header), "little")
        target = int((0xFFFF << 208) / self.difficulty)
        key = (worker, job, extranonce2, nonce)
        if value > target or key in self.seen or time_s != "68000000":
            self.wrong.append(f"{worker} {job}")
        self.seen.add(key)
        self.shares[worker] += 1


def _twice(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()
