"""Companies as they are: each odd history goes the whole way, from its files to the tables and the report.

The instant posterior stands in for the fit in most, which makes every shape cheap enough to run every day; the slow
tests sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, command
from scipy.special import expit

import forecast
from forecast.errors import DataError
from forecast.fit import Posterior, fit_posterior, fitting, preview
from forecast.history import History, read_history
from forecast.jobs import pool, run_jobs
from forecast.planning import Forecast
from forecast.report import report_pdf
from forecast.results import total_draws
from forecast.study import Study, load_study

BUNDLED = ROOT / "forecast" / "bundled"
STAMP = 1_790_000_000
REACH = 60  # periods that a delay reaches back at most
COUNTS = ["visitors", "leads", "qualified", "won"]
LAST = "2026-10"
DRAWS = 400
Table = pd.DataFrame


def demo(*channels: str) -> Table:
    """Counts of two channels of the demo, or of those named."""
    table = pd.read_csv(BUNDLED / "demo.csv")
    return table[table["channel"].isin(channels or ("ppc", "seo"))].reset_index(drop=True)


def demo_channels() -> list[str]:
    """The names of the demo's channels."""
    return sorted(set(pd.read_csv(BUNDLED / "demo.csv")["channel"]))


def scaled(factor: float) -> Table:
    """A company as large as the demo times `factor`, drawn anew stage by stage, so that it stays a funnel."""
    table, rng = demo(), np.random.default_rng(3)
    shares = [table[stage] / table[before].clip(lower=1) for before, stage in pairwise(COUNTS)]
    made = table.assign(visitors=rng.poisson(table["visitors"] * factor), spend=table["spend"] * factor)
    for (before, stage), share in zip(pairwise(COUNTS), shares, strict=True):
        made[stage] = rng.binomial(made[before], share.clip(0.0, 1.0))
    money = np.where(made["won"] > 0, rng.standard_gamma(made["won"].clip(lower=1) / 0.64) * 4800 * 0.64, 0.0)
    return made.assign(revenue=np.round(money))


def where(table: Table, rows: pd.Series, **columns: float | str) -> Table:
    """The table with other values in some rows."""
    made = table.astype(dict.fromkeys(["spend", *COUNTS, "revenue"], float))
    for name, value in columns.items():
        made.loc[rows, name] = np.nan if value == "" else value
    return made


def of(table: Table, channel: str, first: str = "", last: str = "9999") -> pd.Series:
    """Rows of a channel in a span of periods."""
    return (table["channel"] == channel) & (table["period"] >= first) & (table["period"] <= last)


def late() -> Table:
    """ppc begins with five months left."""
    table = demo()
    return table[~of(table, "ppc", last="2026-05")]


def stopped() -> Table:
    """ppc has neither money nor units any more since March."""
    table = demo()
    return where(table, of(table, "ppc", "2026-03"), **dict.fromkeys(["spend", *COUNTS, "revenue"], 0.0))


def paused() -> Table:
    """A year without spend on ppc, and no visitors then; it runs again since."""
    table = demo()
    rows = of(table, "ppc", "2025-01", "2025-12")
    return where(table, rows, **dict.fromkeys(["spend", *COUNTS, "revenue"], 0.0))


def holes() -> Table:
    """Blanks here and there: a month of visitors, two of wins with their revenue, spend once, leads at the end."""
    table = demo()
    table = where(table, of(table, "seo", "2025-03", "2025-03"), visitors="")
    table = where(table, of(table, "ppc", "2025-06", "2025-07"), won="", revenue="")
    table = where(table, of(table, "ppc", "2025-08", "2025-08"), spend="")
    return where(table, of(table, "seo", LAST, LAST), leads="")


def heavy() -> Table:
    """Lognormal deals of cv 3: now and then one that is worth a quarter."""
    table, rng = demo(), np.random.default_rng(1)
    sigma = np.sqrt(np.log1p(9.0))
    revenue = [
        rng.lognormal(np.log(4800) - sigma**2 / 2, sigma, int(won)).sum().round() for won in table["won"]
    ]
    return table.assign(revenue=revenue)


