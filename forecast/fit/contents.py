"""What a posterior must hold: which variables, of which dimensions, in which range; and of which history it is.

A posterior comes from a file, or from whoever calls the Python API: it is believed only where every name, channel,
period and number is as a fit makes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from forecast.bounds import MOST
from forecast.equations import SEASONS
from forecast.history import History
from forecast.periods import period_range, shift
from forecast.saved import NUMBER, Boundless, amiss
from forecast.words import Message, Text, message

DIMS = {
    **dict.fromkeys(("logit_rate", "loss_logit"), ("draw", "period", "channel")),
    **dict.fromkeys(("hazard_path", "loss_hazard_path"), ("draw", "period")),
    **dict.fromkeys(("hazard_season", "loss_hazard_season"), ("draw", "month_of_year")),
    "log_traffic_path": ("kept", "period", "channel"),
    "moved_traffic": ("draw", "move_traffic"),
    "moved_value": ("draw", "move_value"),
    "deal_path": ("kept", "period", "channel"),
    **dict.fromkeys(("season", "deal_season"), ("draw", "season_of_year")),
    **dict.fromkeys(
        (
            "logit_now",
            "noise",
            "noise_traffic",
            "traffic",
            "slope",
            "elasticity",
            "base",
            "carry",
            "deal_mean",
            "free_share",
            "refund_share",
            "recurring_level",
            "recurring_growth",
            "recurring_drift",
            "recurring_noise",
        ),
        ("draw", "channel"),
    ),
}

FEWEST = 10  # draws: with fewer there is no band
LARGEST_LOG = 100.0  # a log or logit: e^100 of anything is no number that a company has
LARGEST = 1e6  # a spread, or a time in periods
LOGS = {
    "logit_rate", "logit_now", "loss_logit", "hazard", "hazard_path", "hazard_season", "loss_hazard",
    "loss_hazard_path", "loss_hazard_season", "log_traffic_path", "deal_path", "season", "deal_season", "traffic",
    "slope", "moved", "term",
}  # fmt: skip
SHARES = {"base", "carry", "free_share", "refund_share"}
MONEY = {"deal_mean", "recurring_level"}
FREE = {"recurring_growth", "refund_size", "elasticity", "before"}  # any sign; of moderate size
ALWAYS = (
    "traffic", "slope", "season", "elasticity", "base", "carry",
    "drift_traffic", "own_drift_traffic", "noise_traffic", "shock_traffic",
)  # fmt: skip
OF_STAGE = ("logit_rate", "logit_now", "drift", "own_drift", "shock", "noise", "delay_mean", "delay_cv")
WITH = {
    "deal_mean": ("deal_cv", "deal_drift", "deal_season"),
    "loss_logit": ("loss_delay_mean", "loss_delay_cv"),
    "hazard": ("hazard_edges", "hazard_path", "hazard_season", "hazard_walk", "hazard_shock", "hazard_own_shock"),
    "loss_hazard": tuple(
        f"loss_hazard_{name}" for name in ("path", "season", "walk", "shock", "own_shock")
    ),
    "free_share": ("free_spread",),
    "refund_share": ("refund_delay",),
    "recurring_level": ("recurring_growth", "recurring_drift", "recurring_noise"),
}  # fmt: skip
WHOLE = {
    *ALWAYS,
    "deal_mean",
    "deal_cv",
    "deal_drift",
    "deal_season",
    "deal_path",
    "log_traffic_path",
}  # of no stage
WHOLE |= {"free_share", "free_spread", "refund_share", "refund_delay", "refund_size"}
WHOLE |= {"recurring_level", "recurring_growth", "recurring_drift", "recurring_noise"}
ENDS = ("traffic", "value")  # of moved_... and term_..., beside the stages


def _diagnosis(value: Any, place: str) -> Iterator[Text]:
    """What is amiss in what is told of the sampling of a part: what every bar of the gate asks of it is there."""
    known = value if isinstance(value, dict) else {}
    by = next((each for each in ("k_hat", "settled") if each in known), "")
    shape = PART | dict.fromkeys(MADE_BY[by], FIGURE)
    shape |= DIVERGENT if "divergent_end" in known else {}
    yield from filter(None, [amiss(value, shape, place) or _too_few(known, place)])


def _too_few(known: Mapping[str, Any], place: str) -> Text:
    return "" if known["draws"] > 0 else message("{name} holds no draws", name=place)


def _weighed(value: Any, place: str) -> Iterator[Text]:
    """What is amiss in a record of how far a number rests on its prior: one of a channel has its share."""
    share = {"share": FIGURE} if isinstance(value, dict) and value.get("channel") else {}
    yield from filter(None, [amiss(value, WEIGHED | share, place)])


def _predicted(value: Any, place: str) -> Iterator[Text]:
    """What is amiss in a record of a predictive check: sums of the last periods are told of all channels too."""
    family = value.get("family") if isinstance(value, dict) else None
    overall = {"overall": FIGURE} if family in ("recent", "latest") else {}
    yield from filter(None, [amiss(value, PREDICTED | overall, place)])


# What a posterior tells of itself: shapes of `saved.amiss`.
FIGURE = (*NUMBER, Boundless)  # R-hat may be infinite, a k-hat unknown
MADE_BY = {
    "": ("max_rhat", "min_ess_bulk", "min_ess_tail", "divergences", "min_bfmi", "at_depth"),
    "k_hat": ("k_hat", "ess_scales", "ess_effects"),
    "settled": ("settled",),
}
PART = {
    **dict.fromkeys(("part", "worst?", "least?"), str),
    **dict.fromkeys(("draws", "asked"), int),
    **dict.fromkeys([f"{name}?" for names in MADE_BY.values() for name in names], FIGURE),
    "normal_k_hat?": FIGURE,
}
DIVERGENT = {"divergent_end": str, "divergent_scale": str, "divergent_share": FIGURE}
WEIGHED = {
    **dict.fromkeys(("quantity", "part", "channel"), str),
    **dict.fromkeys(("prior", "likelihood", "share?", "surprise?"), FIGURE),
}
PREDICTED = {
    **dict.fromkeys(("family", "part", "channel"), str),
    **dict.fromkeys(("p", "seen", "expected", "overall?"), FIGURE),
}
DIAGNOSES = [_diagnosis]
PROVENANCE = {
    "stages": [str],
    "ages": {str: int},
    "seed?": int,
    "draws?": int,
    "method?": str,
    "fit_hash?": str,
    "failures?": [str],
    "versions?": {str: str},
    "data_sha256?": {str: str},
    "terms?": {str: str},
    "sensitivity?": [_weighed],
    "predictive?": [_predicted],
}


def problem_of(data: xr.Dataset, stages: list[str], chains: int) -> Text:
    """What is wrong with the draws of a posterior by themselves; empty where nothing is. stages: of destination."""
    return next(_problems(data, stages, chains), "")


def difference(data: xr.Dataset, counted: list[str], history: History) -> Text:
    """What draws know otherwise than a history: its channels, periods, stages counted; empty where they are of it."""
    return next(_differences(data, counted, history), "")


def _differences(data: xr.Dataset, counted: list[str], history: History) -> Iterator[Message]:
    channels, own = [str(name) for name in data["channel"].values], history.channels
    if channels != own:
        alike = sorted(channels) == sorted(own)
        said = "its channels stand in another order ({came}; the data have {own})" if alike else (
            "its channels are {came:listed.8}; the data have {own:listed.8}"
        )  # fmt: skip
        yield message(said, came=channels, own=own)
    periods = data["period"].values.astype("datetime64[D]")
    if not np.array_equal(periods, history.periods.astype("datetime64[D]")):
        said = "it knows {n} periods, {first} to {last}; the data have {m}, {begin} to {end}"
        first, last = (str(day) for day in periods[[0, -1]]) if len(periods) else ("-", "-")
        told = {"n": len(periods), "first": first, "last": last, "m": len(history.labels)}
        yield message(said, begin=history.labels[0], end=history.labels[-1], **told)
    if "ahead" in data.coords:
        ahead = data["ahead"].values.astype("datetime64[D]")
        first, last = (shift(history.last, n, history.period) for n in (1, len(ahead)))
        if not np.array_equal(ahead, period_range(first, last, history.period)):
            yield message("the periods ahead that it knows of do not follow the data")
    for dim, most in (("season_of_year", SEASONS[history.period]), ("month_of_year", SEASONS["month"])):
        if data.sizes.get(dim, most) != most:
            said = "its year has {came} seasons; that of the data has {own}"
            yield message(said, came=data.sizes[dim], own=most)
    if counted != list(history.counted):
        yield message("its stages are {came}; the data count {own}", came=counted, own=list(history.counted))


def _problems(data: xr.Dataset, stages: list[str], chains: int) -> Iterator[Message]:
    for dim in ("draw", "period", "channel"):
        if dim not in data.sizes or (dim != "draw" and dim not in data.coords):
            yield message("it has no {dim}", dim=dim)
            return
    draws = data.sizes["draw"]
    if draws < FEWEST or draws % chains:
        yield message("it holds {n} draws in {chains} chains", n=draws, chains=chains)
    names = [str(name) for name in data["channel"].values]
    if len(set(names)) != len(names):
        yield message("a channel stands in it twice ({names})", names=names)
    if data["period"].dtype.kind != "M" or not (np.diff(data["period"].values).astype(int) > 0).all():
        yield message("its periods do not follow each other")
        return
    if "ahead" in data.sizes and ("ahead" not in data.coords or data["ahead"].dtype.kind != "M"):
        yield message("its periods ahead have no dates")
    kept = data["kept"].values if "kept" in data.coords else np.arange(0)
    if kept.dtype.kind != "i" or not ((kept >= 0) & (kept < draws)).all():
        yield message("its paths are of draws that it does not hold")
    there = {str(name) for name in data.data_vars}
    needed = [*ALWAYS, *(f"{name}_{stage}" for stage in stages for name in OF_STAGE)]
    for name in list(there):
        base, end = parts_of_name(name, stages)
        needed += [f"{other}{end}" for other in WITH.get(base, ())]
    if missing := [name for name in needed if name not in there]:
        yield message("{missing:listed.3} is missing in it", missing=missing)
    for name in sorted(there):
        yield from _variable(data[name], name, stages)


def parts_of_name(name: str, stages: list[str]) -> tuple[str, str]:
    """The name of a variable without its stage, and the stage as it stands there."""
    if name in WHOLE:
        return name, ""
    ends = sorted((end for end in (*stages, *ENDS) if name.endswith(f"_{end}")), key=len, reverse=True)
    for end in ends:
        base = name.removesuffix(f"_{end}")
        if end not in ENDS or base in ("moved", "term"):
            return base, f"_{end}"
    return name, ""


def _dims(base: str, end: str) -> tuple[str, ...]:
    special = {
        "moved": ("draw", f"move{end}"),
        "term": ("draw", "ahead", "channel"),
        "hazard": ("draw", f"age_bin{end}", "channel"),
        "loss_hazard": ("draw", f"age_bin{end}", "channel"),
        "hazard_edges": (f"age_edge{end}",),
        "waited": ("period", f"age{end}"),
    }
    return special.get(base) or DIMS.get(base, ("draw",))


def _variable(array: xr.DataArray, name: str, stages: list[str]) -> Iterator[Message]:
    """What is wrong with one variable: its dimensions, its kind, a number that no fit gives."""
    base, end = parts_of_name(name, stages)
    if tuple(map(str, array.dims)) != _dims(base, end):
        said = "{name} has the dimensions {came}, expected {dims}"
        yield message(said, name=name, came=[str(dim) for dim in array.dims], dims=list(_dims(base, end)))
        return
    if array.dtype.kind != "f":
        yield message("{name} holds no numbers with decimals ({kind})", name=name, kind=str(array.dtype))
        return
    if not array.size:
        yield message("{name} is empty", name=name)
        return
    low, high = float(array.values.min()), float(array.values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        yield message("{name} holds something that is no finite number", name=name)
        return
    least, most = _range(base)
    if low < least or high > most:
        said = "{name} holds {x:given}, expected {least:given} to {most:given}"
        yield message(said, name=name, x=low if low < least else high, least=least, most=most)


def _range(base: str) -> tuple[float, float]:
    if base in LOGS:
        return -LARGEST_LOG, LARGEST_LOG
    if base in SHARES:
        return 0.0, 1.0
    if base in MONEY:
        return 0.0, MOST
    return (-LARGEST, LARGEST) if base in FREE else (0.0, LARGEST)
