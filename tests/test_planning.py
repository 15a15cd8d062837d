"""Studies of every shape, by preview or (slow) fitted with few draws: each comes to a report that makes sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import forecast
from forecast import workflow
from forecast.backtest import score_outlook
from forecast.budget import Allocation
from forecast.fit import GATE, Posterior, fit_posterior, fitting, load_posterior, preview
from forecast.history import read_history
from forecast.judging import judge
from forecast.planning import Forecast
from forecast.report import recommendation, report_pdf
from forecast.results import Results, StudyFacts, gain_of
from forecast.study import Study, load_study

BUNDLED = ROOT / "forecast" / "bundled"
TWO = ("ppc", "seo")
STAMP = 1_790_000_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps and no second try: these tests look at shapes, not at the fit."""
    monkeypatch.setattr(fitting, "TUNE", 200)
    monkeypatch.setattr(type(GATE), "missed", lambda *_: [])


def demo(channels: tuple[str, ...] = TWO) -> pd.DataFrame:
    """Counts of some channels of the demo."""
    table = pd.read_csv(BUNDLED / "demo.csv")
    return table[table["channel"].isin(channels)]


def weeks() -> pd.DataFrame:
    """Sixty weeks of two channels, drawn from Poisson and binomial counts."""
    rng, rows = np.random.default_rng(5), []
    for start in pd.date_range("2025-01-06", periods=60, freq="7D"):
        for channel, level in (("ppc", 300.0), ("seo", 200.0)):
            spend = round(float(level * rng.lognormal(0, 0.3)), 2)
            visitors = rng.poisson(level * (spend / level) ** 0.6)
            leads = rng.binomial(visitors, 0.05)
            qualified = rng.binomial(leads, 0.4)
            won = rng.binomial(qualified, 0.3)
            revenue = round(float(rng.gamma(won / 0.6, 1800)), 2) if won else 0.0
            rows.append((start.date().isoformat(), channel, spend, visitors, leads, qualified, won, revenue))
    names = ["period", "channel", "spend", "visitors", "leads", "qualified", "won", "revenue"]
    return pd.DataFrame(rows, columns=names)


def falling(table: pd.DataFrame) -> pd.DataFrame:
    """Counts as they are in cohorts: no later stage above an earlier one."""
    table = table.copy()
    for before, stage in (("visitors", "leads"), ("leads", "qualified"), ("qualified", "won")):
        table[stage] = table[[before, stage]].min(axis=1)
    return table


def idle(table: pd.DataFrame, channel: str) -> pd.DataFrame:
    """The same with zeros in one channel."""
    counts = table.columns.drop(["period", "channel"])
    return table.assign(**{name: table[name].where(table["channel"] != channel, 0) for name in counts})


@dataclass(frozen=True)
class Shape:
    """A study: its counts, the lines of its [history] and of [funnel] and after, and what the report then has."""

    counts: Callable[[], pd.DataFrame]
    history: str = ""
    rest: str = ""
    money: bool = True
    budget: bool = True

    def study(self, folder: Path) -> Study:
        """Written to a folder, and read."""
        self.counts().to_csv(folder / "counts.csv", index=False)
        text = f'name = "s"\n[history]\ncounts = "counts.csv"\n{self.history}\n[funnel]\nmarket = "b2b"\n{self.rest}'
        (folder / "s.toml").write_text(text, encoding="utf-8")
        return load_study(folder / "s.toml")


