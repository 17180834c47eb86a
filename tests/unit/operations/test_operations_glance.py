"""A status answers while the database is away: with what was seen last, and with a fault that goes when it is back."""

import asyncio
from pathlib import Path

import pytest

from photosynth.operations import glance as module
from photosynth.operations.glance import Glance
from photosynth.storage import StorageError

PLACE = Path("photosynth.sqlite3")


class Books:
    """Answers with how often it was asked; ``away`` refuses, ``gate`` makes it wait."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self) -> int:
        self.asked += 1
        asked = self.asked
        await self.gate.wait()
        if self.away:
            raise StorageError("unavailable", PLACE, "does not answer")
        return asked


async def test_what_was_seen_last_stands_until_the_database_is_back() -> None:
    books, glance = Books(), Glance[int](PLACE)
    assert await glance.look(books.ask) == 1
    assert glance.fault is None
    books.away = True
    assert await glance.look(books.ask) == 1
    assert "does not answer" in str(glance.fault)
    books.away = False
    assert await glance.look(books.ask) == 3
    assert glance.fault is None


async def test_a_database_that_hangs_is_asked_once_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    books, glance = Books(), Glance[int](PLACE)
    await glance.look(books.ask)
    monkeypatch.setattr(module, "PATIENCE_S", 0)
    books.gate.clear()
    for _ in range(5):
        assert await glance.look(books.ask) == 1
        assert "does not answer within" in str(glance.fault)
    assert books.asked == 2
    monkeypatch.undo()
    books.gate.set()
    assert await glance.look(books.ask) == 2
    assert glance.fault is None
    assert await glance.look(books.ask) == 3


@pytest.mark.parametrize("hangs", [True, False])
async def test_where_nothing_was_ever_seen_there_is_nothing_to_show(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    books, glance = Books(), Glance[int](PLACE)
    books.away = not hangs
    if hangs:
        monkeypatch.setattr(module, "PATIENCE_S", 0)
        books.gate.clear()
    with pytest.raises(StorageError):
        await glance.look(books.ask)
    books.gate.set()
