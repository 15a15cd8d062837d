"""Synthetic companies: conservation, known truth recovered, bundled files reproduced."""

import ast
import json
import math
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.lab import coming, worlds
from forecast.lab import companies as synthetic
from forecast.lab.companies import counts, generate
from forecast.lab.worlds import Change, Channel, Stage, World, demo_world, response

BUNDLED = Path(synthetic.__file__).parents[1] / "bundled"
FILES = ("demo.csv", "demo_leads.csv", "demo_activity.csv", "demo_truth.json")
MEASURES = ["leads", "qualified", "won", "revenue"]


@pytest.fixture(scope="module")
def company() -> synthetic.Company:
    """The bundled company."""
    return generate(demo_world(), np.random.default_rng(synthetic.DEFAULT_SEED))


def steady_world(**changes: object) -> World:
    """One channel and nothing that moves: about 2,000 leads, 1,000 qualified and 500 won a month."""
    channel = Channel("all", "other", 20_000.0, 1_000.0, 0.1, 0.5, 0.5, 1_000.0, spend_sd=0.0)
    still = Stage(drift=0.0, noise=0.0)
    world = World(
        channels=(channel,),
        leads=still,
        qualified=replace(still, delay_days=14.0),
        won=replace(still, delay_days=45.0),
        traffic_noise=0.0,
        traffic_drift=0.0,
        season_amplitude=0.0,
    )
    return replace(world, **changes)


def days_between(leads: pd.DataFrame, start: str, end: str) -> np.ndarray:
    """Days from one event to the other, where both happened."""
    both = leads[leads[start].notna() & leads[end].notna()]
    return (both[end] - both[start]).dt.days.to_numpy(dtype=float)


def z_mean(sample: np.ndarray, mean: float, cv: float) -> float:
    """Standard errors between a sample's mean and the truth: (xbar - m) / (m cv / sqrt n)."""
    return float((sample.mean() - mean) / (mean * cv / math.sqrt(sample.size)))


def z_cv(sample: np.ndarray, cv: float) -> float:
    """The same for cv = s / m; its influence function is ((x-m)^2 - s^2) / (2 s m) - s (x-m) / m^2."""
    m, s = sample.mean(), sample.std()
    influence = ((sample - m) ** 2 - s**2) / (2 * s * m) - s * (sample - m) / m**2
    return float((s / m - cv) / (influence.std() / math.sqrt(sample.size)))


def z_rate(n: np.ndarray, y: np.ndarray, p: np.ndarray, noise: float) -> float:
    """Standard errors between beta-binomial successes y and their mean, summed over cells.

    sum(y - n p) / sqrt(sum n p q (1 + (n - 1) noise^2 p q)): the beta's k + 1 is 1 / (noise^2 p q).
    """
    pq = p * (1 - p)
    variance = (n * pq * (1 + np.maximum(n - 1, 0) * noise**2 * pq)).sum()
    return float((y - n * p).sum() / math.sqrt(variance))


def entries_and_successes(company: synthetic.Company, stage: str, channel: str) -> tuple[np.ndarray, ...]:
    """By month of the window: units entering the stage before, how many ever come into `stage`, true rate."""
    before = {"leads": None, "qualified": "created", "won": "qualified"}[stage]
    p = np.array(company.truth["rate_path"][stage][channel])
    table = counts(company)
    if before is None:
        rows = table[table["channel"] == channel]
        return rows["visitors"].to_numpy(), rows["leads"].to_numpy(), p
    rows = company.all_leads[(company.all_leads["channel"] == channel) & company.all_leads[before].notna()]
    month = rows[before].to_numpy().astype("datetime64[M]")
    index = (month - np.datetime64(company.world.first, "M")).astype(int)
    inside = (index >= 0) & (index < p.size)
    came = rows[stage].notna().to_numpy()
    return (
        np.bincount(index[inside], minlength=p.size),
        np.bincount(index[inside & came], minlength=p.size),
        p,
    )


