"""One look at a counter. What it does not tell is None: neither zero nor healthy."""

from typing import Any

from photosynth.networks.grammar import Access, Report
from photosynth_tally.client import TallyClient, TallyError
from photosynth_tally.conditions import judge, unreachable

LARGEST = 2**63 - 1
LONGEST_TEXT = 100


class TallyProbe:
    """Looks at one counter; satisfies ``photosynth.networks.grammar.Probe``."""

    def __init__(self, access: Access) -> None:
        self._chain = access.chain
        self._client = TallyClient(access.endpoints["rpc"], access.name)

    async def look(self, now_ms: int) -> Report:
        """One look, which never raises for what the counter does."""
        try:
            told = await self._client.call("tally_status")
        except TallyError as error:
            return Report(now_ms, problem=str(error), judgements=(unreachable(str(error)),))
        head, peers = _number(told.get("count")), _number(told.get("peers"))
        return Report(
            now_ms, None, head, peers, _text(told.get("version")), judge(_text(told.get("chain")), self._chain, head, peers)
        )

    async def close(self) -> None:
        """Let its connection go."""
        await self._client.close()


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST else None


def _text(value: Any) -> str | None:
    return "".join(letter for letter in value if letter.isprintable())[:LONGEST_TEXT] if isinstance(value, str) else None
