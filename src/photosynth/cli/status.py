"""`photosynth status`: of a stopped site without anything that only a running one needs."""

import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.operations.state import StateError, StateFolder, StateInUseError
from photosynth.storage.address import Place

if TYPE_CHECKING:
    from photosynth.operations.documents import Status

T = TypeVar("T")


def status(state: Place, as_json: bool) -> int:
    """Everything in one glance."""
    found = _stopped(state)
    if found is None:
        from photosynth.cli.ask import ask

        site, document = ask(state, lambda opened: opened.view.status())
        found = site.where, document
    where, document = found
    if as_json:
        sys.stdout.write(document.model_dump_json(indent=2) + "\n")
    else:
        from photosynth.cli import show
        from photosynth.cli.format import output, user_style

        output().print(show.status(document, where, user_style()))
    return ExitCode.OK


def _stopped(state: Place) -> "tuple[str, Status] | None":
    """The status of a site that does not run, None where one does. Raises CommandError."""
    from photosynth.operations.stopped import open_stopped

    try:
        if StateFolder(state).read_api() is not None:
            return None
        view = open_stopped(state)
    except StateInUseError:
        return None
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    try:
        return f"Stopped; as it was left in {state}", _at_once(view.status())
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    finally:
        view.close()


def _at_once(answer: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing, as those of a stopped site: no event loop is needed for it."""
    try:
        answer.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("a stopped site's answer waited for something")
