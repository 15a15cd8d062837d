"""What sampling must reach before a fit may be used: the one table of these thresholds, for fit, verdict and report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """Of every part: largest R-hat, least effective sample size and E-BFMI, share of draws cut off at full depth."""

    max_rhat: float = 1.01
    min_ess: float = 400.0
    min_bfmi: float = 0.3  # Betancourt 2016
    max_at_depth: float = 0.01


GATE = Gate()
