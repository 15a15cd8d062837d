"""Levers and scenarios: the guide's numbers, every lever from a study, common random numbers, money, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posterior_fixture import TWO, case, history, posterior, rich, study

from forecast.errors import StudyError
from forecast.outlook.expectation import outcome
from forecast.outlook.scenarios import (
    Base,
    Gain,
    base_of,
    check_scenarios,
    compare_scenarios,
    drawn,
    gain_of,
    weights,
)
from forecast.outlook.simulation import simulate
from forecast.study import Study, load_study

GUIDE = {"leads": 0.03, "qualified": 0.4, "won": 0.2}
PLAN = np.array([[3000.0, 1000.0]] * 6)


def _base(
    scenarios: list[dict], *, delays: dict | None = None, goals: tuple = (), **economics: float
) -> Base:
    """The guide's company: 1,000 visitors a period and channel, 3 %, 40 %, 20 %, deals of 5,000."""
    past = history({**TWO, "visitors": [1000, 1000]})
    known = posterior(past, GUIDE, draws=200, delays=delays, traffic=1000.0, deal_mean=5000.0)
    asked = study(scenario=tuple(scenarios), economics={"gross_margin": 0.6, **economics})
    return base_of(case(known, past, PLAN, asked))


def _gain(scenario: dict, **given) -> Gain:
    base = _base([{"name": "a", **scenario}], **given)
    return gain_of(base, base.case.study.scenarios[0], seed=[1])


def test_the_landing_page_of_the_guide_brings_a_third():
    """3 % to 4 % of the visitors: a third more of everything that the horizon's cohorts bring."""
    gain = _gain({"rate": {"leads": {"to": 0.04}}})
    assert gain.relative == pytest.approx(np.full(200, 1 / 3))
    said_from = _gain({"rate": {"leads": {"from": 0.03, "to": 0.04}}})
    assert said_from.relative == pytest.approx(gain.relative)
    assert _gain({"rate": {"leads": {"by": 0.01}}}).relative == pytest.approx(gain.relative)


def test_the_sales_training_of_the_guide_brings_a_half():
    """Close rate 20 % to 30 %: half as much again, and with delays the same in the end but less inside the horizon."""
    gain = _gain({"rate": {"won": {"to": 0.3}}})
    assert gain.relative == pytest.approx(np.full(200, 0.5))
    slow = _gain({"rate": {"won": {"to": 0.3}}}, delays={"won": (2.0, 0.8)})
    assert slow.relative == pytest.approx(np.full(200, 0.5))
    assert (slow.revenue < gain.revenue).all()


def test_both_at_once_multiply():
    """4 / 3 x 3 / 2 = 2."""
    gain = _gain({"rate": {"leads": {"to": 0.04}, "won": {"to": 0.3}}})
    assert gain.relative == pytest.approx(np.full(200, 1.0))


def test_a_stricter_threshold_trades_qualification_for_close_rate():
    """0.8 x 1.3 = 1.04: four in a hundred more wins of a fifth fewer qualified leads."""
    gain = _gain({"rate": {"qualified": {"times": 0.8}, "won": {"times": 1.3}}})
    assert gain.relative == pytest.approx(np.full(200, 0.04))


def test_nurturing_brings_back_a_share_of_the_unqualified():
    """10 % of the 60 % that do not qualify: 0.06 / 0.4 more in the end, later than the rest."""
    gain = _gain({"recover": {"qualified": {"share": 0.1, "delay": "60 days"}}})
    assert gain.relative == pytest.approx(np.full(200, 0.15))
    inside = gain.revenue / gain.eventual
    assert (inside > 0.2).all()
    assert (inside < 0.95).all()


def test_an_outbound_caller_brings_contacts_after_a_ramp_and_costs_each_period():
    """200 contacts more a period on one channel, a third, two thirds, then all; the caller costs from the start."""
    caller = {"traffic": {"by": 200}, "channels": ("two",), "ramp": 2, "cost_per_period": 4500, "cost": 2000}
    gain = _gain(caller)
    units = 200 * (1 / 3 + 2 / 3 + 4)
    assert gain.eventual == pytest.approx(np.full(200, units * 0.03 * 0.4 * 0.2 * 5000))
    assert gain.cost == pytest.approx(np.full(200, 2000 + 6 * 4500))
    assert gain.contribution == pytest.approx(0.6 * gain.eventual - gain.cost)


