"""Actions: what one decision told many machines is one line that opens to each machine's request, answer and read-back."""

from collections import Counter
from collections.abc import Iterable, Sequence

from photosynth.console import links
from photosynth.console.markup import chip, table, text
from photosynth.console.numbers import Numbers
from photosynth.documents import ActionDocument

MACHINE_KINDS = frozenset({"sleep", "wake", "set_power"})
"""Kinds of action whose subject is a machine, which has a page of its own."""
ONE_DECISION_MS = 150
"""Wall milliseconds between two commands of one decision: they are planned together, and decisions are 400 ms apart."""
NAMED = 3
"""How many machines a line names."""

Decision = tuple[ActionDocument, ...]


def decisions(actions: Iterable[ActionDocument]) -> list[Decision]:
    """Actions, newest first, put together by the decision that they belong to: one actor, one site's machines, one moment."""
    found: list[list[ActionDocument]] = []
    for action in actions:
        last = found[-1][-1] if found else None
        if (
            last is not None
            and (last.actor, last.site) == (action.actor, action.site)
            and {last.kind, action.kind} <= MACHINE_KINDS
            and abs(last.wall_ms - action.wall_ms) <= ONE_DECISION_MS
        ):
            found[-1].append(action)
        else:
            found.append([action])
    return [tuple(group) for group in found]


def key_of(decision: Decision) -> int:
    """What names a decision while its newest members still come in: its first action."""
    return decision[-1].id


def verified(action: ActionDocument) -> str:
    """Whether reading back agreed, in words; what was never carried out says so."""
    if action.result in ("refused", "failed"):
        return chip("faulty", action.result)
    if action.verified is None:
        return chip("unknown", "not yet")
    return chip("running", "verified") if action.verified else chip("faulty", "not as told")


def outcome(decision: Decision) -> str:
    """What reading back said of a decision: who did not follow, how many are not read yet, or that all are verified."""
    if len(decision) == 1:
        return verified(decision[0])
    wrong = sorted(a.subject for a in decision if a.verified is False)
    waiting = sum(a.verified is None for a in decision)
    if wrong:
        return chip("faulty", f"{len(wrong)} of {len(decision)} not as told: {_some(wrong)}")
    if waiting:
        return chip("unknown", f"{waiting} of {len(decision)} not read yet")
    return chip("running", f"all {len(decision)} verified")


def summary(decision: Decision) -> str:
    """What was told to whom: one machine by name, several by number."""
    if len(decision) == 1:
        return f"<b>{text(decision[0].kind)}</b> {text(decision[0].subject)}"
    kinds = Counter(a.kind for a in decision)
    told = ", ".join(f"<b>{text(kind)}</b> {count}" for kind, count in kinds.most_common())
    return f"{told} machines: {text(_some(sorted({a.subject for a in decision})))}"


def reason(decision: Decision) -> str:
    """Why: the reason that most of them share, and how many others there are; of the site's own actions what was read back."""
    ranked = Counter(a.reason for a in decision).most_common()
    others = len(ranked) - 1
    found = text(ranked[0][0]) + (f" <span class=sub>and {others} other reasons</span>" if others else "")
    if len(decision) == 1 and decision[0].kind not in MACHINE_KINDS and decision[0].read_back is not None:
        found += f" · {text(decision[0].read_back)}"
    return found


def decision_item(decision: Decision, numbers: Numbers, *, opened: bool, named: bool, chosen: str | None) -> str:
    """One line that opens; its inside is sent when somebody opens it. ``named`` is whether it says at which site."""
    key, first = key_of(decision), decision[-1]
    where = f" · {first.site or 'the fleet'}" if named else ""
    inside = inside_of(decision, numbers, chosen) if opened else "<p class=sub>Fetching…</p>"
    return (
        f'<details class="decision" id="line-{key}" data-decision="{key}"{" open" if opened else ""}>'
        f'<summary id="decision-{key}"><span class="when">{text(numbers.moment(first.time_ms))}</span>'
        f'<span class="what">{summary(decision)}</span>{outcome(decision)}'
        f'<span class="who">{text(first.actor)}{text(where)}</span><span class="why">{reason(decision)}</span></summary>'
        f'<div data-live="inside-{key}">{inside}</div></details>'
    )


def inside_of(decision: Decision, numbers: Numbers, chosen: str | None) -> str:
    """What a decision opens to: every request, answer and read-back in full. Who decided stands above it."""
    return actions_table(decision, numbers, chosen=chosen, caption=f"Decision {key_of(decision)}", actors=False)


def actions_table(
    actions: Iterable[ActionDocument],
    numbers: Numbers,
    *,
    chosen: str | None = None,
    caption: str = "Actions, newest first",
    subjects: bool = True,
    actors: bool = True,
) -> str:
    """Actions in full, newest first; without ``subjects`` or ``actors`` where all are of one."""

    def subject(action: ActionDocument) -> str:
        if action.kind in MACHINE_KINDS and action.site is not None:
            return f'<a href="{text(links.machine(action.site, action.subject, chosen))}">{text(action.subject)}</a>'
        return text(action.subject)

    rows = [
        (
            numbers.moment(a.time_ms),
            *((subject(a),) if subjects else ()),
            f"<b>{text(a.kind)}</b>" + (f"<p class=sub>{text(a.actor)}</p>" if actors else ""),
            verified(a),
            f"<div class=wrapped>{text(a.request)}</div>",
            f"<div class=wrapped>{text(a.answer if a.answer is not None else 'none')}</div>",
            f"<div class=wrapped>{text(a.read_back if a.read_back is not None else 'not read yet')}</div>",
            f"<div class=wrapped>{text(a.reason)}</div>",
        )
        for a in actions
    ]
    heads = ("Action", "Verified", "Asked", "Answered", "Read back", "Why")
    first = (f"Time, {numbers.zone.key}", *(("Subject",) if subjects else ()))
    return table(caption, (*first, *heads), rows, css="dense")


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
