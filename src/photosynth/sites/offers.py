"""What the machines offer to the dispatch: control's view of each in the dispatch's words."""

from collections.abc import Mapping, Sequence

from photosynth.energy.dispatch import MachineOffer
from photosynth.miners.view import MachineView

METERS_DIFFER_BY = 50
"""The mining meter and the machines' own wattmeters agree to about a fiftieth, 2 %."""


def offers_of(views: Sequence[MachineView], parties: Mapping[str, str], mining_w: int | None) -> list[MachineOffer]:
    """One offer for each machine; ``mining_w`` is what the mining meter shows, None where that is not known.

    A machine that takes no orders is a load: of what it reads, and where it says nothing, of what it may draw as far as the
    meter shows more than all others say, so that its power is not given to others a second time.
    """
    unseen_w = None
    if mining_w is not None:
        unseen_w = mining_w - mining_w // METERS_DIFFER_BY - sum(_said_w(view) or 0 for view in views)
    offers = []
    for view in views:
        available = view.available and view.regulation != "none"
        draws_w = view.fixed_power_w if view.regulation == "on_off" else None
        if not available:
            draws_w = _said_w(view)
            if draws_w is None:
                draws_w = _unsaid_w(view, unseen_w)
                unseen_w = None if unseen_w is None else unseen_w - draws_w
        offers.append(
            MachineOffer(
                id=view.id,
                model=view.model.id,
                party=parties[view.id],
                steps=view.steps,
                standby_w=view.model.standby_w,
                on=view.on,
                changed_ms=view.changed_ms or 0,
                min_on_s=view.model.min_on_s,
                min_off_s=view.model.min_off_s,
                start_cost_ueur=view.model.start_cost_ueur,
                available=available,
                fixed_power_w=draws_w,
            )
        )
    return offers


def _said_w(view: MachineView) -> int | None:
    """What a machine draws by its own word now; one that cannot be switched off goes on drawing what it did."""
    return view.fixed_power_w if view.power_w is None and view.regulation == "none" else view.power_w


def _unsaid_w(view: MachineView, unseen_w: int | None) -> int:
    """What one that says nothing of its power may draw: no more than is unseen, and where no meter shows that, all if it runs."""
    runs = view.on or view.regulation == "none"
    most_w = view.model.power_w if runs else view.desired_w or 0
    if unseen_w is None:
        return most_w if runs else 0
    return max(0, min(most_w, unseen_w))