def test_every_lead_is_won_lost_or_open(company):
    """Leads = won + lost + open; a win was qualified and has an amount; dates never run backwards."""
    leads = company.leads
    won, lost = leads["won"].notna(), leads["lost"].notna()
    is_open = ~won & ~lost
    parts = pd.DataFrame({"won": won, "lost": lost, "open": is_open}).groupby(leads["channel"]).sum()

    assert (parts.sum(axis=1) == leads.groupby("channel").size()).all()
    assert is_open.any()
    assert leads.loc[won, "qualified"].notna().all()
    assert (leads["amount"].notna() == won).all()
    assert leads["lead_id"].is_unique
    for start, end in (
        ("created", "qualified"),
        ("qualified", "won"),
        ("created", "lost"),
        ("qualified", "lost"),
    ):
        assert (days_between(leads, start, end) >= 0).all()


def test_files_know_nothing_after_the_last_period(company):
    """No event in the lead file lies after its last period, though later ones exist; no lead is older."""
    end = np.datetime64("2026-10-31")
    for event in ("created", "qualified", "won", "lost"):
        assert company.leads[event].max() <= end
        assert company.all_leads[event].max() > end
    assert company.leads["created"].min() >= np.datetime64("2023-11-01")
    assert list(company.activity["period"].unique())[::35] == ["2023-11", "2026-10"]


def test_calendar_and_cohort_totals_agree_over_a_closed_window(company):
    """From the very first lead on, events by date and events by their lead's date are the same events."""
    first, last = company.all_activity["period"].iloc[[0, -1]]
    for end in (company.truth["last"], last):
        calendar = counts(company, "calendar", first, end).groupby("channel")[MEASURES].sum()
        cohort = counts(company, "cohort", first, end).groupby("channel")[MEASURES].sum()

        pd.testing.assert_frame_equal(calendar, cohort)
        assert calendar["won"].sum() > 0


def test_cohort_counts_fall_along_the_funnel_and_ripen(company):
    """Cohort counts fall from stage to stage, only grow with time, and see the same leads as the file."""
    now, later = counts(company, "cohort"), counts(company, "cohort", last="2027-06")[: 36 * 7]

    for upper, lower in (("visitors", "leads"), ("leads", "qualified"), ("qualified", "won")):
        assert (now[upper] >= now[lower]).all()
    assert (later[MEASURES] >= now[MEASURES]).all(axis=None)
    assert now["won"].sum() == company.leads["won"].notna().sum() < later["won"].sum()
    assert now["revenue"].sum() == company.leads["amount"].sum()


def test_calendar_counts_of_the_past_do_not_change(company):
    """A shorter history is the longer one with its last rows cut off."""
    whole, short = counts(company), counts(company, last="2025-06")

    pd.testing.assert_frame_equal(whole.iloc[: len(short)], short)


def test_the_pipeline_is_full_when_the_history_begins():
    """With a steady inflow the first quarter has as many wins as any other: the burn-in filled the pipeline.

    Wins a month are Poisson-like with mean 500, so three months against the other 33 differ by at most
    4 sqrt(500 / 3 + 500 / 33) = 54 a month; without a burn-in the first quarter would be short by a third or
    more. Months differ in length: 3 % is added.
    """
    won = counts(generate(steady_world(), np.random.default_rng(1)))["won"].to_numpy()

    assert abs(won[:3].mean() - won[3:].mean()) < 54 + 0.03 * 500


@pytest.mark.parametrize("stage", ["leads", "qualified", "won"])
def test_rates_match_the_truth(company, stage):
    """Successes lie within 4 standard errors of entries times true rate, in every channel and in total."""
    noise = company.truth["noise"][stage]
    cells = {c: entries_and_successes(company, stage, c) for c in company.truth["channels"]}
    n, y, p = (np.concatenate(parts) for parts in zip(*cells.values(), strict=True))

    assert all(abs(z_rate(*cell, noise)) < 4 for cell in cells.values())
    assert abs(z_rate(n, y, p, noise)) < 4
    assert abs(z_rate(n, y, 1.3 * p, noise)) > 4  # the check can fail: a truth off by 30 % is seen


