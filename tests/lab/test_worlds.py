"""The levers of a made company: what is made has what the lever says, and nothing else moves."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.lab import Change, Channel, Company, Stage, World, counts, demo_world, generate
from forecast.lab.companies import run_down

MONTHS = 36
ONE = Channel("one", "other", 5_000.0, 6_000.0, 0.1, 0.5, 0.5, 1_000.0, base=0.0, spend_sd=0.0)
OTHER = replace(ONE, name="other")
STILL = Stage(drift=0.0, noise=0.0)
STEADY = World(
    channels=(ONE, OTHER),
    months=MONTHS,
    leads=STILL,
    qualified=replace(STILL, delay_days=14.0),
    won=replace(STILL, delay_days=45.0),
    traffic_noise=0.0,
    traffic_drift=0.0,
    season_amplitude=0.0,
)


def made(seed: int = 1, **changes: object) -> Company:
    """Two channels alike, each with 500 leads, 250 qualified and 125 won a month, and what is changed."""
    return generate(replace(STEADY, **changes), np.random.default_rng(seed))


def wide(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column by month and channel."""
    return table.pivot(index="period", columns="channel", values=column).to_numpy(dtype=float)


def month_of(dates: pd.Series) -> np.ndarray:
    """Months after the first period; negative before it."""
    return (dates.to_numpy().astype("datetime64[M]") - np.datetime64(STEADY.first, "M")).astype(int)


def logit(p: np.ndarray) -> np.ndarray:
    """Log odds."""
    return np.log(p / (1 - p))


def test_effects_step_rise_and_add_up():
    """At once where nothing is said of a stop; evenly between start and stop; in the named channels; summed."""
    world = replace(STEADY, changes=(Change("deal", 0.2, 3), Change("deal", 0.4, 1, 5, ("other",))))
    months = np.arange(7)
    step = 0.2 * (months >= 3)
    ramp = np.array([0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.4])
    np.testing.assert_allclose(world.moved("deal", months), np.column_stack([step, step + ramp]))
    assert not world.moved("traffic", months).any()


def test_traffic_grows_at_its_rate_and_goes_on():
    """5 % a month over the history and the year after it; Poisson noise of 1 % leaves the slope within 0.0002."""
    company = made(changes=(Change("traffic", 0.05 * 48, 0, 48),))
    total = np.log(wide(company.all_activity, "visitors").sum(axis=1))
    slope = np.polyfit(np.arange(48), total[18:], 1)[0]
    assert slope == pytest.approx(0.05, abs=0.001)
    assert total[:18].std() < 0.02


def test_spend_moves_sixfold_up_to_the_end():
    """From a sixth to the reference in one channel, the other stays; after the end the mean of the last three."""
    six = math.log(6.0)
    moves = (Change("spend", -six, -18, channels=("one",)), Change("spend", six, 0, MONTHS - 1, ("one",)))
    company = made(changes=moves)
    spend, later = wide(company.activity, "spend"), company.truth["later"]["by_channel"]["one"]["spend"]
    assert spend[-1, 0] / spend[0, 0] == pytest.approx(6.0, rel=1e-3)
    assert spend[-1, 0] == 6_000
    assert (spend[:, 1] == 6_000).all()
    assert set(later) == {round(spend[-3:, 0].mean())}
    visitors = wide(company.activity, "visitors")
    assert visitors[0, 0] / visitors[0, 1] == pytest.approx(6**-ONE.elasticity, rel=0.12)


def test_rates_shift_from_their_month_on():
    """By their logit, at their stage, for what enters the stage before; nothing before, and no other stage."""
    world = demo_world()
    shifted = replace(world, changes=(Change("qualified", -0.5, 20),))
    path, usual = (generate(w, np.random.default_rng(5)).truth["rate_path"] for w in (shifted, world))
    name = world.channels[0].name
    moved = logit(np.array(path["qualified"][name])) - logit(np.array(usual["qualified"][name]))
    assert moved[:20] == pytest.approx(0.0, abs=1e-4)
    assert moved[20:] == pytest.approx(-0.5, abs=1e-4)
    assert path["leads"] == usual["leads"]


