"""What a counter is paid for counting: read from where the last page ended, and a few counts before, which are not final."""

from typing import Any

from photosynth.networks.grammar import Access, IncomeEvent, IncomePage
from photosynth_tally.client import TallyClient, TallyError

FINAL_AFTER = 6
"""Counts after which a fee stays what it is: those before are read again, so that what has vanished is told."""
MOST_DIGITS = 100


class TallyIncome:
    """Reads the fees of one counter; satisfies ``photosynth.networks.grammar.IncomeReader``."""

    def __init__(self, access: Access) -> None:
        self._client = TallyClient(access.endpoints["rpc"], access.name)

    async def read(self, cursor: str | None) -> IncomePage:
        """The fees of the counts from a cursor on. Raises TallyError."""
        first = max(0, int(cursor or 0) - FINAL_AFTER)
        told = await self._client.call("tally_income", first)
        try:
            last = int(told["last"])
            fees = tuple(map(_fee, told["fees"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TallyError(f"{self._client.name}: what it tells of its fees is none; see which version it is") from error
        return IncomePage(first, last, fees, cursor=str(last + 1), more=told.get("more") is True)

    async def close(self) -> None:
        """Let its connection go."""
        await self._client.close()


def _fee(told: dict[str, Any]) -> IncomeEvent:
    """One fee in one of its states. Its amount is decimal text, for it may be of any size."""
    if len(told["amount"]) > MOST_DIGITS:
        raise ValueError("an amount has too many digits")
    return IncomeEvent(
        id=told["id"],
        kind=told["kind"],
        asset="TALLY",
        amount=int(told["amount"]),
        state=told["state"],
        time_ms=told["time_ms"],
        height=told["count"],
        position=f"count {told['count']}",
        paid_to=told.get("paid_to"),
    )
