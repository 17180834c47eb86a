"""Values of a fleet file that are not quantities: names, dates, addresses, networks, scripts, and how each is refused."""

import re
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ValidationInfo

from photosynth.settings.units import mistake, shown

Network = IPv4Network | IPv6Network

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_WORKER = re.compile(r"([A-Za-z0-9._@+-]|\{(machine|group|model|party)\}){1,60}")
STANDARD_SCRIPT = re.compile(
    r"0014[0-9a-f]{40}|0020[0-9a-f]{64}|5120[0-9a-f]{64}|76a914[0-9a-f]{40}88ac|a914[0-9a-f]{40}87", re.IGNORECASE
)
"""P2WPKH and P2WSH (BIP141), P2TR (BIP341), P2PKH, P2SH (BIP16): what every wallet can watch."""


class Address(NamedTuple):
    """Where a service listens or a machine answers: a host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ip_address(self.host).is_loopback


def parse_id(value: object) -> str:
    """A short name that other parts of the file refer to."""
    if not isinstance(value, str):
        raise mistake(f"{shown(value)} is not a name", 'Write a name as text; put one of digits alone in quotes, like "7"')
    if not _ID.fullmatch(value):
        suggestion = re.sub(r"[^a-z0-9]+", "-", value.lower())[:32].strip("-") or "hall-a"
        raise mistake(
            f"{shown(value)} is not a name that others can refer to",
            f"Use at most 32 small letters, digits and dashes, like `{suggestion}`",
        )
    return value


def parse_text(value: object) -> str:
    """A text that people read: one line, at most 200 characters."""
    if not isinstance(value, str):
        raise mistake(f"{shown(value)} is not a text", 'Write a text, in quotes where it looks like a number: "0.5"')
    if not value.strip() or len(value) > 200 or not value.isprintable():
        raise mistake("the text is empty, longer than 200 characters or not printable", "Write one line of text")
    return value


def parse_date(value: object) -> date:
    """A calendar day, as in 2026-01-01."""
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise mistake(f"{shown(value)} is not a date", "Write year-month-day, like 2026-01-01")


def parse_local_time(value: object) -> datetime:
    """A time on the site's clock, as in 2026-06-14T11:00."""
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?", value, re.ASCII):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise mistake(f"{shown(value)} is not a local time", "Write date and time without a zone, like 2026-06-14T11:00")


def parse_zone(value: object) -> ZoneInfo:
    """A time zone by its IANA name."""
    try:
        if isinstance(value, str):
            return ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        pass
    raise mistake(f"{shown(value)} is not a time zone", "Write an IANA name, like Europe/Berlin")


def _degrees(limit: int, example: str, value: object) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and -limit <= value <= limit:
        return Decimal(value)
    raise mistake(
        f"{shown(value)} is not between -{limit} and {limit} degrees", f"Write decimal degrees without a unit, like {example}"
    )


def parse_latitude(value: object) -> Decimal:
    """Degrees north of the equator."""
    return _degrees(90, "48.946", value)


def parse_longitude(value: object) -> Decimal:
    """Degrees east of Greenwich."""
    return _degrees(180, "9.430", value)


