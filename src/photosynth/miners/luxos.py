"""Machines that run LuxOS, over its TCP API: the cgminer API with sessions, `curtail`, `power` and `profileset`.

Source: Luxor's API documentation (docs.luxor.tech/firmware/api: sessions, logon, curtail, profileset) and what
pyasic's LuxOS backend reads and sends. Tested against our simulated machines, which pyasic also drives; not yet
against a machine of metal.
"""

import asyncio
import contextlib
from collections.abc import Callable

from photosynth.miners.cgminer import (
    DEFAULT_TIMEOUT_S,
    AnswerDict,
    CgminerClient,
    count,
    entries,
    number,
    section,
    status_of,
    text,
)
from photosynth.miners.driver import MachineDriver
from photosynth.miners.machine import Activity, Answer, Identity, MachineError, MachineReading, MalformedError, RefusedError

SESSION_BUSY_CODE = 402
"""What `logon` answers while another actor holds the only session (luxos-tooling, ``asyncops``)."""
MAX_GHS, MAX_WATTS, MAX_CELSIUS = 1e8, 1e6, 1e3
"""No machine has 100 PH/s, a megawatt or a thousand degrees: a reading beyond is unknown, not believed."""
_BUSY_TRIES = 3
_BUSY_WAIT_S = 0.3


class LuxosMachine:
    """One LuxOS machine. A session is taken for each command and given back: another actor may need it.

    ``site_ms`` tells the site time that readings carry.
    """

    def __init__(
        self, machine: str, host: str, port: int, site_ms: Callable[[], int], timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self._client = CgminerClient(machine, host, port, timeout_s)
        self._site_ms = site_ms
        self._profiles: dict[str, int] | None = None
        self._lock = asyncio.Lock()

    @property
    def id(self) -> str:
        """The name in the fleet file."""
        return self._client.machine

    @property
    def address(self) -> str:
        """Where its API listens, as host:port."""
        return f"{self._client.host}:{self._client.port}"

    async def identify(self) -> Identity:
        """Model, firmware, serial number and MAC as it states them."""
        answers = await self._client.several("version", "config")
        version = section(answers.get("version", {}), "VERSION")
        config = section(answers.get("config", {}), "CONFIG")
        if "LUXminer" not in version and "LUXminer" not in status_of(answers.get("version", {}))[2]:
            raise MalformedError(self.id, "does not say that it is a LuxOS machine: check its driver in the fleet file")
        return Identity(
            model=text(version, "Type", 64) or "unknown",
            firmware=f"LUXminer {text(version, 'LUXminer', 55) or 'unknown'}",
            serial=text(config, "SerialNumber", 64),
            mac=text(config, "MACAddr", 32),
        )

    async def read(self, full: bool = False) -> MachineReading:
        """Power and hash rate in one short exchange; with ``full`` also temperature, pool and curtailment."""
        at_ms = self._site_ms()
        wanted = ("summary", "power", "config", "temps", "pools") if full else ("summary", "power")
        answers = await self._client.several(*wanted)
        summary = section(answers.get("summary", {}), "SUMMARY")
        ghs = number(summary, "GHS 5s", MAX_GHS)
        hash_rate_hs = None if ghs is None else int(ghs * 1000) * 1_000_000
        pools = entries(answers.get("pools", {}), "POOLS")
        return MachineReading(
            at_ms=at_ms,
            power_w=count(section(answers.get("power", {}), "POWER"), "Watts", MAX_WATTS),
            hash_rate_hs=hash_rate_hs,
            activity=_activity(section(answers.get("config", {}), "CONFIG"), hash_rate_hs),
            temperature_c=_hottest(entries(answers.get("temps", {}), "TEMPS")),
            accepted=count(summary, "Accepted"),
            rejected=count(summary, "Rejected"),
            pool_url=text(pools[0], "URL") or None if pools else None,
        )

    async def sleep(self) -> Answer:
        """`curtail sleep`: boards and power supply off. It outranks other actors, whose session it ends in need."""
        return await self._privileged("curtail", "sleep", insist=True)

    async def wake(self) -> Answer:
        """`curtail wakeup`: power supply and boards on, at the profile that is set."""
        return await self._privileged("curtail", "wakeup")

    async def set_power(self, watts: int) -> Answer:
        """`profileset` to the profile with the most watts within the limit; refused where the lowest draws more."""
        if self._profiles is None:
            listed = entries(await self._client.command("profiles"), "PROFILES")
            named = {text(entry, "Profile Name", 64): count(entry, "Watts", MAX_WATTS) for entry in listed[:64]}
            self._profiles = {name: power for name, power in named.items() if name and power and "," not in name}
        within = {power: name for name, power in self._profiles.items() if power <= watts}
        if not within:
            lowest = min(self._profiles.values(), default=None)
            return Answer(False, f"no profile within {watts} W" + (f"; the lowest is {lowest} W" if lowest else ""))
        return await self._privileged("profileset", within[max(within)])

    async def close(self) -> None:
        """Nothing is held between commands."""

    async def _privileged(self, command: str, parameter: str, insist: bool = False) -> Answer:
        async with self._lock:
            for attempt in (1, 2):
                session = await self._logon(insist)
                if session is None:
                    return Answer(False, "another actor holds the machine's only session")
                try:
                    answer = await self._client.command(command, f"{session},{parameter}")
                except RefusedError as error:
                    self._profiles = None
                    if attempt == 1 and "session" in str(error).lower():
                        continue  # the session expired, or was ended by another actor, between the two exchanges
                    await self._logoff(session)
                    return Answer(False, str(error))
                await self._logoff(session)
                return Answer(True, status_of(answer)[2][:200])
            return Answer(False, "its session was ended twice by another actor")

    async def _logon(self, insist: bool) -> str | None:
        for attempt in range(_BUSY_TRIES):
            answer = await self._client.exchange("logon")
            session = section(answer, "SESSION").get("SessionID")
            if isinstance(session, str) and session and "," not in session and len(session) <= 64:
                return session
            severity, code, said = status_of(answer)
            if code != SESSION_BUSY_CODE and "session" not in said.lower():
                raise MalformedError(self.id, f"answered logon with neither a session nor busy: {severity} {said}")
            if attempt == _BUSY_TRIES - 2 and insist:
                await self._client.exchange("kill")
            elif attempt < _BUSY_TRIES - 1:
                await asyncio.sleep(_BUSY_WAIT_S)
        return None

    async def _logoff(self, session: str) -> None:
        with contextlib.suppress(MachineError):
            await self._client.exchange("logoff", session)


def _activity(config: AnswerDict, hash_rate_hs: int | None) -> Activity:
    """`CurtailMode` where it says so; else what the hash rate tells."""
    mode = config.get("CurtailMode")
    if isinstance(mode, str):
        return "sleeping" if mode.lower().startswith("sleep") else "mining"
    return "mining" if hash_rate_hs else "unknown"


def _hottest(boards: list[AnswerDict]) -> int | None:
    corners = ("TopLeft", "TopRight", "BottomLeft", "BottomRight")
    found = [value for board in boards[:16] for corner in corners if (value := count(board, corner, MAX_CELSIUS)) is not None]
    return max(found, default=None)


DRIVER = MachineDriver(
    name="luxos",
    title="LuxOS, over its TCP API",
    tier="specification",
    simulated=True,
    open=lambda at, _: LuxosMachine(at.id, at.host, at.port, at.site_ms),
)
