from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from forecast import workflow
from forecast.cli import app
from forecast.errors import StudyError
from forecast.outputs import FILES, KINDS, PROGRAMS, RUN_FILES, CsvForm, chosen, csv_form, files_of
from forecast.read import Ask, number_form, read_grid, to_numbers
from forecast.report import write_csv
from forecast.study import load_study
from tests.tables_fixture import plausible_tables

SEMICOLONS = CsvForm(",", ";", mark=True)


def test_every_file_is_of_one_kind():
    """Kinds divide the files among them; the summary is of none and always written."""
    files = [name for names in KINDS.values() for name in names]
    assert len(files) == len(set(files))
    assert {*files, "summary.json"} == set(RUN_FILES) == files_of(None)
    assert set(FILES) <= set(RUN_FILES)
    assert files_of(()) == {"summary.json"}


def test_kinds_as_they_are_typed():
    """Any order, blanks and capitals; all and json are words for it; what is no kind is named with those there are."""
    assert chosen("csv,PDF ") == ("pdf", "csv")
    assert chosen("json") == ()
    assert chosen("all") == tuple(KINDS)
    for wrong in ("", "pdf;csv", "docx", "pdf,", "all,pdf"):
        with pytest.raises(ValueError, match=r"there is no kind .* pdf, xlsx, csv, whatif, draws"):
            chosen(wrong)


@pytest.mark.parametrize(
    ("locale", "form"),
    [
        ("fi", SEMICOLONS),
        ("fi_FI", SEMICOLONS),
        ("fi-FI", SEMICOLONS),
        ("de", SEMICOLONS),
        ("sv", SEMICOLONS),
        ("pt-BR", SEMICOLONS),
        ("de-CH", CsvForm(mark=True)),
        ("en", CsvForm(mark=True)),
        ("ar-EG", CsvForm(mark=True)),
        (None, PROGRAMS),
    ],
)
def test_the_marks_of_a_locale(locale, form):
    """CLDR's decimal mark for the digits that files have; a semicolon beside a comma; a mark for Excel."""
    assert csv_form(locale) == form


@pytest.mark.parametrize("wrong", ["", "xx", "klingon", "fi_XX", "f", "../fi", "fi;de"])
def test_what_is_no_locale_is_said(wrong):
    """With what one looks like."""
    with pytest.raises(ValueError, match="is no locale; write a language"):
        csv_form(wrong)


def test_a_locale_changes_marks_and_nothing_else(tmp_path: Path):
    """Decimal mark, delimiter and byte order mark; names, dates, codes and digits are the same, and so is the guard."""
    table = plausible_tables(channels=("ppc; brand", "a,b", '=1+1"x', "seo")).table("forecast").data
    write_csv(table, tmp_path / "plain.csv")
    write_csv(table, tmp_path / "fi.csv", csv_form("fi"))
    write_csv(table, tmp_path / "en.csv", csv_form("en"))
    mark, plain = b"\xef\xbb\xbf", (tmp_path / "plain.csv").read_bytes()
    assert (tmp_path / "en.csv").read_bytes() == mark + plain
    assert (tmp_path / "fi.csv").read_bytes().startswith(mark + b"period;channel;measure;mean;")
    one = pd.read_csv(tmp_path / "plain.csv", dtype=str)
    other = pd.read_csv(tmp_path / "fi.csv", dtype=str, sep=";")
    pd.testing.assert_frame_equal(
        one[["period", "channel", "measure"]], other[["period", "channel", "measure"]]
    )
    numbers = other[list(other)[3:]].apply(lambda column: column.str.replace(",", ".", regex=False))
    pd.testing.assert_frame_equal(one[list(one)[3:]], numbers)
    assert (
        not other[list(other)[3:]].apply(lambda column: column.str.contains(".", regex=False)).any(axis=None)
    )


