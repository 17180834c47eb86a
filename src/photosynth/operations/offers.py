"""What the machines offer to the dispatch: control's view of each in the dispatch's words."""

from collections.abc import Mapping, Sequence

from photosynth.energy.dispatch import MachineOffer
from photosynth.miners.view import MachineView

METERS_DIFFER_BY = 50
"""The mining meter and the machines' own wattmeters agree to about a fiftieth, 2 %."""


def offers_of(views: Sequence[MachineView], parties: Mapping[str, str], mining_w: int | None) -> list[MachineOffer]:
    """One offer for each machine; ``mining_w`` is what the mining meter shows, None where that is not known.

    A machine that does not answer may well go on drawing what it was told last: as far as the meter shows more than all
    others say, it is counted as a load, so that its power is not given to others a second time.
    """
    unseen_w = 0
    if mining_w is not None:
        unseen_w = mining_w - mining_w // METERS_DIFFER_BY - sum(view.power_w or 0 for view in views)
    offers = []
    for view in views:
        draws_w = view.fixed_power_w if view.regulation != "steps" else None
        if not view.fresh and view.regulation != "none":
            draws_w = max(0, min(view.desired_w or 0, unseen_w))
            unseen_w -= draws_w
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
                available=view.available and view.regulation != "none",
                fixed_power_w=draws_w,
            )
        )
    return offers
