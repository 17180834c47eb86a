"""Calls into a package of somebody else's, which runs in our process: each ends in time, whatever the package does."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from photosynth.registry import words_of

T = TypeVar("T")
LONGEST_CLOSE_S = 3.0


class ForeignError(Exception):
    """A package did not do what it was asked for; the message says what it did instead."""


class ForeignCall(Generic[T]):
    """One call at a time, over within ``longest_s``."""

    def __init__(self, name: str, longest_s: float) -> None:
        self._name, self._longest_s = name, longest_s
        self._task: asyncio.Task[T] | None = None

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the package gives. Raises ForeignError, whatever it raises, also where it asks the program to exit."""
        if self._task is not None and not self._task.done():
            raise ForeignError("it does not end the call before, although it was cut off")
        self._task = asyncio.create_task(self._guarded(work), name=self._name)
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # also where nobody waits any more
        try:
            await asyncio.wait({self._task}, timeout=self._longest_s)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if self._task.done():
            return self._task.result()
        self._task.cancel()
        raise ForeignError(f"no answer within {self._longest_s:g} s")

    @staticmethod
    async def _guarded(work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except BaseException as error:
            raise ForeignError(words_of(error)) from error


class Closing(Protocol):
    """What holds something until it is closed."""

    async def close(self) -> None:
        """Let it go."""
        ...


async def let_go(held: Closing) -> None:
    """Close something of a package. Raises nothing, and ends in time."""

    async def closing() -> None:
        with suppress(BaseException):  # nothing is asked of it any more
            await held.close()

    await asyncio.wait({asyncio.create_task(closing())}, timeout=LONGEST_CLOSE_S)
