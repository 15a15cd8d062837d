"""Benchmark ranges and the priors made from them, each with its source.

A published "typical range" is an average of averages, not a company's own 90 % interval. It is read as the
*central half* of what a company's own rate may be (the dial is `priors.range_reads_as` in the study). For a range
[lo, hi] read as the central share P:

    m = (logit lo + logit hi) / 2,    s = (logit hi - logit lo) / (2 z_(1+P)/2)

so that logit(rate) ~ Normal(m, s). One s up or down is what a company at the 84th or 16th percentile would see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

KINDS: tuple[str, ...] = ("seo", "outbound", "content", "email", "social", "events", "ppc", "other")
GUIDE = "Liidien hankinta (Finnish B2B lead generation guide), figures stated as of 2025"


@dataclass(frozen=True)
class Range:
    """A published range of a rate, in [0, 1], with where it comes from."""

    low: float
    high: float
    source: str


@dataclass(frozen=True)
class LogitNormal:
    """logit(rate) ~ Normal(mean, sd): the prior of a company-level rate."""

    mean: float
    sd: float

    def quantile(self, p: float) -> float:
        """Rate at probability p: logistic(mean + sd z_p)."""
        return 1.0 / (1.0 + math.exp(-(self.mean + self.sd * NormalDist().inv_cdf(p))))


@dataclass(frozen=True)
class ChannelPrior:
    """What the kind of a channel says before its data do.

    elasticity: beta in `traffic = level [b + (1 - b) (spend / reference)^beta]`, logit scale (mean, sd);
    base: the share b of traffic that goes on without spend, logit scale; carry_over: share alpha of the effect that
    lasts into the next month, logit scale (None: no carry-over assumed).
    """

    elasticity: LogitNormal
    base: LogitNormal
    carry_over: LogitNormal | None
    source: str


# The rate *into* the named stage. Close rate s is raised to .50: published figures mix SQL -> won with
# opportunity -> won.
_RANGES: dict[str, dict[str, Range]] = {
    "b2b": {
        "leads": Range(0.02, 0.05, f"{GUIDE}: website conversion B2B"),
        "qualified": Range(0.30, 0.50, f"{GUIDE}: MQL -> SQL"),
        "won": Range(0.20, 0.30, f"{GUIDE}: close rate"),
    },
    "b2c": {
        "leads": Range(0.01, 0.03, f"{GUIDE}: website conversion B2C"),
        "qualified": Range(0.30, 0.50, f"{GUIDE}: MQL -> SQL"),
        "won": Range(0.20, 0.30, f"{GUIDE}: close rate"),
    },
    "none": {},
}
# Published for a kind of channel: to compare with, no prior is made of it (who counts as reached differs too much).
_BY_KIND: dict[tuple[str, str, str], Range] = {
    ("b2b", "leads", "email"): Range(0.024, 0.024, f"{GUIDE}: e-mail campaign conversion B2B"),
    ("b2c", "leads", "email"): Range(0.028, 0.028, f"{GUIDE}: e-mail campaign conversion B2C"),
}
_SD_FLOOR = {"won": 0.50}
SD_FLOOR = 0.40
WIDE = LogitNormal(-1.5, 1.5)  # a stage without any benchmark: median 18 %, 90 % from 2 % to 72 %


_CLICK = "judgement: click buying, auction elasticities .36-.62 (model card, section on spend response)"
_SLOW = "judgement: content builds up; traffic goes on when spend stops (domain guide, the seven channels)"
_LIST = "judgement: limited by the size of the list (domain guide)"
_HAND = "judgement: close to linear in callers or events up to capacity (domain guide)"

# Of the logit of an elasticity. A kind is a weak prior; wider ones captured less (model card).
KIND_SD = 0.7

CHANNEL_PRIORS: dict[str, ChannelPrior] = {
    "ppc": ChannelPrior(LogitNormal(0.4, KIND_SD), LogitNormal(-3.0, 0.7), None, _CLICK),
    "social": ChannelPrior(LogitNormal(0.2, KIND_SD), LogitNormal(-2.0, 0.7), LogitNormal(-2.2, 0.6), _CLICK),
    "email": ChannelPrior(LogitNormal(-0.2, KIND_SD), LogitNormal(-1.0, 0.8), None, _LIST),
    "seo": ChannelPrior(LogitNormal(0.2, KIND_SD), LogitNormal(-0.6, 0.7), LogitNormal(0.5, 0.5), _SLOW),
    "content": ChannelPrior(LogitNormal(0.2, KIND_SD), LogitNormal(-0.8, 0.7), LogitNormal(0.2, 0.5), _SLOW),
    "outbound": ChannelPrior(LogitNormal(1.0, KIND_SD), LogitNormal(-3.0, 0.7), None, _HAND),
    "events": ChannelPrior(LogitNormal(0.7, KIND_SD), LogitNormal(-3.0, 0.7), None, _HAND),
    "other": ChannelPrior(
        LogitNormal(0.3, 1.0), LogitNormal(-1.5, 1.2), None, "neutral: no carry-over, wide elasticity"
    ),
}

# Typical time from the stage before, in days, where the study gives none (model card, section on delays).
DEFAULT_DELAY_DAYS: dict[str, float] = {"leads": 0.0, "qualified": 14.0, "won": 45.0}
OTHER_DELAY_DAYS = 21.0


def rate_range(market: str, stage: str) -> Range | None:
    """The published range of the rate into `stage` in `market`, or None where there is none."""
    return _RANGES[market].get(stage)


def channel_range(market: str, stage: str, kind: str) -> Range | None:
    """The published range for a kind of channel where there is one, else that of the market."""
    return _BY_KIND.get((market, stage, kind)) or rate_range(market, stage)


def rate_prior(low: float, high: float, central: float, floor: float = SD_FLOOR) -> LogitNormal:
    """Prior of a rate from a range read as its central share (see the module's formula); sd at least `floor`.

    >>> p = rate_prior(0.30, 0.50, 0.5)
    >>> round(p.mean, 3), round(p.sd, 2)
    (-0.424, 0.63)
    """
    a, b = math.log(low / (1 - low)), math.log(high / (1 - high))
    z = NormalDist().inv_cdf((1 + central) / 2)
    return LogitNormal((a + b) / 2, max((b - a) / (2 * z), floor))


def market_prior(market: str, stage: str, central: float) -> LogitNormal:
    """Prior of the company-level rate into `stage`: the market's range, or `WIDE` where nothing is published."""
    published = rate_range(market, stage)
    if published is None:
        return WIDE
    return rate_prior(published.low, published.high, central, _SD_FLOOR.get(stage, SD_FLOOR))


def market_numbers() -> str:
    """Every number of this module that a fit can depend on, as one text: for the hash of a fit."""
    return repr((_RANGES, _SD_FLOOR, SD_FLOOR, WIDE, CHANNEL_PRIORS, DEFAULT_DELAY_DAYS, OTHER_DELAY_DAYS))