def weeks() -> Table:
    """Two years of weeks, two channels."""
    rng, rows = np.random.default_rng(5), []
    for start in pd.date_range("2024-10-28", periods=104, freq="7D"):
        for channel, level in (("ppc", 300.0), ("seo", 500.0)):
            spend = round(float(level * rng.lognormal(0, 0.3)), 2)
            visitors = rng.poisson(level * (spend / level) ** 0.6)
            leads = rng.binomial(visitors, 0.05)
            qualified = rng.binomial(leads, 0.4)
            won = rng.binomial(qualified, 0.3)
            rows.append(
                (start.date().isoformat(), channel, spend, visitors, leads, qualified, won, won * 4000.0)
            )
    return pd.DataFrame(rows, columns=["period", "channel", "spend", *COUNTS, "revenue"])


def falling(table: Table) -> Table:
    """Counts as cohorts have them: no later stage above an earlier one, and the youngest not ripe yet."""
    made = table.copy()
    for before, stage in pairwise(COUNTS):
        made[stage] = made[[before, stage]].min(axis=1)
    for back, share in enumerate((0.1, 0.4, 0.7)):
        rows = made["period"] == f"2026-{10 - back}"
        made.loc[rows, "won"] = np.floor(made.loc[rows, "won"] * share)
        made.loc[rows, "revenue"] = np.floor(made.loc[rows, "revenue"] * share)
    return made


def young(table: Table) -> Table:
    """The first three cohorts lack most of their outcomes: the CRM was new, and much of its first leads is lost."""
    made = falling(table)
    rows = made["period"] <= "2024-01"
    made.loc[rows, ["qualified", "won", "revenue"]] = np.floor(
        made.loc[rows, ["qualified", "won", "revenue"]] * 0.2
    )
    return made


@dataclass(frozen=True)
class Case:
    """A study: its counts, and the lines of [history] and [funnel] that it needs."""

    counts: Callable[[], Table]
    history: str = ""
    funnel: str = ""
    periods: int = 3


LEADS_WON = ["period", "channel", "spend", "leads", "won", "revenue"]
WON = ["period", "channel", "spend", "won", "revenue"]
MONEY = ["period", "channel", "spend", "revenue"]
VISITORS_WON = ["period", "channel", "spend", "visitors", "won", "revenue"]
CASES = {
    "heavy tails": Case(heavy),
    "one price": Case(lambda: demo().assign(revenue=lambda table: table["won"] * 990.0)),
    "from": Case(demo, 'from = "2025-07"'),
    "twelve months": Case(demo, 'from = "2025-11"'),
    "five months of a channel": Case(late),
    "a channel that stopped": Case(stopped),
    "a year without spend": Case(paused),
    "no spend at all on one": Case(lambda: where(demo(), of(demo(), "seo"), spend=0.0)),
    "blanks": Case(holes),
    "one channel": Case(lambda: demo("events")),
    "leads to won": Case(lambda: demo()[LEADS_WON], funnel='stages = ["leads", "won"]'),
    "visitors to won": Case(lambda: demo()[VISITORS_WON], funnel='stages = ["visitors", "won"]'),
    "wins alone": Case(lambda: demo()[WON]),
    "wins as the one stage": Case(lambda: demo()[WON], funnel='stages = ["won"]'),
    "revenue alone": Case(lambda: demo()[MONEY], funnel="value = 4800"),
    "weeks": Case(weeks, 'period = "week"', periods=13),
    "cohorts": Case(lambda: falling(demo()), 'counting = "cohort"'),
    "first cohorts not complete": Case(lambda: young(demo()), 'counting = "cohort"'),
    "a hundredth": Case(lambda: scaled(0.01)),
    "a tenth": Case(lambda: scaled(0.1)),
    "ten times": Case(lambda: scaled(10.0)),
    "a hundred times": Case(lambda: scaled(100.0)),
    "a thousand times": Case(lambda: scaled(1000.0)),
}  # fmt: skip