def test_prices_change_by_the_month_of_the_win():
    """Deals won from month 24 on are worth 1.2 times as much, however old they are: cv .8, 4 standard errors."""
    leads = made(changes=(Change("deal", math.log(1.2), 24),)).all_leads.dropna(subset="won")
    after = month_of(leads["won"]) >= 24
    amount = leads["amount"].to_numpy()
    assert (month_of(leads["created"])[after] < 24).sum() > 200
    for mine, mean in ((after, 1_200.0), (~after, 1_000.0)):
        assert abs(amount[mine].mean() - mean) < 4 * 0.8 * mean / math.sqrt(mine.sum())


def test_a_delay_lengthens_for_what_enters_after_the_change():
    """Deals that qualify from month 27 on take twice the 45 days; those before take 45, though they end after it."""
    leads = made(changes=(Change("won delay", math.log(2.0), 27),)).all_leads.dropna(subset="won")
    days = (leads["won"] - leads["qualified"]).dt.days.to_numpy(dtype=float)
    after = month_of(leads["qualified"]) >= 27
    for mine, mean in ((after, 90.0), (~after, 45.0)):
        assert abs(days[mine].mean() - mean) < 4 * 0.8 * mean / math.sqrt(mine.sum())


def test_months_shock_all_channels_at_once():
    """Traffic with the sd asked for and mean one, rates by their logit; two channels move as one."""
    company = made(traffic_shock=0.25, qualified=replace(STEADY.qualified, shock=0.4))
    visitors = np.log(wide(company.all_activity, "visitors"))
    assert np.corrcoef(visitors.T)[0, 1] > 0.99
    assert visitors.std(axis=0) == pytest.approx(0.25, rel=4 / math.sqrt(2 * 66))
    assert np.exp(visitors).mean() == pytest.approx(5_000.0, rel=4 * 0.25 / math.sqrt(66))
    one, other = (logit(np.array(path)) for path in company.truth["rate_path"]["qualified"].values())
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert one.std() == pytest.approx(0.4, rel=4 / math.sqrt(2 * 36))


def test_a_channel_scatters_by_its_own_noise():
    """cv 1.0 in the lumpy one (gamma), Poisson in the other."""
    company = made(channels=(replace(ONE, noise=1.0), OTHER))
    visitors = wide(company.all_activity, "visitors")
    cv = visitors.std(axis=0) / visitors.mean(axis=0)
    assert 0.6 < cv[0] < 1.4
    assert cv[1] < 0.02


def test_spend_of_a_rival_takes_traffic():
    """Four times the rival's spend leaves 4^-0.5 of the visitors; the rival's own follow its elasticity."""
    eaten = replace(ONE, rival="other", rivalry=0.5)
    company = made(
        channels=(eaten, OTHER), changes=(Change("spend", math.log(4.0), 18, channels=("other",)),)
    )
    visitors = wide(company.activity, "visitors")
    ratio = visitors[18:].mean(axis=0) / visitors[:18].mean(axis=0)
    assert ratio == pytest.approx([0.5, 4**OTHER.elasticity], rel=0.02)


def test_conversion_falls_with_volume():
    """The slope of a channel's log rate on its log volume is minus the crowding, and nought without it."""
    noisy = {"traffic_noise": 0.4}
    for crowding, known in ((0.5, -0.5), (0.0, 0.0)):
        table = counts(made(leads=replace(STILL, crowding=crowding), **noisy))
        volume, leads = table["visitors"].to_numpy(float), table["leads"].to_numpy(float)
        slope = np.polyfit(np.log(volume), np.log(leads / volume), 1)[0]
        assert slope == pytest.approx(known, abs=0.05)