@pytest.mark.parametrize("locale", [None, "fi", "de", "en", "de-CH"])
def test_our_readers_take_back_what_we_write(tmp_path: Path, locale):
    """Every number, as it was written, in whichever marks."""
    table = plausible_tables(channels=("ppc", "seo")).table("forecast").data
    write_csv(table, tmp_path / "t.csv", csv_form(locale))
    ask = Ask("history.counts", "counts")
    grid = read_grid(tmp_path / "t.csv", "t.csv", ask)
    assert list(grid.header) == [column.name for column in table.columns]
    at = range(3, len(grid.header))
    form = number_form(grid, list(at), ask)
    for i in at:
        read = to_numbers(grid, i, grid.header[i], whole=False, form=form, signed=True)
        assert not read.problems
        assert read.values == pytest.approx(table.frame[grid.header[i]].to_numpy(), rel=1e-9), grid.header[i]


def test_a_study_may_name_the_locale(small_study: Path):
    """`[outputs] csv_locale`; one that is none is refused with its place; no number of the study depends on it."""
    plain = load_study(small_study)
    named = load_study(small_study, ["outputs.csv_locale=fi"])
    assert (plain.outputs.csv_locale, named.outputs.csv_locale) == (None, "fi")
    assert plain.fit_key() == named.fit_key()
    with pytest.raises(StudyError, match=r'outputs\.csv_locale.*"suomi" is no locale'):
        load_study(small_study, ["outputs.csv_locale=suomi"])


def manifest(folder: Path) -> dict[str, object]:
    """The files that the manifest of a folder names."""
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]


def test_a_run_writes_what_is_asked(fitted_study: Path, no_paper: None):
    """Only the kinds asked for, the summary always; the manifest lists them; what an earlier run wrote and this one
    does not, goes; a file of the user's stays.
    """
    out = fitted_study.parent / "out"
    call = ["run", str(fitted_study), "--out", str(out), "--quiet", "--go-on"]
    assert CliRunner().invoke(app, call).exit_code == 0
    assert set(FILES) <= set(manifest(out))
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    made = CliRunner().invoke(app, [*call, "--outputs", "csv", "--csv-locale", "fi"])
    assert made.exit_code == 0, made.output
    there = {path.name for path in out.iterdir()}
    assert there == {*manifest(out), "manifest.json", "notes.txt"}
    assert not there & {"report.pdf", "report.xlsx", "draws.nc"}
    assert {"forecast.csv", "totals.csv", "allocation.csv", "summary.json"} <= there
    assert (out / "forecast.csv").read_text(encoding="utf-8-sig").startswith("period;channel;measure;")
    assert "report.pdf" not in made.output
    made = CliRunner().invoke(app, [*call, "--outputs", "pdf"])
    assert f"Report: {out / 'report.pdf'}" in made.output
    assert set(manifest(out)) == {"report.pdf", "summary.json"}
    made = CliRunner().invoke(app, [*call, "--outputs", "pdf,docx"])
    assert (made.exit_code, "docx" in made.output) == (2, True)


def test_a_file_that_was_changed_is_not_taken_away(fitted_study: Path, no_paper: None):
    """A workbook that somebody worked in stays where no run asks for one, and is no run's any more."""
    out = fitted_study.parent / "out"
    workflow.run(fitted_study, out=out, go_on=True, outputs=("xlsx",))
    (out / "report.xlsx").write_bytes(b"worked in")
    workflow.run(fitted_study, out=out, go_on=True, outputs=())
    assert (out / "report.xlsx").read_bytes() == b"worked in"
    assert set(manifest(out)) == {"summary.json"}


def test_a_run_of_some_kinds_is_made_again_as_it_was(fitted_study: Path, no_paper: None):
    """`verify --remake` writes the same kinds in the same marks."""
    from forecast.signing import verify

    out = fitted_study.parent / "out"
    workflow.run(fitted_study, out=out, go_on=True, outputs=("csv", "draws"), csv_locale="de")
    assert verify(out, remake=True)["differences"] == []
