"""What a million postings cost: `python tests/benchmarks/ledger.py [postings] [address of an empty PostgreSQL database]`.

Postings a CPU second in transactions of one and of ten; then a journal of a year, made once and kept in the temporary folder, of
which the trial balance of one day, a page, and the whole of `photosynth ledger --json` are asked for, of the stopped site's state
and of the API. CPU seconds are user and system time of this process, a server's are its own: so the clock's are told beside
them. Memory is the peak of the process that prints, and of the one that serves. A database is emptied again.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from photosynth.api.app import create_app
from photosynth.api.server import WebServer, listen
from photosynth.operations import book_documents as books
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.storage import Database, DatabaseThread
from photosynth.storage.address import Address, Place, parse_address
from photosynth.storage.at_rest import holds_state
from photosynth.storage.postgres import discard_tables
from photosynth.treasury.journal import Posting, count_postings, post, transfer, trial_balance
from photosynth.treasury.sums import Whose

T = TypeVar("T")
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
PAGE = 1000
START_MS = 1_781_388_000_000
FORMAT = 4
SITES = ("backnang", "husum")
"""Every second posting is of either."""


def posting(number: int, time_ms: int) -> Posting:
    """One like those of bought energy: four lines and five facts."""
    lines = transfer("5100", "2100", "EUR", 208_675 + number) + transfer("5110", "2100", "EUR", 85_925)
    source: dict[str, str | int | None] = {
        "component": "levies",
        "energy_j": 36_000_000,
        "price_cent_per_mwh": 2946,
        "price_source": "b",
        "published_ms": None,
    }
    site = SITES[number % len(SITES)]
    key = f"interval:{site}:{time_ms}:grid_energy.{number}"
    return Posting(key, time_ms, time_ms + 900_000, "grid_energy", "Bought energy: levies", lines, source, site=site)


def rate(size: int, count: int, address: Address | None) -> tuple[float, float]:
    """Postings a CPU second, and a second, in transactions of so many."""
    with tempfile.TemporaryDirectory() as folder, Database(address or Path(folder) / "photosynth.sqlite3") as db:
        made = [posting(number, START_MS + number * 31_536) for number in range(count)]
        began, began_s = time.process_time(), time.monotonic()
        for at in range(0, count, size):
            with db.begin() as tx:
                for entry in made[at : at + size]:
                    post(tx, entry)
        found = count / (time.process_time() - began), count / (time.monotonic() - began_s)
    if address is not None:
        discard_tables(address)
    return found


def state(count: int, address: Address | None) -> Place:
    """A journal of a year, from the temporary folder or made now."""
    folder = Path(tempfile.gettempdir()) / f"photosynth-ledger-{FORMAT}-{count}"
    folder.mkdir(exist_ok=True)
    place = address or folder / "photosynth.sqlite3"
    with Database(place) as db:
        with db.read() as tx:
            done = count_postings(tx)
        for at in range(done, count, 1000):
            with db.begin() as tx:
                for number in range(at, min(count, at + 1000)):
                    post(tx, posting(number, START_MS + number * (YEAR_MS // count)))
        if address is not None:
            with db.begin() as tx:
                tx.exec_driver_sql("ANALYZE")  # as a server's autovacuum has done long before a year is over
    return place


class Journal:
    """The part of a running site's view that the ledger needs, out of a state folder."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._run = DatabaseThread()

    async def read(self, call: Callable[[Connection], T]) -> T:
        """As the running site reads: in a thread of its own."""

        def reading() -> T:
            with self._db.read() as tx:
                return call(tx)

        return await self._run(reading)

    async def status(self) -> Any:
        """Whoever asks whether a system answers gets any answer."""
        return None

    async def ledger(self, from_ms: int | None, to_ms: int | None, limit: int, before_id: int | None) -> Any:
        """One page."""
        return await self.read(lambda tx: books.ledger_document(tx, None, from_ms, to_ms, limit=limit, before_id=before_id))

    def ledger_lines(self, from_ms: int | None, to_ms: int | None, limit: int | None, *, site: str | None, **more: Any) -> Any:
        """All of it."""
        return ledger_lines(self.read, site, from_ms, to_ms, limit, **more)


