"""Where a database is: a SQLite file by its path, or a PostgreSQL database by an address as libpq writes them."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SCHEMES = ("postgresql://", "postgres://")
DEFAULT_PORT = 5432
"""PostgreSQL's own (libpq, "Connection Strings")."""
_PASSED_ON = ("passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
"""Parameters that libpq is handed as they are; whatever else matters for safety is set here and not by an address."""


class AddressError(ValueError):
    """An address cannot be used; the message says what is wrong with it and how one looks."""


@dataclass(frozen=True, slots=True)
class Address:
    """A PostgreSQL database. It holds no password: that stands in the file that ``passfile`` names."""

    user: str
    host: str
    port: int
    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The address as it is given on a command line."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        more = "&".join(f"{key}={quote(value, safe='/~.')}" for key, value in self.parameters)
        start = f"postgresql://{quote(self.user, safe='')}@{host}:{self.port}/{quote(self.name, safe='')}"
        return f"{start}?{more}" if more else start

    @property
    def folder_name(self) -> str:
        """What the folder of the state's files is called: the same for every user and parameter, another for another database."""
        return ",".join(quote(part, safe="") for part in (self.host, str(self.port), self.name))


Place = Path | Address
"""Where a database is."""


def is_address(text: str) -> bool:
    """Whether a text is meant as an address and not as a path, of which one with a password would become a folder's name."""
    return "://" in text


def parse_address(text: str) -> Address:
    """Read ``postgresql://USER@HOST:PORT/NAME?passfile=FILE``. Raises AddressError."""
    like = "write it like postgresql://photosynth@db.example.org:5432/photosynth?passfile=/etc/photosynth/pgpass"
    if not text.startswith(SCHEMES):
        raise AddressError(f"the address of a database begins with {SCHEMES[0]}; {like}")
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError:
        raise AddressError(f"the address of a database has a host or port that cannot be read; {like}") from None
    user, host, name = unquote(found.username or ""), found.hostname or "", unquote(found.path.removeprefix("/"))
    if found.password is not None:
        raise AddressError(
            "the address of a database holds a password, which every list of processes would show; put it into a file "
            f"as libpq reads them (HOST:PORT:NAME:USER:PASSWORD, mode 0600), and {like}"
        )
    for what, value in (("user", user), ("host", host), ("name of a database", name)):
        if not value or re.search(r"[\x00-\x1f]", value):
            raise AddressError(f"the address of a database has no {what}; {like}")
    if "/" in name or found.fragment:
        raise AddressError(f"the address of a database has more behind its name; {like}")
    parameters = parse_qsl(found.query, keep_blank_values=True)
    for key, value in parameters:
        if key not in _PASSED_ON or not value:
            raise AddressError(f"an address takes {', '.join(_PASSED_ON)} and a value for each, not {key!r}; {like}")
    if len({key for key, _ in parameters}) < len(parameters):
        raise AddressError(f"the address of a database gives a parameter twice; {like}")
    return Address(user, host, DEFAULT_PORT if port is None else port, name, tuple(sorted(parameters)))
