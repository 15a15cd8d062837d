"""A saved run beside what came.

Opens the outlook that a run wrote (draws.nc), scores the periods of the horizon that have come in the history as it is
now, and says which part of the funnel the miss came from (`backtest.attribution`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.backtest import attribution, scores
from forecast.bounds import MOST
from forecast.errors import DataError
from forecast.fit import DEFAULT_SEED, Posterior, read_netcdf
from forecast.history import History
from forecast.outlook import in_total
from forecast.periods import KINDS, parse_period, period_label, shift
from forecast.saved import NUMBER, OUTLOOK, SUMMARY, SpoiltError, amiss, read_saved, spoilt
from forecast.study import Study
from forecast.words import Message, Text, message

Array = NDArray[np.float64]

DIMS = ("plan", "draw", "period", "channel")


def _target(value: Any, place: str) -> Iterator[Message]:
    """What is amiss in the target of a run, which may have none."""
    if value is not None and (wrong := amiss(value, {"measure": str, "amount": NUMBER}, place)):
        yield message("{wrong:word}", wrong=wrong)


# What is asked of a summary.
RUN = {
    "name": str,
    "as_of": str,
    "horizon": [str],
    "currency": str,
    "target?": _target,
    "verdict?": {"status": str},
}


def read_run(folder: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Outlook and summary of a run. Raises DataError where they are missing, damaged, changed, or not of one run."""
    remedy = "score a folder that `forecast run` wrote, or run it again"
    for name in ("summary.json", "draws.nc"):
        if not (folder / name).is_file():
            raise DataError([f"{folder}: no {name} here; give the folder that `forecast run` wrote"])
    path = folder / "summary.json"
    try:
        run = read_saved(path, SUMMARY, RUN, remedy)
        path = folder / "draws.nc"
        outlook = read_netcdf(path, OUTLOOK).to_dataset()
        if wrong := next(_outlook_problems(outlook), "") or _apart(outlook, run):
            raise SpoiltError(wrong)
    except SpoiltError as error:
        raise spoilt(path, error, remedy) from error
    except OSError as error:
        said = "{path}: cannot be read ({why}); check its permissions"
        raise DataError(message(said, path=path.as_posix(), why=error.strerror or str(error))) from error
    return outlook, run


def _outlook_problems(outlook: xr.Dataset) -> Iterator[Text]:
    """What is wrong with an outlook by itself."""
    for dim in DIMS:
        if not outlook.sizes.get(dim) or (dim != "draw" and dim not in outlook.coords):
            yield message("it has no {dim}s", dim=dim)
            return
    if missing := [name for name in ("won", "spend") if name not in outlook]:
        yield message("it holds no {names}", names=missing)
    for name in ("plan", "channel"):
        texts = outlook[name].values.tolist()
        if len(set(texts)) != len(texts) or not all(isinstance(text, str) for text in texts):
            yield message("its {name}s cannot be told apart", name=name)
    if outlook["period"].dtype.kind != "M" or not (np.diff(outlook["period"].values).astype(int) > 0).all():
        yield "its periods do not follow each other"
        return
    for key, array in outlook.data_vars.items():
        name, by_period = str(key), array.dims == DIMS
        if not by_period and array.dims != tuple(dim for dim in DIMS if dim != "period"):
            yield message("{name} has other dimensions than it should", name=name)
        elif array.dtype.kind not in "if" or not (np.abs(array.values.astype(float)) < MOST).all():
            yield message("{name} holds something that is no number below {most:given}", name=name, most=MOST)
        elif name in ("won", "spend") and not (by_period and (array.values >= 0).all()):
            yield message("{name} holds numbers below 0", name=name)


def _apart(outlook: xr.Dataset, run: Mapping[str, Any]) -> Text:
    """What outlook and summary say differently; empty where they may be of one run."""
    kind = next((kind for kind in KINDS if _labels(outlook, kind) == run["horizon"]), None)
    if kind is None:
        return "its periods are not those of summary.json: the two are not of one run"
    try:
        after = period_label(shift(parse_period(run["as_of"], kind), 1, kind), kind)
    except ValueError:
        after = ""
    return (
        ""
        if after == run["horizon"][0]
        else "its horizon does not begin after the as-of date of summary.json"
    )


def _labels(outlook: xr.Dataset, kind: str) -> list[str]:
    return [period_label(day, kind) for day in outlook["period"].values.astype("datetime64[D]")]


def check_scored(history: History, outlook: xr.Dataset, as_of: str) -> None:
    """Whether a history can score an outlook made as of `as_of`, before anything is computed. Raises DataError."""
    if as_of not in history.labels:
        raise DataError(
            f"the run was made as of {as_of}, and the history now has {history.labels[0]} to {history.labels[-1]}: "
            "read it from the same beginning (history.from)"
        )
    horizon = [period_label(p, history.period) for p in outlook["period"].values.astype("datetime64[D]")]
    if not set(horizon) & set(history.labels):
        raise DataError(
            f"the run looks at {horizon[0]} to {horizon[-1]}, and the history ends with {history.labels[-1]}: nothing "
            "of it has come yet"
        )
    past = history.as_of(as_of)
    channels = [str(name) for name in outlook["channel"].values]
    if channels != past.channels:
        raise DataError(
            f"the run forecast the channels {', '.join(channels)}, and as of {as_of} the history now has "
            f"{', '.join(past.channels)}: score it with the data that it was made from, and what came since"
        )


