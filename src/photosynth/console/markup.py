"""HTML by hand, safely: escaping, templates whose slots change while the page is open, tables, empty states.

A template has slots: ``{{key}}`` is text, ``{{key!}}`` is markup that was built here, ``{{key@attribute}}`` stands inside
the tag of the element that carries ``data-live="key"``. The same keys, with new values, patch the page later.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape

Values = dict[str, str]
Cell = str | tuple[str, int | str]
_SLOT = re.compile(r"\{\{([\w.-]+)(!|@[\w-]+)?\}\}")


def text(value: object) -> str:
    """Any value as text that cannot become markup."""
    return escape(str(value), quote=True)


def conditions(items: Iterable[tuple[str, str]]) -> str:
    """A list of what is wrong, each with its severity and its markup; nothing where nothing is."""
    listed = "".join(
        f'<li class="cond {text(severity)}"><span class="mark" aria-hidden="true"></span><div>{inner}</div></li>'
        for severity, inner in items
    )
    return f"<ul class=conds>{listed}</ul>" if listed else ""


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its slots filled. Raises KeyError where a slot has no value."""

    def slot(match: re.Match[str]) -> str:
        key, kind = match[1], match[2] or ""
        value = values[key + kind]
        if kind == "!":
            return f'<div data-live="{key}">{value}</div>'
        if kind:
            return f'{kind[1:]}="{text(value)}"'
        return f'<span data-live="{key}">{text(value)}</span>'

    return _SLOT.sub(slot, template)


def table(
    caption: str, heads: Iterable[str], rows: Iterable[Iterable[Cell]], *, numbers: frozenset[int] = frozenset(), css: str = ""
) -> str:
    """A table in a box that scrolls sideways by itself; ``numbers`` are the columns set to the right.

    A cell is markup, or markup with what it is sorted by. Columns of the second kind get a head to press on.
    """
    body = [list(row) for row in rows]
    sortable = {column for row in body for column, cell in enumerate(row) if not isinstance(cell, str)}

    def css_of(column: int) -> str:
        return " class=num" if column in numbers else ""

    def head(column: int, words: str) -> str:
        if column not in sortable:
            return f"<th scope=col{css_of(column)}>{text(words)}</th>"
        press = f'<button type="button" class="sort" onclick="photosynth.sort(this)">{text(words)}</button>'
        return f"<th scope=col{css_of(column)} aria-sort=none>{press}</th>"

    def cell(column: int, content: Cell) -> str:
        if isinstance(content, str):
            return f"<td{css_of(column)}>{content}</td>"
        return f'<td{css_of(column)} data-sort="{text(content[1])}">{content[0]}</td>'

    lines = "".join(f"<tr>{''.join(cell(c, content) for c, content in enumerate(row))}</tr>" for row in body)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table class="{css}">'
        f'<caption class="unseen">{text(caption)}</caption><thead><tr>'
        f"{''.join(head(column, words) for column, words in enumerate(heads))}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def empty(title: str, advice: str) -> str:
    """What stands where nothing is yet: what that means and what to do next."""
    return f'<div class="empty"><strong>{text(title)}</strong><p>{text(advice)}</p></div>'


def no_site() -> str:
    """What stands where a fleet without a mining site has nothing to show, and what to do to mine."""
    return empty(
        "No mining site",
        "This fleet operates nodes; they are on the Nodes page. To mine, declare a site under `sites:` in the fleet file, check "
        "it with `photosynth fleet check FILE`, and start again with `photosynth up FILE`.",
    )


def no_match(title: str) -> str:
    """What stands where a filter leaves nothing, with the way back: it empties every filter of the same card."""
    return (
        f'<div class="empty" role="status"><strong>{text(title)}</strong><p><button class="quiet" type="button" '
        'onclick="photosynth.clearFilters(this)">Clear the filter</button></p></div>'
    )


def chip(kind: str, label: str) -> str:
    """A state as shape, colour and word."""
    return f'<span class="chip s-{text(kind)}"><i aria-hidden="true"></i>{text(label)}</span>'


def short(digest: str | None, length: int = 10) -> str:
    """A hash's two ends, whole in its title."""
    if digest is None:
        return "none"
    return f'<code title="{text(digest)}">{text(digest[:length])}…{text(digest[-6:])}</code>'
