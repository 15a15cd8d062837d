"""What a backtest says, in sentences: for the terminal and for the report. Takes the content of backtest.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORECAST = "forecast"


def unit(summary: Mapping[str, Any]) -> str:
    """The unit of the headline: the currency, or what is counted."""
    measure = str(summary["measure"])
    return str(summary["currency"]) if measure == "revenue" else {"won": "wins"}.get(measure, measure)


def span(summary: Mapping[str, Any]) -> str:
    """How the backtest was laid out."""
    origins, horizon, period = summary["origins"], int(summary["horizon"]), str(summary["period"])
    first, last = origins[0], origins[-1]
    many = f"{len(origins)} origins, {first} to {last}" if len(origins) > 1 else f"one origin, {first}"
    ahead = f"{horizon} {period}{'s' if horizon > 1 else ''} ahead"
    spend = (
        ", with the spend that came" if summary["spend"] == "actual" else ", with the current plan of then"
    )
    quick = "; closed form, no sampling" if summary["method"] == "preview" else ""
    return f"{many}, {ahead}{spend if summary['paid'] else ''}{quick}."


def held(summary: Mapping[str, Any]) -> str:
    """How many outcomes lay inside their 80 % band."""
    band = own(summary)["inside80"]
    n, inside = int(band["outcomes"]), int(band["inside"])
    return f"{inside} of {n} outcomes lay inside their 80 % band."


def worth(summary: Mapping[str, Any]) -> str:
    """What so few outcomes can say, and what not."""
    size, n = float(summary["independent"]), len(summary["origins"])
    band = own(summary)["inside80"]
    least, most = (round(band[k] * band["independent"]) for k in ("least", "most"))
    if band["independent"] < 4:
        if n == 1:
            return "One outcome cannot tell a good band from a bad one."
        few = "too few to tell a good band from a bad one"
        return f"The {n} horizons are worth about {size:.1f} independent outcomes: {few}."
    overlap = (
        f"The {n} horizons overlap and are worth about {size:.1f} independent outcomes; a"
        if size < n
        else "The horizons do not overlap; a"
    )
    return (
        f"{overlap} band that is right holds {least} to {most} of {int(band['independent'])} in 95 cases of 100, "
        "so this can show that bands are far off, not that they are exactly right."
    )


def against(summary: Mapping[str, Any]) -> str:
    """How the forecast did beside the best baseline."""
    rows = [m for m in summary["methods"] if m["measure"] == summary["measure"] and m["method"] != FORECAST]
    rows = [m for m in rows if m["outcomes"] == own(summary)["outcomes"]]
    if not rows:
        return "No baseline could be made at every origin."
    best = min(rows, key=lambda m: m["crps"])
    share = abs(best["skill"] or 0.0)
    way = "below" if (best["skill"] or 0.0) > 0 else "above"
    error = f" (standard error {best['skill_se']:.0%})" if best["skill_se"] is not None else ""
    return f"Its error (CRPS) is {share:.0%} {way} that of the best baseline here, {best['method']}{error}."


def own(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of the forecast on the headline."""
    return next(
        m for m in summary["methods"] if m["method"] == FORECAST and m["measure"] == summary["measure"]
    )


def left_out(summary: Mapping[str, Any]) -> str:
    """Baselines that were not made, and why; nothing where all were."""
    names = summary["left_out"]
    if not names:
        return ""
    return (
        f"{' and '.join(names)} are left out: they need statsforecast (pip install 'growth-forecast[bench]')."
    )


def sampling(summary: Mapping[str, Any]) -> str:
    """What went badly in the fits of origins; nothing where all went well."""
    found = summary["sampling"]
    failed = {text.split(": ", maxsplit=1)[0] for text in found.get("failures", [])}
    if not failed:
        return ""
    return (
        f"The fits of {len(failed)} of {len(summary['origins'])} origins missed a check of a run (worst R-hat "
        f"{found['max_rhat']:.2f}, {found['divergences']} divergences in all): take their bands with care."
    )
