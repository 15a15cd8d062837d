"""Runs written from Python: what their manifest says, and that sign, verify, score take them as any run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import forecast
from forecast import reviewing, written
from forecast.errors import GateError, UsageError
from forecast.making import by_hand, saved_as
from forecast.signing import sign, verify

pytestmark = pytest.mark.usefixtures("no_paper")
ASKED = {"outputs": ("csv", "draws")}


def made_of(path: Path, **asked: object) -> forecast.Forecast:
    """The small company's forecast, from its saved fit."""
    study = forecast.load_study(path)
    return forecast.forecast(
        study, forecast.read_history(study), forecast.load_posterior(path.with_suffix(".nc")), **asked
    )


def facts_of(folder: Path) -> dict:
    """What the manifest says of the run."""
    return (written.manifest_of(folder) or {})["commands"]["run"]


def test_a_run_of_python_is_verified_made_again_and_signed(fitted_study: Path, tmp_path: Path):
    """Named are the study, its data and the fit beside it; a bit turned in any of them is found."""
    folder = made_of(fitted_study).write(str(tmp_path / "runs" / "one"), **ASKED)
    facts = facts_of(folder)
    assert (facts["study"]["path"], facts["posterior"]["path"]) == ("../../small.toml", "../../small.nc")
    assert "by_hand" not in facts
    assert not (folder / "posterior.nc").exists()
    assert verify(folder, remake=True)["differences"] == []
    entry = sign(str(folder), by="Ann")
    assert entry["run_id"] == facts["run_id"] == json.loads((folder / "summary.json").read_text())["run_id"]
    assert verify(folder)["notes"] == []
    fitted_study.with_suffix(".csv").write_text("other", encoding="utf-8")
    assert any("small.csv: changed" in said for said in verify(folder)["differences"])


