"""The commands that ask a fleet for a document or for an action, and print it as a table or as JSON."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from pydantic import BaseModel

from photosynth.cli import show
from photosynth.cli.client import ApiClient, Opened, open_fleet, running_api
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.format import output, user_style
from photosynth.documents import ActionDocument
from photosynth.operations.view import NotKnownError
from photosynth.quantities.texts import objection, printable
from photosynth.storage.address import Place

T = TypeVar("T")
LONGEST_REASON = 500
"""Characters that the API takes."""


def ask(state: Place, question: Callable[[Opened], Awaitable[T]]) -> tuple[Opened, T]:
    """Open a fleet and ask it; where the answer comes from, and the answer. Raises CommandError."""

    async def run() -> tuple[Opened, T]:
        async with open_fleet(state) as opened:
            return opened, await question(opened)

    try:
        return asyncio.run(run())
    except NotKnownError as error:
        raise CommandError(sentence(error), ExitCode.NO) from None


def print_json(document: BaseModel) -> None:
    """One document on standard output and nothing else."""
    sys.stdout.write(document.model_dump_json(indent=2) + "\n")


def workers(state: Place, site: str | None, as_json: bool) -> int:
    """The pools' workers."""
    fleet, document = ask(state, lambda opened: opened.view.workers(site))
    if as_json:
        print_json(document)
    else:
        output().print(show.workers(document, fleet.where, user_style()))
    return ExitCode.OK


def trace(state: Place, block: str, site: str | None, as_json: bool) -> int:
    """A block's satoshis back to their meters."""
    fleet, document = ask(state, lambda opened: opened.view.trace(block, site))
    if as_json:
        print_json(document)
    else:
        output().print(show.trace(document, fleet.where, user_style(), fleet.zone(document.block.site)))
    return ExitCode.OK


def act(state: Place, kind: Literal["stop", "resume"], reason: str, site: str | None, as_json: bool) -> int:
    """Stop or resume mining in the running system; 0 only where it was done, and a stop also read back."""
    if kind == "stop":
        return act_on(state, kind, reason, as_json, lambda api, actor: api.stop_mining(actor, reason, site))
    return act_on(state, kind, reason, as_json, lambda api, actor: api.resume_mining(actor, reason, site))


def act_on(
    state: Place, what: str, reason: str, as_json: bool, call: Callable[[ApiClient, str], Awaitable[ActionDocument]]
) -> int:
    """Let the running system do something and say what came of it; 0 only where it was done."""
    if not reason.strip():
        raise CommandError(f'--reason "{reason}" says nothing; write why, the audit keeps it.', ExitCode.BAD_INPUT)
    if len(reason) > LONGEST_REASON:
        message = f"--reason has {len(reason)} characters; the audit keeps {LONGEST_REASON}, so say it more briefly."
        raise CommandError(message, ExitCode.BAD_INPUT)
    if (said := objection(reason.strip())) is not None:
        raise CommandError(f"--reason {said}.", ExitCode.BAD_INPUT)
    wanted_by = actor()

    async def run() -> int:
        api = await running_api(state)
        if api is None:
            raise CommandError(
                f"No system runs on {state}, so there is nothing to {what}; start it with `photosynth up`.", ExitCode.UNAVAILABLE
            )
        try:
            action = await call(api, wanted_by)
        except NotKnownError as error:
            raise CommandError(sentence(error), ExitCode.NO) from None
        finally:
            await api.close()
        if as_json:
            print_json(action)
        else:
            output().print(show.action(action))
        return ExitCode.OK if action.result == "done" else ExitCode.NO

    return asyncio.run(run())


def actor() -> str:
    """Who gives a command, as the audit calls it."""
    return f"cli:{_user()}"


def _user() -> str:
    try:
        return printable(getpass.getuser(), 80)
    except (OSError, KeyError):
        return "unknown"
