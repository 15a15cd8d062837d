"""The report as PDF: tables and figures in, bytes out, nothing estimated on the way.

    Tables --(words and rounded numbers)--> data.json --+
    Tables --(figures)--> SVG --------------------------+--> typst --> PDF/A-2a, PDF/UA-1

The template reads everything as data, so a channel named `#import "x"` prints as itself. The same tables and the same
timestamp give the same bytes.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import typst
from matplotlib.ft2font import FT2Font

from forecast.report import sentences
from forecast.report.chapters import Cell, Row, chapters, part, table, total
from forecast.report.pages.budget import budget_chapter
from forecast.report.pages.economics import economics_chapters
from forecast.report.pages.leads import leads_chapter
from forecast.report.pages.past import backtest_chapter
from forecast.report.pages.scenarios import scenario_chapter
from forecast.report.sentences import (
    NBSP,
    band,
    chance,
    clean,
    count,
    count_band,
    known,
    money,
    number,
    short_names,
    stage_word,
    whole,
)
from forecast.tables import Tables

TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"  # DejaVu Sans: the same face in text and figures
FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]
MOST_FAILING = 5  # checks on page 1; all of them stand among the evidence
MOST_CHANNELS = 8  # channels in the table of page 1
_SIZES = ((12, 14), (16, 11), (20, 8.6), (10_000, 7))  # letters that fit a tile, and their size in points
MONEY = ("spend", "revenue", "contribution")
_log = logging.getLogger(__name__)


def report_pdf(tables: Tables, *, timestamp: int) -> bytes:
    """The report as bytes of a PDF/A-2a, PDF/UA-1; `timestamp` (seconds since 1970) is the only date in the file.

    A sign that the bundled font lacks (Chinese, some emoji) is looked for in the fonts of the machine. Where they lack
    it too, a box stands in its place and a warning is logged: the standards allow no sign without a shape.
    """
    content = document(tables)
    for bundled_only in (True, False):
        try:
            return _compile(content, bundled_only, timestamp)
        except typst.TypstError as error:
            if "could not be displayed" not in f"{error.message} {error.diagnostic}":
                raise
    _log.warning(
        "The report shows boxes for signs that no font here has; report.xlsx holds every name in full."
    )
    return _compile(_boxed(content, _shapes()), True, timestamp)


def _compile(content: dict[str, Any], bundled_only: bool, timestamp: int) -> bytes:
    """One run of typst over files in memory.

    Only the two faces go into the font folder: matplotlib's own holds a last-resort font too, in which every sign has a
    shape, a box with a question mark.
    """
    data = json.dumps(content, allow_nan=False).encode()
    with tempfile.TemporaryDirectory() as fonts:
        for face in FACES:
            shutil.copyfile(FONTS / face, Path(fonts) / face)
        pdf = typst.compile(  # type: ignore[call-overload]  # its stubs forget that a dict of files is allowed
            {"main.typ": TEMPLATE.read_bytes(), "data.json": data},
            format="pdf",
            font_paths=[fonts],
            ignore_system_fonts=bundled_only,
            pdf_standards=STANDARDS,
            timestamp=timestamp,
        )
    if not isinstance(pdf, bytes):
        raise TypeError(f"typst returned {type(pdf).__name__} where the bytes of one PDF were expected.")
    return pdf


def _shapes() -> set[int]:
    """The code points that the bundled face can show, regular and bold."""
    regular, bold = (set(FT2Font(FONTS / face).get_charmap()) for face in FACES)
    return regular & bold | {ord("\n")}  # the SVG of a figure has lines


def _boxed(content: Any, shapes: set[int]) -> Any:
    """The same content with a box for every sign that has no shape."""
    if isinstance(content, str):
        return "".join(c if ord(c) in shapes else "\N{WHITE SQUARE}" for c in content)
    if isinstance(content, dict):
        return {key: _boxed(value, shapes) for key, value in content.items()}
    return [_boxed(value, shapes) for value in content] if isinstance(content, list) else content


def document(tables: Tables) -> dict[str, Any]:
    """All that the template shows: words, rounded numbers and figures, ready for JSON."""
    study = tables.study
    name = short_names([str(study["name"])], 60)[str(study["name"])]
    horizon, currency = sentences.horizon_words(study), clean(study["currency"])
    return {
        "title": f"Growth forecast: {name}",
        "words": {
            "as_of": f"as of {study['as_of']}",
            "kicker": f"As of {study['as_of']}, for {horizon}, in {currency}",
            "footer": f"Bands are central intervals: 80{NBSP}% means four cases out of five.",
            "fail_mark": "FAIL: not for decisions",
            "fail_line": "Do not use these numbers for a decision.",
        },
        "verdict": _verdict(tables.verdict),
        "tiles": _tiles(tables),
        "front": _front(tables),
        "chapters": _chapters(tables),
    }


def _chapters(tables: Tables) -> list[dict[str, Any]]:
    """All chapters; the past stands before the evidence."""
    *first, evidence = chapters(tables)
    return [
        *first,
        *economics_chapters(tables),
        *budget_chapter(tables),
        *scenario_chapter(tables),
        *leads_chapter(tables),
        *backtest_chapter(tables),
        evidence,
    ]


def _verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    """The verdict with the checks that did not pass, FAIL before REVIEW."""
    order = {"FAIL": 0, "REVIEW": 1}
    failing = sorted((c for c in verdict["checks"] if c["status"] in order), key=lambda c: order[c["status"]])
    shown = []
    for check in failing[:MOST_FAILING]:
        expected = f", expected {clean(check['threshold'])}" if check["threshold"] not in ("", "PASS") else ""
        said = f"{clean(check['value'])}{expected}. {sentences.sentence(check['advice'])}".strip()
        shown.append({"status": check["status"], "name": f"{clean(check['name'])}:", "said": said})
    left = len(failing) - len(shown)
    more = f"{left} more under Evidence, Checks behind the verdict." if left else ""
    return {
        "status": verdict["status"],
        "sentence": clean(verdict["sentence"]),
        "failing": shown,
        "more": more,
    }


def _tiles(tables: Tables) -> list[dict[str, Any]]:
    """The numbers of page 1, at most four; those that a study cannot have are left out."""
    study, head = tables.study, tables.headline
    cur = clean(study["currency"])
    tiles = []
    if known(head.get("revenue_mean")):
        below = f"{band(head['revenue_q10'], head['revenue_q90'])} (80{NBSP}%)"
        tiles.append(("Expected revenue", money(head["revenue_mean"], cur), below))
    below = f"{count_band(head.get('won_q10'), head.get('won_q90'))} (80{NBSP}%)"
    tiles.append(("Expected wins", count(head.get("won_mean")), below))
    if known(head.get("p_target")):
        aim = f"{whole(study['target'])}{NBSP}{'wins' if study['target_measure'] == 'won' else cur}"
        tiles.append(("Probability of the target", chance(head["p_target"]), f"target {aim}"))
    if known(head.get("gain_mean")) and head.get("material", True):
        below = f"{chance(head['p_better'])} likely to be better"
        tiles.append(("Gain of the new budget", money(head["gain_mean"], cur), below))
    elif known(head.get("gain_mean")):
        tiles.append(("Budget", "No material change", "keep the current split"))
    return [
        {
            "name": name,
            "value": value,
            "below": below,
            "size": 14 if len(value) < 12 else 11 if len(value) < 16 else 8.6,
        }
        for name, value, below in tiles
    ]


def _front(tables: Tables) -> list[dict[str, Any]]:
    """Page 1 below the tiles: forecast, target, recommendation, and the totals by stage and by channel."""
    study, head = tables.study, tables.headline
    return [
        part("What is forecast", text=f"{sentences.outlook(study, head)} {sentences.target(study, head)}"),
        part("What to do", lead=sentences.recommendation(study, head, tables.allocation)),
        part("The whole horizon, stage by stage", tables=[_totals_table(tables)], note=sentences.HOW_TO_READ),
        part(
            "The whole horizon, channel by channel",
            tables=[_channels_table(tables)],
            note=_channels_note(tables),
        ),
    ]


def _totals_table(tables: Tables) -> dict[str, Any]:
    """Each measure over all channels and the whole horizon, with its bands."""
    rows: list[Row] = []
    for measure in ("spend", *tables.study["stages"], "revenue", "contribution"):
        row = total(tables.forecast, measure)
        if not known(row.get("mean")):
            continue
        unit = f", {clean(tables.study['currency'])}" if measure in MONEY else ""
        say, say_band = (number, band) if measure in MONEY else (count, count_band)
        bands = [say_band(row["q10"], row["q90"]), say_band(row["q05"], row["q95"])]
        if row["q05"] == row["q95"]:  # planned, not forecast
            bands = ["as planned"] * 2
        cells: list[Cell] = [stage_word(measure) + unit, say(row["mean"]), say(row["q50"]), *bands]
        rows.append((cells, measure in ("won", "revenue")))
    head = ["Measure", "Expected", "Median", f"80{NBSP}% band", f"90{NBSP}% band"]
    return table(head, rows, widths="21122")


def _channel_totals(tables: Tables) -> dict[str, dict[str, dict[str, Any]]]:
    """Totals over the horizon by channel and measure, the largest channel (by revenue, or wins) first."""
    frame = tables.forecast
    frame = frame[(frame["period"] == "total") & (frame["channel"] != "total")]
    by: dict[str, dict[str, dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        by.setdefault(str(row["channel"]), {})[str(row["measure"])] = {str(k): v for k, v in row.items()}
    measure = "revenue" if known(total(frame.assign(channel="total"), "revenue").get("mean")) else "won"
    return dict(sorted(by.items(), key=lambda item: -item[1].get(measure, {}).get("mean", 0.0)))


def _channels_table(tables: Tables) -> dict[str, Any]:
    """The largest channels: spend, the stage after the first, wins and revenue with their bands."""
    by, stages = _channel_totals(tables), tables.study["stages"]
    short = short_names(by)
    measures = [
        m
        for m in ("spend", stages[min(1, len(stages) - 1)], "won", "revenue")
        if any(m in v for v in by.values())
    ]
    measures = list(dict.fromkeys(measures))
    rows: list[Row] = []
    for name in list(by)[:MOST_CHANNELS]:
        cells: list[Cell] = [short[name]]
        for measure in measures:
            row = by[name].get(measure, {})
            cells.append((number if measure in MONEY else count)(row.get("mean")))
            if measure in ("won", "revenue"):
                cells.append((band if measure in MONEY else count_band)(row.get("q10"), row.get("q90")))
        rows.append((cells, False))
    head = [f"Channel, {clean(tables.study['currency'])}"]
    for measure in measures:
        head.append(stage_word(measure))
        head += [f"80{NBSP}% band"] if measure in ("won", "revenue") else []
    widths = "2" + "".join("12" if m in ("won", "revenue") else "1" for m in measures)
    return table(head, rows, widths=widths)


def _channels_note(tables: Tables) -> str:
    """What the table of channels leaves out."""
    left = len(_channel_totals(tables)) - MOST_CHANNELS
    return f"The {MOST_CHANNELS} largest channels; {left} more in report.xlsx." if left > 0 else ""
