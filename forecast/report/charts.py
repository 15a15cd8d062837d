"""Charts of the workbook, native to the spreadsheet: they follow the cells of the table beside them.

    fan      what came as a line, and what is expected in its 80 % band
    budget   current and recommended spend by channel
    bridge   where revenue comes from, as steps that add up

What a chart needs and no reader does (where a band begins) stands in hidden columns beside the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from xlsxwriter.chart import Chart
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from forecast.report.figures import BLUE, GREY, INK, SKY
from forecast.tables import Table, records
from forecast.words import message, typed

SIZE = {"width": 860, "height": 340}
MOST_NAMES = 20  # channels that a chart can still name
GRID = {"visible": True, "line": {"color": "#e0e0e0"}}


def _cells(sheet: Worksheet, table: Table, name: str, rows: int) -> list[object]:
    """The first rows of a column, as a chart takes them."""
    column = [column.name for column in table.shown].index(name)
    return [sheet.get_name(), 1, column, rows, column]


def _hidden(sheet: Worksheet, column: int, values: Iterable[float]) -> list[object]:
    """Numbers in a hidden column, as a chart takes them."""
    row = 0
    for row, value in enumerate(values, start=1):
        if np.isfinite(value):
            sheet.write_number(row, column, float(value))
    sheet.set_column(column, column, None, None, {"hidden": True})
    return [sheet.get_name(), 1, column, row, column]


def _finish(chart: Chart, title: str, *, legend: dict[str, Any] | None = None, **y: Any) -> None:
    """What all charts share."""
    chart.set_title({"name": title, "overlay": False, "name_font": {"size": 12, "bold": True}})
    chart.set_legend(legend or {"position": "bottom"})
    chart.set_size(SIZE)
    chart.set_y_axis({"num_format": "#,##0", "major_gridlines": GRID, "line": {"none": True}, **y})
    chart.show_hidden_data()


def fan(book: Workbook, sheet: Worksheet, table: Table, _: int) -> None:
    """What came as a line, the expected value as another, its band as an area that opens where the past ends."""
    frame, n = table.frame, len(table.frame)
    beside = len(table.shown) + 1
    came = frame["came"].to_numpy(dtype=float)
    low = np.where(np.isfinite(came), came, frame["q10"].to_numpy(dtype=float))
    wide = np.nan_to_num((frame["q90"] - frame["q10"]).to_numpy(dtype=float))
    days = _cells(sheet, table, "period", n)
    area = book.add_chart({"type": "area", "subtype": "stacked"})
    area.add_series(
        {"categories": days, "values": _hidden(sheet, beside, low), "name": "10 %", "fill": {"none": True}}
    )
    band = {"name": typed(message("80~% band")), "fill": {"color": SKY}}
    area.add_series({"categories": days, "values": _hidden(sheet, beside + 1, wide), **band})
    lines = book.add_chart({"type": "line"})
    for name, said, colour in (("came", "came", INK), ("mean", "expected", BLUE)):
        look = {"line": {"color": colour, "width": 1.75}}
        lines.add_series(
            {"categories": days, "values": _cells(sheet, table, name, n), "name": typed(said), **look}
        )
    area.combine(lines)
    _finish(
        area,
        typed(message("Past and forecast")),
        legend={"position": "bottom", "delete_series": [0]},
        min=min(0.0, float(np.nanmin(low))),
    )
    area.set_x_axis({"num_format": "mmm yyyy", "text_axis": True, "num_font": {"rotation": -45}})
    sheet.insert_chart(1, beside + 2, area)


def budget(book: Workbook, sheet: Worksheet, table: Table, row: int) -> None:
    """A pair of bars for each channel; the first ones where there are too many to name."""
    n = min(len(table), MOST_NAMES)
    chart = book.add_chart({"type": "column"})
    for name, colour in (("current", GREY), ("recommended", BLUE)):
        cells = {"categories": _cells(sheet, table, "channel", n), "values": _cells(sheet, table, name, n)}
        look = {"name": typed(name), "fill": {"color": colour}, "gap": 60}
        chart.add_series(cells | look)
    _finish(chart, typed(message("Spend over the horizon")), min=0)
    sheet.insert_chart(row, 0, chart)


def bridge(book: Workbook, sheet: Worksheet, table: Table, row: int) -> None:
    """Each source on top of those before it, their sum, and on top of it what lands later."""
    key = "mean" if "mean" in table.frame else "won_mean"
    summed, places = list(map(str, table.sums.frame["item"])), len(table.shown) + 1
    names, starts, steps, at = [], [], [], 0.0
    for each in records(table.frame):
        if not np.isfinite(each[key]):
            continue
        whole = str(each["item"]) in summed
        names.append(str(each["item"]))
        starts.append(0.0 if whole else at)
        steps.append(float(each[key]))
        at = steps[-1] if whole else at + steps[-1]
    for line, name in enumerate(names, start=1):
        sheet.write_string(line, places, typed(name))
    sheet.set_column(places, places, None, None, {"hidden": True})
    named = [sheet.get_name(), 1, places, len(names), places]
    chart = book.add_chart({"type": "column", "subtype": "stacked"})
    base = {
        "categories": named,
        "values": _hidden(sheet, places + 1, starts),
        "fill": {"none": True},
        "gap": 60,
    }
    chart.add_series(base)
    points = [{"fill": {"color": GREY if name in summed else SKY}} for name in names]
    said = typed(message("expected"))
    step = {"categories": named, "values": _hidden(sheet, places + 2, steps), "name": said, "points": points}
    chart.add_series(step | {"data_labels": {"value": True, "num_format": "#,##0"}})
    _finish(chart, typed(message("Where it comes from")), legend={"none": True})
    sheet.insert_chart(row, 0, chart)


CHARTS: dict[str, Callable[[Workbook, Worksheet, Table, int], None]] = {
    "fan": fan,
    "budget": budget,
    "bridge": bridge,
}
