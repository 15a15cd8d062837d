"""A saved run beside what came.

Opens the outlook that a run wrote (draws.nc), scores the periods of the horizon that have come in the history as it is
now, and says which part of the funnel the miss came from (`backtest.attribution`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.backtest import attribution, scores
from forecast.errors import DataError
from forecast.fit import DEFAULT_SEED
from forecast.history import History
from forecast.outlook import in_total
from forecast.periods import period_label
from forecast.study import Study

Array = NDArray[np.float64]


def read_run(folder: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Outlook and summary of a run. Raises DataError where they are missing or damaged."""
    try:
        run = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        with xr.open_dataset(folder / "draws.nc", engine="h5netcdf") as opened:
            outlook = opened.load()
        if not {"won", "spend"} <= set(map(str, outlook.data_vars)) or "as_of" not in run:
            raise ValueError("not the outlook of a run")
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise DataError(
            [f"{folder}: no {missing} here; give the folder that `forecast run` wrote"]
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError([f"{folder}: damaged, or not written by `forecast run` ({error})"]) from error
    return outlook, run


def score_outlook(
    study: Study, history: History, outlook: xr.Dataset, as_of: str, *, seed: int = DEFAULT_SEED
) -> dict[str, Any]:
    """Scores and attribution of an outlook (draw, period, channel) made as of `as_of`."""
    if as_of not in history.labels:
        raise DataError(
            f"the run was made as of {as_of}, and the history now has {history.labels[0]} to {history.labels[-1]}: "
            "read it from the same beginning (history.from)"
        )
    known = history.labels.index(as_of) + 1
    horizon = [period_label(p, history.period) for p in outlook["period"].values.astype("datetime64[D]")]
    come = len([label for label in horizon if label in history.labels])
    if not come:
        raise DataError(
            f"the run looks at {horizon[0]} to {horizon[-1]}, and the history ends with {history.labels[-1]}: nothing "
            "of it has come yet"
        )
    past = history.as_of(history.periods[known - 1])
    channels = [str(name) for name in outlook["channel"].values]
    if channels != past.channels:
        raise DataError(
            f"the run forecast the channels {', '.join(channels)}, and as of {as_of} the history now has "
            f"{', '.join(past.channels)}: score it with the data that it was made from, and what came since"
        )
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
    shares, blocks = attribution.attribute(study, past, history, planned, seed=seed)
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
    for name, sign in (("refunds", -1.0), ("recurring", 1.0)):
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