ASK = """
import asyncio, resource, sys
from zoneinfo import ZoneInfo
from photosynth.cli.client import ApiClient, Opened
from photosynth.cli.ledger import _Wanted, _write_json
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.operations.state import ApiAddress
from photosynth.cli.options import parse_state
from photosynth.storage import Database

class Stopped:
    def __init__(self, path):
        self.db = Database(parse_state(path), read_only=True)
    async def read(self, call):
        with self.db.read() as tx:
            return call(tx)
    def ledger_lines(self, *period, site, **more):
        return ledger_lines(self.read, site, *period, **more)

async def main():
    place = sys.argv[1]
    view = ApiClient(ApiAddress(place, "t", 1)) if place.startswith("http") else Stopped(place)
    await _write_json(sys.stdout.buffer, Opened(view, "", ZoneInfo("UTC")), _Wanted(None, None, None, None))
asyncio.run(main())
used = resource.getrusage(resource.RUSAGE_SELF)
sys.stderr.write(f"{used.ru_utime + used.ru_stime} {used.ru_maxrss}")
"""


def ask(place: str) -> tuple[float, float]:
    """CPU seconds and MB of the whole ledger as JSON, which is looked at but not kept."""
    with tempfile.TemporaryFile() as out:
        ran = subprocess.run([sys.executable, "-c", ASK, place], stdout=out, stderr=subprocess.PIPE, text=True, check=True)
        out.seek(0)
        assert out.read(1) == b"{"
        out.seek(-30, os.SEEK_END)
        assert b'"total_postings"' in out.read()
    cpu, peak = ran.stderr.split()
    return float(cpu), int(peak) / 1000


async def served(place: Place) -> tuple[float, float, float, float]:
    """CPU seconds and MB of who asks the API, and of the API itself."""
    with Database(place, read_only=True) as db:
        server = WebServer(create_app(Journal(db), token="t"))  # type: ignore[arg-type]
        listener = listen("127.0.0.1", 0)
        await server.start(listener)
        port = listener.getsockname()[1]
        before = time.process_time()
        cpu, peak = await asyncio.to_thread(ask, f"http://127.0.0.1:{port}")
        own = time.process_time() - before
        await server.stop()
    return cpu, peak, own, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Print the figures beside their limits."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    address = parse_address(sys.argv[2]) if len(sys.argv) > 2 else None
    if address is not None and holds_state(address):
        sys.exit(f"{address} is not empty: name a database that holds nothing")
    for size, limit in ((1, 4_440), (10, 12_030)):
        best, best_s = (max(rates) for rates in zip(*(rate(size, 5_000, address) for _ in range(3)), strict=True))
        print(f"post() in transactions of {size}: {best:,.0f} a CPU second (wanted: {limit:,}), {best_s:,.0f} a second")
    place = state(count, address)
    try:
        questions(count, place)
    finally:
        if address is not None:
            discard_tables(address)


def page(tx: Connection, site: str | None, from_ms: int | None, to_ms: int | None) -> object:
    """A page of the journal as it is served."""
    return books.ledger_document(tx, site, from_ms, to_ms, limit=PAGE, before_id=None)


def questions(count: int, place: Place) -> None:
    """What the journal of a year answers, and what that costs."""
    with Database(place, read_only=True) as db, db.read() as tx:
        day = START_MS + 200 * DAY_MS
        asked: list[tuple[str, Callable[[], object]]] = [
            ("trial balance of a day", lambda: trial_balance(tx, day, day + DAY_MS)),
            ("trial balance of a month", lambda: trial_balance(tx, day, day + 30 * DAY_MS)),
            ("the same of one site", lambda: trial_balance(tx, day, day + 30 * DAY_MS, Whose(site=SITES[0]))),
            ("a page of that day", lambda: page(tx, None, day, day + DAY_MS)),
            ("the same of one site", lambda: page(tx, SITES[0], day, day + DAY_MS)),
            ("a page of that month", lambda: page(tx, None, day, day + 30 * DAY_MS)),
            ("the same of one site", lambda: page(tx, SITES[0], day, day + 30 * DAY_MS)),
            ("the newest page", lambda: page(tx, None, None, None)),
            ("the same of one site", lambda: page(tx, SITES[0], None, None)),
            ("the same of a site that has none", lambda: page(tx, "nowhere", None, None)),
        ]
        for name, call in asked:
            taken = []
            for _ in range(7):
                began, began_s = time.process_time(), time.monotonic()
                call()
                taken.append((time.process_time() - began, time.monotonic() - began_s))
            cpu, clock = (min(times) * 1000 for times in zip(*taken, strict=True))
            print(f"{name} among {count:,} postings: {cpu:.1f} CPU ms, {clock:.1f} ms (limit of a page 100)")
    cpu, peak = ask(str(place))
    print(f"ledger --json of {count:,} postings, stopped: {cpu:.1f} CPU s (limit 15), {peak:.0f} MB (limit 100)")
    cpu, peak, own, own_peak = asyncio.run(served(place))
    print(f"running: {cpu:.1f} + {own:.1f} CPU s of the API (limit 15 in all), {peak:.0f} MB; the API {own_peak:.0f} MB")


if __name__ == "__main__":
    main()
