"""HTML by hand, safely: escaping, templates whose slots change while the page is open, tables, empty states.

A template has slots: ``{{key}}`` is text, ``{{key!}}`` is markup that was built here, ``{{key@attribute}}`` stands inside
the tag of the element that carries ``data-live="key"``. The same keys, with new values, patch the page later.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape

Values = dict[str, str]
_SLOT = re.compile(r"\{\{([\w.-]+)(!|@[\w-]+)?\}\}")


def text(value: object) -> str:
    """Any value as text that cannot become markup."""
    return escape(str(value), quote=True)


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
    caption: str, heads: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: frozenset[int] = frozenset(), css: str = ""
) -> str:
    """A table in a box that scrolls sideways by itself; cells are markup, ``numbers`` are the columns set to the right."""

    def cells(tag: str, row: Iterable[str], more: str = "") -> str:
        return "".join(
            f"<{tag}{more}{' class=num' if column in numbers else ''}>{cell}</{tag}>" for column, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table class="{css}">'
        f'<caption class="hidden">{text(caption)}</caption><thead><tr>'
        f"{cells('th', map(text, heads), ' scope=col')}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def empty(title: str, advice: str) -> str:
    """What stands where nothing is yet: what that means and what to do next."""
    return f'<div class="empty"><strong>{text(title)}</strong><p>{text(advice)}</p></div>'


def chip(kind: str, label: str) -> str:
    """A state as shape, colour and word."""
    return f'<span class="chip s-{text(kind)}"><i aria-hidden="true"></i>{text(label)}</span>'


def short(digest: str | None, length: int = 10) -> str:
    """A hash's two ends, whole in its title."""
    if digest is None:
        return "none"
    return f'<code title="{text(digest)}">{text(digest[:length])}…{text(digest[-6:])}</code>'
