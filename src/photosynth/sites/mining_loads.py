"""What the machines draw now and why, as far as their readings say: for the sentence that explains an import."""

from collections.abc import Sequence

from photosynth.energy.reasons import Cause, MiningLoad
from photosynth.miners.verification import is_on, tells_nothing
from photosynth.miners.view import MachineView


def mining_loads(views: Sequence[MachineView], mining_w: int | None, now_ms: int, *, buying_allowed: bool) -> list[MiningLoad]:
    """The machines by the cause of their power; ``mining_w`` is the mining meter's, None where it is not known.

    What machines that do not answer may draw is what the meter shows beyond all others.
    """
    found: dict[Cause, list[MachineView]] = {}
    for view in views:
        found.setdefault(_cause(view, now_ms, buying_allowed), []).append(view)
    loads = {
        cause: MiningLoad(cause, tuple(view.id for view in alike), sum(view.power_w or 0 for view in alike))
        for cause, alike in found.items()
    }
    unseen = loads.pop("unseen", None)
    if unseen is not None and mining_w is not None:
        rest_w = mining_w - sum(load.watts for load in loads.values())
        if rest_w > 0:
            loads["unseen"] = MiningLoad("unseen", unseen.machines, rest_w)
    return list(loads.values())


def _cause(view: MachineView, now_ms: int, buying_allowed: bool) -> Cause:
    if not view.fresh or tells_nothing(view):
        return "unseen"
    if not is_on(view.model, view):
        return "standby"
    if view.regulation == "none":
        return "deaf"
    if not view.desired_w:
        return "stopping"
    if view.changed_ms is not None and now_ms < view.changed_ms + view.model.min_on_s * 1000:
        return "held"
    return "bought" if buying_allowed else "running"
