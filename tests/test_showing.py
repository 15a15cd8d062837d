"""Nouns at a prompt and in a notebook: short, with their numbers as words write them, and nothing executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.checks import Check, Verdict
from forecast.planning import Forecast
from forecast.results import Results, StudyFacts
from forecast.showing import ROWS, grid
from forecast.tables import COUNT, CURRENCY, SHARE, YES_NO, Column, Table
from tests.posterior_fixture import case, history, posterior, study

EVIL = '<script>alert("x")</script>'
LEAST, MOST = 20, 600
PLAN = np.full((3, 2), 900.0)


@pytest.fixture(scope="module")
def made() -> Forecast:
    """A company whose channel is hostile."""
    past = history(
        {"spend": 900.0, "visitors": 900.0, "won": 9.0, "revenue": 9000.0},
        channels=(EVIL, "b" * 5000),
        periods=14,
    )
    asked = study(name="hostile", funnel={"stages": ("visitors", "won")})
    known = posterior(past, {"won": 0.01}, draws=100, elasticity=np.linspace(0.4, 0.6, 100)[:, None])
    return Forecast(case(known, past, PLAN, asked))


def nouns(made: Forecast) -> dict[str, Any]:
    """Everything that shows itself, of one forecast."""
    found = made.allocate()
    summary = {
        "name": EVIL, "measure": "won", "horizon": 3, "period": "month", "spend": "actual", "method": "preview",
        "origins": ["2025-01"], "rows": [{"origin": EVIL, "came": 3.0}], "gate": {"checks": []},
        "methods": [{"method": "forecast", "measure": "won",
                     "inside80": {"inside": 1, "outcomes": 1, "independent": 1.0, "share": 1.0}}],
    }  # fmt: skip
    return {
        "Study": made.case.study.replace({"history.counts": EVIL, "plan.target.won": 3e9}),
        "History": made.case.history,
        "Posterior": made.case.posterior,
        "Case": made.case,
        "Forecast": made,
        "Decision": found,
        "Firmness": made.decision,
        "Table": made.table("forecast"),
        "Verdict": Verdict("REVIEW", EVIL, [Check(EVIL, "FAIL", EVIL, EVIL)]),
        "Backtest": forecast.Backtest([], summary),
    }


def test_every_noun_is_short_and_harmless(made: Forecast):
    """A few lines at a prompt, whatever names there are; in HTML no tag but ours."""
    for name, noun in nouns(made).items():
        said, page = repr(noun), noun._repr_html_()
        assert LEAST < len(said) < MOST, name
        assert type(noun).__name__ == name
        assert "<script" not in page, name
        assert "bbbb" not in page or "b" * 5000 in page, name
    assert "&lt;script&gt;" in made.table("forecast")._repr_html_()
    assert "&lt;script&gt;" in made._repr_html_()


def test_a_prompt_simulates_nothing():
    """What was not asked for is not there; once it was, it is."""
    past = history({"spend": 900.0, "visitors": 900.0, "won": 9.0, "revenue": 9000.0}, periods=14)
    asked = study(funnel={"stages": ("visitors", "won")}, plan={"target": {"won": 40.0}})
    fresh = Forecast(case(posterior(past, {"won": 0.01}, draws=50), past, PLAN, asked))
    assert "won" not in repr(fresh)
    assert "draws" not in vars(fresh)
    mean = fresh.headline["won_mean"]
    assert f"won       {mean:.1f} (80 % band" in repr(fresh)
    assert "P = " in repr(fresh)


def test_a_table_is_written_by_the_units_of_its_columns():
    """Numbers to the right and as words write them, a dash where there is none, undeclared columns not at all."""
    frame = pd.DataFrame(
        {"channel": ["ppc", "seo"], "revenue": [123456.7, np.nan], "rate": [0.0312, 0.5], "n": [7.62, 1234.0],
         "locked": [True, False], "hidden": [1, 2]}
    )  # fmt: skip
    columns = (
        Column("channel"),
        Column("revenue", CURRENCY),
        Column("rate", SHARE),
        Column("n", COUNT),
        Column("locked", YES_NO),
    )
    page = Table("x", "X", columns, frame)._repr_html_()
    for said in ("123\u202f000", "3.1\u00a0%", "7.6", "1\u202f230", ">yes<", ">no<", ">\u2013<"):
        assert said in page, said
    assert 'text-align:right;padding:0.1em 0.7em">123' in page
    assert 'text-align:left;padding:0.1em 0.7em">ppc' in page
    assert "hidden" not in page
    assert repr(Table("x", "X", columns, frame)) == "x: 2 rows\n  columns  channel, revenue, rate, and 2 more"


def test_a_long_table_says_how_much_of_it_is_there():
    """No notebook is filled by one cell."""
    frame = pd.DataFrame({"n": np.arange(100.0)})
    page = Table("x", "X", (Column("n", COUNT),), frame)._repr_html_()
    assert page.count("<tr>") == ROWS + 1
    assert f"{ROWS} of 100 rows" in page
    assert grid([], [["a"]] * (ROWS + 1)).count("<tr>") == ROWS


def test_a_backtest_is_still_a_pair(made: Forecast):
    """Records and summary, as before."""
    found = nouns(made)["Backtest"]
    records, summary = found
    assert (records, summary) == (found.records, found.summary) == (found[0], found[1])
    assert found.origins.frame["came"].tolist() == [3.0]


def test_results_given_by_hand_show_themselves_as_before():
    """The bundle that pages read is no noun of this kind."""
    assert "StudyFacts" in repr(Results(StudyFacts("x", "EUR")))


def test_a_study_says_what_was_changed(small_study: Path):
    """The overrides, so that nobody takes it for its file."""
    loaded = forecast.load_study(small_study).replace({"plan.periods": 6})
    assert "changed   plan.periods = 6" in repr(loaded)
    assert str(loaded) == repr(loaded)
