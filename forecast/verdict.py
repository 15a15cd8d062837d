"""How far a run can be trusted: named checks with value, threshold and advice, and the verdict they add up to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from forecast.posterior import Posterior

DELAY_LEARNT = 0.2


@dataclass(frozen=True)
class Check:
    """One named check of the verdict."""

    name: str
    value: str
    threshold: str
    status: str
    advice: str


PREVIEW = Check(
    "preview",
    "closed form",
    "a sampled fit",
    "REVIEW",
    "a closed-form approximation, no sampling: bands are approximate; run without --preview before you decide",
)
PREVIEW_SENTENCE = "PREVIEW: closed-form approximation, no sampling; bands are approximate."
FALLBACK_SENTENCE = (
    "The fit failed its checks; the numbers shown are the PREVIEW in closed form, not the fit."
)


def verdict(
    posterior: Posterior,
    failures: list[str],
    audit: pd.DataFrame,
    delays: pd.DataFrame,
    allocation: pd.DataFrame,
) -> dict[str, Any]:
    """PASS, REVIEW or FAIL with the checks behind it; the worst check decides."""
    parts = posterior.diagnostics
    rhat = max((p["max_rhat"] for p in parts), default=1.0)
    ess = min((min(p["min_ess_bulk"], p["min_ess_tail"]) for p in parts), default=math.inf)
    divergences = sum(p["divergences"] for p in parts)
    advice = "do not use the numbers: give longer history or merge small channels, then fit again"

    def gate(name: str, value: str, threshold: str, good: bool) -> Check:
        return Check(name, value, threshold, "PASS" if good else "FAIL", "" if good else advice)

    preview = posterior.provenance.get("method") == "preview"
    checks = (
        [PREVIEW]
        if preview
        else [
            gate("R-hat", f"{rhat:.3f}", "below 1.01", rhat < 1.01),
            gate("effective sample size", f"{ess:.0f}", "above 400", ess > 400),
            gate("divergences", str(divergences), "0", divergences == 0),
        ]
    )
    if failures and not any(c.status == "FAIL" for c in checks):
        checks.append(Check("sampling", failures[0], "all parts pass", "FAIL", advice))
    for row in delays.to_dict("records"):
        weak = row["learnt"] < DELAY_LEARNT
        checks.append(
            Check(
                f"delay into {row['stage']}",
                f"{row['learnt']:.0%} learnt",
                f"at least {DELAY_LEARNT:.0%}",
                "REVIEW" if weak else "PASS",
                "counts do not tell the delay: give lead dates, or a delay you trust in funnel.delay"
                if weak
                else "",
            )
        )
    checks += [
        Check(f"data: {row['check']}", row["evidence"], "PASS", row["status"], row["advice"])
        for row in audit[audit["status"] != "PASS"].to_dict("records")
    ]
    if len(allocation) and (allocation["extrapolated"] > 0.05).any():
        names = ", ".join(allocation.loc[allocation["extrapolated"] > 0.05, "channel"])
        text = "part of the recommendation lies above any spend seen so far: move there in steps"
        checks.append(Check("extrapolation", names, "at most 5 % of a channel", "REVIEW", text))
    status = next((s for s in ("FAIL", "REVIEW") if any(c.status == s for c in checks)), "PASS")
    sentence = {
        "PASS": "All checks passed: the numbers can be used for the decision.",
        "REVIEW": "Usable with care: read the points marked REVIEW first.",
        "FAIL": "A check failed: do not decide on these numbers.",
    }[status]
    if preview:
        sentence = f"{FALLBACK_SENTENCE if failures else PREVIEW_SENTENCE} {sentence}"
    return {"status": status, "sentence": sentence, "checks": [asdict(c) for c in checks]}
