"""What a LuxOS machine answers on its API port, sans-I/O: bytes of a request in, bytes of the answer out.

Source: Luxor's API documentation (docs.luxor.tech/firmware/api) for requests, sessions and codes, and the fields that
pyasic's LuxOS backend reads. It says in its version that it is simulated.
"""

import random
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from photosynth.simulation.machine import SimulatedMachine

FIRMWARE = "2026.1.0.simulated-photosynth"
NOMINAL_MHZ = 545
SESSION_S = 60.0
"""A session ends after a minute without use (Luxor, "Sessions")."""
MAX_COMMANDS = 16
_BOARDS = 3
_WITH_SESSION = frozenset({"curtail", "profileset", "logoff", "ledset", "atmset", "fanset", "rebootdevice", "resetminer"})

Json = dict[str, Any]


class Mining(Protocol):
    """What the API tells of the machine's mining."""

    worker: str
    connected: bool
    accepted: int
    rejected: int
    stale: int
    best_difficulty: float

    @property
    def pool_url(self) -> str:
        """Where it mines."""
        ...

    @property
    def difficulty(self) -> float:
        """What the pool asks of a share."""
        ...


class LuxosDialect:
    """One machine's API. ``seconds`` is a monotonic clock for sessions, ``rng`` makes readings flutter a little."""

    def __init__(
        self,
        name: str,
        machine: SimulatedMachine,
        mining: Mining,
        seconds: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self.name, self.machine, self.mining = name, machine, mining
        self._seconds, self._rng = seconds, rng
        self._session: str | None = None
        self._session_used = 0.0
        self._led = "auto"
        self._atm = False
        self.profile_names = _profile_names(machine)
        self._commands: dict[str, Callable[[], Json]] = {
            "version": self._version,
            "summary": self._summary,
            "power": self._power,
            "config": self._config,
            "pools": self._pools,
            "groups": lambda: self._ok(324, "List groups", "GROUPS", [{"GROUP": 0, "Name": "default", "Quota": 1}]),
            "devs": self._devs,
            "edevs": self._devs,
            "devdetails": self._devdetails,
            "stats": self._stats,
            "estats": self._stats,
            "temps": self._temps,
            "tempctrl": self._tempctrl,
            "fans": self._fans,
            "profiles": self._profiles,
            "profileget": lambda: self._profile(320, "Profile Get"),
            "atm": lambda: self._ok(339, "ATM configuration values", "ATM", [{"Enabled": self._atm}]),
            "session": lambda: self._ok(319, "Session information", "SESSION", [{"SessionID": self._live_session() or ""}]),
            "logon": self._logon,
            "kill": self._kill,
        }

    def answer(self, request: bytes) -> bytes:
        """The answer to a whole request, ended by a NUL as cgminer does; whatever the bytes are, never an exception."""
        return msgspec.json.encode(self._dispatch(request)) + b"\0"

    def _dispatch(self, request: bytes) -> Json:
        try:
            decoded = msgspec.json.decode(request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._error(23, "Invalid JSON")
        if not isinstance(decoded, dict) or not isinstance(decoded.get("command"), str):
            return self._error(24, "Missing JSON 'command'")
        command: str = decoded["command"]
        parameter = decoded.get("parameter")
        words = [] if parameter is None else str(parameter)[:1024].split(",")
        if "+" not in command:
            return self._one(command, words)
        names = command.split("+")
        if len(names) > MAX_COMMANDS:
            return self._error(14, "Invalid command")
        answers: Json = {name: [self._one(name, [])] for name in names}
        answers["id"] = 1
        return answers

    def _one(self, command: str, words: list[str]) -> Json:
        if command in _WITH_SESSION:
            if not words or not words[0]:
                return self._error(400, "Missing parameter: session_id")
            if words[0] != self._live_session():
                return self._error(401, "Invalid session ID")
            self._session_used = self._seconds()
            return self._write(command, words[1:])
        handler = self._commands.get(command)
        return self._error(14, "Invalid command") if handler is None else handler()

    def _write(self, command: str, words: list[str]) -> Json:
        word = words[0] if words else ""
        match command:
            case "logoff":
                self._session = None
                return self._ok(317, "Session ended")
            case "curtail" if word in ("sleep", "wakeup"):
                if word == "sleep":
                    self.machine.sleep()
                else:
                    self.machine.wake()
                action = "sleep mode" if word == "sleep" else "wake up"
                return self._ok(335, "Curtailment command sent", "CURTAIL", [{"Action": action}])
            case "profileset" if word in self.profile_names:
                self.machine.set_profile(self.profile_names.index(word))
                return self._profile(321, "Profile Set")
            case "profileset":
                return self._error(404, "Profile not found")
            case "ledset":
                self._led = (words[1] if len(words) > 1 else "auto")[:8]
                return self._ok(320, "LED mode set")
            case "atmset":
                self._atm = "enabled=true" in words
                return self._ok(340, "Advanced Thermal Management configuration updated")
            case _:
                return self._error(403, "Not supported by this simulated machine")

    def _live_session(self) -> str | None:
        if self._session is not None and self._seconds() - self._session_used > SESSION_S:
            self._session = None
        return self._session

    def _logon(self) -> Json:
        if self._live_session() is not None:
            return self._error(402, "Another session is active")
        self._session = "".join(self._rng.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=8))
        self._session_used = self._seconds()
        return self._ok(316, "Session created", "SESSION", [{"SessionID": self._session}])

    def _kill(self) -> Json:
        self._session = None
        return self._ok(318, "Session killed")

    def _ok(self, code: int, text: str, name: str | None = None, body: list[Json] | None = None) -> Json:
        answer: Json = {"STATUS": [self._status("S", code, text)]}
        if name is not None:
            answer[name] = body
        answer["id"] = 1
        return answer

    def _error(self, code: int, text: str) -> Json:
        return {"STATUS": [self._status("E", code, text)], "id": 1}

    def _status(self, severity: str, code: int, text: str) -> Json:
        when = self.machine.now_ms // 1000
        return {"Code": code, "Description": f"LUXminer {FIRMWARE}", "Msg": text, "STATUS": severity, "When": when}

    def _elapsed(self) -> int:
        return max(0, self.machine.now_ms - self.machine.boot_ms) // 1000

    def _ghs(self) -> float:
        rate = self.machine.hash_rate_hs / 1e9 if self.mining.connected else 0.0  # no job, no hash
        return round(rate * self._rng.gauss(1, 0.004), 2) if rate else 0.0

    def _version(self) -> Json:
        version = {
            "API": "3.7",
            "CompileTime": "Thu Jan 01 00:00:00 UTC 2026",
            "LUXminer": FIRMWARE,
            "Miner": "simulated",
            "Type": self.machine.model.name,
        }
        return self._ok(22, "LUXminer versions", "VERSION", [version])

    def _summary(self) -> Json:
        ghs, mining = self._ghs(), self.mining
        total = max(1, mining.accepted + mining.rejected)
        summary = {
            "Accepted": mining.accepted,
            "Best Share": mining.best_difficulty,
            "Discarded": 0,
            "Elapsed": self._elapsed(),
            "GHS 30m": ghs,
            "GHS 5s": ghs,
            "GHS av": ghs,
            "Hardware Errors": 0,
            "Pool Rejected%": round(100 * mining.rejected / total, 4),
            "Rejected": mining.rejected,
            "Stale": mining.stale,
            "Total MH": round(self.machine.work_hashes / 1e6, 1),
        }
        return self._ok(11, "Summary", "SUMMARY", [summary])

    def _power(self) -> Json:
        watts = self.machine.power_mw * self.machine.gauge_milli // 1_000_000
        return self._ok(311, "Power usage", "POWER", [{"PSU": True, "Watts": watts}])

    def _config(self) -> Json:
        machine = self.machine
        serial = "SIM" + self.name.upper().replace("-", "")
        config = {
            "ASC Count": _BOARDS,
            "Cooling": "Air",
            "CurtailMode": "Sleep" if machine.asleep else "None",
            "DHCP": True,
            "GreenLed": "auto",
            "Hostname": self.name,
            "IsAtmEnabled": self._atm,
            "IsPowerSupplyOn": not machine.asleep,
            "IsTuning": False,
            "MACAddr": _mac(self.name),
            "Model": machine.model.name,
            "NameplateTHS": round(machine.model.hash_rate_hs / 1e12, 1),
            "OS": "LuxOS",
            "Pool Count": 1,
            "Profile": self.profile_names[machine.shown_profile],
            "ProfileStep": str(machine.shown_profile - len(machine.steps) + 1),
            "RedLed": self._led,
            "SerialNumber": serial,
            "SystemStatus": "Normal",
        }
        return self._ok(33, "LUXminer config", "CONFIG", [config])

    def _pools(self) -> Json:
        mining = self.mining
        pool = {
            "Accepted": mining.accepted,
            "Best Share": mining.best_difficulty,
            "GROUP": 0,
            "Get Failures": 0,
            "POOL": 0,
            "Priority": 0,
            "Quota": 1,
            "Rejected": mining.rejected,
            "Remote Failures": 0,
            "Stale": mining.stale,
            "Status": "Alive" if mining.connected else "Disabled" if self.machine.asleep else "Dead",
            "Stratum Active": mining.connected,
            "Stratum Difficulty": mining.difficulty,
            "URL": mining.pool_url,
            "User": mining.worker,
        }
        return self._ok(7, "1 Pool(s)", "POOLS", [pool])

    def _devs(self) -> Json:
        ghs = self._ghs() / _BOARDS
        boards = [
            {
                "ASC": index,
                "Enabled": "Y",
                "GHS 5s": round(ghs, 2),
                "GHS av": round(ghs, 2),
                "ID": index,
                "Name": "SIM",
                "Status": "Alive" if not self.machine.asleep else "Disabled",
                "Temperature": round(self.machine.temperature_c, 1),
            }
            for index in range(_BOARDS)
        ]
        return self._ok(9, f"{_BOARDS} ASC(s)", "DEVS", boards)

    def _devdetails(self) -> Json:
        boards = [{"DEVDETAILS": index, "ID": index, "Model": self.machine.model.name, "Name": "SIM"} for index in range(_BOARDS)]
        return self._ok(69, "Device Details", "DEVDETAILS", boards)

    def _stats(self) -> Json:
        ghs, heat = self._ghs(), round(self.machine.temperature_c)
        ideal = self.machine.steps[self.machine.shown_profile][1] / 1e9
        figures: Json = {
            "Elapsed": self._elapsed(),
            "GHS 5s": ghs,
            "GHS av": ghs,
            "ID": "SIM0",
            "STATS": 1,
            "miner_count": _BOARDS,
            "rate_unit": "GH",
            "total_rate": ghs,
            "total_rateideal": ideal,
        }
        for board in range(1, _BOARDS + 1):
            figures[f"chain_rate{board}"] = str(round(ghs / _BOARDS, 2))
            figures[f"chain_acn{board}"] = 100
            figures[f"temp_pcb{board}"] = "-".join([str(max(1, heat - 10))] * 4)
            figures[f"temp_chip{board}"] = "-".join([str(max(1, heat))] * 4)
        head = {"API": "3.7", "CompileTime": "", "LUXminer": FIRMWARE, "Type": self.machine.model.name}
        return self._ok(70, "LUXminer stats", "STATS", [head, figures])

    def _temps(self) -> Json:
        heat = self.machine.temperature_c
        boards = [
            {
                "BottomLeft": round(heat - 3 + board, 1),
                "BottomRight": round(heat - 1 + board, 1),
                "ID": board,
                "TEMP": board,
                "TopLeft": round(heat - 2, 1),
                "TopRight": round(heat, 1),
            }
            for board in range(_BOARDS)
        ]
        return self._ok(201, f"{_BOARDS} Temp(s)", "TEMPS", boards)

    def _tempctrl(self) -> Json:
        control = {"Dangerous": 85, "Hot": 80, "Mode": "Automatic", "Target": 70}
        return self._ok(200, "Temperature control", "TEMPCTRL", [control])

    def _fans(self) -> Json:
        speed = 20 if self.machine.asleep else 60
        fans = [{"FAN": index, "ID": index, "RPM": 90 * speed, "Speed": speed} for index in range(4)]
        answer = self._ok(202, "4 Fan(s)", "FANS", fans)
        answer["FANCTRL"] = [{"FanMaxSpeed": 100, "FanMinSpeed": 10, "MinFans": 1}]
        return answer

    def _profiles(self) -> Json:
        full_hs = self.machine.model.hash_rate_hs
        listed = [
            {
                "Frequency": NOMINAL_MHZ * hash_rate // full_hs,
                "Hashrate": round(hash_rate / 1e12, 1),
                "IsDynamic": True,
                "IsTuned": False,
                "Profile Name": name,
                "Step": str(index - len(self.profile_names) + 1),
                "Voltage": round(11.5 + 2.0 * hash_rate / full_hs, 2),
                "Watts": watts,
            }
            for index, (name, (watts, hash_rate)) in enumerate(zip(self.profile_names, self.machine.steps, strict=True))
        ]
        return self._ok(323, "List profiles", "PROFILES", listed)

    def _profile(self, code: int, text: str) -> Json:
        name = self.profile_names[self.machine.shown_profile]
        return self._ok(code, text, "PROFILE", [{"Board": 0, "FrequencyStep": 5, "Profile": name, "VoltageStep": 0.05}])


def _profile_names(machine: SimulatedMachine) -> tuple[str, ...]:
    full_hs = machine.model.hash_rate_hs
    names = [f"{NOMINAL_MHZ * hash_rate // full_hs}MHz" for _, hash_rate in machine.steps]
    names = [name if name not in names[:index] else f"{name}-{index}" for index, name in enumerate(names)]
    names[-1] = "default"
    return tuple(names)


def _mac(name: str) -> str:
    digits = random.Random(name).randbytes(5).hex(":")
    return f"02:{digits}"  # the second bit says: locally administered, nobody's product
