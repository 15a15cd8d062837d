"""Tables with declared columns, and data as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from forecast.columns import TABLES
from forecast.report import write_csv
from forecast.results import Levers
from forecast.tables import AMOUNT, CHANCE, SHARE, YES_NO, Column, Table, json_text, plain, records, unit_in
from forecast.words import message
from tests.tables_fixture import plausible_tables

COLUMNS = (
    Column("channel"),
    Column("spend", AMOUNT, total=True),
    Column("share_of_all", SHARE),
    Column("locked", YES_NO, in_files=False),
    Column("not_there", SHARE),
)


def test_a_table_shows_its_declared_columns_in_their_order(tmp_path: Path):
    """Headings from names; what is not declared, or not there, is not shown; files leave out what is not for them."""
    frame = pd.DataFrame(
        {"locked": [True], "more": [1], "share_of_all": [0.5], "spend": [3.5], "channel": ["a"]}
    )
    table = Table("t", "Sheet", COLUMNS, frame)
    assert [column.title for column in table.shown] == ["channel", "spend", "share of all", "locked"]
    assert table.totals() == {"spend": 3.5}
    write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "channel,spend,share_of_all\na,3.5,0.5\n"


def test_a_unit_may_follow_from_the_row():
    """Money and counts in one column; a price to the cent; a rate among amounts."""
    units = {name: {c.name: c for c in columns} for name, (_, columns) in TABLES.items()}
    mean = units["forecast"]["mean"]
    assert [unit_in(mean.unit, {"measure": m}).name for m in ("revenue", "won")] == ["currency", "count"]
    unit = units["economics"]["mean"].unit
    assert unit_in(unit, {"measure": "cpl", "unit": "currency"}).cell == "#,##0.00"
    assert unit_in(unit, {"measure": "p_ltv_cac_3", "unit": "probability"}) == CHANCE
    assert unit_in(units["ways"]["value"].unit, {"lever": "rate"}).cell == "0.0%"


def test_every_column_of_the_results_is_declared():
    """What a table holds is shown by the workbook, but for the seconds of sampling."""
    made = plausible_tables()
    for name in set(TABLES) - {"methods"}:
        table = made.table(name)
        left = set(table.frame) - {column.name for column in table.columns}
        assert left <= {"seconds"}, name
        assert len({column.name for column in table.columns}) == len(table.columns)


def test_json_has_no_word_for_nan():
    """NaN and infinity become null, numpy numbers become numbers, paths and messages text, frames rows."""
    result = {
        "a": float("inf"),
        "b": np.float64("nan"),
        "c": np.arange(2),
        "d": Path("x/y"),
        "e": (np.int64(3), None),
        "f": message("{x:whole}~EUR", x=1200),
        "g": pd.DataFrame({"x": [1.0, np.nan]}),
        "h": Levers(bottleneck={"lever": "traffic"}).told()["bottleneck"],
    }
    assert json.loads(json_text(result)) == {
        "a": None,
        "b": None,
        "c": [0, 1],
        "d": "x/y",
        "e": [3, None],
        "f": "1 200 EUR",
        "g": [{"x": 1.0}, {"x": None}],
        "h": {"lever": "traffic"},
    }
    assert json_text({}).endswith("}\n")
    assert plain(Levers())["sensitivity"] == []


def test_records_are_those_of_pandas():
    """Values and their types, whatever a column holds."""
    frame = pd.DataFrame(
        {
            "channel": ["seo", "ppc", None],
            "mean": [1.5, np.nan, -2.0],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "won": [True, False, True],
            "mixed": [np.float64(0.5), "text", np.int64(2)],
            "day": pd.to_datetime(["2026-01-01", "2026-02-01", None]),
            7: [1, 2, 3],
        }
    )
    expected = [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
    found = records(frame)
    assert repr(found) == repr(expected)
    assert [[type(v) for v in row.values()] for row in found] == [
        [type(v) for v in row.values()] for row in expected
    ]
    assert records(frame.head(0)) == []
