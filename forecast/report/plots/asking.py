"""What every figure does with what it is asked: names that must be known, axes given or made, the language."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecast.columns import unit_of
from forecast.errors import UsageError
from forecast.report.drawing import Place
from forecast.report.figures import WIDTH, at_home, cut_short, dress, house, in_voice
from forecast.tables import Record, records
from forecast.words import Message, Text, capital, clean, in_a_row, known, message, speaking

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from forecast.results import Results

TOTAL = "total"
PLANS = ("given", "recommended")
PER: dict[str, Callable[[Text], Message]] = {
    "month": lambda what: message("{what} a month", what=what),
    "week": lambda what: message("{what} a week", what=what),
    "quarter": lambda what: message("{what} a quarter", what=what),
}


def drawn(
    made: Any,
    ax: Axes | None,
    height: float,
    draw: Callable[[Axes], object],
    *,
    title: Text,
    width: float = WIDTH,
) -> Axes:
    """Draw on `ax`, or on a figure of its own of this size in inches, in the language of `made`.

    The title stands where the caller's settings put titles, so that one of the caller's own takes its place.
    """
    if isinstance(ax, Place):  # of the report, whose page says what it is and in which language
        draw(ax)
        return ax
    with _language(made):
        if ax is None:
            ax = house(own_figure(height, width).add_subplot)()
        elif not at_home():
            house(dress)(ax)
        place = ax
        house(lambda: (draw(place), place)[1])()  # that it comes back lets the house see to its labels
        ax.set_title(capital(title), parse_math=False, fontsize=8)
    in_voice(ax, _language(made))
    return ax


def apart(
    made: Results | None, height: float, draw: Callable[[Figure], object], *, title: Text
) -> Axes:  # fmt: skip
    """Draw panels on a figure of their own, and return the first of its axes."""
    with _language(made):
        figure = own_figure(height)
        house(draw)(figure)
        figure.suptitle(capital(title), parse_math=False, fontsize=8.5)
    for ax in figure.axes:
        in_voice(ax, _language(made))
    return figure.axes[0]


def own_figure(height: float, width: float = WIDTH) -> Figure:
    """A figure of the report's width, or another; of pyplot where that or a notebook is in use, so that it is shown.

    Made in the caller's settings: pyplot, loaded inside others, would forget that a notebook shows its figures.
    """
    from matplotlib.figure import Figure

    size = (width, height)
    if "matplotlib.pyplot" in sys.modules or hasattr(builtins, "__IPYTHON__"):
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size)
    else:
        figure = Figure(figsize=size)
    figure.set_layout_engine("constrained", w_pad=0.06)
    return figure


def _language(made: Any) -> AbstractContextManager[None]:
    """Of the study of a forecast or of a scored run."""
    from contextlib import nullcontext

    return nullcontext() if made is None else speaking(made.study.language, made.study.locale)


# ---------------------------------------------------------------------------------------------------------- names


def one_of(what: str, asked: str, possible: Iterable[object]) -> str:
    """A name that is asked for; UsageError with those there are where it is none of them."""
    there = [str(name) for name in dict.fromkeys(possible)]
    if asked not in there:
        raise UsageError(f'there is no {what} "{clean(asked)}"; there are {in_a_row(there, 24)}')
    return asked


def some_of(asked: str | Sequence[str] | None, possible: Iterable[object]) -> list[str]:
    """The channels that are asked for, in their order in the table: one, several, or (None) all."""
    there = [str(name) for name in dict.fromkeys(possible)]
    if asked is None:
        return there
    names = [asked] if isinstance(asked, str) else list(asked)
    if not names:
        raise UsageError(f"name at least one channel of {in_a_row(there, 24)}")
    return sorted({one_of("channel", name, there) for name in names}, key=there.index)


def there(frame: pd.DataFrame | None, missing: str) -> pd.DataFrame:
    """A table that has rows; UsageError that says why there are none."""
    if frame is None or frame.empty:
        raise UsageError(missing)
    return frame


def forecast_of(made: Results, plan: str) -> pd.DataFrame:
    """The forecast under a plan, given or recommended."""
    one_of("plan", plan, PLANS)
    if plan == "given":
        return there(made.forecast, "there is no forecast to draw")
    budget_of(made)
    return made.forecast_recommended


def budget_of(made: Results) -> pd.DataFrame:
    """The recommended split, by channel."""
    return there(
        made.allocation,
        "no budget is divided: that takes spend by channel, and a value of deals (revenue in the data, or "
        "economics.deal_value in the study)",
    )


def whole(frame: pd.DataFrame, measure: str, channel: str = TOTAL) -> dict[str, Any]:
    """The row of a measure over the whole horizon, of all channels or one of them; or nothing."""
    chosen = (frame["measure"] == measure) & (frame["channel"] == channel) & (frame["period"] == TOTAL)
    return next(iter(records(frame[chosen])), {})


def main_measure(made: Results) -> str:
    """What figures show: the target's measure, or revenue, or wins where no revenue is known."""
    if made.study.target_measure:
        return made.study.target_measure
    return "revenue" if known(whole(made.forecast, "revenue").get("mean")) else "won"


def measured(made: Results, frame: pd.DataFrame, measure: str | None, channel: str) -> str:
    """The measure that is asked for, and that the frame has of the channel."""
    one_of("channel", channel, frame["channel"])
    if measure is None:
        return main_measure(made)
    rows = frame[(frame["channel"] == channel) & frame["mean"].notna()]
    return one_of("measure", measure, rows["measure"])


def unit(made: Results, measure: str) -> Text:
    """What a measure is counted in: the currency, wins, or its own name."""
    if unit_of(measure).money:
        return made.study.currency
    return message("wins") if measure == "won" else message("{measure:stage}", measure=measure)


def aim(made: Results, measure: str, channel: str, target: float | None) -> float | None:
    """The target of the horizon: the one that is asked for, or the study's where it is of this measure."""
    if target is not None:
        return float(target)
    own = known(made.study.target) and made.study.target_measure == measure and channel == TOTAL
    return made.study.target if own else None


def of(what: Message, channel: str) -> Message:
    """A title, with the channel where it is of one."""
    return (
        what
        if channel == TOTAL
        else message("{what}: {channel:clean}", what=what, channel=cut_short(channel, 32))
    )


def row_of(frame: pd.DataFrame) -> Record:
    """The first row of a frame."""
    return records(frame.head(1))[0]