def test_average_and_end_of_the_rates_come_from_their_path(company):
    """A channel's stated average and last rate are those of its path; a walk is centred on its parameter."""
    for stage, key in (("leads", "conversion"), ("qualified", "qualification"), ("won", "close")):
        for name, channel in company.truth["channels"].items():
            path = np.array(company.truth["rate_path"][stage][name])
            stated = company.truth["rate"][stage][name]

            assert path.mean() == pytest.approx(stated["average"], abs=1e-6)
            assert path[-1] == stated["end"]
            assert np.log(path / (1 - path)).mean() == pytest.approx(
                math.log(channel[key] / (1 - channel[key])), abs=1e-3
            )


@pytest.mark.parametrize("family", ["lognormal", "weibull", "two humps"])
@pytest.mark.parametrize(("start", "stage"), [("created", "qualified"), ("qualified", "won")])
def test_delays_match_the_truth(family, start, stage):
    """Mean and cv of the days between two events lie within 4 standard errors; a mean off by 10 % does not.

    Dates are the days that instants fall on: for a uniform start the mean is unchanged and the variance grows
    by about 1/6 day^2, a thousandth of the smallest variance here (11.2^2), below the error of the cv.
    """
    made = generate(steady_world(delay=family), np.random.default_rng(2))
    days = days_between(made.all_leads, start, stage)
    truth = made.truth["delay"][stage]

    assert abs(z_mean(days, truth["mean_days"], truth["cv"])) < 4
    assert abs(z_cv(days, truth["cv"])) < 4
    assert abs(z_mean(days, 1.1 * truth["mean_days"], truth["cv"])) > 4
    assert abs(z_cv(days, truth["cv"] + 0.2)) > 4


def test_losses_are_dated_as_often_as_asked():
    """85 % of the leads that are never won carry a date of loss, and its wait has the mean asked for."""
    made = generate(steady_world(), np.random.default_rng(3))
    not_won = made.all_leads[made.all_leads["won"].isna()]
    never_qualified = not_won[not_won["qualified"].isna()]
    share, n = not_won["lost"].notna().mean(), len(not_won)

    assert abs(share - 0.85) < 4 * math.sqrt(0.85 * 0.15 / n)
    assert abs(z_mean(days_between(never_qualified, "created", "lost"), 30.0, 0.8)) < 4


@pytest.mark.parametrize(
    ("family", "cv"), [("gamma", 0.8), ("gamma", 0.3), ("lognormal", 0.8), ("lognormal", 1.5)]
)
def test_deals_have_the_mean_and_cv_asked_for(family, cv):
    """Deal values have the requested mean and coefficient of variation within 4 standard errors."""
    made = generate(steady_world(deals=family, deal_cv=cv), np.random.default_rng(4))
    amount = made.all_leads["amount"].dropna().to_numpy()

    assert abs(z_mean(amount, 1_000.0, cv)) < 4
    assert abs(z_cv(amount, cv)) < 4
    assert abs(z_cv(amount, 1.3 * cv)) > 4
    assert (amount == np.round(amount)).all()


def test_visitors_follow_level_response_season_and_walk(company):
    """Visitors divided by what the truth says have mean one and the stated sd of noise.

    252 cells, each with variance noise^2 + 1/mean (the Poisson part): the mean's standard error is
    sqrt(var / 252), and that of the sd about sd / sqrt(504) = 4.5 %.
    """
    world, truth = company.world, company.truth
    table = company.all_activity
    spend = table["spend"].to_numpy(float).reshape(-1, 7)
    stock = [np.array([c.spend for c in world.channels])]
    alpha = np.array([c.carry_over for c in world.channels])
    for row in spend:
        stock.append((1 - alpha) * row + alpha * stock[-1])
    window = slice(synthetic.BURN_IN, synthetic.BURN_IN + world.months)
    lift = np.column_stack(
        [response(world, c, np.array(stock[1:])[:, i]) for i, c in enumerate(world.channels)]
    )
    month = (
        pd.PeriodIndex(table["period"].to_numpy().reshape(-1, 7)[window, 0], freq="M").month.to_numpy() - 1
    )
    moving = np.array(truth["season"])[month] + np.array(truth["traffic_walk"])
    mean = np.array([c.visitors for c in world.channels]) * lift[window] * np.exp(moving)[:, None]
    seen = table["visitors"].to_numpy(float).reshape(-1, 7)[window]

    variance = world.traffic_noise**2 + 1 / mean
    z = (seen / mean - 1) / np.sqrt(variance)
    assert abs(z.mean()) < 4 / math.sqrt(252)
    assert abs(z.std() - 1) < 4 / math.sqrt(504)


