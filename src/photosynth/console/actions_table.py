"""Actions as a table: who did what to what, why, what was answered and what reading back said."""

from collections.abc import Iterable

from photosynth.console.markup import chip, table, text
from photosynth.console.numbers import Numbers
from photosynth.operations.documents import ActionDocument

MACHINE_KINDS = frozenset({"sleep", "wake", "set_power"})
"""Kinds of action whose subject is a machine, which has a page of its own."""


def verified(action: ActionDocument) -> str:
    """Whether reading back agreed, in words."""
    if action.verified is None:
        return chip("unknown", "not yet")
    return chip("running", "verified") if action.verified else chip("faulty", "not as told")


def actions_table(actions: Iterable[ActionDocument], numbers: Numbers, *, caption: str = "Actions, newest first") -> str:
    """The rows of an audit, newest first."""

    def subject(action: ActionDocument) -> str:
        if action.kind in MACHINE_KINDS:
            return f'<a href="/miners/{text(action.subject)}">{text(action.subject)}</a>'
        return text(action.subject)

    rows = [
        (
            f'<span title="{text(numbers.instant(a.time_ms))}">{numbers.clock(a.time_ms, seconds=True)}</span>',
            f"<b>{text(a.kind)}</b>",
            subject(a),
            verified(a),
            f"<div class=wrapped>{text(a.reason)}</div>",
            f"<div class=wrapped>{text(a.read_back if a.read_back is not None else 'not read yet')}</div>",
            text(a.result),
            text(a.actor),
            f"<code>{text(a.request)}</code>",
            text(a.answer if a.answer is not None else "none"),
        )
        for a in actions
    ]
    heads = ("Site time", "Action", "Subject", "Verified", "Reason", "Read back", "Result", "Actor", "Request", "Answer")
    return table(caption, heads, rows, css="dense")
