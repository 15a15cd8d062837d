"""A run that is scored: plan and actual, where the difference came from, what is still to come, what next.

    score_page      in short, for the terminal
    score_report    the whole, for score.pdf and score.xlsx

`told` is the content of score.json (`backtest.score_outlook`, `account_of`, `earlier`). A difference is actual - plan
wherever it stands: below 0 where the forecast was too high.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pandas as pd

from forecast import words
from forecast.columns import by_measure, origins
from forecast.report.document import Page, Part, Picture, Report, Tile, checklist, listing, said
from forecast.report.figures import panels
from forecast.report.pages.past import inside_of
from forecast.report.pages.standing_tables import (
    attribution,
    by_channel,
    channels,
    forecast_then,
    measures,
    periods,
    periods_of,
    sheets,
    spend_listings,
    still_to_come,
    tight_band,
)
from forecast.report.pages.standing_words import (
    PREVIEWED,
    SIGNS,
    Told,
    aimed,
    amount,
    checks_of,
    ended,
    failed,
    fell,
    goal_now,
    largest,
    made_by,
    of_year,
    off_by,
    runs,
    score_points,
    so_many,
    span,
    spending,
    spent,
    still_open,
    title,
    will_move,
)
from forecast.report.plots.past import plot_backtest
from forecast.report.plots.scored import ENDS, lead_measure, unit_word, waterfall
from forecast.report.plots.steps import plot_steps
from forecast.tables import Table
from forecast.words import MISSING, known, message, short_names, together

MOST_CHECKS = 8


def score_page(told: Told) -> Page:
    """Plan and actual in short."""
    parts = [
        Part(lead=together(ended(told), fell(told), aimed(told), failed(told))),
        Part(listings=[measures(told)], note=SIGNS),
        Part(lead=spent(told), listings=spend_listings(told)),
        Part(listings=[attribution(told)] if told["attribution"] else []),
    ]
    if "year" in told:
        coming = [still_open(told), will_move(told), of_year(told), *map(goal_now, told["goals"])]
        parts.append(Part("Still to come", points=[said_of for said_of in coming if said_of]))
        parts.append(Part(note=together(PREVIEWED, spending(told))))
        if told["earlier"]["rows"]:
            rows = [r | {"measure": lead_measure(told)} for r in told["earlier"]["rows"]]
            columns = [
                said("Forecast for", periods_of, "l", "a"),
                said("Expected", lambda r: by_measure(r).said(r["mean"])),
                tight_band("80~% band"),
                said("Came", lambda r: by_measure(r).said(r["came"])),
                said(
                    "Difference",
                    lambda r: message("{x:+.1%}", x=r["came"] / r["mean"] - 1) if r["mean"] else MISSING,
                ),
                said("Inside", inside_of),
            ]
            many = so_many(told, len(rows))
            parts.append(Part(many, listings=[listing(rows, columns)], note=made_by(told)))
        parts.append(Part("What next", points=score_points(told)))
    return Page(title(told), parts)


def score_report(told: Told) -> Report:
    """All that is told of a scored run."""
    name = short_names([str(told["name"])], 60)[str(told["name"])]
    pages = [_front(told), _joined(_where(told), _coming(told), _next(told), _past(told))]
    return Report(
        title=message("Plan and actual: {name}", name=name),
        about=message(
            "Planned as of {as_of:period}, for {span}, in {cur}", as_of=told["as_of"], span=span(told["horizon"]),
            cur=told["currency"],
        ),
        as_of=message("actuals to {last:period}", last=told["come"][-1]),
        status="REVIEW",  # a plan that failed has actuals all the same; the first lines say that it did
        pages=[page for page in pages if page is not None],
        run=str(told.get("run_id", "")),
    )  # fmt: skip


def _joined(*pages: Page | None) -> Page | None:
    """Chapters that are short, as one: the titles of the later ones stand above their first parts."""
    there = [page for page in pages if page is not None]
    if not there:
        return None
    first, *rest = there
    parts = [
        *first.parts,
        *(
            replace(p, title=p.title or ("" if i else page.title))
            for page in rest
            for i, p in enumerate(page.parts)
        ),
    ]
    return Page(first.title, parts, [table for page in there for table in page.sheets])


def _front(told: Told) -> Page:
    """How it ended, by month and by channel."""
    below = together(fell(told), aimed(told), spent(told), failed(told))
    head = told.get("headline")
    parts = [Part(lead=ended(told), tiles=_tiles(told), text=below)]
    if runs(told):
        parts.append(Part(text=together(still_open(told), PREVIEWED)))
    if head is not None:
        measure = str(head["measure"])
        rows = [r for r in told["scores"] if r["measure"] == measure and r["channel"] == "total"]
        unit = unit_word(measure, told["currency"])
        to_come = [{**r, "came": math.nan, "inside80": True} for r in told.get("to_come", [])]
        *rows, last = rows  # periods, and all of them
        rows += to_come
        bands = [{**r, "first": r["period"], "last": r["period"]} for r in rows]
        whole = [last | dict.fromkeys(("first", "last"), words.text("so far" if to_come else "total"))]
        by = {"month": "By month", "week": "By week", "quarter": "By quarter"}[told["period"]]
        drawn = partial(
            panels,
            2.3,
            lambda ax: plot_backtest(bands, ax, unit=unit),
            lambda ax: plot_backtest(whole, ax, unit=unit, keyed=False),
            ratios=(max(len(bands), 3), 1),
        )
        alt = message("Bands of the plan, and what came as dots. {ended}", ended=ended(told))
        one = len(bands) < 2  # which needs no figure, and no total of itself
        shown = periods(rows if one else [*rows, last], told)
        parts.append(Part(by, figure=None if one else Picture(drawn, alt), listings=[shown], note=SIGNS))
    parts.append(Part("Every stage", listings=[measures(told, wide=True)]))
    if listed := channels(told):
        parts.append(Part("By channel", listings=[listed]))
    elif not any(r["channel"] != "total" for r in told["scores"]):
        alone = "What came is known in total alone: by channel there is spend, and nothing else."
        parts.append(Part("By channel", text=alone, listings=spend_listings(told)))
    return Page("", parts, sheets(told, "score"))


def _tiles(told: Told) -> list[Tile]:
    head, target, run, cur = told.get("headline"), told.get("target"), told.get("running"), told["currency"]
    if head is None:
        return []
    m = str(head["measure"])
    ends = message(
        "80~% band {x:tight}" if m == "revenue" else "80~% band {x:tight_count}", x=(head["q10"], head["q90"])
    )
    share = message("{x:+.1%} of the plan", x=head["share"]) if known(head["share"]) else ""
    made = [
        Tile("Plan", amount(m, head["plan"], cur), ends),
        Tile("Actual", amount(m, head["actual"], cur), span(told["come"])),
        Tile("Difference", off_by(m, head["difference"]), share),
    ]
    if target is not None:
        below = message("of {aim}", aim=amount(target["measure"], target["amount"], cur))
        if target["met"] is not None:
            made.append(Tile("Target", "met" if target["met"] else "missed", below))
        elif run is not None and run["p_now"] is not None:
            made.append(Tile("P(target) now", message("{p:chance}", p=run["p_now"]), below))
    return made


def _where(told: Told) -> Page | None:
    """The difference taken apart."""
    if not told["attribution"]:
        return None
    measure = str(told["measure"])
    rows = waterfall(told, measure)
    names = [words.text(ENDS.get(row["item"], row["item"])) for row in rows]
    unit = unit_word(measure, told["currency"])
    lead = largest(told, measure)
    alt = message("Waterfall from plan to actual, by block. {lead}", lead=lead)
    drawn = partial(panels, 0.55 + 0.2 * len(rows), lambda ax: plot_steps(rows, ax, names=names, unit=unit))
    about = message(
        "Each block is known twice, as planned and as it came; its share is what swapping it changes, whatever the "
        "order. Chance is what is left. The shares add up to actual less plan."
    )
    parts = [Part(lead=lead, figure=Picture(drawn, alt), listings=[attribution(told)], note=about)]
    if (by := by_channel(told, measure)) is not None:
        parts.append(Part(message("By channel, {unit}", unit=unit), listings=[by]))
    return Page("Where the difference came from", parts, sheets(told, "attribution", "blocks"))


def _coming(told: Told) -> Page | None:
    """What it means for the rest of the year."""
    if "year" not in told:
        return None
    said_all = together(will_move(told), of_year(told))
    parts = [Part(lead=said_all, listings=[still_to_come(told)], note=together(PREVIEWED, spending(told)))]
    return Page("What it means for what is still to come", parts, sheets(told, "ahead"))


def _past(told: Told) -> Page | None:
    """The last horizons as forecast then."""
    found = told.get("earlier") or {"rows": []}
    rows = found["rows"]
    if not rows:
        return None
    measure = lead_measure(told)
    unit = unit_word(measure, told["currency"])
    inside = sum(bool(r["inside80"]) for r in rows)
    lead = message(
        "{inside} of {n} actuals lay inside the 80~% band of their forecast.", inside=inside, n=len(rows)
    )
    drawn = partial(panels, 2.4, lambda ax: plot_backtest(rows, ax, unit=unit))
    alt = message("Bands of each forecast with what came as dots. {lead}", lead=lead)
    figure = Picture(drawn, alt) if len(rows) > 1 else None
    parts = [Part(lead=lead, figure=figure, listings=[forecast_then(told)], note=made_by(told))]
    frame = pd.DataFrame(rows)
    sheet = Table("earlier", "Earlier forecasts", origins(measure), frame)
    return Page(so_many(told, len(rows)), parts, [sheet])


def _next(told: Told) -> Page | None:
    """What to do now."""
    if "checks" not in told:
        return None
    checks = checks_of(told)
    parts = [Part(points=score_points(told))]
    if checks:
        more = message("{n} more in score.xlsx.", n=len(checks) - MOST_CHECKS)
        parts.append(
            Part("What the data of now say", listings=[checklist(checks[:MOST_CHECKS])],
                 note=more if len(checks) > MOST_CHECKS else "")
        )  # fmt: skip
    return Page("What next", parts, sheets(told, "checks"))
