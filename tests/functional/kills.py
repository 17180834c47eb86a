"""kill -9 of a whole fleet while guests mine at every site, again and again, and what must hold after the last."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence

from tests.functional.guest import Guest
from tests.functional.running_site import PATIENCE_S, RunningSite, photosynth

from photosynth.operations.state import StateFolder
from photosynth.pool.accounting import WorkAccount
from photosynth.pool.segments import open_segments
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.treasury import Identity, verify

GUEST = "guest"


class Kills:
    """Lives of one fleet, each ended by kill -9 of all its processes but the last; SQLite only."""

    def __init__(self, site: RunningSite, sites: Sequence[str]) -> None:
        """``site`` is the fleet as a process; ``sites`` the names of its sites in the order of its file."""
        self.site = site
        self.sites = tuple(sites)
        self.answered: Counter[str] = Counter()
        """Shares that were answered true, by site."""
        self.submitted: Counter[str] = Counter()
        self._database = site.state / "photosynth.sqlite3"

    def one(self, after_s: float = 0.0) -> None:
        """A life that ends by kill -9, ``after_s`` seconds after a share of each site was answered."""
        guests = self._start()
        next(iter(guests.values())).wait(after_s)
        self.site.kill()
        self._count(guests)

    def last(self) -> None:
        """A life that ends by Ctrl-C, once every site has closed quarter hours and found blocks, and the books know whose."""
        self._count(self._start())
        for query, what in (
            ("SELECT site, count(*) FROM intervals GROUP BY site", "closed quarter hours of every site"),
            (
                "SELECT site, count(*) FROM blocks WHERE origin = 'mined' AND site IS NOT NULL GROUP BY site",
                "blocks of every site",
            ),
        ):
            self.site.wait_for(lambda query=query: set(self._asked(query)) == set(self.sites), what)  # type: ignore[misc]
        strange = "SELECT 'foreign', count(*) FROM blocks WHERE site IS NULL"
        self.site.wait_for(lambda: self._asked(strange) == {"foreign": 0}, "every block to be of the site whose pool found it")
        self.site.stop()

    def judge(self) -> dict[str, dict[str, int]]:
        """Hold what lies on disk against what was answered; counts by site for whoever prints them."""
        counts = {name: self._judge_site(name) for name in self.sites}
        claims = [block for name in self.sites for block in self._account(name).claims]
        assert len(claims) == len(set(claims)), "a block was claimed by the pools of two sites"
        assert self._asked("SELECT 'keys', count(*) - count(DISTINCT key) FROM postings") == {"keys": 0}
        assert self._one("SELECT count(*) FROM postings WHERE id NOT IN (SELECT posting_id FROM posting_lines)") == 0
        for stream in (None, *self.sites):
            self._exported(stream)
        return counts

    def _start(self) -> dict[str, Guest]:
        self.site.start()
        guests = {name: self._guest(number) for number, name in enumerate(self.sites)}
        for guest in guests.values():
            assert guest.first_accepted.wait(PATIENCE_S), guest.refused
        return guests

    def _guest(self, number: int) -> Guest:
        """A guest at the pool of a site, by the order of the file."""
        text = self.site.output.read_text(errors="replace").rpartition("Console ")[2]
        host, _, port = text.split("stratum+tcp://")[number + 1].split()[0].rpartition(":")
        return Guest(host, int(port), GUEST).start()

    def _count(self, guests: dict[str, Guest]) -> None:
        for name, guest in guests.items():
            guest.stop()
            self.answered[name] += guest.accepted
            self.submitted[name] += guest.submitted

    def _account(self, name: str) -> WorkAccount:
        return open_segments(StateFolder(self.site.state).site(name).shares, read_only=True).account

    def _judge_site(self, name: str) -> dict[str, int]:
        account = self._account(name)
        kept = account.totals[GUEST].accepted
        assert self.answered[name] <= kept <= self.submitted[name], (name, self.answered, kept, self.submitted)
        records = self._asked("SELECT site, count(*) FROM intervals GROUP BY site")[name]
        first, last = (self._one(f"SELECT {what}(start_ms) FROM intervals WHERE site = '{name}'") for what in ("min", "max"))
        assert records == (last - first) // INTERVAL_MS + 1, f"a quarter hour of {name} is missing or doubled"
        assert self._one(f"SELECT count(*) - max(seq) - 1 FROM evidence WHERE stream = '{name}'") == 0, "a line of evidence"
        booked = self._one(f"SELECT coalesce(sum(accepted), 0) FROM work WHERE site = '{name}' AND worker = '{GUEST}'")
        assert booked <= kept, f"shares of {name} are booked twice"
        blocks = self._one(f"SELECT count(*) FROM blocks WHERE site = '{name}'")
        assert blocks >= account.blocks_found - 1, (name, blocks, account.blocks_found)
        return {"shares": kept, "answered": self.answered[name], "quarter_hours": records, "booked": booked, "blocks": blocks}

    def _exported(self, name: str | None) -> None:
        """An export of all streams, or of one site's, can be verified with the key of each site."""
        path, state = self.site.state.with_suffix(".jsonl"), StateFolder(self.site.state)
        only = [] if name is None else ["--site", name]
        assert photosynth("evidence", "export", str(path), *only, "--state", str(self.site.state)).returncode == 0
        names = self.sites if name is None else (name,)
        report = verify(path, *(Identity.open(state.key(each)).public_key for each in names))
        assert report.reason is None
        assert report.complete == (name is None)
        assert {stream.stream for stream in report.streams} == ({"books", *names} if name is None else {name})

    def _asked(self, query: str) -> dict[str, int]:
        """Numbers by name, out of a database that is written to."""
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as raw:
            return dict(raw.execute(query))

    def _one(self, query: str) -> int:
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as raw:
            return int(raw.execute(query).fetchone()[0])
