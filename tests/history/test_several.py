"""Files that a pattern matches, read as one: in order, each in its own form, with the rows that messages name."""

# ruff: noqa: S608 - SQL of tests
from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from held_fixture import BAD, history_in, left_out, rows, study_in, texts, write_csv

from forecast.errors import DataError
from forecast.history import read_history, what_was_read

COUNTS = "period,channel,visitors,leads,won\n"


def write(folder: Path, name: str, text: str) -> None:
    """A file, with its folder."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("form", ["csv", "parquet", "mixed"])
def test_leads_in_parts_are_those_of_one_file(tmp_path: Path, form: str) -> None:
    """To the bit; hashes of each, and one line that says how many."""
    given = rows()
    write_csv(tmp_path / "all.csv", given)
    (tmp_path / "leads").mkdir()
    for n in range(3):
        part, path = given[n * 200 : (n + 1) * 200], tmp_path / "leads" / f"part-{n}.csv"
        write_csv(path, part)
        if form == "parquet" or (form == "mixed" and n == 1):
            copy = f"COPY (SELECT * FROM read_csv('{path}', all_varchar = true)) TO '{path.with_suffix('.parquet')}'"
            duckdb.execute(copy)
            path.unlink()
    history = history_in(tmp_path, leads="leads/part-*")

    assert history.fingerprint() == history_in(tmp_path, leads="all.csv").fingerprint()
    (read,) = history.files
    assert str(read.dialect["files"]).startswith("3, leads/part-0.")
    assert (read.file, read.rows, len(read.files)) == ("leads/part-*", 600, 3)
    assert list(history.sources) == list(read.files)
    study = study_in(tmp_path, leads="leads/part-*")
    assert [path.name for path in study.inputs] == [Path(name).name for name in read.files]
    assert what_was_read(history, study).facts(read, "rows used")[0]["rows"] == 600


def test_counts_by_month_are_one_table(tmp_path: Path) -> None:
    """Sorted by name; columns may stand in another order, and each file has its own marks."""
    write(tmp_path, "exports/2025-02.csv", "channel;period;visitors;won;leads\nads;2025-02;1200;1;3\n")
    write(tmp_path, "exports/2025-01.csv", f"{COUNTS}2025-01,ads,1000,2,1\n")
    write(tmp_path, "exports/2024-12.csv", f"{COUNTS}2024-12,ads,7,7,7\n")
    study = study_in(tmp_path, ("visitors", "leads", "won"), counts="exports/2025-*.csv")
    history = read_history(study)

    assert history.labels == ["2025-01", "2025-02"]
    assert history.counts["visitors"].values.ravel().tolist() == [1000.0, 1200.0]
    assert history.counts["leads"].values.ravel().tolist() == [2.0, 3.0]
    assert list(history.sources) == ["exports/2025-01.csv", "exports/2025-02.csv"]


def test_a_wrong_cell_is_named_with_its_file(tmp_path: Path) -> None:
    """By the number that a spreadsheet shows for it."""
    write(tmp_path, "exports/a.csv", f"{COUNTS}2025-01,ads,10,2,1\n")
    write(tmp_path, "exports/b.csv", f"{COUNTS}2025-02,ads,10,many,1\n2025-02,ads,10,2,1\n")
    study = study_in(tmp_path, ("visitors", "leads", "won"), counts="exports/*.csv")
    with pytest.raises(DataError, match=r'exports/\*\.csv: column leads: row 2 of file 2 \("many"\)'):
        read_history(study)
    write(tmp_path, "exports/b.csv", f"{COUNTS}2025-01,ads,10,2,1\n")
    with pytest.raises(DataError, match=r"2025-01 ads \(rows 2 of file 1 and 2 of file 2\)"):
        read_history(study)


def test_bad_rows_of_leads_in_parts(tmp_path: Path) -> None:
    """The same reasons and counts as in one file."""
    given = texts(rows()) + list(BAD)
    write_csv(tmp_path / "all.csv", given)
    (tmp_path / "leads").mkdir()
    write_csv(tmp_path / "leads" / "1.csv", given[:300])
    write_csv(tmp_path / "leads" / "2.csv", given[300:])
    held = history_in(tmp_path, leads="leads/*.csv", bad_rows="leave out")
    plain = history_in(tmp_path, leads="all.csv", bad_rows="leave out")

    assert held.fingerprint() == plain.fingerprint()
    assert left_out(held.files[0]) == left_out(plain.files[0])
    with pytest.raises(DataError, match=r'column won: row 305 of file 2 \("2024-04-01"\)'):
        history_in(tmp_path, leads="leads/*.csv")


def test_other_columns_are_refused_with_the_file(tmp_path: Path) -> None:
    """Which one it is, and what differs."""
    write(tmp_path, "exports/a.csv", f"{COUNTS}2025-01,ads,10,2,1\n")
    write(tmp_path, "exports/b.csv", "period,channel,visitors,leads,customers\n2025-02,ads,10,2,1\n")
    said = r'exports/b\.csv: its columns are not those of exports/a\.csv: it has no "won", "customers" is its alone'
    with pytest.raises(DataError, match=said):
        read_history(study_in(tmp_path, ("visitors", "leads", "won"), counts="exports/*.csv"))
    (tmp_path / "leads").mkdir()
    write_csv(tmp_path / "leads" / "1.csv", rows(10))
    write_csv(
        tmp_path / "leads" / "2.csv",
        [row[:6] for row in rows(10)],
        ("lead_id", "channel", "created", "qualified", "won", "gone"),
    )
    with pytest.raises(DataError, match=r"leads/2\.csv: its columns are not those of leads/1\.csv"):
        history_in(tmp_path, leads="leads/*.csv")


def test_no_match_and_a_name_that_is_one(tmp_path: Path) -> None:
    """A pattern that finds nothing says where it looked; a file that is called so is itself."""
    with pytest.raises(
        DataError, match=r"exports/\*\.csv: no file matches \(looked in .*exports\); history\.counts"
    ):
        read_history(study_in(tmp_path, counts="exports/*.csv"))
    write_csv(tmp_path / "leads[1].csv", rows(20))
    write_csv(tmp_path / "leads1.csv", rows(40))
    history = history_in(tmp_path, leads="leads[1].csv")

    assert history.files[0].rows == 20
    assert list(history.sources) == ["leads[1].csv"]