def parse_shape(value: object) -> Decimal:
    """A number from 1 to 4, as in 2.1."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and 1 <= value <= 4:
        return Decimal(value)
    raise mistake(f"{shown(value)} is not a number from 1 to 4", "Write the distribution's shape k without a unit, like 2.1")


def parse_address(value: object) -> Address:
    """An IP address (or localhost) and a port, as in 127.0.0.1:3333 or [::1]:3333."""
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[0-9.]+|localhost)):(?P<port>\d{1,5})", str(value), re.ASCII)
    try:
        if isinstance(value, str) and match and 1 <= int(match["port"]) <= 65535:
            host = match["six"] or match["four"]
            return Address(host if host == "localhost" else str(ip_address(host)), int(match["port"]))
    except ValueError:
        pass
    raise mistake(
        f"{shown(value)} is not an address and a port",
        "Write an IP address, a colon and a port from 1 to 65535, like 127.0.0.1:3333 or [::1]:3333",
    )


def parse_network(value: object) -> Network:
    """A network of IP addresses, as in 10.20.0.0/16; a single address is a network of one."""
    try:
        if isinstance(value, str):
            return ip_network(value)
    except ValueError as error:
        if "host bits" in str(error):
            raise mistake(
                f"{shown(value)} has bits set after its prefix", f"Write `{ip_network(str(value), strict=False)}`"
            ) from None
    raise mistake(f"{shown(value)} is not a network", "Write an address and a prefix length, like 10.20.0.0/16")


def parse_script(value: object) -> bytes:
    """An output script in hexadecimal, of a kind that wallets know."""
    if not isinstance(value, str):
        raise mistake("the payout script is not a text", "Put the hexadecimal script in quotes")
    if not STANDARD_SCRIPT.fullmatch(value):
        digits = re.fullmatch(r"(?:[0-9a-fA-F]{2})*", value)
        why = f"{len(value) // 2} bytes of no standard kind" if digits else "not whole bytes in hexadecimal"
        raise mistake(
            f"the payout script is {why}",
            "Write the output script of your wallet's address (bitcoin-cli getaddressinfo ADDRESS shows it as scriptPubKey), "
            "or give payout_address instead",
        )
    return bytes.fromhex(value)


def parse_worker(value: object) -> str:
    """A worker's name with placeholders."""
    if not isinstance(value, str) or not _WORKER.fullmatch(value):
        raise mistake(
            f"{shown(value)} is not a usable worker's name",
            "Use letters, digits, . _ - @ + and the placeholders {machine}, {group}, {model}, {party}",
        )
    return value


def parse_version_mask(value: object) -> int:
    """The version bits that machines may roll, as eight hexadecimal digits (BIP310, BIP320)."""
    text = f"{value:08d}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if not re.fullmatch(r"[0-9a-fA-F]{8}", text):
        raise mistake(f"{shown(value)} is not a version mask", "Write eight hexadecimal digits, like 1fffe000 (BIP320)")
    mask = int(text, 16)
    if mask & ~0x1FFFFFFF:
        raise mistake(f"{text} rolls bits that mark the block version", "Use bits below 20000000 only, like 1fffe000 (BIP320)")
    return mask


def parse_url(value: object) -> str:
    """The address of a bitcoind's RPC server, without credentials in it."""
    mend = "Write scheme, host and port, like http://127.0.0.1:18443"
    try:
        parts = urlsplit(value) if isinstance(value, str) and len(value) <= 200 and value.isprintable() else None
        usable = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
    except ValueError:
        usable = False
    if not usable or parts is None:
        raise mistake(f"{shown(value)} is not the address of an RPC server", mend)
    if parts.username or parts.password:
        raise mistake(
            "the address carries a user or a password", "Name cookie_file, or user and password_file: secrets are kept in files"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise mistake("the address has more than scheme, host and port", mend)
    return f"{parts.scheme}://{parts.netloc}"


def parse_path(value: object, info: ValidationInfo) -> Path:
    """A file: ~ is the home folder, and a relative one starts at the fleet file's folder."""
    if not isinstance(value, str) or not value.strip() or "\0" in value or len(value) > 1000:
        raise mistake(f"{shown(value)} is not a file's path", "Write a path, like ~/.bitcoin/regtest/.cookie")
    folder = info.context["folder"] if info.context else Path()
    try:
        return Path(folder) / Path(value).expanduser()
    except RuntimeError:
        raise mistake(f"{shown(value)} names a home folder that is not known", "Write the whole path") from None


Id = Annotated[str, BeforeValidator(parse_id)]
Text = Annotated[str, BeforeValidator(parse_text)]
Day = Annotated[date, BeforeValidator(parse_date)]
LocalTime = Annotated[datetime, BeforeValidator(parse_local_time)]
Zone = Annotated[ZoneInfo, BeforeValidator(parse_zone)]
Latitude = Annotated[Decimal, BeforeValidator(parse_latitude)]
WeibullShape = Annotated[Decimal, BeforeValidator(parse_shape)]
Longitude = Annotated[Decimal, BeforeValidator(parse_longitude)]
ListenAddress = Annotated[Address, BeforeValidator(parse_address)]
AllowedNetwork = Annotated[Network, BeforeValidator(parse_network)]
Script = Annotated[bytes, BeforeValidator(parse_script)]
WorkerName = Annotated[str, BeforeValidator(parse_worker)]
VersionMask = Annotated[int, BeforeValidator(parse_version_mask)]
RpcUrl = Annotated[str, BeforeValidator(parse_url)]
FilePath = Annotated[Path, BeforeValidator(parse_path)]