def test_what_is_by_hand(fitted_study: Path, tmp_path: Path):
    """A study is its file with what was replaced, and a history what is read of its files as they are now."""
    study = forecast.load_study(fitted_study, ["plan.periods=2"]).replace({"economics.gross_margin": 0.5})
    history = forecast.read_history(study)
    assert by_hand(tmp_path, study, history, None) == ()
    assert by_hand(tmp_path, study.model_copy(update={"currency": "USD"}), history, None) == ("study",)
    assert by_hand(tmp_path, study, history.as_of("2026-03"), {"measure": "won"}) == ("history", "backtest")
    early = study.replace({"history.through": "2026-03"})
    assert by_hand(tmp_path, early, forecast.read_history(early), None) == ()
    with fitted_study.with_suffix(".csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert by_hand(tmp_path, study, history, None) == ("history",)
    fitted_study.write_text(fitted_study.read_text().replace("b2b", "b2c"), encoding="utf-8")
    assert by_hand(tmp_path, study, history, None) == ("study", "history")


def test_where_a_posterior_lies(fitted_study: Path, tmp_path: Path):
    """Beside the study where that is just it, whatever time it took; else beside the run, as the bytes of its file."""
    study = forecast.load_study(fitted_study)
    known = forecast.load_posterior(fitted_study.with_suffix(".nc"))
    known.provenance["seconds"] = 12.0
    place, sha, content = saved_as(tmp_path, study, known)
    assert (place, sha, content) == (fitted_study.with_suffix(".nc"), written.digest(place), None)
    other = replace(known, provenance=known.provenance | {"seed": 7})
    place, sha, content = saved_as(tmp_path, study, other)
    assert content is not None
    (tmp_path / "posterior.nc").write_bytes(content)
    assert (place, sha) == (tmp_path / "posterior.nc", written.digest(place))
    assert forecast.load_posterior(place).provenance["seed"] == 7


@pytest.mark.slow
def test_what_was_replaced_and_a_plan_by_hand_are_made_again(fitted_study: Path, tmp_path: Path):
    """The record of the run holds both; without them it would be another run."""
    path = fitted_study
    study = forecast.load_study(path).replace({"plan.periods": 2}).replace(budget={"change": 0.2})
    history = forecast.read_history(study)
    plan = 0.9 * forecast.read_plan(study, history).values
    known = forecast.load_posterior(path.with_suffix(".nc"))
    made = forecast.forecast(study, history, known, plan=plan, seed=3)
    folder = made.write(tmp_path / "run", **ASKED)
    assert facts_of(folder)["asked"]["overrides"] == ["plan.periods = 2", "budget = {change = 0.2}"]
    assert verify(folder, remake=True)["differences"] == []
    manifest = written.manifest_of(folder)
    assert manifest is not None
    manifest["commands"]["run"]["asked"]["overrides"] = []
    (folder / "manifest.json").write_bytes(written.seal(manifest))
    with pytest.raises(UsageError, match="plan: expected spend of 3 periods"):
        verify(folder, remake=True)


@pytest.mark.slow
def test_a_posterior_that_lies_nowhere_is_kept_beside_the_run(fitted_study: Path, tmp_path: Path):
    """A preview, or a fit that was never saved: the run holds all that it was made from, and is not written twice."""
    study = forecast.load_study(fitted_study)
    history = forecast.read_history(study)
    made = forecast.forecast(study, history, forecast.preview(study, history, draws=60))
    folder = made.write(tmp_path / "run", **ASKED)
    assert facts_of(folder)["posterior"]["path"] == "posterior.nc"
    assert forecast.load_posterior(folder / "posterior.nc").draws == 60
    assert verify(folder, remake=True)["differences"] == []
    made.write(folder, **ASKED)
    made_of(fitted_study).write(folder, **ASKED)
    assert not (folder / "posterior.nc").exists()  # of the earlier run


@pytest.mark.parametrize(
    "what",
    ["history", *(pytest.param(what, marks=pytest.mark.slow) for what in ("study", "backtest"))],
)
def test_what_is_in_no_file_is_said_and_not_signed(fitted_study: Path, tmp_path: Path, what: str):
    """A study changed past its checks, a past taken from a history, a backtest given: nobody could make it again."""
    study = forecast.load_study(fitted_study)
    history = forecast.read_history(study)
    past = {"measure": "won"} if what == "backtest" else None
    if what == "study":
        study = study.model_copy(update={"currency": "USD"})
    if what == "history":
        history = history.as_of("2026-04")
    known = forecast.preview(study, history, draws=40)
    made = forecast.forecast(study, history, known)
    if past is not None:
        vars(made)["_past"] = past
        vars(made)["verdict"], vars(made)["backtest"] = forecast.forecast(study, history, known).verdict, None
    folder = made.write(tmp_path / "run", **ASKED)
    assert facts_of(folder)["by_hand"] == [what]
    assert verify(folder)["differences"] == []
    assert any(what in note for note in verify(folder)["notes"])
    with pytest.raises(
        GateError, match=f"not signed: made in Python from what is in no file as it is now: {what}"
    ):
        sign(folder)
    (said,) = verify(folder, remake=True)["differences"]
    assert said.startswith("not made again")


@pytest.mark.slow
def test_a_command_writes_over_what_python_wrote_and_back(fitted_study: Path, tmp_path: Path):
    """The facts are those of the last of them."""
    from forecast import workflow

    folder = tmp_path / "run"
    workflow.run(fitted_study, out=folder, outputs=("csv",))
    made_of(fitted_study, seed=2).write(folder, outputs=("csv",))
    assert facts_of(folder)["asked"]["python"]
    assert verify(folder, remake=True)["differences"] == []
    workflow.run(fitted_study, out=folder, outputs=("csv",))
    assert "python" not in facts_of(folder)["asked"]


@pytest.mark.slow
def test_a_run_is_scored_from_python_as_by_the_command(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same score, by paths or by study; nothing is written before it is asked for."""
    from forecast import workflow

    monkeypatch.setattr(reviewing, "FEWER", 100)
    study = forecast.load_study(small_study).replace({"history.through": "2026-04"})
    history = forecast.read_history(study)
    made = forecast.forecast(study, history, forecast.preview(study, history, draws=60))
    folder = made.write(tmp_path / "run", **ASKED)
    found = forecast.score(str(folder), str(small_study), blocks=1)
    assert not (folder / "score.json").exists()
    assert found.headline["measure"] == "revenue"
    assert "came" in repr(found)
    assert len(found.table("score"))
    with pytest.raises(UsageError, match='no table "scores"; there are score, attribution'):
        found.table("scores")
    copy = shutil.copytree(folder, tmp_path / "copy")
    found.write()
    workflow.score(copy, small_study, blocks=1)
    ours, theirs = (json.loads((place / "score.json").read_text()) for place in (folder, copy))
    assert ours.pop("run") != theirs.pop("run")
    assert ours == theirs
    assert (folder / "score.csv").read_bytes() == (copy / "score.csv").read_bytes()