def study(case: Case, folder: Path) -> Study:
    """The case written to a folder, and read."""
    table = case.counts()
    table.to_csv(folder / "counts.csv", index=False)
    through = "" if "week" in case.history else f'through = "{LAST}"'
    kinds = "\n".join(f'{name} = {{ kind = "{name}" }}' for name in sorted(set(table["channel"])))
    text = f"""name = "s"
[history]
counts = "counts.csv"
{through}
{case.history}
[funnel]
market = "b2b"
{case.funnel}
[channels]
{kinds}
[plan]
periods = {case.periods}
"""
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return load_study(folder / "s.toml")


def check(made: Forecast, past: History, *, factor: float = 3.0) -> None:
    """Finite, not negative, conserving unit by unit, and as many wins as lately, to a factor."""
    outlook = made.draws.sel(plan="given")
    stages = [s for s in past.stages if s in outlook]
    for name in outlook.data_vars:
        values = outlook[name].values
        assert np.isfinite(values).all(), name
        assert name == "contribution" or (values >= 0).all(), name
    for stage in stages:
        assert (outlook[stage].values == np.round(outlook[stage].values)).all()
    np.testing.assert_array_equal(outlook["won"], outlook["won_from_pipeline"] + outlook["won_from_new"])
    before, total = stages[0], outlook.sum("period")
    for stage in stages[
        1:
    ]:  # of a stage no more move on than were in it, came into it, or were there before the window
        held = np.nan_to_num(past.counts[before].values)
        inside = held.sum(axis=0) + REACH * held[:6].mean(axis=0).round()
        there = held.sum(axis=0) > 0  # a channel that enters the funnel later is not counted here
        assert (total[stage].values <= total[before].values + inside)[:, there].all(), stage
        before = stage
    recent = np.nan_to_num(past.counts["won"].values)[-outlook.sizes["period"] :]
    came = float(recent.sum())
    won = total_draws(made.draws, "given", "won")
    low, high = (came + 3) / factor - 3, (came + 3) * factor
    assert low <= won.mean() <= high, f"{won.mean():.1f} wins expected after {came:.0f} of late"
    assert won.std() > 0
    numbers = made.forecast.drop(columns=["period", "channel", "measure"])
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    allocation = made.allocation
    if len(allocation):
        spent = allocation[["current", "recommended", "low", "high"]].to_numpy(dtype=float)
        assert np.isfinite(spent).all()
        assert (spent >= 0).all()


def fitted(asked: Study) -> tuple[History, Posterior]:
    """History and closed-form posterior."""
    past = read_history(asked)
    posterior = preview(asked, past, seed=1, draws=DRAWS)
    assert all(np.isfinite(v).all() for v in posterior.data.values())
    return past, posterior


def instantly(asked: Study) -> tuple[History, Posterior, Forecast]:
    """The same, and the forecast."""
    past, posterior = fitted(asked)
    return past, posterior, forecast.forecast(asked, past, posterior)


FAST = ("from", "twelve months", "five months of a channel", "blanks", "visitors to won", "revenue alone")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_every_history_comes_through_in_closed_form(tmp_path: Path, name: str):
    """The preview of every case: numbers that hold together."""
    past, _, made = instantly(study(CASES[name], tmp_path))
    check(made, past)


# Leads

STARTS = ("2025-05", "2025-11")


def leads(
    folder: Path,
    history: str = "",
    edit: Callable[[Table], Table] = lambda table: table,
    only: tuple[str, ...] = (),
) -> Study:
    """The demo's dated leads with their activity, edited; of all channels, or of these."""
    for name, change in (("demo_leads.csv", edit), ("demo_activity.csv", lambda table: table)):
        table = change(pd.read_csv(BUNDLED / name))
        kept = table[table["channel"].isin(only)] if only else table
        kept.to_csv(folder / name, index=False)
    text = (BUNDLED / "demo_leads.toml").read_text(encoding="utf-8")
    others = tuple(f"{name} = {{" for name in set(demo_channels()) - set(only)) if only else ()
    kept = [
        line
        for line in text.splitlines()
        if not line.startswith(others) and not (history and line.startswith("from"))
    ]
    text = "\n".join(kept).replace("[history]", f"[history]\n{history}", 1)
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return load_study(folder / "s.toml")


