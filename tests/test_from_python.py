"""What notebooks call: the saved fit or a new one, what a test would measure, rows and files of tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import save_by_hand

import forecast
from forecast import making
from forecast.errors import UsageError
from forecast.report import write_tables


@pytest.fixture
def made(small_study: Path) -> forecast.Forecast:
    """The forecast of the small company from a fit of known constants."""
    study = forecast.load_study(small_study)
    return forecast.forecast(
        study, forecast.read_history(study), forecast.load_posterior(save_by_hand(small_study))
    )


def test_the_saved_fit_is_taken_where_it_holds(small_study: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the same data, seed and draws; with another seed it is fitted anew, saved, and found the next time."""
    save_by_hand(small_study)
    study = forecast.load_study(small_study)
    history = forecast.read_history(study)
    fitted: list[int] = []

    def fit(study, history, *, seed, draws, **_):
        fitted.append(seed)
        saved = forecast.load_posterior(making.posterior_path(study))
        made_as = {"seed": seed, "draws": draws, "fit_hash": making.fit_hash(study, history, seed, draws)}
        return replace(saved, provenance=saved.provenance | made_as)

    monkeypatch.setattr(making, "fit_posterior", fit)
    held = forecast.fit_or_load(study, history)
    assert (held.provenance["seed"], fitted) == (1, [])
    for _ in range(2):
        new = forecast.fit_or_load(study, history, seed=7)
        assert (new.provenance["seed"], fitted) == (7, [7])
    assert not (study.folder / "other.nc").exists()
    forecast.fit_or_load(study, history, study.folder / "other.nc", seed=7)
    assert fitted == [7, 7]
    assert (study.folder / "other.nc").is_file()


def test_a_lift_is_the_traffic_that_the_spend_brings(made):
    """Nothing for no change; with all of the spend the traffic above that of none; more for more, draw by draw."""
    names = made.case.history.channels
    channel = next(name for name in names if name in made.case.paid_names)
    none, some, whole = (made.lift(channel, share) for share in (0.0, 0.3, 1.0))
    np.testing.assert_allclose(none, 0.0, atol=1e-9)
    assert ((some > 0) & (whole > some)).all()
    without = made.case.plan.copy()
    without[:, names.index(channel)] = 0.0
    brought = (made.case.traffic()[0] - made.case.traffic(without)[0]).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(whole, brought, rtol=1e-9)


def test_a_lift_of_a_channel_that_is_not_there_is_refused(made):
    """With those that have spend."""
    with pytest.raises(UsageError, match=r'expected a channel with spend: .*ppc.*; got "sea"'):
        made.lift("sea")


def test_rows_of_a_table_by_what_their_columns_hold(made):
    """All columns at once; the table stays as it was."""
    table = made.table("forecast")
    rows = table.where(channel="total", measure="won")
    assert set(rows.frame["channel"]) == {"total"}
    assert set(rows.frame["measure"]) == {"won"}
    assert 0 < len(rows) < len(table) == len(made.forecast)
    with pytest.raises(KeyError):
        table.where(chanel="total")


def test_tables_are_files_that_the_next_time_takes_the_place_of(made, tmp_path):
    """On the manifest; one that somebody changed is left alone, and nothing else is written then."""
    frame = pd.DataFrame({"x": [1.5, 2.0], "name": ["a", "=b"]})
    paths = write_tables(tmp_path / "out", {"own": frame, "won": made.table("won")})
    assert [path.name for path in paths] == ["own.csv", "won.csv"]
    assert paths[0].read_text(encoding="utf-8") == "x,name\n1.5,a\n2,'=b\n"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["own.csv"]["command"] == "notebook"
    write_tables(tmp_path / "out", {"own": frame[:1]})
    assert paths[0].read_text(encoding="utf-8") == "x,name\n1.5,a\n"
    paths[0].write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.csv changed since"):
        write_tables(tmp_path / "out", {"more": frame, "own": frame})
    assert not (tmp_path / "out" / "more.csv").exists()
