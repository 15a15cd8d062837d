"""The jobs of the command line on a small company: what a saved fit is good for, and what each job leaves behind."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from conftest import STUDY, Notes, counts, listing, save_by_hand
from lead_fixture import write_study
from posterior_fixture import changed_after

from forecast import making, reviewing, workflow
from forecast.backtest import Origin, one_origin, run_backtest
from forecast.budget import Fixed
from forecast.cli import app
from forecast.errors import DataError, StudyError, UsageError
from forecast.fit import load_posterior, preview
from forecast.history import read_history
from forecast.lab import make_leads
from forecast.outputs import FILES
from forecast.planning import forecast
from forecast.report import SCORE_FILES, ranking_page, score_page, terminal_text
from forecast.signing import verify
from forecast.study import load_study

ALWAYS = (
    "manifest.json",
    "sensitivity.csv",
    "sensitivity_totals.csv",
    "variance.csv",
    "variance_totals.csv",
)  # scenarios and goals only where the study has them


class Fitted(Exception):  # noqa: N818 - a signal, not a failure
    """Raised in place of a fit, to see that one would have been made."""


@pytest.fixture(autouse=True)
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fits is caught."""

    def caught(_: Any, history: Any, **__: Any) -> None:
        raise Fitted(history.labels[-1])

    for jobs in (workflow, making):
        monkeypatch.setattr(jobs, "fit_posterior", caught)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn and written, which is most of the time that a run from a saved fit takes."""
    monkeypatch.setattr(workflow, "write_outputs", lambda *_, **__: None)


def edited(study: Path, old: str, new: str) -> Path:
    """The study with one text replaced."""
    text = study.read_text(encoding="utf-8")
    assert old in text
    study.write_text(text.replace(old, new, 1), encoding="utf-8")
    return study


@pytest.fixture
def short_study(small_study: Path) -> Path:
    """The small company with visitors and wins alone: a rate to fit where there are three else."""
    return edited(small_study, "[funnel]", '[funnel]\nstages = ["visitors", "won"]')


# A saved fit


PLANNED = (
    "plan.periods=6",
    "budget.total=5000",
    "plan.spend={ppc = 1000}",
    "plan.target={won = 3}",
    "budget.change=0.1",
    "currency=USD",
    "channels.ppc.locked=true",
    "budget.limits.ppc.max=7000",
)


@pytest.mark.parametrize("change", PLANNED)
def test_plan_and_budget_are_no_part_of_what_a_fit_depends_on(fitted_study: Path, change: str):
    """The saved fit is taken for the changed study too, as it is."""
    study = load_study(fitted_study, [change])
    taken = making.fit_or_load(study, read_history(study))  # `no_fit` catches a new one
    assert taken.provenance == load_posterior(fitted_study.with_suffix(".nc")).provenance


@pytest.mark.parametrize(
    "change", [*PLANNED[:2], *(pytest.param(each, marks=pytest.mark.slow) for each in PLANNED[2:])]
)
def test_plan_and_budget_need_no_new_fit(fitted_study: Path, no_report: None, change: str):
    """What the model does not depend on can be changed at will."""
    made = workflow.run(fitted_study, out=fitted_study.parent / "out", overrides=[change])
    assert made.summary["provenance"]["fitted_now"] is False


@pytest.mark.parametrize(
    "change",
    [
        "funnel.market=b2c",
        "funnel.delay.won=60 days",
        "funnel.rate.won=[0.2, 0.3]",
        "funnel.value=5000",
        "channels.ppc.kind=seo",
        "economics.gross_margin=0.5",
        "history.through=2026-05",
        "history.from=2025-02",
        "priors.range_reads_as=0.8",
    ],
)
def test_funnel_priors_and_window_need_a_new_fit(fitted_study: Path, change: str):
    """What the model depends on is fitted again, and nothing is written when that does not come about."""
    before = listing(fitted_study.parent)
    with pytest.raises(Fitted):
        workflow.run(fitted_study, out=fitted_study.parent / "out", overrides=[change])
    assert listing(fitted_study.parent) == before


@pytest.mark.parametrize(("option", "value"), [("seed", 2), ("seed", 0), ("draws", 8000)])
def test_another_seed_or_number_of_draws_is_another_fit(fitted_study: Path, option: str, value: int):
    """A result is that of its seed and draws."""
    with pytest.raises(Fitted):
        workflow.run(fitted_study, out=fitted_study.parent / "out", **{option: value})


def test_changed_data_need_a_new_fit(fitted_study: Path, no_report: None):
    """One number changed in the data is another history; the same numbers under another file name are not."""
    data = fitted_study.parent / "small.csv"
    data.rename(fitted_study.parent / "renamed.csv")
    edited(fitted_study, "small.csv", "renamed.csv")
    workflow.run(fitted_study, out=fitted_study.parent / "out")
    edited(fitted_study.parent / "renamed.csv", "2025-03,seo,0,900,29,", "2025-03,seo,0,900,30,")
    with pytest.raises(Fitted):
        workflow.run(fitted_study, out=fitted_study.parent / "out")


FAILED = "visitors: 3 divergences (must be 0)"


def test_a_fit_that_failed_its_checks_gives_way_to_the_preview(small_study: Path, no_report: None):
    """No second fit of the same data: the preview's numbers stamped FAIL, or with `go_on` the fit's, stamped too."""
    save_by_hand(small_study, failures=(FAILED,), draws=500)
    made = workflow.run(small_study, out=small_study.parent / "out", draws=500).summary
    kept = workflow.run(small_study, out=small_study.parent / "out", draws=500, go_on=True).summary
    assert [s["provenance"]["method"] for s in (made, kept)] == ["preview", "auto"]
    assert made["totals"] != kept["totals"]
    for summary in (made, kept):
        assert summary["verdict"]["status"] == "FAIL"
        assert summary["provenance"]["failures"] == FAILED
        assert FAILED in [c["value"] for c in summary["verdict"]["checks"] if c["status"] == "FAIL"]
        assert summary["diagnostics"][0]["part"] == "visitors to leads"
    assert "PREVIEW" in made["verdict"]["sentence"]
    assert "PREVIEW" not in kept["verdict"]["sentence"]


def test_a_fail_ends_with_4_and_leaves_stamped_outputs(small_study: Path, no_paper: None):
    """Files, stdout and a reason on stderr as ever, then exit code 4; with --go-on the same stamp and 0."""
    save_by_hand(small_study, failures=(FAILED,), draws=500)
    out = small_study.parent / "out"
    call = ["run", str(small_study), "--out", str(out), "--draws", "500", "--json", "--quiet"]
    made = CliRunner().invoke(app, call)
    assert made.exit_code == 4
    assert json.loads(made.stdout)["verdict"]["status"] == "FAIL"
    assert FAILED in made.stderr
    assert f"The outputs are in {out}/, stamped FAIL." in made.stderr
    assert set(listing(out)) == {*FILES, *ALWAYS}
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["verdict"]["status"] == "FAIL"
    made = CliRunner().invoke(app, [*call, "--go-on"])
    assert (made.exit_code, made.stderr) == (0, "")
    assert json.loads(made.stdout)["verdict"]["status"] == "FAIL"


def test_allocate_on_a_failed_fit_answers_and_ends_with_4(small_study: Path):
    """The split of the preview is printed; with --go-on that of the fit."""
    save_by_hand(small_study, failures=(FAILED,), draws=500)
    made = CliRunner().invoke(app, ["allocate", str(small_study), "--json", "--quiet"])
    kept = CliRunner().invoke(app, ["allocate", str(small_study), "--json", "--quiet", "--go-on"])
    assert [made.exit_code, kept.exit_code] == [4, 0]
    assert FAILED in made.stderr
    splits = [json.loads(m.stdout) for m in (made, kept)]
    assert [s["verdict"]["status"] for s in splits] == ["FAIL", "FAIL"]
    brings = [s["allocation"][0]["expected_contribution_current"] for s in splits]
    assert brings[0] != brings[1]


def test_a_new_fit_is_saved_before_the_forecast(small_study: Path, monkeypatch: pytest.MonkeyPatch):
    """What took longest is kept beside the study, also when the rest of the run goes wrong."""
    path = save_by_hand(small_study)
    made = load_posterior(path)
    path.unlink()
    for jobs in (workflow, making):
        monkeypatch.setattr(jobs, "fit_posterior", lambda *_, **__: made)
    monkeypatch.setattr(workflow, "forecast", lambda *_, **__: (_ for _ in ()).throw(Fitted))
    with pytest.raises(Fitted):
        workflow.run(small_study, out=small_study.parent / "out")
    assert listing(small_study.parent) == ["small.csv", "small.nc", "small.toml"]


def test_fit_saves_the_posterior_and_judges_it(small_study: Path, monkeypatch: pytest.MonkeyPatch):
    """`fit` alone: the posterior beside the study, failed or not, its verdict and its diagnostics; FAIL ends with 4."""
    path = save_by_hand(small_study, failures=(FAILED,))
    made = load_posterior(path)
    path.unlink()
    for jobs in (workflow, making):
        monkeypatch.setattr(jobs, "fit_posterior", lambda *_, **__: made)
    result = workflow.fit(small_study)
    assert result.place == path
    assert path.is_file()
    assert result.summary["verdict"]["status"] == "FAIL"
    assert result.summary["diagnostics"][0]["part"] == "visitors to leads"
    said = CliRunner().invoke(app, ["fit", str(small_study), "--quiet"])
    assert said.exit_code == 4
    assert f"The posterior is saved as {path}, marked as failed." in said.stderr
    assert CliRunner().invoke(app, ["fit", str(small_study), "--quiet", "--go-on"]).exit_code == 0


# Run


def test_run_writes_to_reports_name_and_tells_its_steps(
    fitted_study: Path, no_paper: None, monkeypatch: pytest.MonkeyPatch
):
    """Without --out the folder is reports/NAME below where the command runs."""
    monkeypatch.chdir(fitted_study.parent)
    notes = Notes()
    made = workflow.run(Path("small.toml"), progress=notes)
    assert made.place == Path("reports/small")
    assert set(listing(made.place)) == {*FILES, *ALWAYS}
    assert notes.steps == [
        "reading the study and its data",
        "looking for a saved fit",
        "dividing the budget",
        "simulating the funnel",
        "making the tables",
        "writing the report",
    ]
    assert made.summary["seconds"]["write"] > 0


def test_channel_names_are_text_and_nothing_else(small_study: Path):
    """A name that is a formula, markup or a link comes through every file as the text that it is."""
    names = {"ppc": '=HYPERLINK("http://x.y","=1+1")', "seo": "#import <b>$x^2$ @é, ;'"}
    data = small_study.parent / "small.csv"
    table = pd.read_csv(data)
    table["channel"] = table["channel"].map(names)
    table.to_csv(data, index=False)
    edited(small_study, '[channels.ppc]\nkind = "ppc"\n', "")
    save_by_hand(small_study)
    out = workflow.run(small_study, out=small_study.parent / "out").place
    channels = set(pd.read_csv(out / "forecast.csv")["channel"])
    assert channels == {f"'{names['ppc']}", names["seo"]}
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert [row["channel"] for row in summary["allocation"]] == [names["ppc"]]
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")


# What is the user's


def everything(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_of_the_user_beside_the_study_stay(fitted_study: Path, no_paper: None):
    """Outputs go among them: what a run would not write stays, what it would is refused before the work."""
    home = fitted_study.parent
    for name in ("goals.csv", "scenarios.csv"):
        (home / name).write_text("mine", encoding="utf-8")
    before = everything(home)
    call = ["run", str(fitted_study), "--out", str(home), "--quiet"]
    assert CliRunner().invoke(app, call).exit_code == 0
    assert before.items() <= everything(home).items()
    before = everything(home)
    scenario = [*call, "--set", 'scenario=[{name="more", lever=[{rate={won="+10 %"}, from="2026-08"}]}]']
    wanted = CliRunner().invoke(app, scenario)
    assert wanted.exit_code == 2
    (home / "sensitivity.csv").write_text("mine", encoding="utf-8")
    changed = CliRunner().invoke(app, call)
    assert changed.exit_code == 2
    assert "sensitivity.csv changed since a command wrote it; nothing was written" in changed.stderr
    assert everything(home) == before | {"sensitivity.csv": b"mine"}


def test_a_ranking_does_not_replace_the_leads_it_is_made_from(tmp_path: Path):
    """The study reads ranking.csv, and the outputs go beside it."""
    study = write_study(tmp_path, make_leads(np.random.default_rng(13), size=300), "\n[scoring]\n")
    (tmp_path / "leads.csv").rename(tmp_path / "ranking.csv")
    edited(study, "leads.csv", "ranking.csv")
    before = everything(tmp_path)
    made = CliRunner().invoke(app, ["rank", str(study), "--out", str(tmp_path), "--quiet"])
    assert made.exit_code == 2
    assert "ranking.csv is an input of the study; nothing was written" in made.stderr
    assert everything(tmp_path) == before


def test_a_file_that_is_no_fit_is_not_written_over(small_study: Path):
    """Text, or a fit that was damaged: said before time is spent on a fit."""
    path = small_study.with_suffix(".nc")
    path.write_text("somebody's data", encoding="utf-8")
    made = CliRunner().invoke(app, ["fit", str(small_study), "--quiet"])
    assert made.exit_code == 2
    assert "small.nc: is there, and is no fitted posterior" in made.stderr
    assert path.read_text(encoding="utf-8") == "somebody's data"


# A period that is still running


@pytest.fixture
def open_study(small_study: Path) -> Path:
    """The small company without `through`, with a fit of what was complete in June 2026."""
    save_by_hand(edited(small_study, 'through = "2026-06"\n', ""))
    return small_study


@pytest.mark.parametrize("job", ["run", "allocate", "fit", "check"])
def test_every_command_leaves_the_running_period_out(
    open_study: Path, no_report: None, job: str, monkeypatch: pytest.MonkeyPatch
):
    """In July a half-filled July row is not read, by any command: else `allocate` would not know the fit of `run`."""
    data = open_study.parent / "small.csv"
    with data.open("a", encoding="utf-8") as stream:
        stream.write("2026-07,ppc,900,450,10,2,0,0\n2026-07,seo,0,400,10,2,0,0\n")
    monkeypatch.setattr("forecast.cli._today", lambda: date(2026, 7, 14))
    monkeypatch.setenv("FORECAST_TRACEBACK", "1")  # the message has a reference alone
    out = ["--out", str(open_study.parent / "out")] if job == "run" else []
    made = CliRunner().invoke(app, [job, str(open_study), "--json", *out])
    if job == "fit":
        assert "Fitted: 2026-06" in made.stderr
        return
    assert made.exit_code == 0, made.stderr
    said = json.loads(made.stdout)
    if job == "run":
        assert (said["as_of"], said["provenance"]["fitted_now"]) == ("2026-06", False)
    if job == "check":
        assert said["periods"] == ["2025-01", "2026-06"]
        assert (
            next(row for row in said["audit"] if row["check"] == "Last period complete")["status"] == "REVIEW"
        )


# Allocate


def test_allocate_follows_total_change_and_limits(fitted_study: Path):
    """Money in, money divided: the total is spent where it returns more than itself, within change and limits."""
    table = workflow.allocate(fitted_study, Fixed(6000)).made.allocation
    assert table["channel"].tolist() == ["ppc"]
    assert table["recommended"].item() == pytest.approx(6000)
    table = workflow.allocate(fitted_study, Fixed(50_000), change=0.1).made.allocation
    assert table["recommended"].item() == pytest.approx(1.1 * table["current"].item())
    table = workflow.allocate(
        fitted_study, Fixed(50_000), overrides=["budget.limits.ppc.max=7000"]
    ).made.allocation
    assert table["recommended"].item() == pytest.approx(7000)


def test_allocate_writes_nothing(fitted_study: Path):
    """It answers, and leaves the folder as it was."""
    before = listing(fitted_study.parent)
    result = workflow.allocate(fitted_study, Fixed(6000))
    assert listing(fitted_study.parent) == before
    assert result.summary["headline"]["gain_q10"] <= result.summary["headline"]["gain_q90"]


def test_allocate_says_when_the_fit_is_of_something_else(fitted_study: Path):
    """Another funnel than the saved one: fit first."""
    with pytest.raises(
        UsageError, match=r"fitted on other data, funnel or priors .* run `forecast fit` first"
    ):
        workflow.allocate(fitted_study, overrides=["funnel.market=b2c"])


# Backtests

QUICKLY: dict[str, Any] = {"preview": True, "draws": 100, "names": ("spreadsheet",)}


def finds_none_done(origin: Origin) -> dict[str, Any]:
    """A job that refuses the origins that were done before."""
    assert origin.label == "2026-02"
    return one_origin(origin)


def test_a_stopped_backtest_ends_with_the_same_bytes(short_study: Path, tmp_path: Path):
    """Stopped at its second origin and taken up again: no origin twice, the same files as in one go."""
    options: dict[str, Any] = {"origins": 2, "horizon": 2, "every": 1, **QUICKLY}
    loaded = load_study(short_study)
    small = loaded, read_history(loaded)
    whole = workflow.backtest(short_study, out=tmp_path / "whole", **options)
    calls: list[str] = []

    def stops(origin: Origin) -> dict[str, Any]:
        calls.append(origin.label)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return one_origin(origin)

    with pytest.raises(KeyboardInterrupt):
        run_backtest(*small, results=tmp_path / "parts", job=stops, **options)
    assert not (tmp_path / "parts" / "backtest.json").exists()
    workflow.backtest(short_study, out=tmp_path / "parts", **options)
    for name in ("backtest.json", "backtest.csv", "backtest_totals.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    lines = next((tmp_path / "parts").glob("origins-*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    longer = run_backtest(*small, results=tmp_path / "parts", job=finds_none_done, **options | {"origins": 3})
    assert whole.summary["origins"] == longer[1]["origins"][1:]


def test_cohort_counts_cannot_go_back(tmp_path: Path):
    """What had become of a cohort by then is not in such a table: the message says what to give."""
    path = tmp_path / "small.toml"
    path.write_text(STUDY.replace('through = "2026-06"', 'counting = "cohort"'), encoding="utf-8")
    (tmp_path / "small.csv").write_text(counts(cohort=True), encoding="utf-8")
    with pytest.raises(DataError, match="Use calendar counts or a file of leads"):
        workflow.backtest(path, out=tmp_path / "out", preview=True)


def test_a_backtest_stands_in_the_verdict_and_report_of_its_data(short_study: Path, tmp_path: Path):
    """Also when more periods have come since; not for other data, another funnel, or another model."""
    loaded = load_study(short_study)
    now = read_history(loaded)
    workflow.backtest(short_study, out=tmp_path, origins=1, horizon=2, **QUICKLY)
    saved = workflow.saved_backtest
    assert saved(tmp_path, loaded, now) is not None
    shorter = now.as_of(now.periods[-2])
    assert saved(tmp_path, loaded, shorter) is None
    assert saved(tmp_path, loaded, changed_after(now, 10, np.random.default_rng(2))) is None
    until = ["history.through='2026-05'"]
    later = load_study(short_study, until)
    (tmp_path / "earlier").mkdir()
    workflow.backtest(short_study, out=tmp_path / "earlier", overrides=until, origins=1, **QUICKLY)
    assert saved(tmp_path / "earlier", loaded, now) is not None
    assert saved(tmp_path / "earlier", later, read_history(later)) is not None
    other = load_study(short_study, ["funnel.market='none'"])
    assert saved(tmp_path, other, now) is None
    assert saved(tmp_path / "nowhere", loaded, now) is None


def test_a_run_shows_the_backtest_beside_it(fitted_study: Path, no_paper: None, tmp_path: Path):
    """The verdict has its check, the report its tables; a damaged file is refused before any work."""
    folder = tmp_path / "out"
    workflow.backtest(fitted_study, out=folder, origins=2, horizon=2, **QUICKLY)
    summary = workflow.run(fitted_study, out=folder).summary
    check = next(c for c in summary["verdict"]["checks"] if "calibration" in c["name"])
    assert check["name"] == "calibration in the backtest (closed form)"
    assert "of 2 outcomes" in check["value"]
    assert (folder / "backtest.json").is_file()
    (folder / "backtest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"it has no checksum.*run `forecast backtest` again"):
        workflow.run(fitted_study, out=folder)


def test_the_command_and_its_gate(short_study: Path, tmp_path: Path):
    """Exit code 0, and 5 with --gate where the study asks for more than there is."""
    base = ["backtest", str(short_study), "--preview", "--origins", "2", "--horizon", "2", "--draws", "100"]
    base += ["--baseline", "spreadsheet", "--out", str(tmp_path), "--quiet"]
    plain = CliRunner().invoke(app, [*base, "--json"])
    assert plain.exit_code == 0, plain.output
    assert json.loads(plain.stdout)["spend"] == "actual"
    failed = CliRunner().invoke(
        app, [*base, "--gate", "--set", "backtest.gate.skill=0.99", "--spend", "planned"]
    )
    assert failed.exit_code == 5
    assert "misses its gate" in failed.stderr
    assert "with the current plan of then" in failed.stdout


# Scores


def test_a_horizon_is_scored_as_it_comes(
    short_study: Path, no_paper: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two of three months, then all: files lie beside the run, which stays whole; parts add up to the totals."""
    monkeypatch.setattr(reviewing, "FEWER", 200)
    monkeypatch.setattr("forecast.backtest.attribution.DRAWS", 200)
    folder = tmp_path / "run"
    workflow.run(short_study, out=folder, overrides=["history.through='2026-03'"], preview=True, draws=200)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    result = workflow.score(folder, short_study, blocks=0, overrides=["history.through='2026-05'"])
    told = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    assert told == result.summary
    assert told["come"] == ["2026-04", "2026-05"]
    assert told["target"]["amount"] == 40_000
    assert told["running"]["left"] == ["2026-06"]
    assert 0 <= told["running"]["p_now"] <= 1
    said = terminal_text(score_page(result.made))
    assert "2 of 3 months have come" in said
    assert terminal_text(score_page(told)) == said  # read again it says the same
    assert "The verdict of the run was FAIL" in terminal_text(score_page({**told, "status": "FAIL"}))
    assert {path.name for path in folder.iterdir()} - set(before) == {*SCORE_FILES, "manifest.json"}

    told = workflow.score(folder, short_study, blocks=0).summary
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    assert verify(folder)["differences"] == []
    parts, totals = (pd.read_csv(folder / name) for name in ("score.csv", "score_totals.csv"))
    assert not ((parts["period"] == "total") | (parts["channel"] == "total")).any()
    assert ((totals["period"] == "total") | (totals["channel"] == "total")).all()
    whole = totals[(totals["period"] == "total") & (totals["channel"] == "total")].set_index("measure")
    for name in ("plan", "actual", "difference"):
        summed = parts.groupby("measure")[name].sum()
        assert summed.to_dict() == pytest.approx(whole[name].to_dict(), abs=1e-5)
    assert whole.loc["revenue", "difference"] == pytest.approx(told["headline"]["difference"])
    assert "spend" in whole.index
    assert told["running"] is None
    assert told["target"]["met"] == (told["headline"]["actual"] >= 40_000)


