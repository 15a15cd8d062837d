"""How the command line talks: numbers and tables as text, results as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.words import MINUS, NBSP, THIN

if TYPE_CHECKING:
    import pandas as pd

MOST_CHECKS = 8


def amount(number: float) -> str:
    """A number for people: thousands with commas, two decimals below 100, three digits below 1.

    >>> amount(15000.0), amount(12.5), amount(3), amount(0.01234)
    ('15,000', '12.5', '3', '0.0123')
    """
    if abs(number) >= 100:
        return f"{number:,.0f}"
    text = f"{number:.2f}" if abs(number) >= 1 else f"{number:.3g}"
    if "e" in text:
        return text
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float, *, sign: bool = False) -> str:
    """A share as percent, one decimal where it needs one.

    >>> percent(0.03), percent(0.024), percent(1 / 3, sign=True)
    ('3 %', '2.4 %', '+33.3 %')
    """
    number = f"{100 * share:+.1f}" if sign else f"{100 * share:.1f}"
    return f"{number.removesuffix('.0')} %"


def table(rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Rows of text as aligned columns, the first row the header; columns in `left` are set flush left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)


def as_json(result: Any) -> str:
    """A result as JSON; what JSON has no word for (NaN, infinity) is null, paths are text."""
    return json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(key): _plain(part) for key, part in item.items()}
    if isinstance(item, (list, tuple, set, frozenset)):
        return [_plain(part) for part in item]
    if isinstance(item, Path):
        return item.as_posix()
    if hasattr(item, "tolist"):  # numpy's scalars and arrays
        return _plain(item.tolist())
    if isinstance(item, float) and not math.isfinite(item):
        return None
    return item


def funnel_text(result: Mapping[str, Any]) -> str:
    """The funnel equation as tables, from the dict of `forecast.funnel.summary`."""
    parts = [_funnel_stages(result), _funnel_worth(result), _funnel_gains(result), _funnel_band(result)]
    return "\n\n".join(part for part in parts if part)


def _funnel_stages(result: Mapping[str, Any]) -> str:
    market = result["market"].upper()
    rows = [["stage", "rate", "per period"], ["visitors", "", amount(result["visitors"])]]
    for name, stage in (("conversion", "leads"), ("qualification", "qualified"), ("close", "won")):
        rows.append([stage, percent(result[name]), amount(result[stage])])
    rows.append(["revenue", f"x {amount(result['value'])}", amount(result["revenue"])])
    places = [f"{market} range", ""] + [""] * 4
    for i, name in enumerate(("conversion", "qualification", "close"), start=2):
        place = result["benchmarks"].get(name)
        if place:
            places[i] = f"{percent(place['low'])} to {percent(place['high'])}: {place['stands']}"
    if result["benchmarks"]:
        rows = [[*row, place] for row, place in zip(rows, places, strict=True)]
    return table(rows, left=(0, 3))


def _funnel_worth(result: Mapping[str, Any]) -> str:
    names = {"visitor": "a visitor", "lead": "a lead", "qualified": "a qualified lead"}
    rows = [["worth of", "revenue", f"break-even cost at margin {percent(result['margin'])}"]]
    rows += [
        [names[unit], amount(result["worth"][unit]), amount(result["break_even"][unit])] for unit in names
    ]
    return table(rows)


def _funnel_gains(result: Mapping[str, Any]) -> str:
    rows = [["one point more", "rate", "revenue", "gain", ""]]
    for name, raised in result["plus_one_point"].items():
        relative = "" if raised["relative"] is None else percent(raised["relative"], sign=True)
        change = f"{percent(result[name])} -> {percent(raised['rate'])}"
        rows.append([name, change, amount(raised["revenue"]), f"+{amount(raised['gain'])}", relative])
    return table(rows)


def _funnel_band(result: Mapping[str, Any]) -> str:
    band = result["benchmark_revenue"]
    if band is None:
        return ""
    market = result["market"].upper()
    q = {level: amount(float(f"{number:.3g}")) for level, number in band.items()}
    rows = [
        ["median", q["q50"]],
        ["central 50 %", f"{q['q25']} to {q['q75']}"],
        ["central 80 %", f"{q['q10']} to {q['q90']}"],
    ]
    title = (
        f"Benchmark, not your data: revenue of these visitors and this value at rates of {market} companies"
    )
    return f"{title}\n{table(rows, left=(0, 1))}"


def audit_text(audit: pd.DataFrame, mistakes: pd.DataFrame | None = None) -> str:
    """The audit as lines: status, check, evidence, and below it what to do; then the common mistakes likewise."""
    lines = _checks(audit, "check")
    if mistakes is not None:
        lines += ["", "Common mistakes, as far as they show without a fit:", *_checks(mistakes, "mistake")]
    return "\n".join(lines)


# The signs of `words` as any terminal has them.
_TYPED = str.maketrans({NBSP: " ", THIN: " ", MINUS: "-"})


def _checks(table: pd.DataFrame, name: str) -> list[str]:
    """A line for each row, and below it the advice where something is to be done."""
    lines = []
    for row in table.to_dict("records"):
        evidence = row["evidence"].translate(_TYPED)
        lines.append(f"{row['status']:<7} {row[name]}: {evidence}")
        if row["status"] not in ("PASS", "UNKNOWN") and row["advice"]:
            lines.append(f"        -> {row['advice']}")
    return lines


def allocation_text(allocation: pd.DataFrame) -> str:
    """The recommended budget by channel, with its near-optimal range."""
    rows = [["channel", "current", "recommended", "change", "near-optimal from", "to"]]
    for row in allocation.to_dict("records"):
        money = [f"{float(row[name]):,.0f}" for name in ("current", "recommended", "low", "high")]
        change = float(row["change"])
        moved = percent(change, sign=True) if math.isfinite(change) else "new"
        rows.append([str(row["channel"]), *money[:2], moved, *money[2:]])
    return table(rows)


def summary_text(summary: Mapping[str, Any]) -> str:
    """The verdict and the headline of a run in a few lines, as far as the summary has them."""
    verdict, headline = summary.get("verdict", {}), summary.get("headline", {})
    lines = [
        *(_verdict_lines(verdict) if isinstance(verdict, Mapping) else [str(verdict)]),
        headline.get("recommendation") if isinstance(headline, Mapping) else str(headline),
        _gain_text(headline, str(summary.get("currency", ""))) if isinstance(headline, Mapping) else "",
    ]
    return "\n".join(line for line in lines if line)


def _verdict_lines(verdict: Mapping[str, Any]) -> list[str]:
    """The sentence of a verdict, and each check that it did not pass with what to do; the worst first."""
    status = verdict.get("status")
    lines = [f"{status}. {verdict['sentence']}" if status else str(verdict.get("sentence", ""))]
    failed = [c for c in verdict.get("checks", []) if c["status"] != "PASS"]
    failed.sort(key=lambda c: c["status"] != "FAIL")
    for check in failed[:MOST_CHECKS]:
        bar = f" (expected {check['threshold']})" if check["threshold"] not in ("", "PASS") else ""
        lines.append(f"  {check['status']:<6}  {check['name']}: {check['value']}{bar}")
        lines += [f"          -> {check['advice']}"] if check["advice"] else []
    left = len(failed) - MOST_CHECKS
    return [*lines, *([f"  ... and {left} more in the report"] if left > 0 else [])]


def _gain_text(headline: Mapping[str, Any], currency: str) -> str:
    """The gain of the recommendation and what it leaves unspent; nothing where no move is recommended."""
    if not headline.get("material"):
        return ""
    mean, low, high = (float(headline[f"gain_{name}"]) for name in ("mean", "q10", "q90"))
    text = f"Expected gain {mean:,.0f} {currency} of contribution (80 % band {low:,.0f} to {high:,.0f})."
    if headline.get("unspent_reason"):
        text += f"\n{float(headline['unspent']):,.0f} {currency} stay unspent: {headline['unspent_reason']}."
    return text


def decision_text(summary: Mapping[str, Any]) -> str:
    """What is certain about a recommended budget, what limits cost, and what would be worth knowing."""
    made, cur = summary.get("decision", {}), str(summary.get("currency", ""))
    told = made.get("summary", {})
    if not told:
        return ""
    certificate = told["certificate"]
    lines = [_certificate_line(certificate, cur)]
    for name, price in sorted(certificate["prices"].items(), key=lambda item: -float(item[1]))[:MOST_CHECKS]:
        unit = "one unit" if str(name).startswith("economics.capacity") else f"1 {cur}"
        lines.append(f"  {name}: {unit} more would add {float(price):,.2f}")
    regret, current = (float(told[name]["value"]) for name in ("regret", "regret_current"))
    lines.append(
        f"Not knowing costs {regret:,.0f} {cur} with this split, {current:,.0f} with the current one."
    )
    lines.append(
        f"Within the other limits the next unit of money pays up to {float(told['stops_paying']):,.0f} {cur}."
    )
    lines += [
        f"{row['channel']}: {percent(float(row['beyond']))} of its spend lies beyond what a period has seen; gain "
        f"{float(row['gain']):,.0f}, or {float(row['gain_if_saturating']):,.0f} if it saturates from there."
        for row in made["ledger"]
        if float(row["beyond"]) > 0
    ]
    return "\n".join([*lines, str(told["advice"])])


def _certificate_line(certificate: Mapping[str, Any], currency: str) -> str:
    """Status, gap and the objective's own number."""
    status, gap = str(certificate["status"]), float(certificate["gap"])
    text = f"{status[0].upper()}{status[1:]} ({certificate['objective']})"
    if math.isfinite(gap) and certificate["objective"] != "target":
        text += f", at most {gap:,.2f} {currency} short of the best there is".replace("  ", " ")
    found = certificate["evidence"]
    if "p_target" in found:
        text += f"; target {percent(float(found['p_target']))} likely ({percent(float(found['p_target_current']))} now)"
    if "cvar" in found:
        worst, now = float(found["cvar"]), float(found["cvar_current"])
        text += f"; mean of the worst draws {worst:,.0f} {currency} ({now:,.0f} now)"
    if "cac" in found:
        text += f"; a customer costs {float(found['cac']):,.0f} {currency}"
    return text + "."