def test_more_spend_is_a_cost_and_brings_what_the_response_says():
    """Twice the spend of one channel: 2^0.6 of its traffic in half of the draws (power law), its money as cost."""
    gain = _gain({"spend": {"times": 2.0, "channels": ("one",)}})
    assert gain.cost == pytest.approx(np.full(200, 18_000.0))
    assert (gain.revenue > 0).all()
    halved = _gain({"spend": {"times": 0.5, "channels": ("one",)}})
    assert (halved.revenue < 0).all()
    assert (halved.cost < 0).all()


def test_shorter_delays_bring_revenue_into_the_horizon_and_none_in_the_end():
    """Faster sales move money forward: more lands inside, the sum stays."""
    gain = _gain({"delay": {"won": {"to": "15 days"}}}, delays={"won": (2.0, 0.8)})
    assert (gain.revenue > 0).all()
    assert gain.eventual == pytest.approx(np.zeros(200), abs=1e-6)


def test_a_better_deal_value_brings_its_share():
    """10 % on the value of deals is 10 % of the revenue of the horizon's cohorts."""
    assert _gain({"value": {"times": 1.1}}).relative == pytest.approx(np.full(200, 0.1))


def test_more_capacity_brings_what_waits():
    """24 qualified leads a period and room for 12: half as much room again brings half as many wins more."""
    gain = _gain({"capacity": {"times": 1.5}}, capacity=12.0, capacity_decay=0.5)
    assert gain.won / (12 * 0.2 * 6) == pytest.approx(np.full(200, 0.5))


def test_what_a_scenario_brings_is_what_the_simulation_brings():
    """Two roads: a raised close rate on the expected road, and the difference of two simulations."""
    known, past = rich()
    plan = PLAN[:4]
    asked = study(scenario=({"name": "a", "rate": {"won": {"times": 1.2}}},), economics={"gross_margin": 0.6})
    now = case(known, past, plan, asked)
    gain = gain_of(base_of(now), asked.scenarios[0], seed=[1])
    rates = {**now.future.rates, "won": now.future.rates["won"] * 1.2}
    raised = replace(now, future=replace(now.future, rates=rates))
    made = [simulate(one, {"a": plan}, rng=np.random.default_rng(2), replicates=4) for one in (now, raised)]
    difference = [(m["won"].sum(("period", "channel")).values[0]).astype(float) for m in made]
    chance = difference[1] - difference[0] - np.repeat(gain.won, 4)
    assert abs(chance.mean()) < 4 * chance.std() / np.sqrt(chance.size)


def test_starting_later_costs_what_the_period_would_have_brought():
    """Without delays and cost: a period later costs the share of the gain that the first period's traffic has."""
    base = _base([{"name": "a", "rate": {"leads": {"to": 0.04}}}])
    table = compare_scenarios(base, seed=1).table.set_index("measure")
    first = base.world.traffic[:, 0].sum() / base.world.traffic.sum()
    assert first == pytest.approx(1 / 6, rel=0.1)
    assert table.loc["cost_of_delay", "mean"] == pytest.approx(table.loc["contribution", "mean"] * first)


def test_payback_is_the_first_period_that_has_paid():
    """A gain of 1,200 a period (margin) against 3,000 once: paid in the third period; never, where it costs more."""
    each = 2 * 1000 * 0.01 * 0.4 * 0.2 * 5000 * 0.6
    gain = _gain({"rate": {"leads": {"to": 0.04}}, "cost": 2.5 * each})
    assert (gain.payback() == 3).all()
    assert np.isinf(_gain({"rate": {"leads": {"to": 0.04}}, "cost": 60 * each}).payback()).all()


def test_uncertain_levers_have_the_central_range_they_say():
    """A tenth of the draws below the low end, a tenth above the high end, on every scale."""
    z = np.random.default_rng(1).standard_normal(20_000)
    for low, high, family in ((0.03, 0.05, "logit"), (1.1, 1.6, "log"), (-5.0, 9.0, "normal")):
        sizes = drawn(low, high, family, z)
        assert (sizes < low).mean() == pytest.approx(0.1, abs=0.01)
        assert (sizes > high).mean() == pytest.approx(0.1, abs=0.01)


