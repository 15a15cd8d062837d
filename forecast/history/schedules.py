"""Units in the stage before the last of which the date of moving is known in advance: see `History.schedule`."""

from __future__ import annotations

import numpy as np
import pandas as pd


def no_schedule() -> pd.DataFrame:
    """An empty table of units with a schedule."""
    days = {name: pd.Series(dtype="datetime64[ns]") for name in ("entered", "scheduled", "ended")}
    rest = {"won": pd.Series(dtype=bool), "n": pd.Series(dtype="int64")}
    return pd.DataFrame({"channel": pd.Series(dtype="object"), **days, **rest})


def known_of(schedule: pd.DataFrame, last: np.datetime64) -> pd.DataFrame:
    """The schedules of units that had entered by the period that starts `last`, and what had become of them."""
    if not len(schedule):
        return schedule
    kept = schedule[schedule["entered"] <= last]
    later = kept["ended"] > last
    kept = kept.assign(ended=kept["ended"].mask(later), won=kept["won"] & ~later)
    return schedule_summed(kept)


def schedule_summed(schedule: pd.DataFrame) -> pd.DataFrame:
    """One row for each kind of course, in order."""
    names = ["channel", "entered", "scheduled", "ended", "won"]
    found: pd.DataFrame = schedule.groupby(names, dropna=False, sort=True)[["n"]].sum().reset_index()
    return found
