"""Which channels paper has room for: all, or of very many the largest. Workbook and CSV files have every one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from forecast.columns import TOTAL
from forecast.words import Message, message

if TYPE_CHECKING:
    import pandas as pd

    from forecast.results import Results

MOST_CHANNELS = 20  # of a table or a figure


def largest(names: Iterable[Any], sizes: Iterable[float], most: int = MOST_CHANNELS) -> list[str]:
    """The `most` channels of the largest sizes, in the order in which they came; the total is none of them."""
    pairs = [(str(name), float(size)) for name, size in zip(names, sizes, strict=True) if name not in TOTAL]
    kept = {name for name, _ in sorted(pairs, key=lambda pair: -pair[1])[:most]}
    return [name for name, _ in pairs if name in kept]


def on_paper(made: Results, names: Iterable[Any]) -> list[str]:
    """The channels among `names` that bring the most revenue (wins) over the horizon; the first without it."""
    frame = made.forecast
    size: dict[str, float] = {}
    if len(frame):
        whole = frame[frame["period"].isin(TOTAL)]
        measure = "revenue" if (whole["measure"] == "revenue").any() else "won"
        mine = whole[whole["measure"] == measure]
        size = dict(zip(mine["channel"].astype(str), mine["mean"].astype(float), strict=True))
    every = list(dict.fromkeys(str(name) for name in names))
    return largest(every, (size.get(name, 0.0) for name in every))


def only(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows of these channels, and of their total."""
    return frame[frame["channel"].isin([*names, *TOTAL])] if len(frame) else frame


def left_out(names: Iterable[Any], shown: Sequence[str]) -> Message | str:
    """What is said of the channels that are not shown; nothing where all are."""
    left = len({str(name) for name in names} - set(TOTAL)) - len(shown)
    said = "The {most} largest channels; {left} more in report.xlsx."
    return message(said, most=len(shown), left=left) if left > 0 else ""