@pytest.mark.parametrize("family", ["power", "hill", "exponential"])
@pytest.mark.parametrize("elasticity", [0.2, 0.5, 0.8])
def test_responses_hit_their_reference_point(family, elasticity):
    """Each family is 1 at the reference spend with slope (1 - b) e there, b at none, rising and concave."""
    channel = replace(demo_world().channels[0], elasticity=elasticity, base=0.3, spend=4_000.0)
    world = World(channels=(channel,), response=family)
    at = response(world, channel, np.array([0.0, 4_000.0, 4_000.4, 3_999.6]))
    curve = response(world, channel, np.linspace(100.0, 20_000.0, 50))

    assert at[0] == pytest.approx(0.3)
    assert at[1] == pytest.approx(1.0)
    assert (at[2] - at[3]) / 0.0002 == pytest.approx(0.7 * elasticity, rel=1e-4)
    assert (np.diff(curve) > 0).all()
    assert (np.diff(curve, 2) < 0).all()


def test_what_is_in_flight_grows_with_the_delay():
    """Steady inflow: the share of the next quarter's wins already in the pipeline is (1/H) int_0^H (1 - F).

    With H = 3 months and a lognormal of cv .8 this gives 17, 32, 57, 73, 92 % at a mean of .5, 1, 2, 3, 6
    months. About 3,000 wins: 4 sqrt(S (1 - S) / n), and .01 for months of unequal length.
    """
    shares = []
    for months, known in ((0.5, 0.17), (1.0, 0.32), (2.0, 0.57), (3.0, 0.73), (6.0, 0.92)):
        world = steady_world(
            channels=(replace(steady_world().channels[0], visitors=40_000.0),),
            qualified=Stage(drift=0.0, noise=0.0, delay_days=0.0),
            won=Stage(drift=0.0, noise=0.0, delay_days=months * 30.4375),
        )
        totals = generate(world, np.random.default_rng(5)).truth["later"]["totals"]["3"]
        n = totals["total"]["won"]
        shares.append(totals["from_pipeline"]["won"] / n)

        assert abs(shares[-1] - known) < 4 * math.sqrt(known * (1 - known) / n) + 0.01
    assert shares == sorted(shares)


def test_later_outcomes_add_up(company):
    """Total = from the pipeline + from new leads = sum of months and channels; spend is the current plan."""
    later = company.truth["later"]
    plan = company.activity.groupby("channel")["spend"].apply(lambda spend: round(spend.iloc[-3:].mean()))

    assert later["periods"][0] == "2026-11"
    assert len(later["periods"]) == 12
    for n, totals in later["totals"].items():
        for measure in ("won", "revenue"):
            total = totals["total"][measure]
            assert total == totals["from_pipeline"][measure] + totals["from_new"][measure]
            assert total == sum(later["by_period"][measure][: int(n)])
            assert total == sum(sum(c[measure][: int(n)]) for c in later["by_channel"].values())
        assert totals["eventual"]["won"] >= totals["from_new"]["won"]
    for name, measures in later["by_channel"].items():
        assert set(measures["spend"]) == {plan[name]}


@pytest.mark.parametrize("rates", ["walk", "ar1"])
def test_rate_paths_move_as_their_family_says(rates):
    """A walk's spread grows with the square root of time; an AR(1) stays at sd / sqrt(1 - phi^2) = .10 / .6.

    200 channels with walks of their own give the spread 36 months apart within 4 / sqrt(400) = 20 %.
    """
    channels = tuple(replace(demo_world().channels[0], name=f"c{i}") for i in range(200))
    world = World(channels=channels, rates=rates, channel_drift=0.1, won=Stage(drift=0.0, delay_days=45.0))
    path = np.array(list(generate(world, np.random.default_rng(6)).truth["rate_path"]["won"].values()))
    logit = np.log(path / (1 - path))
    apart = (logit[:, -1] - logit[:, 0]).std()

    expected = 0.1 * math.sqrt(35) if rates == "walk" else math.sqrt(2) * 0.1 / 0.6
    assert apart == pytest.approx(expected, rel=0.2)