def test_what_cannot_be_scored_is_refused(short_study: Path, no_paper: None, tmp_path: Path):
    """Nothing has come, other data, a file that somebody put there, draws that are damaged: before anything is made."""
    folder = tmp_path / "run"
    workflow.run(short_study, out=folder, overrides=["history.through='2026-04'"], preview=True, draws=200)
    with pytest.raises(DataError, match="nothing of it has come yet"):
        workflow.score(folder, short_study, overrides=["history.through='2026-04'"])
    with pytest.raises(DataError, match="as of 2026-04, and the history now has"):
        workflow.score(folder, short_study, overrides=["history.through='2026-03'"])
    (folder / "score.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"score\.csv"):
        workflow.score(folder, short_study)
    (folder / "score.csv").unlink()
    (folder / "draws.nc").write_bytes(b"not a netCDF file")
    with pytest.raises(DataError, match=r"it is no netCDF file of ours .*or run it again"):
        workflow.score(folder, short_study)


@pytest.mark.slow
def test_a_run_of_the_python_api_is_scored(small_study: Path, tmp_path: Path):
    """`Forecast.write` leaves a folder that can be scored, on paper too."""
    study = load_study(small_study, ["history.through='2026-03'"])
    history = read_history(study)
    made = forecast(study, history, preview(study, history, seed=1, draws=200))
    folder = made.write(tmp_path / "by hand")
    told = workflow.score(folder, small_study, blocks=2)
    assert told.summary["headline"]["measure"] == "revenue"
    assert (folder / "score.pdf").read_bytes().startswith(b"%PDF-")


def test_a_folder_without_a_run_is_refused(fitted_study: Path, tmp_path: Path):
    """With the name of what is missing, and what to give."""
    with pytest.raises(DataError, match=r"no summary\.json here; give the folder"):
        workflow.score(tmp_path, fitted_study)


def test_a_plan_that_the_run_has_not(tmp_path: Path, fitted_study: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs without spend have no recommended plan."""
    made = xr.Dataset(coords={"plan": ["given"]}), {"as_of": "2026-12"}
    monkeypatch.setattr(reviewing, "read_run", lambda _: made)
    with pytest.raises(UsageError, match="the run has given; got"):
        workflow.score(tmp_path, fitted_study, plan="recommended")


# Rankings


def test_a_ranking_is_written_the_same_each_time(tmp_path: Path):
    """Columns, order, deciles and files; the same bytes for the same seed; the text says what was left out."""
    world = make_leads(np.random.default_rng(13), size=400)
    study = write_study(tmp_path, world, "\n[scoring]\ncost_per_lead = 150\ncapacity = 20\n")
    made = [workflow.rank(study, out=tmp_path / name) for name in ("a", "b")]
    for name in ("ranking.csv", "scoring.json", "reliability.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    frame = pd.read_csv(tmp_path / "a" / "ranking.csv")
    assert list(frame.columns[:11]) == [
        "lead_id",
        "channel",
        "created",
        "p_win",
        "p_low",
        "p_high",
        "expected_value",
        "low",
        "high",
        "decile",
        "above_threshold",
    ]
    opened = world.leads["won"].isna() & world.leads["lost"].isna()
    assert set(frame["lead_id"]) == set(world.leads["lead_id"][opened])
    assert frame["expected_value"].is_monotonic_decreasing
    assert frame["decile"].is_monotonic_increasing
    assert ((frame["p_low"] <= frame["p_high"]) & frame["p_win"].between(0, 1)).all()
    told = json.loads((tmp_path / "a" / "scoring.json").read_text())
    assert told["threshold"]["worked_a_period"] <= 20
    assert (frame["expected_value"] >= told["threshold"]["level"]).equals(frame["above_threshold"])
    text = terminal_text(ranking_page(made[0].summary, made[0].made.table))
    assert "contract: left out" in text


def test_what_cannot_be_scored_is_said(tmp_path: Path):
    """A feature that the file does not have, a history of counts, too few wins: a message each."""
    study = write_study(
        tmp_path, make_leads(np.random.default_rng(11), size=300), '\n[scoring]\nfeatures = ["employes"]\n'
    )
    with pytest.raises(StudyError, match=r'no further column "employes".*did you mean "employees"'):
        workflow.rank(study)
    few = write_study(tmp_path, make_leads(np.random.default_rng(1), size=30))
    with pytest.raises(DataError, match="expected at least 10"):
        workflow.rank(few)


def test_a_ranking_of_counts_is_refused(small_study: Path):
    """Counts hold no single leads."""
    with pytest.raises(StudyError, match="expected leads"):
        workflow.rank(small_study)