@pytest.mark.parametrize(
    ("first", "only"),
    [("2025-11", ("ppc", "seo")), *(pytest.param(f, (), marks=pytest.mark.slow) for f in STARTS)],
)
def test_leads_may_start_in_the_middle(tmp_path: Path, first: str, only: tuple[str, ...]):
    """Left-truncated leads: those created before `from` go with their wins, so the first months have few.

    A rate read off wins and leads of the same month would be too low; by cohort it is that of the whole history.
    """
    past, posterior, made = instantly(leads(tmp_path, f'from = "{first}"', only=only))
    check(made, past)
    whole = tmp_path / "whole"
    whole.mkdir()
    _, full = fitted(leads(whole, only=only))
    for stage in ("qualified", "won"):
        now = [expit(p.array(f"logit_rate_{stage}")[:, -6:]).mean(axis=1) for p in (posterior, full)]
        gap = np.abs(now[0].mean(axis=0) - now[1].mean(axis=0))
        assert (gap < 2.0 * now[0].std(axis=0)).all()
    wins = np.nan_to_num(past.counts["won"].values).sum(axis=1)
    assert wins[0] < 0.5 * wins[3:].mean()  # else there is nothing to see here


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1.0, 0.03], ids=["all", "few"])
def test_leads_without_losses_or_amounts(tmp_path: Path, keep: float):
    """No loss dated, every other deal without its amount, and only a few leads: still finite and sane."""

    def edit(table: Table) -> Table:
        table = table.assign(lost=np.nan)
        table.loc[table.index % 2 == 0, "amount"] = np.nan
        return table.sample(frac=keep, random_state=1).sort_values("lead_id")

    past, _, made = instantly(leads(tmp_path, edit=edit))
    check(made, past)


# The sampled fit