def test_delays_leave_the_rest_of_the_world_alone():
    """Two worlds that differ in their delays share spend, visitors and leads: common random numbers."""
    slow = replace(demo_world(), won=replace(demo_world().won, delay_days=90.0))
    one, other = (generate(w, np.random.default_rng(7)) for w in (demo_world(), slow))

    pd.testing.assert_frame_equal(one.all_activity, other.all_activity)
    pd.testing.assert_series_equal(one.all_leads["created"], other.all_leads["created"])
    assert not one.all_leads["won"].equals(other.all_leads["won"])


def test_the_demo_is_a_plausible_company(company):
    """15-25 deals a month, CAC well below margin x deal value, and a split that can be bettered.

    Marginal return at the reference spend, margin x visitors x rates x deal x (1 - b) e / spend, lies on both
    sides of one.
    """
    total = counts(company)[["spend", *MEASURES]].sum()
    marginal = []
    for c in company.world.channels:
        revenue = c.visitors * c.conversion * c.qualification * c.close * c.deal_mean
        marginal.append(0.6 * revenue * (1 - c.base) * c.elasticity / c.spend)

    assert 15 < total["won"] / 36 < 25
    assert total["spend"] / total["won"] < 0.6 * (0.6 * total["revenue"] / total["won"])
    assert min(marginal) < 0.6
    assert max(marginal) > 1.4


def test_same_seed_same_bytes(tmp_path):
    """A seed gives the same bytes each time, and another seed gives others."""
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert synthetic._main(["--out", str(tmp_path / folder), "--seed", str(seed)]) == 0

    for name in FILES:
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes()
        assert first != (tmp_path / "c" / name).read_bytes()


def test_bundled_files_are_what_the_command_makes(tmp_path):
    """The committed demo is the command's output, byte for byte, and its lead file stays below a megabyte."""
    synthetic._main(["--out", str(tmp_path)])

    for name in FILES:
        assert (tmp_path / name).read_bytes() == (BUNDLED / name).read_bytes(), name
    assert (BUNDLED / "demo_leads.csv").stat().st_size < 1_000_000


def test_bundled_counts_and_leads_are_one_company():
    """The lead file has the leads of the counts, and fewer wins: those of older leads are not in it."""
    table = pd.read_csv(BUNDLED / "demo.csv")
    leads = pd.read_csv(BUNDLED / "demo_leads.csv", parse_dates=["created", "qualified", "won", "lost"])
    activity = pd.read_csv(BUNDLED / "demo_activity.csv")
    by_cell = leads.groupby([leads["created"].dt.strftime("%Y-%m"), "channel"]).size()
    expected = table.set_index(["period", "channel"])["leads"]
    last_year = leads["won"] >= "2025-11-01"

    assert list(table.columns) == ["period", "channel", "spend", "visitors", *MEASURES]
    assert expected[expected > 0].to_dict() == by_cell.to_dict()
    pd.testing.assert_frame_equal(table[activity.columns], activity)
    assert leads["won"].notna().sum() < table["won"].sum()
    # After two years nothing is left of the leads from before the file: here no deal takes that long.
    assert last_year.sum() == table.loc[table["period"] >= "2025-11", "won"].sum()


