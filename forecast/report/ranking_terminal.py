"""What `forecast rank` says on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

SHOWN = 8  # leads


def ranking_text(summary: Mapping[str, Any], ranking: pd.DataFrame) -> str:
    """The score in words: what it was made of, how it did on newer leads, the threshold, the best leads."""
    used = ", ".join(f["feature"] for f in summary["features"]) or "none"
    lines = [f"{summary['leads']:,} leads, {summary['open']:,} open on {summary['as_of']}; features: {used}"]
    lines += [f"  {_sign(sign)}" for sign in summary["signs_of_leakage"]]
    lines += [
        "",
        *_test(summary["holdout"]),
        "",
        threshold_sentence(summary["threshold"], summary["currency"]),
    ]
    lines += [f"Sampling: {text}" for text in summary["sampling_failures"]]
    return "\n".join([*lines, "", *_best(ranking)])


def _sign(sign: Mapping[str, Any]) -> str:
    what = "left out" if sign["left_out"] else "kept, but look"
    return f"{sign['feature']}: {what}: {sign['sign']} ({sign['evidence']})"


def _test(test: Mapping[str, Any] | None) -> Sequence[str]:
    if not test or not test["leads"]:
        return ["No test on newer leads: the older ones have too few outcomes."]
    base = test["log_score_channel_rate"]
    error = "" if test["gain_error"] is None else f" ± {test['gain_error']:.4f}"
    return [
        f"Test: fitted on {test['trained_on']:,} leads up to {test['split']}, tested on {test['leads']:,} newer ones",
        f"  won {test['won']}, expected {test['won_expected']:.1f}",
        f"  log score {test['log_score']:.4f} a lead; channel rate alone {base:.4f}",
        f"  better by {test['gain']:.4f}{error} ({test['skill']:.1%})",
    ]


def threshold_sentence(told: Mapping[str, Any], currency: str) -> str:
    """Where sales should stop, and what that does."""
    unit = "" if told["unit"] == "P(win)" else f" {currency}"
    level = f"{told['level']:.3f}" if told["unit"] == "P(win)" else f"{told['level']:,.0f}"
    per = f"{told['worked_a_period']:,.1f} of {told['leads_a_period']:,.1f} leads a period"
    if told["limited_by"] == "nothing" or told["level"] == 0:
        return f"Threshold: none; every lead brings more than it costs, and sales can take {per}."
    share = "" if told["share_of_wins"] is None else f", which hold {told['share_of_wins']:.0%} of the wins"
    said = f"Threshold: {told['unit']} of {level}{unit} ({told['limited_by']} sets it): work {per}{share}"
    if told["contribution_a_period"] is None:
        return f"{said}; {told['wins_a_period']:.1f} wins, {told['wins_as_they_come']:.1f} if worked as they come."
    low, high = told["contribution_q10"], told["contribution_q90"]
    return (
        f"{said}; contribution {told['contribution_a_period']:,.0f} {currency} a period ({low:,.0f} to {high:,.0f}), "
        f"{told['contribution_as_they_come']:,.0f} if as many were worked as they come."
    )


def _best(ranking: pd.DataFrame) -> Sequence[str]:
    if ranking.empty:
        return ["No lead is open."]
    head = (
        f"{'lead':<12} {'channel':<12} {'created':<10} {'P(win)':>7} {'80 % band':>14} {'expected value':>15}"
    )
    lines = [head]
    for row in ranking.head(SHOWN).to_dict("records"):
        band = f"{row['p_low']:.1%} to {row['p_high']:.1%}"
        value = "" if np.isnan(row["expected_value"]) else f"{row['expected_value']:,.0f}"
        who = f"{str(row['lead_id'])[:12]:<12} {str(row['channel'])[:12]:<12} {row['created']:<10}"
        lines.append(f"{who} {row['p_win']:>7.1%} {band:>14} {value:>15}")
    return lines
