"""The past: as it was forecast then beside what came, against simple methods."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from forecast.columns import unit_of
from forecast.report.document import (
    Listing,
    Page,
    Part,
    Picture,
    Shown,
    band,
    checklist,
    listing,
    period,
    period_cell,
    said,
    value,
)
from forecast.report.figures import panels
from forecast.report.plots import plot
from forecast.report.plots.past import counted_in
from forecast.study import GUESSES
from forecast.tables import SHARE, WHOLE, Record
from forecast.words import MISSING, Message, Name, Text, known, message, periods, plural, together

if TYPE_CHECKING:
    from forecast.results import Past, Results

FORECAST = "forecast"
NOTE = message(
    "CRPS: error of the whole distribution, in the unit of the measure, lower is better. Skill: 1 less the forecast's "
    "CRPS over that of the method, above 0 where the forecast was better, with its standard error."
)


def past_page(made: Results) -> Page | None:
    """The backtest; nothing where none belongs to these data."""
    return None if made.backtest is None else backtest_page(made.backtest)


def backtest_page(past: Past) -> Page:
    """Every origin, the scores beside the baselines, every stage, the gate."""
    lead = together(held(past), against(past), fair(past))
    alt = message("Bands of each forecast of the past with what came as dots. {held}", held=held(past))
    drawn = partial(
        panels,
        2.7,
        lambda ax: plot.backtest(past, ax=ax),
        lambda ax: plot.calibration(past, ax=ax),
        ratios=(5, 1.1),
    )
    many = len(past.rows)
    title = "The last {many} horizons, and what came" if many > 1 else "The last forecast that can be checked"
    beside = "Beside simple methods: {stage:stage} over the horizon"
    parts = [
        Part(message(title, many=many), lead=lead, figure=Picture(drawn, alt)),
        Part(
            listings=[origin_rows(past.rows, past.measure, counted_in(past.measure, past.currency))],
            note=together(span(past), worth(past), left_out(past), sampling(past)),
        ),
        Part(message(beside, stage=past.measure), listings=[_methods(past)], note=NOTE),
        Part("Stage by stage, all channels, whole horizon", listings=[_stages(past)]),
        Part("The gate", listings=[checklist(past.gate)]),
    ]
    return Page("The past, as it was forecast then", parts, past.tables())


# ----------------------------------------------------------------------------------------------------- in sentences


def span(past: Past) -> Message:
    """How the backtest was laid out."""
    first, last = past.origins[0], past.origins[-1]
    origins = plural(
        "one origin, {first:period}", "{n} origins, {first:period} to {last:period}",
        n=len(past.origins), first=first, last=last,
    )  # fmt: skip
    text = "{origins}, {ahead} ahead."
    if past.paid:
        text = {
            "actual": "{origins}, {ahead} ahead, with the spend that came.",
            "last year": "{origins}, {ahead} ahead, with the spend of a year before.",
        }.get(past.spend, "{origins}, {ahead} ahead, with the current plan of then.")
    laid_out = message(text, origins=origins, ahead=periods(past.horizon, past.period))
    return together(laid_out, "Closed form, no sampling." if past.method == "preview" else "")


def held(past: Past) -> Message:
    """How many outcomes lay inside their 80 % band."""
    inside = past.own["inside80"]
    said_as = "{inside} of {n} outcomes lay inside their 80~% band."
    return message(said_as, n=int(inside["outcomes"]), inside=int(inside["inside"]))


def worth(past: Past) -> Message:
    """What so few outcomes can say, and what not."""
    n, inside = len(past.origins), past.own["inside80"]
    if inside["independent"] < 4:
        if n == 1:
            return message("One outcome cannot tell a good band from a bad one.")
        return message(
            "The {n} horizons are worth about {size:.1f} independent outcomes: too few to tell a good band from a bad "
            "one.",
            n=n, size=past.independent,
        )  # fmt: skip
    overlap = (
        "The {n} horizons overlap and are worth about {size:.1f} independent outcomes; a band that is right holds "
        "{least} to {most} of {of} in 95 cases of 100, so this can show that bands are far off, not that they are "
        "exactly right."
    )
    apart = (
        "The horizons do not overlap; a band that is right holds {least} to {most} of {of} in 95 cases of 100, so this "
        "can show that bands are far off, not that they are exactly right."
    )
    least, most = (round(inside[k] * inside["independent"]) for k in ("least", "most"))
    return message(
        overlap if past.independent < n else apart,
        n=n, size=past.independent, least=least, most=most, of=int(inside["independent"]),
    )  # fmt: skip


def against(past: Past) -> Message:
    """How the forecast did beside the best baseline."""
    best = _best_simple(past, past.own)
    if not best:
        return message("No baseline could be made at every origin.")
    skill = best["skill"] or 0.0
    below = "Its error (CRPS) is {share:.0%} below that of the best baseline here, {name}."
    above = "Its error (CRPS) is {share:.0%} above that of the best baseline here, {name}."
    if known(best["skill_se"]):
        below = (
            "Its error (CRPS) is {share:.0%} below that of the best baseline here, {name} "
            "(standard error {se:.0%})."
        )
        above = (
            "Its error (CRPS) is {share:.0%} above that of the best baseline here, {name} "
            "(standard error {se:.0%})."
        )
    said_as = below if skill > 0 else above
    return message(said_as, share=abs(skill), name=method_word(best["method"]), se=best["skill_se"])


def fair(past: Past) -> Text:
    """That a forecast which is given the spend that came is not on equal terms, and what it does without."""
    guesses = [row for row in past.scores if row["method"] in GUESSES and row["measure"] == past.measure]
    best = _best_simple(past, past.own)
    if past.spend != "actual" or not past.paid or not best:
        return ""
    terms = "It was given the spend that came, which the simple methods did not know: that is not a fair comparison."
    below, above = "{name} {share:.0%} below", "{name} {share:.0%} above"
    parts = []
    for row in guesses:
        apart = 1.0 - row["crps"] / best["crps"] if best["crps"] else 0.0
        parts.append(message(below if apart > 0 else above, name=WITH[str(row["method"])], share=abs(apart)))
    without = message("Without it its error is, {parts:listed}.", parts=parts) if parts else ""
    return together(terms, without)


def method_word(method: Any) -> Text:
    """A method in words: names of ours in the language that is spoken."""
    return METHODS.get(str(method), Name(method))


WITH = {
    "forecast, spend planned then": message("with spend planned then"),
    "forecast, spend as last year": message("with spend as last year"),
}
METHODS: dict[str, Text] = {
    FORECAST: message("forecast"),
    "forecast, spend planned then": message("forecast, spend planned then"),
    "forecast, spend as last year": message("forecast, spend as last year"),
    "spreadsheet": message("spreadsheet"),
    "seasonal naive": message("seasonal naive"),
    "drift": message("drift"),
}


def _best_simple(past: Past, own: Record) -> Record:
    """The scores of the best simple method that could be made as often as the forecast, or nothing."""
    others = [
        row
        for row in past.scores
        if row["method"] not in (FORECAST, *GUESSES)
        and all(row[key] == own[key] for key in ("measure", "outcomes"))
    ]
    return min(others, key=lambda row: float(row["crps"]), default={})


def left_out(past: Past) -> Text:
    """Baselines that were not made, and why; nothing where all were."""
    if not past.left_out:
        return ""
    why = "{names:listed} are left out: they need statsforecast (pip install 'growth-forecast[bench]')."
    return message(why, names=list(past.left_out))


def sampling(past: Past) -> Text:
    """What went badly in the fits of origins; nothing where all went well."""
    found = past.sampling
    failed = {failure.split(": ", maxsplit=1)[0] for failure in found.get("failures", [])}
    if not failed:
        return ""
    return message(
        "The fits of {failed} of {n} origins missed a check of a run (worst R-hat {max_rhat:.2f}, {divergences} "
        "divergences in all): take their bands with care.",
        failed=len(failed), n=len(past.origins), max_rhat=found["max_rhat"], divergences=found["divergences"],
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- in tables


def _when(row: Record) -> Text:
    """The periods of a horizon."""
    return (
        period_cell(row["first"])
        if row["first"] == row["last"]
        else message("{first:period} to {last:period}", **row)
    )


def _difference(row: Record) -> Text:
    """How far what came was from what was expected, as a share of that: below 0 where the forecast was too high."""
    return message("{x:+.1%}", x=row["came"] / row["mean"] - 1) if row["mean"] else MISSING


def inside_of(row: Record) -> Text:
    """Whether what came lies in the 80 % band, or on which side of it."""
    return "yes" if row["inside80"] else "below" if row["came"] < row["q10"] else "above"


def origin_rows(rows: Sequence[Record], measure: str, counted_in: Text) -> Listing:
    """A row per origin; those outside their 80 % band stand out."""
    unit = unit_of(measure)
    columns = [
        period("origin", "Known to"),
        said("Forecast for", _when, "l", "a"),
        value("mean", message("Expected, {unit}", unit=counted_in), unit),
        band(message("80~% band"), unit, "2"),
        value("came", "Came", unit),
        said("Difference", _difference),
        said("Inside", inside_of),
    ]
    return listing(rows, columns, strong=lambda row: not row["inside80"])


def _shares() -> list[Shown]:
    """The bias, and the shares of outcomes inside their bands."""

    def inside(p: int) -> Shown:
        return said(message("In {p}~%", p=p), lambda row: SHARE.said(row[f"inside{p}"]["share"]))

    return [said("Bias", lambda row: message("{bias:change}", **row)), *map(inside, (50, 80, 90))]


def _skill(row: Record) -> Text:
    if row["method"] == FORECAST:
        return ""
    if not known(row["skill"]):
        return MISSING
    return message("{skill:+.2f} ± {skill_se:.2f}" if known(row["skill_se"]) else "{skill:+.2f}", **row)


def _methods(past: Past) -> Listing:
    """The forecast and each baseline."""
    columns = [
        said("Method", lambda row: method_word(row["method"]), "l", "a"),
        value("outcomes", "Origins", WHOLE),
        value("crps", "CRPS"),
        *_shares(),
        said("Skill over it", _skill),
    ]
    rows = [row for row in past.scores if row["measure"] == past.measure]
    return listing(rows, columns, strong=lambda row: row["method"] == FORECAST)


def _stages(past: Past) -> Listing:
    """The forecast of every measure, and the best of the simple methods that could be made as often."""
    rows = [row for row in past.scores if row["method"] == FORECAST]
    best = {own["measure"]: _best_simple(past, own) for own in rows}
    columns = [
        said("Measure", lambda row: message("{measure:stage}", **row), "l", "a"),
        value("crps", "CRPS"),
        value("relative", "of what came", SHARE),
        *_shares(),
        said(
            "Best simple method",
            lambda row: method_word(best[row["measure"]].get("method", MISSING)),
            "l",
            "2",
        ),
        said("of what came", lambda row: SHARE.said(best[row["measure"]].get("relative"))),
    ]
    return listing(rows, columns, strong=lambda row: row["measure"] == past.measure)
