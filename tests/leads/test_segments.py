"""Segments of leads: rates against the truth, few leads pulled to the others, mix and shifts that add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import posterior_fixture as fixture
import pytest
from lead_fixture import lead_table, write_study

from forecast.equations import delay_pmf
from forecast.errors import StudyError
from forecast.history import SegmentCounts, read_history
from forecast.lab import make_leads
from forecast.leads.features import OTHER, LeadTable
from forecast.leads.segments import names_of, segment_rates, segment_tables, settled
from forecast.study import load_study


@pytest.fixture(scope="module")
def world():
    """A company of 3,000 leads whose temperature matters."""
    return make_leads(np.random.default_rng(31), size=3000)


@pytest.fixture(scope="module")
def tables(world, tmp_path_factory):
    """The tables of its segments, by temperature."""
    study = load_study(
        write_study(tmp_path_factory.mktemp("s"), world, '\n[segments]\ncolumn = "temperature"\n')
    )
    return segment_tables(study, read_history(study), np.random.default_rng(1))


def test_rates_by_segment_are_recovered_though_leads_are_open(world, tables):
    """The true mean rates of 18 channel x segment x stage cells lie where 80 % bands say, and totals within 4 sd."""
    seen = world.leads[["channel", "temperature"]].rename(columns={"temperature": "segment"})
    truth = pd.concat([seen, world.truth[["qualify", "close"]]], axis=1)
    inside = []
    for row in tables["rates"].to_dict("records"):
        own = truth[truth["segment"] == row["segment"]]
        own = own if row["channel"] == "total" else own[own["channel"] == row["channel"]]
        rate = (
            own["qualify"].mean()
            if row["stage"] == "qualified"
            else (own["qualify"] * own["close"]).sum() / own["qualify"].sum()
        )
        sd = (row["q90"] - row["q10"]) / 2.56
        assert abs(rate - row["mean"]) < 4.5 * sd, row
        inside.append(row["q10"] <= rate <= row["q90"])
    assert np.mean(inside) > 0.55


def test_a_segment_of_few_leads_is_pulled_to_the_others(world):
    """Five leads that all qualified do not make a rate of one."""
    table = lead_table(world)
    labels = np.array(["many"] * len(table.leads), dtype=object)
    labels[np.flatnonzero(table.leads["qualified"].notna())[:5]] = "few"
    made = segment_rates(table, labels, np.random.default_rng(1), {})
    few, many = (made.rates["qualified"][:, :, i].mean() for i in (0, 1))
    assert made.segments == ("few", "many")
    assert many < few < 0.9
    assert made.rates["qualified"][:, :, 0].std() > 2 * made.rates["qualified"][:, :, 1].std()


def test_mix_worth_and_shift_add_up(tables):
    """Shares of a period sum to one; worth is P(win) x value; more leads in the best segment gain."""
    mix = tables["mix"].groupby("period")["share"].sum()
    assert mix.to_numpy() == pytest.approx(1.0)
    worth = tables["worth"].set_index("segment")
    assert worth["worth_mean"].to_numpy() == pytest.approx(
        (worth["p_win_mean"] * worth["deal_value"]).to_numpy(), rel=0.02
    )
    assert worth["leads"].sum() == tables["mix"]["leads"].sum() == tables["told"]["leads"]
    shift = tables["shift"].set_index("segment")
    best, worst = worth["worth_mean"].idxmax(), worth["worth_mean"].idxmin()
    assert (best, worst) == ("hot", "cold")
    assert shift.loc[best, "revenue_q10"] > 0 > shift.loc[worst, "revenue_q90"]
    recent = tables["mix"]["period"].drop_duplicates().tail(3)
    leads = tables["mix"][tables["mix"]["period"].isin(recent)]["leads"].sum() / 3
    assert shift["leads_moved"].to_numpy() == pytest.approx(0.1 * leads)


def test_rare_segments_are_put_together_and_blanks_stay():
    """Thirteen or more segments: the rarest become one; a blank is a segment."""
    cells = pd.Series([f"s{i:02d}" for i in range(20) for _ in range(30 - i)] + [None] * 50, dtype=object)
    found = names_of(cells)
    assert len(set(found)) == 12
    assert {"(blank)", OTHER, "s00"} <= set(found)


def test_the_past_is_not_touched_by_what_comes_after_the_window(world, tmp_path):
    """Leads created after history.through belong to no segment."""
    more = '\n[segments]\ncolumn = "temperature"\n'
    path = write_study(tmp_path, world, more)
    study = load_study(path, ["history.through=2025-06"])
    history = read_history(study)
    made = segment_tables(study, history, np.random.default_rng(1))
    assert made["mix"]["period"].iloc[-1] == "2025-06"
    assert made["told"]["leads"] == history.counts["leads"].sum().item()


def test_segments_of_a_past_know_nothing_that_came_later(world, tmp_path):
    """Every event after April taken out of the file: the segments of the history as of April are the same."""
    day = pd.Timestamp("2025-04-30")
    leads = world.leads.copy()
    for name in ("qualified", "won", "lost"):
        leads[name] = leads[name].where(~(leads[name] > day))
    leads["amount"] = leads["amount"].where(leads["won"].notna())
    made = []
    for folder, known in (("all", world), ("less", replace(world, leads=leads))):
        (tmp_path / folder).mkdir()
        path = write_study(tmp_path / folder, known, '\n[segments]\ncolumn = "temperature"\n')
        study = load_study(path, ["history.through=2025-06"])
        made.append(segment_tables(study, read_history(study).as_of("2025-04"), np.random.default_rng(1)))
    for name in ("rates", "mix", "worth", "shift"):
        pd.testing.assert_frame_equal(made[0][name], made[1][name])
    assert leads["won"].notna().sum() < world.leads["won"].notna().sum()


def test_a_column_that_is_not_there_is_said(world, tmp_path):
    """With the columns that are, and the nearest one."""
    study = load_study(write_study(tmp_path, world, '\n[segments]\ncolumn = "temprature"\n'))
    with pytest.raises(StudyError, match='did you mean "temperature"'):
        segment_tables(study, read_history(study), np.random.default_rng(1))


def test_as_of_hides_what_came_later(world):
    """Dates after the day are gone, and so are the leads."""
    table = lead_table(world)
    day = np.datetime64("2025-01-31")
    past = table.as_of(day)
    assert isinstance(past, LeadTable)
    assert past.day("leads").max() <= day
    for name in ("qualified", "won", "lost"):
        known = past.day(name)
        assert not (known[~np.isnat(known)] > day).any()
    assert past.leads["amount"].notna().sum() == past.leads["won"].notna().sum()


# Counts


def _counts(folder: Path, rng: np.random.Generator) -> Path:
    """Two channels, two segments, thirty months without delays, with known rates; returns the study."""
    lines = ["period,channel,segment,spend,visitors,leads,qualified,won,revenue"]
    for t in range(30):
        for channel, lift in (("ppc", 0.0), ("seo", 0.1)):
            for segment, rate in (("small", 0.3), ("large", 0.5)):
                leads = int(rng.poisson(60))
                qualified = int(rng.binomial(leads, rate + lift))
                won = int(rng.binomial(qualified, 0.25))
                label = f"{2024 + t // 12}-{t % 12 + 1:02d}"
                row = (label, channel, segment, 500, 10 * leads, leads, qualified, won, won * 4000)
                lines.append(",".join(map(str, row)))
    (folder / "c.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = (
        'name = "c"\n[history]\ncounts = "c.csv"\nthrough = "2026-06"\n[segments]\ncolumn = "segment"\n'
        "[funnel]\ndelay.qualified = 0\ndelay.won = 0\n"
    )
    (folder / "c.toml").write_text(text, encoding="utf-8")
    return folder / "c.toml"


def test_counts_with_a_column_of_segments(tmp_path):
    """The forecast reads their sums; rates by segment are those that made them; a column that is not there is said."""
    path = _counts(tmp_path, np.random.default_rng(5))
    study = load_study(path)
    history = read_history(study)
    raw = pd.read_csv(tmp_path / "c.csv")
    assert history.counts["leads"].sum().item() == raw["leads"].sum()
    assert history.channels == ["ppc", "seo"]
    made = segment_tables(study, history, np.random.default_rng(1))
    found = made["rates"].set_index(["stage", "channel", "segment"])
    for channel, segment, rate in (("ppc", "small", 0.3), ("seo", "large", 0.6), ("total", "large", 0.55)):
        row = found.loc["qualified", channel, segment]
        assert abs(row["mean"] - rate) < 4.5 * (row["q90"] - row["q10"]) / 2.56
    worth = made["worth"].set_index("segment")
    assert worth.loc["large", "worth_mean"] == pytest.approx(0.55 * 0.25 * 4000, rel=0.15)
    assert made["mix"]["leads"].sum() == raw["leads"].sum()
    with pytest.raises(StudyError, match=r'no column "segmnt".*did you mean "segment"'):
        read_history(load_study(path, ['segments.column="segmnt"']))


@pytest.mark.parametrize("counting", ["calendar", "cohort"])
def test_entries_that_had_no_time_to_move_do_not_count(counting):
    """Steady entries: under calendar counts as many have had the time as entered; the last cohorts have not."""
    past = fixture.history({"leads": [50, 20], "won": [5, 2]}, periods=12, counting=counting)
    study = fixture.study(funnel={"stages": ("leads", "won"), "delay": {"won": 60}})
    cells = {name: past.counts[name].values[:, :, None] for name in ("leads", "won")}
    entered, moved, trials = settled(SegmentCounts(("all",), cells), study, past)["won"]
    assert entered.ravel() == pytest.approx([600.0, 240.0])
    assert moved.ravel() == pytest.approx([60.0, 24.0])
    if counting == "calendar":
        assert trials == pytest.approx(entered)
    else:
        lived = np.cumsum(delay_pmf(60 / 30.4375, 0.8, 40))[:12].mean()
        assert trials == pytest.approx(entered * lived, rel=0.01)