@pytest.mark.parametrize("name", ["demo.toml", "demo_leads.toml"])
def test_bundled_studies_fit_the_bundled_data(name):
    """The studies read bundled files, name every channel with its kind, and end with the history."""
    study = tomllib.loads((BUNDLED / name).read_text(encoding="utf-8"))
    truth = json.loads((BUNDLED / "demo_truth.json").read_text(encoding="utf-8"))
    history = study["history"]

    assert all((BUNDLED / history[k]).is_file() for k in ("counts", "leads", "activity") if k in history)
    assert study["channels"] == {c: {"kind": spec["kind"]} for c, spec in truth["channels"].items()}
    assert (history["from"], history["through"]) == (truth["first"], truth["last"])
    assert study["currency"] == truth["currency"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"response": "cubic"}, "response must be one of power, hill, exponential; got 'cubic'"),
        ({"rates": "static"}, "rates must be one of walk, ar1"),
        ({"delay": "gamma"}, "delay must be one of lognormal, weibull"),
        ({"deals": "normal"}, "deals must be one of gamma, lognormal"),
        ({"months": 2}, "months must be at least 3"),
        ({"leads": Stage(delay_days=3.0)}, "leads.delay_days must be 0"),
        ({"channels": ()}, "channels must be at least one"),
        ({"channels": demo_world().channels[:1] * 2}, "each with a name of its own"),
        ({"channels": (replace(demo_world().channels[0], close=1.2),)}, "seo: rates"),
        ({"channels": (replace(demo_world().channels[0], spend=0.0),)}, "seo: visitors, spend"),
        ({"channels": (replace(demo_world().channels[0], starts=36),)}, "starts must lie in the 36 months"),
        (
            {"channels": (replace(demo_world().channels[0], rival="seo"),)},
            "seo: rival must be another channel",
        ),
        ({"changes": (Change("price", 0.1, 3),)}, "a change must be of one of spend, traffic, leads"),
        ({"changes": (Change("deal", 0.1, 36),)}, "must start before month 36"),
        ({"changes": (Change("deal", 0.1, 3, 2),)}, "stop no earlier; got 3 and 2"),
        ({"changes": (Change("deal", 0.1, 3, channels=("tv",)),)}, "channels that are not there: tv"),
        ({"traffic_shock": -0.1}, "shocks, crowding and pace must be at least 0"),
    ],
)
def test_impossible_worlds_are_refused(changes, message):
    """An unknown family or an impossible parameter is named when the world is made."""
    with pytest.raises(ValueError, match=message):
        replace(demo_world(), **changes)


def test_counts_refuse_what_was_not_made(company):
    """Another counting, and periods outside of the company's life, are errors."""
    with pytest.raises(ValueError, match="counting must be one of calendar, cohort; got 'weekly'"):
        counts(company, "weekly")
    with pytest.raises(ValueError, match=r"first and last must lie within 2022-05 \.\. 2027-10"):
        counts(company, first="2022-04")
    with pytest.raises(ValueError, match="first and last must lie within"):
        counts(company, last="2027-11")


def test_an_unwritable_folder_is_a_usage_error(tmp_path, capsys):
    """A path that is a file ends with exit code 2 and one plain line."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(SystemExit) as stop:
        synthetic._main(["--out", str(tmp_path / "file")])

    assert stop.value.code == 2
    assert "cannot write into" in capsys.readouterr().err


@pytest.mark.parametrize("module", [synthetic, worlds, coming])
def test_nothing_is_shared_with_the_model(module):
    """Only numpy, pandas, the standard library and the modules themselves are imported."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    named = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots = {name if name.startswith("forecast") else name.split(".")[0] for name in named | plain}

    allowed = {"numpy", "pandas", "forecast.lab.worlds", "forecast.lab.companies"}
    assert roots - set(sys.stdlib_module_names) <= allowed


def test_a_late_channel_has_nothing_before_it_starts(company):
    """And the others stay as they were: the same draws serve both worlds."""
    world = company.world
    late = replace(world.channels[0], starts=world.months - 5)
    made = generate(replace(world, channels=(late, *world.channels[1:])), np.random.default_rng(3))
    table = counts(made)
    mine = table[table["channel"] == late.name].reset_index(drop=True)
    assert (mine.loc[: world.months - 6, ["spend", "visitors", "leads", "won"]] == 0).all(axis=None)
    assert (mine.loc[world.months - 5 :, ["spend", "visitors"]] > 0).all(axis=None)
    usual = counts(generate(world, np.random.default_rng(3)))
    same = ["spend", "period", "channel"]
    others = table["channel"] != late.name
    pd.testing.assert_frame_equal(table.loc[others, same], usual.loc[others, same])
