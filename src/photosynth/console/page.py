"""One open page: its live parts, and the patches that keep them current. Only what changed travels."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from inspect import isawaitable
from typing import Any

import msgspec
from nicegui import Client, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from photosynth.console.feed import Feed, Follower
from photosynth.console.markup import Values, fill
from photosynth.console.numbers import UNKNOWN, Numbers
from photosynth.console.snapshot import Snapshot

Render = Callable[[Snapshot, Numbers], Values]
Options = dict[str, Any]


class Page:
    """What a page function builds on: sections of markup with slots, charts, and callbacks, all fed by snapshots."""

    def __init__(self, client: Client, feed: Feed, numbers: Numbers, needs: frozenset[str], snapshot: Snapshot) -> None:
        """Start from the snapshot that the page is first drawn with; its site is what the page is of."""
        self.client = client
        self.feed = feed
        self.numbers = numbers
        self.snapshot = snapshot
        self.main: Element
        self._sent: Values = {}
        self._renders: list[Render] = []
        self._callbacks: list[Callable[[Snapshot], None]] = []
        self._follower = Follower(needs, snapshot.site, self._tell)
        client.on_connect(lambda: feed.follow(self._follower))
        client.on_disconnect(lambda: feed.leave(self._follower))
        client.on_delete(lambda: feed.leave(self._follower))

    @property
    def site(self) -> str | None:
        """The site that was chosen in the filter; None for all."""
        return self.snapshot.site

    def section(self, template: str, render: Render | None = None, *, css: str = "", tag: str = "div") -> None:
        """Markup with slots, drawn now and patched with every snapshot."""
        values = {} if render is None else render(self.snapshot, self.numbers)
        html(fill(template, values), css=css, tag=tag)
        if render is not None:
            self._sent.update(values)
            self._renders.append(render)

    def chart(self, options: Options, update: Callable[[Snapshot, Numbers], Options], *, css: str, label: str) -> None:
        """A chart; ``update`` returns the part of its options that moves, which is sent where it changed."""
        last = update(self.snapshot, self.numbers)
        element = ui.echart(_merged(options, last), renderer="svg").classes(css)
        element.props(f'role="img" aria-label="{label}"')

        def refresh(snapshot: Snapshot) -> None:
            nonlocal last
            if (new := update(snapshot, self.numbers)) != last:
                last = new
                element.run_chart_method("setOption", new)

        self._callbacks.append(refresh)

    def on_snapshot(self, callback: Callable[[Snapshot], None]) -> None:
        """Call with every snapshot while the page is open."""
        self._callbacks.append(callback)

    def run(self, function: str, *arguments: object) -> None:
        """Call one of the console's own functions in the browser."""
        encoded = ",".join(msgspec.json.encode(argument).decode() for argument in arguments)
        self.client.run_javascript(f"photosynth.{function}({encoded})")

    def beat(self) -> tuple[int | None, str, str]:
        """How old what the page shows is, in milliseconds (None: it shows nothing), and the fleet's time then, long and short."""
        if self.snapshot.status is None:
            return None, UNKNOWN, UNKNOWN
        at_ms = self.snapshot.time_ms
        clock = f"{self.numbers.clock(at_ms, seconds=True)} {self.numbers.zone_name(at_ms)}"
        return self.snapshot.age_ms(time.monotonic(), time.time()), self.numbers.instant(at_ms), clock

    def _tell(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        if snapshot.status is not None:
            self.numbers = replace(self.numbers, zone=snapshot.zone)
        values: Values = {}
        for render in self._renders:
            values |= render(snapshot, self.numbers)
        changed = {key: value for key, value in values.items() if self._sent.get(key) != value}
        self._sent |= changed
        self.run("tell", changed, self.beat())  # also where nothing changed: the page grows old without it
        for callback in self._callbacks:
            callback(snapshot)


def html(content: str, *, css: str = "", tag: str = "div") -> Element:
    """Markup that was built and escaped here."""
    element = ui.html(content, sanitize=False, tag=tag)
    return element.classes(css) if css else element


def box(css: str, tag: str = "div", props: str = "") -> Element:
    """An element to put others in."""
    return ui.element(tag).classes(css).props(props)


def choice(options: Mapping[str, str], chosen: str, label: str, on_change: Callable[[str], object]) -> None:
    """A list to choose one of; ``options`` are what is chosen and what is read."""

    async def changed(event: GenericEventArguments) -> None:
        if event.args in options and isawaitable(outcome := on_change(event.args)):
            await outcome

    with box("", "select", f'aria-label="{label}"').on("change", changed, js_handler="(e) => emit(e.target.value)"):
        for value, words in options.items():
            html(escape(words), tag="option").props(f'value="{escape(value)}"' + (" selected" if value == chosen else ""))


def text_field(placeholder: str, on_input: Callable[[str], object], *, props: str = "", throttle_s: float = 0.0) -> Element:
    """A field that tells what stands in it while it is typed; what it tells is cut at 500 characters."""
    field = box("field", "input", f'placeholder="{escape(placeholder)}" maxlength=500 autocomplete=off {props}')

    def typed(event: GenericEventArguments) -> None:
        on_input(str(event.args or "")[:500])

    return field.on("input", typed, js_handler="(e) => emit(e.target.value)", throttle=throttle_s)


def search_box(placeholder: str, on_input: Callable[[str], object]) -> None:
    """A field whose words filter a list while they are typed."""
    text_field(placeholder, on_input, props=f'type=search aria-label="{escape(placeholder)}"', throttle_s=0.25)


def _merged(options: Options, part: Options) -> Options:
    """Options with a part merged in, series by series."""
    merged = dict(options)
    for key, value in part.items():
        if isinstance(value, list) and isinstance(merged.get(key), list):
            merged[key] = [a | b for a, b in zip(merged[key], value, strict=True)]
        elif isinstance(value, dict):
            merged[key] = {**merged.get(key, {}), **value}
        else:
            merged[key] = value
    return merged