REVENUE, WINS = "[plan]\ntarget = { revenue = 40_000 }\n", "[plan]\ntarget = { won = 12 }\n"
SHAPES = {
    "two stages": Shape(
        lambda: demo()[["period", "channel", "spend", "leads", "won", "revenue"]],
        rest='stages = ["leads", "won"]\n' + WINS,
    ),
    "one channel": Shape(lambda: demo(("ppc",)), rest=REVENUE),
    "no revenue": Shape(lambda: demo().drop(columns="revenue"), rest=WINS, money=False, budget=False),
    "assumed value": Shape(lambda: demo().drop(columns="revenue"), rest="value = 5000\n" + REVENUE),
    "no spend": Shape(lambda: demo().drop(columns="spend"), rest=REVENUE, budget=False),
    "twelve months": Shape(lambda: demo().query("period >= '2025-11'"), rest=REVENUE),
    "one month": Shape(lambda: demo().query("period >= '2026-10'"), rest=REVENUE),
    "late channel": Shape(lambda: demo().query("channel == 'seo' or period >= '2026-04'"), rest=REVENUE),
    "cohorts": Shape(lambda: falling(demo()), history='counting = "cohort"', rest=REVENUE),
    "no wins": Shape(lambda: demo().assign(won=0, revenue=0), rest=WINS, money=False, budget=False),
    "a channel of zeros": Shape(lambda: idle(demo(), "seo"), rest=REVENUE),
    "stopped channel": Shape(lambda: demo().query("channel == 'seo' or period <= '2026-04'"), rest=REVENUE),
    "no delays": Shape(demo, rest="delay.qualified = 0\ndelay.won = 0\n" + REVENUE),
    "visitors not counted": Shape(lambda: demo().drop(columns="visitors"), rest=REVENUE),
    "two years ahead": Shape(demo, rest=REVENUE.replace("[plan]\n", "[plan]\nperiods = 24\n")),
    "weeks": Shape(weeks, history='period = "week"', rest=REVENUE.replace("[plan]\n", "[plan]\nperiods = 6\n")),
}  # fmt: skip
FAST = ("two stages", "no spend", "late channel", "cohorts")


def whole_job(study: Study, *, fast: bool = False) -> tuple[Posterior, Forecast]:
    """History, fit (or its preview), forecast and report."""
    history = read_history(study)
    posterior = (
        preview(study, history, seed=1, draws=400) if fast else fit_posterior(study, history, draws=400)
    )
    made = forecast.forecast(study, history, posterior)
    assert report_pdf(made, timestamp=STAMP).startswith(b"%PDF")
    return posterior, made


def check_numbers(made: Forecast, *, money: bool, budget: bool) -> None:
    """Finite, not negative, adding up; money only where deals have a value, a budget only where there is spend too."""
    table, head = made.forecast, made.headline
    numbers = table.drop(columns=["period", "channel", "measure"])
    assert np.isfinite(numbers).all(axis=None)
    assert (numbers[table["measure"] != "contribution"] >= 0).all(axis=None)
    means = table.pivot_table(index=["period", "channel"], columns="measure", values="mean")
    inside = means.drop(columns="revenue_after_horizon", errors="ignore")
    np.testing.assert_allclose(inside["won"], inside["won_from_pipeline"] + inside["won_from_new"])
    channels = inside.drop("total", level="channel").groupby("period").sum()
    np.testing.assert_allclose(channels, inside.xs("total", level="channel"), rtol=1e-8, atol=1e-6)
    assert ("revenue" in means) == money
    assert np.isfinite(head["revenue_mean"]) == money
    if money:
        np.testing.assert_allclose(
            inside["revenue"], inside["revenue_from_pipeline"] + inside["revenue_from_new"], rtol=1e-8
        )
    assert 0 <= head["p_target"] <= 1
    assert len(made.allocation) > 0 if budget else made.allocation.empty
    assert list(made.plans) == (["given", "recommended"] if budget else ["given"])
    assert (made.draws["plan"].values == list(made.plans)).all()
    known = made.funnel.dropna(subset="mean")
    assert known["mean"].between(0, 1).all()
    assert (known["q10"] <= known["q90"]).all()


@pytest.mark.parametrize(
    ("name", "fast"),
    [
        *((name, True) for name in FAST),
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in SHAPES),
    ],
)
def test_studies_of_every_shape_come_through(tmp_path: Path, name: str, fast: bool):
    """No error and no warning; finite numbers that add up, and about as many wins a quarter as the history had."""
    shape = SHAPES[name]
    study = shape.study(tmp_path)
    _, made = whole_job(study, fast=fast)
    check_numbers(made, money=shape.money, budget=shape.budget)
    past = read_history(study).counts["won"].sum("channel")
    usual = float(past.mean()) * study.plan.periods
    won = made.headline["won_mean"]
    if name in ("no wins", "stopped channel"):
        assert won < max(usual, 1.0)
    else:
        assert 0.4 * usual < won < 2.5 * usual


@pytest.mark.slow
@pytest.mark.parametrize("activity", [True, False], ids=["with activity", "without activity"])
def test_leads_come_through(tmp_path: Path, activity: bool):
    """Dated leads, with the spend and traffic beside them or alone: the same wins, a budget only with spend."""
    for name in ("demo_leads.csv", "demo_activity.csv"):
        (tmp_path / name).write_bytes((BUNDLED / name).read_bytes())
    text = (BUNDLED / "demo_leads.toml").read_text(encoding="utf-8")
    if not activity:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("activity"))
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    posterior, made = whole_job(load_study(tmp_path / "s.toml"))
    check_numbers(made, money=True, budget=activity)
    assert posterior.stages == (["leads", "qualified", "won"] if activity else ["qualified", "won"])
    assert 30 < made.headline["won_mean"] < 100


