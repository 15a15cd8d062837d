"""Histories: conservation from leads to triangles to totals, row order, and a past that nothing later can reach."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import posterior_fixture as fixture
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.errors import DataError
from forecast.history.history import History
from forecast.history.read import read_history
from forecast.study import Study

MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(MANY, max_examples=6)  # each reads files; a slow test beside it tries many
FIRST = dt.date(2026, 1, 1)
CHANNELS = ("ppc", "seo", "events")
Lead = tuple[str, dt.date, dt.date | None, dt.date | None, dt.date | None, float | None]


@st.composite
def leads(draw: st.DrawFn) -> list[Lead]:
    """Leads of half a year: some qualify, some of those are won, some are lost, all dates in order."""
    made: list[Lead] = []
    for _ in range(draw(st.integers(1, 25))):
        created = FIRST + dt.timedelta(draw(st.integers(0, 150)))
        course = draw(st.sampled_from(["open", "qualified", "won", "lost early", "lost late"]))
        qualified = won = lost = amount = None
        if course in {"qualified", "won", "lost late"}:
            qualified = created + dt.timedelta(draw(st.integers(0, 60)))
        if course == "won" and qualified is not None:
            won, amount = (
                qualified + dt.timedelta(draw(st.integers(0, 60))),
                float(draw(st.integers(1, 9000))),
            )
        if course.startswith("lost"):
            lost = (qualified or created) + dt.timedelta(draw(st.integers(0, 60)))
        made.append((draw(st.sampled_from(CHANNELS)), created, qualified, won, lost, amount))
    # The last lead closes the history, so that its last period is complete.
    return [*made, ("seo", dt.date(2026, 1, 1), dt.date(2026, 9, 30), None, None, None)]


def read_leads(
    rows: list[Lead], *, period: str = "month", through: str | None = "2026-09", order: int | None = None
) -> History:
    """The history of these leads, read from a file; `order` shuffles the rows."""
    numbered = list(enumerate(rows))
    if order is not None:
        random.Random(order).shuffle(numbered)  # noqa: S311 - a shuffle for a test
    lines = ["lead_id,channel,created,qualified,won,lost,amount"]
    for i, cells in numbered:
        lines.append(",".join([f"L{i}", *("" if cell is None else str(cell) for cell in cells)]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "leads.csv").write_text("\n".join(lines), encoding="utf-8")
        history = {
            "leads": "leads.csv",
            "period": period,
            **({} if through is None else {"through": through}),
        }
        study = Study.model_validate({"name": "x", "history": history, "folder": Path(folder)})
        return read_history(study)


def read_counts(lines: list[str], folder: Path, **spec: str) -> History:
    """The history of these rows of counts."""
    header = "period,channel,spend,visitors,leads,qualified,won,revenue"
    (folder / "counts.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    study = Study.model_validate({"name": "x", "history": {"counts": "counts.csv", **spec}, "folder": folder})
    return read_history(study)


@FEW
@given(leads())
def test_leads_are_conserved(rows: list[Lead]) -> None:
    """Every lead and event is counted once: file = totals = triangles; each cohort = reached + lost + open."""
    history = read_leads(rows)

    events = {"leads": 1, "qualified": 2, "won": 3}
    for stage, i in events.items():
        assert np.nansum(history.counts[stage]) == sum(row[i] is not None for row in rows)
    if "revenue" in history.counts:
        assert np.nansum(history.counts["revenue"]) == sum(row[5] or 0 for row in rows)
    for before, stage in itertools.pairwise(history.stages):
        triangle = history.triangles[stage]
        assert int(triangle.sum()) == np.nansum(history.counts[stage])
        # The same events by calendar: cell (cohort, age) happened in period cohort + age.
        for t in range(history.periods.size):
            diagonal = sum(triangle.values[c, t - c].sum() for c in range(t + 1))
            assert diagonal == np.nansum(history.counts[stage].values[t])
        gone = history.losses[stage].sum("age") if stage in history.losses else 0
        still_open = history.counts[before].fillna(0).values - triangle.sum("age").values - np.asarray(gone)
        assert (still_open >= 0).all()
    assert sum(int(loss.sum()) for loss in history.losses.values()) == sum(row[4] is not None for row in rows)
    assert len(history.deals) == sum(row[3] is not None for row in rows)


SHUFFLED = (leads(), st.integers(0, 1000), st.sampled_from(["month", "week", "quarter"]))


@FEW
@given(*SHUFFLED)
def test_the_order_of_rows_does_not_matter(rows: list[Lead], order: int, period: str) -> None:
    """Shuffled rows give the same content, channels in the same order."""
    straight = read_leads(rows, period=period, through=None)
    shuffled = read_leads(rows, period=period, through=None, order=order)

    assert shuffled.channels == straight.channels
    assert shuffled.fingerprint() == straight.fingerprint()


CHANGED = (leads(), st.integers(1, 8), st.data())


@FEW
@given(*CHANGED)
def test_nothing_after_the_origin_reaches_the_past(rows: list[Lead], month: int, data: st.DataObject) -> None:
    """Change, drop or add anything dated after the origin: what was known at the origin stays the same to the byte."""
    end = dt.date(2026, month + 1, 1) - dt.timedelta(1)

    def hidden(day: dt.date | None) -> bool:
        return day is not None and day > end

    changed: list[Lead] = []
    for channel, created, qualified, won, lost, amount in rows:
        if hidden(created):
            continue
        later = end + dt.timedelta(data.draw(st.integers(31, 90)))
        new_won = later if hidden(won) else won
        new_qualified = end + dt.timedelta(1) if hidden(qualified) else qualified
        new_lost = None if hidden(lost) else lost
        if new_won is None and new_lost is None and data.draw(st.booleans()):
            new_lost = later
        new_amount = 1.0 if hidden(won) else amount
        changed.append((channel, created, new_qualified, new_won, new_lost, new_amount))
    changed.append(("a new channel", end + dt.timedelta(1), None, None, None, None))
    changed.append(("seo", end + dt.timedelta(1), None, None, dt.date(2026, 12, 31), None))
    label = f"2026-{month:02d}"
    if min(row[1] for row in rows) > end:
        return

    past = read_leads(rows, through="2026-09").as_of(label)
    other = read_leads(changed, through="2026-12").as_of(label)

    assert other.fingerprint() == past.fingerprint()
    assert past.fingerprint() == read_leads(rows, through=label).fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "drawn"),
    [
        (test_leads_are_conserved, (leads(),)),
        (test_the_order_of_rows_does_not_matter, SHUFFLED),
        (test_nothing_after_the_origin_reaches_the_past, CHANGED),
    ],
    ids=["conserved", "order", "past"],
)
def test_the_same_holds_of_many(test: Any, drawn: tuple[Any, ...]) -> None:
    """Each of the three on forty examples."""
    MANY(given(*drawn)(test.hypothesis.inner_test))()


def test_a_small_triangle_by_hand() -> None:
    """Of four leads of January one qualifies at once and is won in March, one qualifies in February, one is lost."""
    day = dt.date
    rows: list[Lead] = [
        ("ppc", day(2026, 1, 5), day(2026, 1, 20), day(2026, 3, 2), None, 500.0),
        ("ppc", day(2026, 1, 6), day(2026, 2, 1), None, None, None),
        ("ppc", day(2026, 1, 7), None, None, day(2026, 2, 20), None),
        ("ppc", day(2026, 1, 8), None, None, None, None),
        ("ppc", day(2026, 2, 8), day(2026, 2, 9), None, day(2026, 3, 31), None),
    ]
    history = read_leads(rows, through="2026-03")

    assert history.labels == ["2026-01", "2026-02", "2026-03"]
    assert history.counts["leads"].values[:, 0].tolist() == [4, 1, 0]
    assert history.counts["qualified"].values[:, 0].tolist() == [1, 2, 0]
    assert history.counts["won"].values[:, 0].tolist() == [0, 0, 1]
    assert history.counts["revenue"].values[:, 0].tolist() == [0, 0, 500]
    assert history.triangles["qualified"].values[:, :, 0].tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert history.triangles["won"].values[:, :, 0].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert history.losses["qualified"].values[:, :, 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert history.losses["won"].values[:, :, 0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert history.triangles["won"].dims == ("cohort", "age", "channel")
    assert history.triangles["won"].dtype == np.int64

    past = history.as_of("2026-02")
    assert past.labels == ["2026-01", "2026-02"]
    assert past.triangles["won"].values.sum() == 0
    assert "won" not in past.losses
    assert past.deals.empty
    assert "revenue" not in past.counts


def test_leads_before_the_window_do_not_exist_for_the_model(tmp_path: Path) -> None:
    """Neither the lead nor its win inside the window is counted; that leads were left out is noted."""
    (tmp_path / "l.csv").write_text(
        "lead_id,channel,created,won\na,ppc,2025-12-30,2026-01-15\nb,ppc,2026-01-02,2026-01-31\n",
        encoding="utf-8",
    )
    spec = {"leads": "l.csv", "from": "2026-01"}
    funnel = {"stages": ("leads", "won")}
    study = Study.model_validate({"name": "x", "history": spec, "funnel": funnel, "folder": tmp_path})
    history = read_history(study)

    assert history.counts["leads"].values.tolist() == [[1]]
    assert history.counts["won"].values.tolist() == [[1]]
    assert history.reading["before"] == "1"


ROWS = [
    f"2026-{m:02d},{c},{m * k},{100 * m},{10 * m},{5 * m},{m},{900 * m}"
    for m in range(1, 7)
    for k, c in ((3, "ppc"), (5, "seo"))
]


def test_calendar_counts_can_be_taken_back(tmp_path: Path) -> None:
    """As of a month = reading the file up to that month; a channel that came later is not known yet."""
    history = read_counts([*ROWS, "2026-06,tv,1,1,1,1,1,1"], tmp_path)
    past = history.as_of("2026-04")

    assert history.channels == ["ppc", "seo", "tv"]
    assert past.channels == ["ppc", "seo"]
    assert past.last == np.datetime64("2026-04-01")
    assert (
        past.fingerprint()
        == read_counts([*ROWS, "2026-06,tv,1,1,1,1,1,1"], tmp_path, through="2026-04").fingerprint()
    )
    assert past.fingerprint() == read_counts(ROWS[:8], tmp_path).fingerprint()
    assert past.as_of("2026-02").fingerprint() == history.as_of(np.datetime64("2026-02-01")).fingerprint()
    assert history.as_of("2026-06").fingerprint() == history.fingerprint()


def test_a_stage_not_recorded_yet_is_not_known_in_the_past(tmp_path: Path) -> None:
    """Visitors recorded from May on: in April the funnel starts at leads, and there is no spend."""
    rows = [
        line if line[6] in "56" else ",".join([*line.split(",")[:2], "", "", *line.split(",")[4:]])
        for line in ROWS
    ]
    history = read_counts(rows, tmp_path)

    assert history.stages[0] == "visitors"
    assert history.as_of("2026-04").stages == ("leads", "qualified", "won")
    assert "spend" not in history.as_of("2026-04").counts


def test_cohort_counts_cannot_be_taken_back(tmp_path: Path) -> None:
    """What had become of a cohort by then is lost in such a table; only its own last period can be asked for."""
    history = read_counts(ROWS, tmp_path, counting="cohort")

    assert history.as_of("2026-06") is history
    with pytest.raises(DataError, match="counts by cohort cannot be taken back"):
        history.as_of("2026-05")


@pytest.mark.parametrize("label", ["2025-12", "2026-07"])
def test_only_periods_of_the_history_can_be_asked_for(tmp_path: Path, label: str) -> None:
    """The message names the periods that there are."""
    with pytest.raises(DataError, match="2026-01 to 2026-06"):
        read_counts(ROWS, tmp_path).as_of(label)


def test_arrays_are_read_only(tmp_path: Path) -> None:
    """Nobody changes a history by accident, nor a past through it."""
    history = read_counts(ROWS, tmp_path)
    for known in (history, history.as_of("2026-03")):
        with pytest.raises(ValueError, match="read-only"):
            known.counts["leads"].values[0, 0] = 1


def test_a_blank_is_not_a_zero(tmp_path: Path) -> None:
    """An empty cell is NaN, a zero is 0, and they have different fingerprints."""
    blank = read_counts([*ROWS[:-1], "2026-06,seo,,600,60,30,6,0"], tmp_path)
    zero = read_counts([*ROWS[:-1], "2026-06,seo,0,600,60,30,6,0"], tmp_path)

    assert np.isnan(blank.counts["spend"].values[-1, 1])
    assert zero.counts["spend"].values[-1, 1] == 0
    assert blank.fingerprint() != zero.fingerprint()


def test_the_fingerprint_sees_every_number(tmp_path: Path) -> None:
    """One customer more, another way of counting: another history."""
    first = read_counts(ROWS, tmp_path)

    assert (
        first.fingerprint()
        != read_counts([*ROWS[:-1], "2026-06,seo,30,600,60,30,7,5400"], tmp_path).fingerprint()
    )
    assert first.fingerprint() != read_counts(ROWS, tmp_path, counting="cohort").fingerprint()


# Facts


def test_steps_pass_over_stages_without_counts() -> None:
    """Visitors to won directly, where nobody counts what lies between."""
    assert fixture.history({"visitors": 9.0, "won": 1.0}).steps == (("visitors", "won"),)
    assert fixture.history({"leads": 9.0, "qualified": 4.0, "won": 1.0}).steps == (
        ("leads", "qualified"),
        ("qualified", "won"),
    )


def test_a_channel_enters_at_its_first_counted_stage() -> None:
    """Leads without a known visit: no rate into leads, and leads are what enters; a channel of nothing starts first."""
    visitors = np.column_stack([np.full(12, 900.0), np.zeros(12), np.zeros(12)])
    leads = np.column_stack([np.full(12, 50.0), np.full(12, 20.0), np.zeros(12)])
    leads[3, 1] = np.nan
    past = fixture.history(
        {"visitors": visitors, "leads": leads, "won": [2.0, 1.0, 0.0]}, channels=("ads", "calls", "idle")
    )

    assert past.entry.tolist() == [0, 1, 0]
    assert past.enters_later("leads").tolist() == [False, True, False]
    assert past.enters_later("won").tolist() == [False, False, False]
    assert past.entries[0].tolist() == [900.0, 20.0, 0.0]
    assert np.isnan(past.entries[3, 1])
    assert past.filled("leads")[3].tolist() == [50.0, 0.0, 0.0]
    assert past.present("visitors", "leads")[3].tolist() == [True, False, True]


def test_a_channel_has_stopped_without_a_record_for_two_periods_or_without_spend_and_units() -> None:
    """Nothing recorded in two periods, or neither spend nor units where there was spend: an end. A blank is none."""
    names = ("paused", "free", "gone", "unlucky", "once", "blank")
    visitors, won = np.full((12, 6), 100.0), np.ones((12, 6))
    visitors[-1] = [0.0, 0.0, np.nan, 0.0, np.nan, np.nan]
    spend = np.full((12, 6), 500.0)
    spend[:, 1] = spend[:, 5] = spend[-1, 0] = 0.0
    for cells in (visitors, won, spend):
        cells[-2:, 2] = np.nan  # two periods without a row
        cells[-1, 4] = np.nan  # one
    past = fixture.history({"visitors": visitors, "won": won, "spend": spend}, channels=names)

    assert dict(zip(names, past.stopped.tolist(), strict=True)) == {
        "paused": True, "free": False, "gone": True, "unlucky": False, "once": False, "blank": False,
    }  # fmt: skip
    assert past.paid.tolist() == [True, False, True, True, True, False]
    assert past.spenders == ["paused", "gone", "unlucky", "once"]


def test_stages_left_blank_for_two_periods_are_an_end_and_one_that_is_filled_is_not() -> None:
    """All stages and spend of two periods blank, though the rows are there with money: over; with visitors: not."""
    visitors, won, revenue = np.full((12, 2), 100.0), np.ones((12, 2)), np.full((12, 2), 9.0)
    won[-2:], visitors[-2:, 0] = np.nan, np.nan
    past = fixture.history({"visitors": visitors, "won": won, "revenue": revenue})

    assert past.stopped.tolist() == [True, False]


def test_spend_has_a_reference_and_a_current_level() -> None:
    """Geometric mean of what was spent; mean of the last three periods; the highest; without records zeros."""
    spend = np.array([[100.0, 0.0], [400.0, 0.0], [np.nan, 0.0], [100.0, 0.0]])
    past = fixture.history({"visitors": 9.0, "won": 1.0, "spend": spend}, periods=4)

    assert past.spend_reference == pytest.approx([(100 * 400 * 100) ** (1 / 3), 1.0])
    assert past.current_spend == pytest.approx([500 / 3, 0.0])
    assert past.highest_spend.tolist() == [400.0, 0.0]
    blank = fixture.history({"visitors": 9.0, "won": 1.0, "spend": np.full((12, 2), np.nan)})
    assert not blank.spend.any()
    without = fixture.history({"visitors": 9.0, "won": 1.0})
    assert without.spend.shape == (12, 2)
    assert without.spenders == []


def test_last_year_s_spend_is_scaled_to_the_recent_level() -> None:
    """A season doubled since goes on doubled; a channel that is new since goes on as now; years repeat."""
    year = np.arange(1.0, 13.0) * 100.0
    old = np.concatenate([year, year, 2 * year])
    new = np.concatenate([np.zeros(30), np.full(6, 700.0)])
    past = fixture.history(
        {"visitors": 9.0, "won": 1.0, "spend": np.column_stack([old, new])}, periods=36, first="2023-01-01"
    )
    planned = past.spend_last_year(14)

    # level: the last quarter over the one a year before, 2; the same months of last year were doubled already
    assert planned[:, 0] == pytest.approx(4 * np.concatenate([year, year[:2]]))
    assert planned[:, 1] == pytest.approx(700.0)
    assert past.tells_last_year
    assert not fixture.history({"visitors": 9.0, "won": 1.0}, periods=14).tells_last_year


def test_a_season_needs_thirteen_months() -> None:
    """57 weeks are the first that last so long."""
    counts = {"visitors": 9.0, "won": 1.0}
    assert not fixture.history(counts, periods=12).has_season
    assert fixture.history(counts, periods=13).has_season
    assert not fixture.history(counts, periods=56, period="week").has_season
    assert fixture.history(counts, periods=57, period="week").has_season


def test_facts_are_read_only_and_those_of_their_own_past(tmp_path: Path) -> None:
    """What was worked out once is shared by all who ask, so nobody may change it; a past works out its own."""
    history = read_counts(ROWS, tmp_path)
    names = (
        "entry",
        "entries",
        "there",
        "stopped",
        "spend",
        "current_spend",
        "highest_spend",
        "spend_reference",
        "paid",
    )
    for name in names:
        assert getattr(history, name) is getattr(history, name)
        with pytest.raises(ValueError, match="read-only"):
            getattr(history, name)[0] = 1

    past = history.as_of("2026-03")
    assert past.spend.tolist() == history.spend[:3].tolist()
    assert past.current_spend.tolist() == history.spend[:3].mean(axis=0).tolist()


def test_priced_deals_are_those_of_a_known_amount_with_their_places():
    """Period and channel by index, in the order of the table; 0 and unknown are no prices; counts have no deals."""
    periods = np.array(["2025-02-01", "2025-02-01", "2025-03-01", "2025-12-01"], dtype="datetime64[ns]")
    deals = pd.DataFrame(
        {"period": periods, "channel": ["two", "one", "two", "one"], "amount": [9.0, np.nan, 0.0, 4.0]}
    )
    past = fixture.history({"leads": 100, "won": 10}, counting="leads", deals=deals)

    assert [values.tolist() for values in past.priced] == [[1, 11], [1, 0], [9.0, 4.0]]
    assert not past.priced.amount.flags.writeable
    assert fixture.history({"leads": 100, "won": 10}).priced.amount.size == 0
    assert past.end == past.known_day == np.datetime64("2025-12-31")


def sold(won: list[float], revenue: list[float]) -> list[list[float]]:
    """Channel, wins and money of the sales of one channel, period by period."""
    cells = {"leads": 100, "won": np.array(won)[:, None], "revenue": np.array(revenue)[:, None]}
    past = fixture.history(cells, channels=("one",), periods=len(won))
    return [getattr(past.sales, name).tolist() for name in ("channel", "wins", "money")]


@pytest.mark.parametrize(
    ("won", "revenue", "wins", "money"),
    [
        ([2, 0, 3], [20, 0, 30], [2, 3], [20, 30]),  # both or neither: as they are
        ([2, 4, 3], [20, 0, 30], [2, 3], [20, 30]),  # free deals are apart
        ([2, 4, 0, 3], [20, 0, 5, 30], [2, 4, 3], [20, 5, 30]),  # but not where money lies beside its wins
        ([2, 0, 3], [20, 5, 30], [2, 3], [20, 35]),  # money before its win
        ([2, 3, 0], [20, 0, 30], [2, 3], [20, 30]),  # money after it
        ([2, 0, 3, 1], [20, 5, 0, 0], [2, 4], [20, 5]),  # what is left joins the last
        ([2, 3, 1], [20, 0, 0], [2], [20]),
        ([2, np.nan, 3], [np.nan, 50, 30], [3], [30]),  # a blank is not known
        ([2, 1, 3], [0, 0, 0], [], []),
        ([0, 0, 0], [5, 5, 5], [], []),
    ],
)
def test_every_win_and_all_money_is_in_the_sales_once(won, revenue, wins, money):
    """Wins and money are taken together until both are there; with free deals their totals are those of the data."""
    assert sold(won, revenue) == [[0] * len(wins), wins, money]


def test_a_deal_of_zero_is_a_deal():
    """Free deals are no sales, and among the deals whose money is known, channel by channel."""
    periods = np.array(["2025-02-01"] * 3 + ["2025-03-01"] * 2, dtype="datetime64[ns]")
    amounts = [0.0, 8.0, np.nan, 0.0, 6.0]
    deals = pd.DataFrame({"period": periods, "channel": ["one"] * 4 + ["two"], "amount": amounts})
    past = fixture.history({"leads": 100, "won": 10}, counting="leads", deals=deals)

    assert past.valued
    assert [past.sales.channel.tolist(), past.sales.wins.tolist(), past.sales.money.tolist()] == [
        [0, 1],
        [1.0, 1.0],
        [8.0, 6.0],
    ]
    free, known = past.free
    assert (free.sum(axis=0).tolist(), known.sum(axis=0).tolist()) == ([2.0, 0.0], [3.0, 1.0])
    assert past.paid_wins[0].sum() == 4.0
    free = deals.assign(amount=0.0)
    assert not fixture.history({"leads": 100, "won": 10}, counting="leads", deals=free).valued


def test_what_came_is_never_a_part_of_it():
    """A blank beside wins leaves the sum unknown; one beside none, or in a channel that counts no such thing, not."""
    nan = np.nan
    cells = {
        "visitors": [[9, nan], [nan, nan], [9, nan]],
        "won": [[1, 2], [1, 2], [1, 0]],
        "revenue": [[10, nan], [10, 20], [10, nan]],
    }
    past = fixture.history({k: np.array(v) for k, v in cells.items()}, periods=3)

    assert np.array_equal(past.came("revenue"), [nan, 30, 10], equal_nan=True)
    assert np.array_equal(past.came("visitors"), [9, nan, 9], equal_nan=True)
    assert past.came("won").tolist() == [3, 3, 1]
