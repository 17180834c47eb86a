"""From control's views to the dispatch's offers: who is regulated, who only switches, who is a load."""

from tests.unit.sites.sites_fakes import S21, view

from photosynth.energy.dispatch import MachineOffer
from photosynth.miners.view import MachineView
from photosynth.sites.offers import offers_of


def offer(seen: MachineView, mining_w: int | None = None) -> MachineOffer:
    return offers_of([seen], {seen.id: "operator"}, mining_w)[0]


def test_an_obedient_machine_offers_every_step() -> None:
    made = offer(view("a", on=True, desired_w=3500, changed_ms=7))
    assert (made.steps, made.standby_w, made.on, made.changed_ms) == (S21.power_steps(), 25, True, 7)
    assert (made.available, made.fixed_power_w, made.party) == (True, None, "operator")


def test_one_that_ignores_limits_is_switched_at_its_own_power() -> None:
    made = offer(view("a", regulation="on_off", fixed_power_w=3400))
    assert (made.available, made.fixed_power_w) == (True, 3400)


def test_one_that_ignores_everything_is_a_load() -> None:
    made = offer(view("a", on=True, regulation="none", fixed_power_w=3400, available=False))
    assert (made.available, made.fixed_power_w) == (False, 3400)


def test_one_that_does_not_answer_is_counted_as_far_as_the_meter_shows_it() -> None:
    lost = view("lost", desired_w=3500, available=False, fresh=False, power_w=None)
    known = view("known", on=True, desired_w=3500)
    assert offer(lost).fixed_power_w == 0, "without a meter nothing is made up"
    for mining_w, draws_w in ((7_100, 3_458), (5_000, 1_400), (3_550, 0), (0, 0), (20_000, 3_500)):
        both = offers_of([known, lost], dict.fromkeys(("known", "lost"), "operator"), mining_w)
        assert (both[0].fixed_power_w, both[1].fixed_power_w) == (None, draws_w)
    asleep = view("lost", desired_w=0, available=False, fresh=False, power_w=None)
    assert offer(asleep, 20_000).fixed_power_w == 0


def test_one_that_takes_no_orders_now_and_still_draws_is_counted_at_what_it_reads() -> None:
    made = offer(view("resting", on=True, desired_w=3500, available=False))
    assert (made.available, made.fixed_power_w) == (False, 3500)


def test_one_that_runs_without_a_figure_of_its_power_is_counted_as_far_as_the_meter_shows_it() -> None:
    deaf = view("mute", on=True, regulation="none", fixed_power_w=None, available=False, power_w=None)
    resting = view("mute", on=True, desired_w=0, available=False, power_w=None)
    known = view("known", on=True, desired_w=3500)
    for mute in (deaf, resting):
        assert offer(mute).fixed_power_w == S21.power_w, "no meter says that it is less"
        for mining_w, draws_w in ((7_100, 3_458), (5_000, 1_400), (3_550, 0), (20_000, 3_500)):
            both = offers_of([known, mute], dict.fromkeys(("known", "mute"), "operator"), mining_w)
            assert (both[0].fixed_power_w, both[1].fixed_power_w) == (None, draws_w)


def test_the_power_of_one_that_cannot_be_switched_off_is_not_unseen() -> None:
    deaf = view("deaf", on=True, regulation="none", fixed_power_w=3500, available=False, fresh=False, power_w=None)
    lost = view("lost", desired_w=3500, available=False, fresh=False, power_w=None)
    both = offers_of([deaf, lost], dict.fromkeys(("deaf", "lost"), "operator"), 3_600)
    assert [made.fixed_power_w for made in both] == [3500, 28]