def test_the_same_seed_gives_the_same_numbers_whatever_else_is_asked():
    """Common random numbers: a scenario's gain is its own, and the worlds share all but the levers."""
    one = {"name": "one", "rate": {"leads": {"times": [1.1, 1.4]}}}
    nothing = {"name": "nothing", "rate": {"leads": {"times": 1.0}}}
    alone, both = _base([one]), _base([one, nothing])
    first, second = compare_scenarios(alone, seed=3), compare_scenarios(both, seed=3)
    assert np.array_equal(first.gains["one"].contribution, second.gains["one"].contribution)
    assert not second.gains["nothing"].contribution.any()
    assert second.table[second.table["measure"] == "p_best"]["mean"].sum() == pytest.approx(1.0)
    assert outcome(both.world).horizon == pytest.approx(alone.made.horizon)


def test_a_ramp_ends_at_its_full_effect():
    """Nothing before the start, even steps, all of it from then on."""
    assert weights(5, 2, 0).tolist() == [0, 0, 1, 1, 1]
    assert weights(4, 4, 1).tolist() == [0, 0, 0, 0]


STUDY = """\
name = "t"
[history]
counts = "none.csv"
[[scenario]]
name = "Landing page"
{lines}
"""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "rate.leeds = { to = 0.04 }",
            'scenario.1.rate.leeds: expected a stage after the first .* did you mean "leads"',
        ),
        ("rate.leads = { to = 4 }", r"scenario.1.rate.leads: expected a rate below 1 .*came 4"),
        ("rate.leads = 0.04", r"t.toml:6: scenario.1.rate.leads: expected a change: .*came 0.04"),
        ("rate.leads = { to = 0.04, by = 0.1 }", "expected exactly one of to, times, by; came to and by"),
        ("rate.leads = { tos = 0.04 }", 'scenario.1.rate.leads.tos: unknown key; did you mean "to"'),
        ("ramp = 2", "scenario.1: expected at least one of rate"),
        ("recover.won = { share = 10 }", "scenario.1.recover.won.share: expected a share above 0"),
        ("spend = { times = [1.1, 1.2] }", "scenario.1.spend: spend is decided, not uncertain"),
        ('delay.won = { to = "soon" }', "scenario.1.delay.won.to: expected a time such as"),
        ('rate.leads = { by = 0.01 }\nstart = "spring"', 'scenario.1.start: "spring" is not a month'),
    ],
)
def test_a_wrong_scenario_says_where_and_what(tmp_path: Path, lines: str, said: str):
    """File, line, key, what was expected and what came."""
    path = tmp_path / "t.toml"
    path.write_text(STUDY.format(lines=lines), encoding="utf-8")
    with pytest.raises(StudyError, match=said):
        load_study(path)


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ({"channels": ("tow",)}, 'expected channels of the history .* did you mean "two"'),
        ({"start": "2030-01"}, "expected a period of the horizon"),
        ({"capacity": {"times": 2}}, "expected economics.capacity"),
    ],
)
def test_what_only_the_data_can_judge_is_refused(scenario: dict, said: str):
    """Channels, periods and capacity are checked before anything is computed."""
    past = history(TWO)
    asked: Study = study(scenario=({"name": "a", "rate": {"leads": {"by": 0.01}}, **scenario},))
    horizon = np.array(["2026-01-01", "2026-02-01"], dtype="datetime64[D]")
    with pytest.raises(StudyError, match=said):
        check_scenarios(asked, past, horizon)


@pytest.mark.parametrize(
    "lever",
    [
        {"rate": {"won": {"by": 0.01}}},
        {"delay": {"won": {"times": 0.5}}},
        {"recover": {"won": {"share": 0.1, "delay": "30 days"}}},
    ],
)
def test_a_lever_on_a_rate_that_is_not_there_is_refused(lever: dict):
    """Where wins alone are counted nothing leads into them."""
    horizon = np.array(["2026-01-01", "2026-02-01"], dtype="datetime64[D]")
    with pytest.raises(StudyError, match=r"won: the data count no stage before won"):
        check_scenarios(study(scenario=({"name": "a", **lever},)), history({"won": [5, 2]}), horizon)


def test_scenarios_do_not_enter_the_fit():
    """The key of a fit is that of the study without them."""
    with_one = study(
        scenario=({"name": "a", "rate": {"leads": {"by": 0.01}}},), goal=({"by": "2026-03", "won": 3},)
    )
    assert with_one.fit_key() == study().fit_key()