SAMPLED = (
    "heavy tails",
    "wins alone",
    "one price",
    "from",
    "five months of a channel",
    "a year without spend",
    "blanks",
    "visitors to won",
    "first cohorts not complete",
    "a hundredth",
    "a thousand times",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_odd_histories_come_through_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """NUTS with few draws, then the report; wins agree with the closed form to 15 % or four standard errors."""
    monkeypatch.setattr(fitting, "TUNE", 300)
    asked = study(CASES[name], tmp_path)
    past, _, quick = instantly(asked)
    made = forecast.forecast(asked, past, fit_posterior(asked, past, draws=800))
    check(made, past)
    assert report_pdf(made, timestamp=STAMP).startswith(b"%PDF")
    won, other = (total_draws(one.draws, "given", "won") for one in (made, quick))
    error = np.hypot(won.std(), other.std()) / np.sqrt(200)  # effective draws of a short fit
    assert abs(won.mean() - other.mean()) < max(0.15 * won.mean(), 4 * error)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_preview_comes_to_a_report(tmp_path: Path, name: str):
    """Tables and figures of every case fit on paper."""
    _, _, made = instantly(study(CASES[name], tmp_path))
    assert report_pdf(made, timestamp=STAMP).startswith(b"%PDF")


# What is so, and not only that it runs


def outlook_of(name: str, folder: Path) -> tuple[Study, History, Posterior, Forecast]:
    """A case from its files to its forecast."""
    asked = study(CASES[name], folder)
    return (asked, *instantly(asked))


def test_a_stopped_channel_brings_only_what_is_open(tmp_path: Path):
    """No new units without planned money; and the recommendation does not wake it up by mistake."""
    _, past, _, made = outlook_of("a channel that stopped", tmp_path)
    ppc = made.draws.sel(plan="given", channel="ppc")
    assert float(ppc["visitors"].sum()) == 0
    assert float(ppc["won_from_new"].sum()) == 0
    assert past.channels.index("ppc") in np.flatnonzero(np.nan_to_num(past.counts["won"].values).sum(axis=0))


def test_sales_in_total_come_through(tmp_path: Path):
    """Spend in columns, sales in one: every table is made, the media are in the budget, and it is said to be weaker."""
    table = demo()
    spend = table.pivot(index="period", columns="channel", values="spend").add_prefix("spend_")
    spend.join(table.groupby("period")[["won", "revenue"]].sum()).to_csv(tmp_path / "counts.csv")
    (tmp_path / "s.toml").write_text(
        f"""name = "s"
[history]
counts = "counts.csv"
through = "{LAST}"
spend_columns = {{ ppc = "spend_ppc", seo = "spend_seo" }}
[funnel]
stages = ["won"]
""",
        encoding="utf-8",
    )
    past, posterior, made = instantly(load_study(tmp_path / "s.toml"))
    check(made, past)
    assert sorted(made.allocation["channel"]) == ["ppc", "seo"]
    sales = past.total("won")
    path = np.exp(posterior.array("log_traffic_path")).sum(axis=2)
    assert path.mean() == pytest.approx(sales.mean(), rel=0.05)
    assert [str(c.name) for c in made.verdict.checks if "Attribution" in str(c.name)]
    assert made.verdict.status != "PASS"


def test_revenue_alone_is_forecast_as_sales_of_the_value_given(tmp_path: Path):
    """As much of it as where its wins are counted, to the doubt that both leave; no rate is told."""
    (tmp_path / "money").mkdir()
    _, _, _, counted = outlook_of("wins alone", tmp_path)
    _, past, posterior, made = outlook_of("revenue alone", tmp_path / "money")
    one, other = (total_draws(each.draws, "given", "revenue") for each in (counted, made))
    assert other.mean() == pytest.approx(one.mean(), rel=0.1)
    assert 0.6 < other.std() / one.std() < 1.6
    assert posterior.stages == []
    assert made.funnel.empty
    won, money = np.nan_to_num(past.counts["won"].values), np.nan_to_num(past.counts["revenue"].values)
    assert (np.abs(won * 4800 - money) <= 2400).all()


@pytest.mark.slow
def test_a_young_channel_is_less_sure_than_an_old_one(tmp_path: Path):
    """Five months of data: the same channel with 36 months has a narrower rate at every stage."""
    _, past, posterior, _ = outlook_of("five months of a channel", tmp_path)
    full = fitted(study(Case(demo), tmp_path))[1]
    at = past.channels.index("ppc")
    for stage in ("leads", "qualified", "won"):
        young, old = (p.array(f"logit_rate_{stage}")[:, -1, at].std() for p in (posterior, full))
        assert young > old


def test_blanks_are_not_zeros(tmp_path: Path):
    """Two months of wins blanked: the close rate stays; the same months at zero pull it down."""
    table = demo()
    blank = tmp_path / "blank"
    zero = tmp_path / "zero"
    rates = []
    for folder, won in ((tmp_path, None), (blank, ""), (zero, 0.0)):
        folder.mkdir(exist_ok=True)
        rows = of(table, "ppc", "2026-06", "2026-10")
        made = table if won is None else where(table, rows, won=won, revenue=won)
        case = Case(lambda made=made: made[LEADS_WON], funnel='stages = ["leads", "won"]')
        past, posterior = fitted(study(case, folder))
        rates.append(expit(posterior.array("logit_rate_won")[:, -1, past.channels.index("ppc")]).mean())
    given, blanked, zeroed = rates
    assert blanked == pytest.approx(given, rel=0.2)
    assert zeroed < 0.75 * blanked


@pytest.mark.slow
def test_ten_times_the_counts_are_ten_times_the_forecast(tmp_path: Path):
    """Counts x 10, x 100 and x 1,000 of one law: the mean grows alike, the relative width never does."""
    means, widths = [], []
    for name in ("ten times", "a hundred times", "a thousand times"):
        _, _, _, made = outlook_of(name, tmp_path)
        won = total_draws(made.draws, "given", "won")
        means.append(won.mean())
        widths.append(won.std() / won.mean())
    assert means[1] / means[0] == pytest.approx(10, rel=0.15)
    assert means[2] / means[1] == pytest.approx(10, rel=0.15)
    assert widths[1] < 1.1 * widths[0]
    assert widths[2] < 1.1 * widths[1]


@pytest.mark.slow
def test_heavy_tails_widen_the_revenue_and_not_the_wins(tmp_path: Path):
    """Deals of cv 3: the band of revenue is wider for it, that of wins is not."""
    _, _, _, heavy_made = outlook_of("heavy tails", tmp_path)
    _, _, plain_made = instantly(study(Case(demo), tmp_path))
    spread = {}
    for name, made in (("heavy", heavy_made), ("plain", plain_made)):
        for measure in ("won", "revenue"):
            draws = total_draws(made.draws, "given", measure)
            spread[name, measure] = draws.std() / draws.mean()
    assert spread["heavy", "revenue"] > 1.3 * spread["plain", "revenue"]
    assert spread["heavy", "won"] == pytest.approx(spread["plain", "won"], rel=0.15)


REFUSED = {
    "more wins than leads in a cohort": (
        Case(
            lambda: where(demo(), of(demo(), "ppc", "2025-01", "2025-01"), won=9999.0), 'counting = "cohort"'
        ),
        "won",
    ),
    "a month missing": (Case(lambda: demo()[~of(demo(), "ppc", "2025-03", "2025-03")]), "2025-03"),
    "a negative count": (Case(lambda: where(demo(), of(demo(), "ppc", LAST), leads=-3.0)), "leads"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str):
    """The message names the column or the period, and nothing is fitted."""
    case, word = REFUSED[name]
    with pytest.raises(DataError, match=word):
        read_history(study(case, tmp_path))


# The same again

HASHES = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_robust import digest
print(digest(Path(sys.argv[2]), sampled=sys.argv[3] == "sampled"))
"""


def digest(file: Path, *, sampled: bool) -> str:
    """A hash of all draws of a study, sampled or in closed form."""
    asked = load_study(file)
    past = read_history(asked)
    if sampled:
        fitting.TUNE = 100
        posterior = fit_posterior(asked, past, draws=400)
    else:
        posterior = preview(asked, past, seed=1, draws=DRAWS)
    found = hashlib.sha256()
    for name in sorted(posterior.data):
        found.update(name.encode() + posterior.data[name].values.tobytes())
    return found.hexdigest()


def sampled_job(file: str) -> dict[str, str]:
    """A fit as a job of a worker."""
    return {"draws": digest(Path(file), sampled=True)}


@pytest.mark.slow
def test_a_preview_is_the_same_on_one_core_or_two(tmp_path: Path):
    """Threads of BLAS, hash order, working folder: the same bytes, also of many channels and a long history."""
    study(CASES["weeks"], tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in (BUNDLED / "demo_leads.toml", tmp_path / "s.toml"):
        told = set()
        for threads, cwd, seed in (("1", tmp_path, "0"), ("2", elsewhere, "7")):
            env = {"OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
            made = command(str(ROOT / "tests"), str(file), "instant", cwd=cwd, code=HASHES, **env)
            assert made.returncode == 0, made.stderr
            told.add(made.stdout)
        assert len(told) == 1


@pytest.mark.slow
def test_a_fit_is_the_same_in_any_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In this process, in one of two workers, in a new process with no cache of compiled code: the same draws."""
    monkeypatch.setattr(fitting, "TUNE", fitting.TUNE)  # `digest` shortens it
    study(Case(demo), tmp_path)
    file = str(tmp_path / "s.toml")
    expected = run_jobs(sampled_job, {"here": file})["here"]["draws"]
    with pool(2) as workers:
        found = run_jobs(sampled_job, {"a": file, "b": file}, executor=workers)
    assert {job["draws"] for job in found.values()} == {expected}
    cold = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    made = command(str(ROOT / "tests"), file, "sampled", cwd=tmp_path, code=HASHES, **cold)
    assert made.stdout.strip() == expected, made.stderr
    assert any((tmp_path / "cache").rglob("*.nbi"))