def test_a_full_stage_passes_on_a_fixed_number():
    """With crowding 1 by all, as many qualify whatever comes in: the total scatters by 3 %, its entries by 30 %."""
    full = replace(STEADY.qualified, crowding=1.0, crowded_by="all")
    company = made(traffic_shock=0.3, qualified=full)
    leads = company.all_leads
    month = month_of(leads["created"])
    inside = (month >= 0) & (month < MONTHS)
    came = np.bincount(month[inside], minlength=MONTHS)
    moved = np.bincount(month[inside & leads["qualified"].notna().to_numpy()], minlength=MONTHS)
    assert np.log(came).std() > 0.2
    assert np.log(moved).std() < 0.06
    assert moved.mean() == pytest.approx(0.5 * came.mean(), rel=0.03)


def test_a_delay_runs_down_by_the_pace_of_the_months():
    """By hand: months of 30 days at pace 1, 2 and 1/2, and an even clock after them."""
    days, pace = np.array([0.0, 30.0, 60.0, 90.0]), np.array([1.0, 2.0, 0.5])
    entered, delay = np.array([0.0, 20.0, 50.0, 60.0]), np.array([10.0, 30.0, 25.0, 20.0])
    # 20: 10 days at 1, then 20 at 2. 50: 20 at 2, then 5 at a half. 60: 15 at a half in 30 days, then 5 at 1.
    np.testing.assert_allclose(run_down(days, pace, entered, delay), [10.0, 40.0, 70.0, 95.0])
    np.testing.assert_allclose(run_down(days, np.ones(3), entered, delay), entered + delay)


def test_closings_come_in_batches():
    """Wins follow the pace of their month, and scatter far beyond an even clock; the hazard of all ages moves."""
    even, uneven = (made(won=replace(STEADY.won, pace=pace)) for pace in (0.0, 0.7))
    wins = [wide(counts(company), "won").sum(axis=1) for company in (even, uneven)]
    pace = uneven.paths.pace["won"][18 : 18 + MONTHS]
    assert np.log(wins[0]).std() < 0.12
    assert np.log(wins[1]).std() > 0.25
    assert np.corrcoef(np.log(wins[1]), np.log(pace))[0, 1] > 0.7
    assert uneven.paths.pace["won"].mean() == pytest.approx(1.0, abs=4 * 0.8 / math.sqrt(90))
    assert "won" not in even.paths.pace


def test_a_delay_of_two_humps_is_empty_in_the_middle():
    """Between the humps, around the mean, there is less than a third of what lies on either side."""
    company = made(delay="two humps", won=replace(STEADY.won, delay_days=90.0, delay_cv=0.95))
    leads = company.all_leads.dropna(subset="won")
    days = (leads["won"] - leads["qualified"]).dt.days.to_numpy(dtype=float)
    early, middle, late = (((days >= a) & (days < a + 40)).mean() for a in (0, 50, 140))
    assert middle < early / 3
    assert middle < late / 3
    with pytest.raises(ValueError, match=r"two humps have a cv of at most 1\.09; got 1\.5"):
        made(delay="two humps", loss_cv=1.5)


@pytest.mark.parametrize(
    "lever",
    [{"traffic_shock": 0.3}, {"won": replace(STEADY.won, pace=0.5)}, {"changes": (Change("won", 1.0, 9),)}],
)
def test_a_lever_leaves_the_spend_and_the_other_draws_alone(lever):
    """The same chance serves the company with and without it: what it does not touch is the same."""
    usual, company = made(), made(**lever)
    same = [] if "traffic_shock" in lever else ["visitors"]
    pd.testing.assert_frame_equal(
        company.all_activity[["spend", *same]], usual.all_activity[["spend", *same]]
    )
    if same:
        assert company.all_leads["qualified"].equals(usual.all_leads["qualified"])
        assert not company.all_leads["won"].equals(usual.all_leads["won"])
