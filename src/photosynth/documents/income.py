"""What networks pay for running their nodes."""

from typing import Literal

from pydantic import Field

from photosynth.documents.base import BigCount, Document


class IncomeDocument(Document):
    """One payment in one of its states: `photosynth income --json` and `GET /api/v1/income` are a list of these."""

    id: str
    """The payment, unique on its chain; each state that it reached is an entry of its own."""
    network: str
    """Which network pays."""
    node: str
    """The node that told it."""
    validator: str | None
    """The validator that earned it; null where the network has none."""
    kind: str
    """What it is paid for, in the network's word."""
    asset: str
    """What it is paid in, by its code."""
    amount: BigCount = Field(description="in the asset's base unit, negative where something was taken away; decimal text")
    state: Literal["accrued", "claimed", "received"]
    """Owed by the network, asked for, or in the wallet."""
    time_ms: int
    """When it reached this state, the fleet's time."""
    position: str
    """Where on the chain that was, in the network's words."""