def score_outlook(
    study: Study,
    history: History,
    outlook: xr.Dataset,
    as_of: str,
    *,
    seed: int = DEFAULT_SEED,
    posterior: Posterior | None = None,
) -> dict[str, Any]:
    """Scores and attribution of an outlook (draw, period, channel) made as of `as_of`.

    Differences and shares of the miss are what came less what was expected. posterior: the preview of the history of
    now, where it is there already.
    """
    check_scored(history, outlook, as_of)
    known = history.labels.index(as_of) + 1
    horizon = [period_label(p, history.period) for p in outlook["period"].values.astype("datetime64[D]")]
    come = len([label for label in horizon if label in history.labels])
    past = history.as_of(history.periods[known - 1])
    channels = [str(name) for name in outlook["channel"].values]
    part = outlook.isel(period=slice(0, come))
    later = slice(known, known + come)
    measures = [m for m in (*past.stages, "revenue") if m in part and m in history.counts]
    cells = {m: history.outcome(m)[later] for m in measures}
    place = [history.channels.index(name) for name in channels]
    rows = []
    for m in measures:
        outcomes = np.column_stack([cells[m][:, place], history.came(m)[later]])
        rows += _scored(m, part[m].values.astype(float), outcomes, channels, horizon[:come])
    planned = np.asarray(part["spend"].values, dtype=float).mean(axis=0)
    shares, blocks = attribution.attribute(study, past, history, planned, seed=seed, posterior=posterior)
    parts = []
    whole = [m for m in cells if np.isfinite(history.came(m)[later]).all()]  # a part is not what came
    if "revenue" in shares:
        shares["revenue"] |= _beside(part, history, later, place)
    for measure in (m for m in ("won", "revenue") if m in shares and m in whole):
        mean = part[measure].values.astype(float).mean(axis=0).sum(axis=0)
        came = np.nan_to_num(cells[measure]).sum(axis=0)
        parts += _shares(measure, channels, shares[measure], mean, came, place)
    if not history.attributed:  # what a channel brought was never counted
        rows, parts = ([row for row in each if row["channel"] == "total"] for each in (rows, parts))
    return {
        "name": study.name,
        "currency": study.currency,
        "period": history.period,
        "as_of": as_of,
        "horizon": horizon,
        "come": horizon[:come],
        "measure": "revenue" if any(p["measure"] == "revenue" for p in parts) else "won",
        "scores": rows,
        "attribution": parts,
        "blocks": blocks,
        "data_now": history.fingerprint(),
    }


def _beside(part: xr.Dataset, history: History, later: slice, place: list[int]) -> dict[str, Array]:
    """What refunds and recurring revenue brought more than was expected of them, by channel of the run."""
    found = {}
    for name, sign in attribution.BESIDE.items():
        if name in part and name in history.counts:
            mean = part[name].values.astype(float).mean(axis=0).sum(axis=0)
            found[name] = sign * (history.filled(name)[later][:, place].sum(axis=0) - mean)
    return found


def _scored(
    measure: str, draws: Array, came: Array, channels: list[str], labels: list[str]
) -> list[dict[str, Any]]:
    """Rows of one measure: each period and the total, each channel and all of them, the last column of `came`."""
    x, outcomes = scores.with_totals(in_total(draws), came)
    found = scores.score(x, outcomes) | {"came": outcomes}
    periods, names, rows = [*labels, "total"], [*channels, "total"], []
    for i, j in np.argwhere(np.isfinite(outcomes)):
        row: dict[str, Any] = {"measure": measure, "period": periods[i], "channel": names[j]}
        row |= {key: float(values[i, j]) for key, values in found.items()}
        row["difference"] = row["came"] - row["mean"]
        row |= {b: bool(row[low] <= row["came"] <= row[high]) for b, (low, high) in scores.BANDS.items()}
        rows.append(row)
    return rows


def _shares(
    measure: str,
    channels: list[str],
    shares: dict[str, Array],
    mean: Array,
    came: Array,
    place: list[int],
) -> list[dict[str, Any]]:
    """Rows by block and channel, and in total; in every channel they add up to what came less what was expected."""
    miss = came[place] - mean
    given = shares | {attribution.CHANCE: miss - sum(shares.values())}
    rows = [(c, block, x) for block, each in given.items() for c, x in zip(channels, each, strict=True)]
    rows += [("total", block, each.sum()) for block, each in given.items()]
    if fresh := came.sum() - came[place].sum():
        rows.append(("total", attribution.NEW, fresh))
    return [{"measure": measure, "channel": c, "block": block, "amount": float(x)} for c, block, x in rows]
