"""The front page, to decide on: verdict, the numbers that count, the past beside the forecast, the budget, sign-off."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from forecast.report import sentences
from forecast.report.document import (
    Listing,
    Page,
    Part,
    Picture,
    Row,
    Shown,
    Tile,
    adding_up,
    listing,
    named,
    said,
    value,
)
from forecast.report.figures import panels
from forecast.report.plots import plot
from forecast.report.plots.asking import main_measure
from forecast.report.plots.steps import ITEMS
from forecast.tables import AMOUNT, CHANGE, COUNT, CURRENCY, GAIN, Unit, records
from forecast.words import SOFT, Message, Text, known, message, plural, together

if TYPE_CHECKING:
    from forecast.results import Results

MOST_CHANNELS = 8  # channels in the table


def overview_page(made: Results) -> Page:
    """The front page."""
    return Page(
        parts=[
            Part(verdict=made.verdict, tiles=_tiles(made)),
            *_against(made),
            *_budget(made),
            Part("Sign-off", text=sentences.SIGN, signing=sentences.SIGNED),
        ],
        alone=True,
    )


def summary_page(made: Results) -> Page:
    """What a run says in a few lines: as much of the front page as was made."""
    parts = [Part(verdict=made.verdict)]
    if known(made.headline.get("won_mean")):
        parts.append(what_is_forecast(made))
    if made.headline:
        parts.append(what_to_do(made))
    return Page(parts=parts)


def what_is_forecast(made: Results) -> Part:
    """Totals with their bands, and the target."""
    study, head = made.study, made.headline
    text = together(sentences.outlook(study, head), sentences.target(study, head))
    return Part("What is forecast", text=text)


def what_to_do(made: Results) -> Part:
    """The recommendation."""
    return Part("What to do", lead=sentences.recommendation(made))


def _tiles(made: Results) -> list[Tile]:
    """The numbers of the page, at most four; those that a study cannot have are left out."""
    study, head = made.study, made.headline
    tiles = []

    def spread(key: str, unit: Unit) -> Message:
        return message("{ends} (80~%)", ends=unit.band(head.get(f"{key}_q10"), head.get(f"{key}_q90")))

    def money(key: str) -> Message:
        return message("{x:number}~{cur}", x=head[key], cur=study.currency)

    if known(head.get("revenue_mean")):
        tiles.append(Tile("Expected revenue", money("revenue_mean"), spread("revenue", CURRENCY)))
    tiles.append(Tile("Expected wins", COUNT.said(head.get("won_mean")), spread("won", COUNT)))
    if known(head.get("p_target")):
        aim, gap = study.target, float(head.get("gap") or 0.0)
        unit = sentences.unit_of(study, study.target_measure)
        below = "target {aim:whole}~{unit}: {gap:number} above it" if gap <= 0 else (
            "target {aim:whole}~{unit}: {gap:number} short of it"
        )  # fmt: skip
        below_said = message(below, aim=aim, unit=unit, gap=abs(gap))
        tiles.append(Tile("Probability of the target", message("{p:chance}", p=head["p_target"]), below_said))
    if known(head.get("gain_mean")) and head.get("material", True):
        ends = message("{ends} (80~%)", ends=CURRENCY.band(head.get("gain_q10"), head.get("gain_q90")))
        tiles.append(Tile("Gain of the new budget", money("gain_mean"), ends))
    elif known(head.get("gain_mean")):
        tiles.append(Tile("Budget", "No material change", "keep the current split"))
    return tiles


# ------------------------------------------------------------------------------------------------ beside the past


def _against(made: Results) -> list[Part]:
    """The last windows beside the forecast, and why it differs from what came just before and a year before."""
    measure, head = main_measure(made), made.headline
    past = made.windows[made.windows["measure"] == measure] if len(made.windows) else made.windows
    if past.empty:
        return [Part("What is forecast", text=together(sentences.outlook(made.study, head)))]
    listings = _reasons(made)
    share = 0.47 if listings else 1.0
    drawn = partial(
        panels,
        2.45,
        lambda ax: plot.windows(made, ax=ax),
        share=share,
    )
    alt = message(
        "{measure:stage} of earlier windows as long as the horizon as bars, and the forecast with its 80 percent band.",
        measure=measure,
    )  # fmt: skip
    return [
        Part(
            "The forecast beside the past",
            lead=sentences.against(made.study, made.comparison),
            figure=Picture(drawn, alt),
            listings=listings,
            note=sentences.COMPARISON_NOTE if listings else sentences.BARS_NOTE,
            beside=share if listings else 0.0,
        )
    ]


def _reasons(made: Results) -> list[Listing]:
    """Why the forecast differs from what came in earlier windows: rows that add up, a column for each window."""
    frame = made.comparison
    if frame.empty:
        return []
    cells: dict[str, dict[str, float]] = {}
    heads: dict[str, Text] = {}
    for row in records(frame):
        cells.setdefault(str(row["against"]), {})[str(row["item"])] = float(row["amount"])
        said_of = "{first:period} to {last:period}" if row["first"] != row["last"] else "{first:period}"
        heads[str(row["against"])] = message(said_of, **row)
    items = [item for item in ITEMS if any(item in column for column in cells.values())]
    columns = {name: adding_up(column) for name, column in cells.items()}

    def cell(name: str, item: str) -> Text:
        amount = columns[name].get(item)
        ends = item in ("came", "forecast")
        return "" if amount is None else message("{x:number}" if ends else "{x:signed}", x=amount)

    rows = [
        Row([ITEMS[item], *(cell(name, item) for name in cells)], item in ("came", "forecast"))
        for item in items
    ]
    unit = sentences.unit_of(made.study, str(frame["measure"].iloc[0]))
    n = len(cells)
    return [
        Listing([message("{unit}, against", unit=unit), *heads.values()], rows, "l" + "r" * n, "a" + "1" * n)
    ]


# --------------------------------------------------------------------------------------------------- the budget


def _budget(made: Results) -> list[Part]:
    """What to do, and the current plan beside the recommended one."""
    part = what_to_do(made)
    if made.allocation.empty:
        return [part]
    rows = [
        row
        | {
            "moved": row["recommended"] - row["current"],
            "gain": row["expected_contribution_recommended"] - row["expected_contribution_current"],
        }
        for row in records(made.allocation)
    ]
    adds = ["current", "recommended", "moved", "gain"]
    adds += ["expected_contribution_current", "expected_contribution_recommended"]

    def of(name: Text, some: list[dict[str, Any]]) -> dict[str, Any]:
        return {"channel": name} | {key: sum(row[key] for row in some) for key in adds}

    shown = rows
    if len(rows) > MOST_CHANNELS + 1:
        order = sorted(rows, key=lambda row: -abs(row["moved"]) - 1e-9 * row["current"])
        largest = {str(row["channel"]) for row in order[:MOST_CHANNELS]}
        shown = [row for row in rows if str(row["channel"]) in largest]
        rest = [row for row in rows if str(row["channel"]) not in largest]
        shown = [*shown, of(plural("1 other", "{n} others", n=len(rest)), rest)]
    whole = of("total", rows)
    columns = [
        _names(message("Channel, {cur}", cur=made.study.currency)),
        value("current", "Current", AMOUNT),
        value("recommended", f"Recom{SOFT}mended", AMOUNT),
        value("moved", "Change", CHANGE),
        said(
            "Nearly as good",
            lambda row: CURRENCY.band(row["low"], row["high"], narrow=True) if "low" in row else "",
            width="2",
        ),
        value("expected_contribution_current", "Brings now"),
        value("expected_contribution_recommended", "Would bring"),
        value("gain", "Gain", GAIN),
    ]
    listed = listing([*shown, whole], columns, strong=lambda row: row is whole)
    return [Part(part.title, lead=part.lead, listings=[listed], note=sentences.PLAN_NOTE)]


def _names(head: Text) -> Shown:
    """Names of channels; the rows of sums have messages in their place."""

    def cells(rows: Any) -> list[Text]:
        own = named("channel", head).cells([row for row in rows if isinstance(row["channel"], str)])
        left = iter(own)
        return [next(left) if isinstance(row["channel"], str) else row["channel"] for row in rows]  # type: ignore[misc]

    return Shown(head, cells, "l", "a")