# The pieces


@pytest.fixture
def by_hand(fitted_study: Path) -> tuple[Study, Posterior]:
    """The small company and its posterior of known constants."""
    return load_study(fitted_study), load_posterior(fitted_study.with_suffix(".nc"))


def test_a_forecast_needs_no_files_and_no_clock(by_hand: tuple[Study, Posterior]):
    """The Python API: same study, posterior and seed, same tables; another seed, other luck around the same means."""
    study, posterior = by_hand
    history = read_history(study)
    one, two, other = (forecast.forecast(study, history, posterior, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one.forecast, two.forecast)
    assert not one.forecast.equals(other.forecast)
    head, again = one.headline, other.headline
    assert head["won_mean"] == pytest.approx(again["won_mean"], rel=0.03)
    assert one.study.horizon == ["2026-07", "2026-08", "2026-09"]


def test_nothing_is_made_before_it_is_asked_for(by_hand: tuple[Study, Posterior]):
    """A table that needs no budget makes none; asked in another order, the numbers are the same."""
    study, posterior = by_hand
    history = read_history(study)
    one, two = (forecast.forecast(study, history, posterior) for _ in range(2))
    assert not {"split", "draws", "audit"} & set(vars(one))
    funnel = one.table("funnel").frame
    assert not {"split", "draws"} & set(vars(one))
    assert two.verdict.told() == one.verdict.told()
    pd.testing.assert_frame_equal(two.forecast, one.forecast)
    pd.testing.assert_frame_equal(two.funnel, funnel)


def test_a_table_is_asked_by_name_or_by_measure(by_hand: tuple[Study, Posterior]):
    """Declared tables, rows of one measure, and a message that lists both."""
    study, posterior = by_hand
    made = forecast.forecast(study, read_history(study), posterior)
    won = made.table("won").frame
    assert set(won["measure"]) == {"won"}
    whole = made.table("forecast").frame
    assert len(whole) == sum(len(made.table(m)) for m in whole["measure"].unique())
    assert list(made.table("optimum").frame["channel"]) == made.case.paid_names
    with pytest.raises(
        forecast.UsageError, match=r'no table "wins"; there are forecast, .*, won_from_pipeline'
    ):
        made.table("wins")


def test_plans_are_compared_on_common_random_numbers(by_hand: tuple[Study, Posterior]):
    """The same plan again differs by nothing in any draw; more spend never loses a visitor; a wrong shape is told."""
    study, posterior = by_hand
    made = forecast.forecast(study, read_history(study), posterior)
    plan = made.case.plan
    table = forecast.compare({"now": plan, "again": plan, "more": 1.2 * plan, "none": 0.0 * plan}, made)
    by = table.set_index(["plan", "measure"])
    assert (by.loc["again", ["difference", "difference_q10", "difference_q90", "p_above"]] == 0.0).all(
        axis=None
    )
    draws = made.simulate({"now": plan, "more": 1.2 * plan})["visitors"]
    assert (draws.sel(plan="more") >= draws.sel(plan="now")).all()
    spend = by.xs("spend", level="measure")
    np.testing.assert_allclose(spend["mean"], plan.sum() * np.array([1.0, 1.0, 1.2, 0.0]))
    np.testing.assert_allclose(
        by["difference"], by["mean"] - by["mean"].xs("now")[by.index.get_level_values(1)].values
    )
    assert list(forecast.compare([plan, 2 * plan], made)["plan"].unique()) == ["plan 1", "plan 2"]
    with pytest.raises(forecast.UsageError, match="plan 1: expected spend of 3 periods and 2 channels"):
        forecast.compare([plan[:2]], made)
    with pytest.raises(forecast.UsageError, match="less: expected spend of 0 or more"):
        forecast.compare({"less": plan - 1e9}, made)
    with pytest.raises(forecast.UsageError, match="plan: expected spend of 3 periods"):
        forecast.forecast(study, read_history(study), posterior, plan=plan[:, :1])


@pytest.mark.parametrize("paper", ["no_paper", pytest.param("drawn", marks=pytest.mark.slow)])
def test_a_forecast_writes_the_files_of_a_run(
    by_hand: tuple[Study, Posterior], tmp_path: Path, paper: str, request: pytest.FixtureRequest
):
    """The same bytes as the command, but for what only a run knows: how it was asked, and its seconds."""
    if paper == "no_paper":
        request.getfixturevalue(paper)
    study, posterior = by_hand
    made = forecast.forecast(study, read_history(study), posterior, command="forecast run")
    ours = made.write(tmp_path / "ours")
    theirs = workflow.run(study.path, out=tmp_path / "theirs").place
    assert theirs is not None
    names = {path.name for path in theirs.iterdir()}
    assert {path.name for path in ours.iterdir()} == names
    for name in names - {"summary.json", "manifest.json"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_money_that_is_planned_is_spent(by_hand: tuple[Study, Posterior]):
    """Spend of the given plan is what the study says, in every draw."""
    study, posterior = by_hand
    plan = study.plan.model_copy(update={"spend": {"ppc": 1234.0}})
    made = forecast.forecast(study.model_copy(update={"plan": plan}), read_history(study), posterior)
    spend = made.draws["spend"].sel(plan="given", channel="ppc")
    assert (spend == 1234.0).all()


def test_a_fit_that_fails_its_checks_is_marked(
    by_hand: tuple[Study, Posterior], monkeypatch: pytest.MonkeyPatch
):
    """It is returned with what it failed, part and bar, and its verdict is FAIL."""
    study, posterior = by_hand
    bad = posterior.diagnostics[0] | {"max_rhat": float("nan"), "worst": "mu"}
    broken = Posterior(posterior.data, (bad,), posterior.provenance)
    monkeypatch.undo()  # the gate is judged here
    monkeypatch.setattr("forecast.fit.fitting.fit", lambda *_, **__: broken)
    history = read_history(study)
    marked = fit_posterior(study, history)
    assert marked.provenance["failures"] == ["visitors to leads: R-hat - at mu (must be below 1.01)"]
    verdict = judge(study, history, marked)
    assert verdict.status == "FAIL"
    assert [c.name for c in verdict.checks if c.status == "FAIL"] == ["R-hat"]


def test_a_plan_beyond_the_budget_is_said_to_be(by_hand: tuple[Study, Posterior]):
    """Where the current plan is over the total there is no keeping it, however little the change gains."""
    study, posterior = by_hand
    lower = study.model_copy(update={"budget": study.budget.model_copy(update={"total": 4000.0})})
    made = forecast.forecast(lower, read_history(lower), posterior)
    assert made.headline["material"]
    assert made.headline["gain_mean"] < 0
    assert made.told()["headline"]["recommendation"] == recommendation(made)
    text = str(recommendation(made))
    assert text.startswith("The current plan does not keep the limits of the budget. Spend 2")
    assert "Against the current plan that is −" in text


def test_wins_that_are_in_no_channel_of_theirs_are_a_fail(tmp_path: Path):
    """Wins of all channels in one of their own, blank in the others: over twice what came is forecast, and told."""
    table = demo(("ppc", "seo", "email", "events"))
    own = table.groupby("period", as_index=False)[["won", "revenue"]].sum().assign(channel="sales")
    table = pd.concat([table.drop(columns=["won", "revenue"]), own])
    study = Shape(
        lambda: table.astype(dict.fromkeys(("visitors", "leads", "qualified", "won"), "Int64"))
    ).study(tmp_path)
    history = read_history(study)
    made = forecast.forecast(study, history, preview(study, history, seed=1, draws=400), seed=1)
    found = next(c for c in made.verdict.checks if c.name == "plausible against the past")

    assert made.headline["revenue_q50"] > 2 * np.nansum(history.came("revenue")[-3:])
    assert found.status == "FAIL"
    assert made.verdict.status == "FAIL"


def test_moves_under_another_total_name_the_total():
    """What is moved and what is cut are both said."""
    names, cut = ["a", "b"], np.array([4000.0, 1500.0])
    empty = np.zeros(2)
    allocation = Allocation(
        current=np.array([5000.0, 1000.0]), recommended=cut, best=cut, low=cut, high=cut, value_current=empty,
        value_recommended=empty, marginal=empty, marginal_current=empty, gain=np.full(10, -200.0), extrapolated=empty,
        price=2.0, unspent=0.0, reason="", plan=cut[None], allowed=False,
        certificate=SimpleNamespace(mode=""),
    )  # fmt: skip
    table = pd.DataFrame({"channel": names, "current": allocation.current, "recommended": cut})
    made = Results(StudyFacts("s", "EUR"), headline=gain_of(allocation), allocation=table)
    text = str(recommendation(made)).replace("\xa0", " ")
    assert "Move 500 EUR from a to b. The whole budget is 500 EUR below the current plan." in text


@pytest.mark.parametrize(
    ("column", "factor", "said"),
    [
        ("visitors", 100.0, "of revenue are expected, not"),
        ("spend", 100.0, "the plan spends"),
        ("spend", 1.0, ""),
    ],
)
def test_a_number_that_makes_the_forecast_is_a_fail(tmp_path: Path, column: str, factor: float, said: str):
    """One cell of the last month a hundred times too large: FAIL with what would be expected without it."""
    table = demo()
    last = (table["period"] == table["period"].max()) & (table["channel"] == TWO[0])
    table.loc[last, column] *= factor
    table.to_csv(tmp_path / "c.csv", index=False)
    asked = Study.model_validate(
        {"name": "x", "history": {"counts": "c.csv"}, "plan": {"periods": 3}, "folder": tmp_path}
    )
    past = read_history(asked)
    made = forecast.forecast(asked, past, preview(asked, past, seed=1, draws=400))
    rows = made.audit.set_index("check").loc["Numbers that fit their neighbours"]

    assert str(rows["status"]) == ("FAIL" if said else "PASS")
    assert said in str(rows["evidence"])
    assert not said or made.verdict.status == "FAIL"


def test_money_beside_deals_is_in_every_output(tmp_path: Path):
    """Refunds, recurring revenue, free deals: in tables, headline, target, doubt, and in what a scored run missed."""
    rng = np.random.default_rng(3)
    lines = ["period,channel,spend,visitors,leads,qualified,won,revenue,refunds,recurring"]
    for m in range(21):
        label = f"{2025 + m // 12}-{m % 12 + 1:02d}"
        for name, spend in (("ppc", 2000), ("seo", 900)):
            won = rng.poisson(6)
            paid = rng.binomial(won, 0.7)
            cells = [spend + rng.integers(500), 900, 45, 20, won, paid * 4000 + rng.integers(500) * paid]
            lines.append(",".join(map(str, [label, name, *cells, rng.poisson(0.5) * 2000, ""])))
        lines.append(f"{label},customers,,,,,,,,{50_000 + rng.integers(2000)}")
    (tmp_path / "books.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study = Study.model_validate(
        {
            "name": "books",
            "folder": tmp_path,
            "history": {"counts": "books.csv", "net_revenue": True},
            "plan": {"periods": 3, "target": {"revenue": 150_000}},
        }
    )
    now = read_history(study)
    past = now.as_of("2026-06")
    made = forecast.forecast(study, past, preview(study, past, seed=1, draws=600))

    rows = made.forecast[(made.forecast["period"] == "total") & (made.forecast["channel"] == "total")]
    mean = rows.set_index("measure")["mean"]
    assert mean["revenue"] == pytest.approx(mean["revenue_gross"] - mean["refunds"] + mean["recurring"])
    assert mean["recurring"] == pytest.approx(153_000, rel=0.03)
    bridge = made.bridge.set_index("item")["mean"]
    parts = bridge[["from open pipeline", "from new leads", "from earlier customers"]].sum()
    assert bridge["revenue inside the horizon"] == pytest.approx(parts)
    assert made.headline["p_target"] > 0.99
    told = made.told()["headline"]
    assert {"refunds_mean", "recurring_mean", "revenue_gross_mean"} <= set(told)
    sources = made.levers.variance.set_index("source")["share"]
    assert {"refunds", "recurring revenue"} <= set(sources.index)
    assert made.economics.query("channel == 'total'").set_index("measure")["mean"]["deal_value_net"] > 0
    assert not [check for check in made.verdict.checks if check.status == "FAIL"]

    outlook = made.draws.sel(plan="given")
    found = score_outlook(study, now, outlook, "2026-06")
    money = [part for part in found["attribution"] if part["measure"] == "revenue"]
    missed = {(part["block"], part["channel"]): part["amount"] for part in money}
    assert {("refunds", "total"), ("recurring", "total")} <= set(missed)
    came = now.came("revenue")[-3:].sum() - float(outlook["revenue"].sum(("period", "channel")).mean())
    assert sum(amount for (_, channel), amount in missed.items() if channel == "total") == pytest.approx(came)
