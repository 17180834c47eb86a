"""Whom to wake, how often, and who sleeps when: targets by their addresses, of which the secret ones are in files."""

import re
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from photosynth.settings.part import Part
from photosynth.settings.units import PositiveSeconds, mistake, shown
from photosynth.settings.values import FilePath, Id, Zone

SHORTEST_REPEAT_S = 900
_SECRET = re.compile(r"pass|pwd|token|secret|key|auth|user", re.IGNORECASE)
_HERE = "Write the address into a file that you alone can read, and name it as `url_file`"


def parse_target(value: object) -> str:
    """An address without any secret in it, like json://192.0.2.7:8000/hook."""
    mend = "Write one like json://192.0.2.7:8000/hook or mailto://mail.example.org?from=alerts@example.org&to=ops@example.org"
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 1000:
        raise mistake("it is not the address of a target", mend)
    try:
        parts = urlsplit(value)
        usable = bool(parts.scheme and parts.netloc) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise mistake("it is not the address of a target", mend)
    if parts.scheme.rstrip("s") not in ("json", "xml", "form", "mailto"):
        raise mistake(f"what makes an address of {shown(parts.scheme[:20])} work is a secret", _HERE)
    if parts.username is not None or parts.password is not None or any(_SECRET.search(key) for key, _ in parse_qsl(parts.query)):
        raise mistake("the address carries a user, a password or a token", _HERE)
    return value


TargetUrl = Annotated[str, BeforeValidator(parse_target)]


def parse_hour(value: object) -> int:
    """A time of the day, as in "22:00"."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
    if match is None:
        raise mistake(f"{shown(value)} is not a time of the day", 'Write hours and minutes in quotes, like "22:00"')
    return int(match[1]) * 60 + int(match[2])


DayMinute = Annotated[int, BeforeValidator(parse_hour)]


class AlertTarget(Part):
    """One place that alerts go to: a webhook, a mailbox, or whatever else apprise knows an address of."""

    id: Id
    """How alerts, audit and conditions refer to it."""
    url: TargetUrl | None = None
    """Its address, where nothing in it is a secret: a webhook (json://, form://, xml://) or mail (mailto://)."""
    url_file: FilePath | None = None
    """File that holds its address and nothing else; readable by you alone. Any address that apprise knows."""

    @model_validator(mode="after")
    def _one_address(self) -> "AlertTarget":
        if (self.url is None) == (self.url_file is None):
            raise mistake("there is more or less than one address", "Give either `url` or `url_file`")
        return self


class QuietHours(Part):
    """Hours of the day in which only what is critical is sent; the rest is sent when they are over."""

    from_: DayMinute = Field(alias="from")
    """Their beginning, like "22:00"."""
    to: DayMinute
    """Their end, like "06:00"."""
    zone: Zone
    """Whose clock it is."""

    @model_validator(mode="after")
    def _end(self) -> "QuietHours":
        if self.from_ == self.to:
            raise mistake("they begin when they end", "Write an end that is another time than the beginning", "to")
        return self


class Alerts(Part):
    """Whom to wake when an incident opens, and once when it is over."""

    to: Annotated[tuple[AlertTarget, ...], Field(max_length=20)] = ()
    """Where alerts go: all of them to each."""
    repeat_s: PositiveSeconds | None = None
    """After how long an incident that nobody has taken on is told again; without it, once is all."""
    quiet: QuietHours | None = None
    """When only what is critical is sent."""

    @model_validator(mode="after")
    def _within_reason(self) -> "Alerts":
        names = [target.id for target in self.to]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise mistake(f"the target {twice} is there twice", "Give it another name", "to")
        if self.repeat_s is not None and self.repeat_s < SHORTEST_REPEAT_S:
            raise mistake("what is told too often is heard no more", "Write at least 15 min, like 4 h", "repeat")
        return self
