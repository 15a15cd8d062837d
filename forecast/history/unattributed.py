"""Tables of sales in total beside spend by channel: a row a period, and a column of spend for each channel.

    period, sales, spend_search, spend_social       ->      period, channel, spend, won, revenue

Laid out as rows of channels, each medium has its spend and nothing else, and what no channel is credited with stands in
the channel BASE. Who was won by what is then for the fit to say (`fit.mix`), and it can say little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.checks import REVIEW, Check
from forecast.errors import DataError
from forecast.history.history import BASE, History
from forecast.read import Ask, Grid, folded
from forecast.study import nearest
from forecast.words import Message, message

ATTRIBUTION = "Attribution"
_MEDIUM = re.compile(
    r"^(?:(?:ad )?(?:spend|cost|costs|kulut)[ :-]+(.+)|(.+?)[ :-]+(?:ad )?(?:spend|cost|costs|kulut))$"
)


def title_of(media: Mapping[str, str]) -> str:
    """The title of the column that holds the spend of all of them, once they are rows."""
    return ", ".join(media.values())


def in_rows(grid: Grid, media: Mapping[str, str], place: str) -> Grid:
    """The table with a row for each period and channel; row numbers are those of the file.

    media: title of the column of spend by channel; place: of the key that names them. Raises DataError for titles that
    the file has not, and for a file that has channels in its rows.
    """
    titles = [folded(name) for name in grid.header]
    there = [grid.title(at) for at, name in enumerate(grid.header) if name.strip()]
    text = '{place}: {file} has no column "{title}"; it has {there}{guess}'
    problems = [
        message(
            text, place=place, file=grid.file, title=title, there=there, guess=nearest(title, there) or "."
        )
        for title in media.values()
        if folded(title) not in titles
    ]
    if "channel" in titles:
        text = "{place}: {file} has a column of channels, so its rows say what each one brought; take the key out."
        problems.append(message(text, place=place, file=grid.file))
    if problems:
        raise DataError(problems)
    own = [titles.index(folded(title)) for title in media.values()]
    rest = [at for at in range(len(grid.header)) if at not in own]
    header = (*(grid.header[at] for at in rest), "channel", title_of(media))
    rows, numbers = [], []
    for row, number in zip(grid.rows, grid.numbers, strict=True):
        others = [row[at] for at in rest]
        rows.append((*others, BASE, None))
        rows += [(*others, name, row[at]) for name, at in zip(media, own, strict=True)]
        numbers += [number] * (1 + len(media))
    return replace(grid, header=header, rows=rows, numbers=numbers)


def across(grid: Grid, ask: Ask) -> Message | None:
    """What to do with a file that has no column of channels and spend by channel in columns; None for any other."""
    if any(ask.title(name) == "channel" for name in grid.header):
        return None
    media: dict[str, str] = {}
    for at, name in enumerate(grid.header):
        if found := _MEDIUM.match(folded(name.replace("_", " "))):
            media[re.sub(r"\W+", "_", found.group(1) or found.group(2))] = grid.title(at)
    if not media:
        return None
    text = (
        "{file}: row {row}: no column of channels, but spend by channel in columns ({titles}). If sales are counted in "
        "total alone, say so in the study: history.spend_columns = {{ {said} }} (what a channel brings is then only "
        "as good as spend that moved by itself). If they are known by channel, give a row for each period and channel."
    )
    said = ", ".join(f'{name} = "{title}"' for name, title in media.items())
    return message(text, file=grid.file, row=grid.line, titles=list(media.values()), said=said)


def attribution(history: History) -> Check:
    """That sales are in total alone, how much of the spend moved by itself, and what that means."""
    names = [name for name, yes in zip(history.channels, history.media, strict=True) if yes]
    alone = _apart(history)
    text = (
        "{stage} are counted in total alone, and what {names} bring is told from how the total moved with their spend; "
        "of the changes of spend {alone:percent} were a channel's own, in the median"
    )
    advice = (
        "Weaker than counts by channel, by far: what else moves with spend is taken for its effect, and how sales "
        "divide over channels rests mostly on what was spent. Change the spend of one channel at a time, and count by "
        "channel."
    )
    told = {"stage": history.counted[0], "names": names, "alone": alone}
    return Check(ATTRIBUTION, REVIEW, message(text, **told), advice)


def _apart(history: History) -> float:
    """Share of the variance of log spend that the other channels' and time do not explain, the median of channels."""
    spend = history.spend[:, history.media & history.paid]
    logs = np.log(np.maximum(spend, 1e-3 * np.maximum(spend.mean(axis=0), 1e-9)))
    time = np.stack([np.ones(len(logs)), np.linspace(-1.0, 1.0, len(logs))], axis=1)
    found: list[float] = []
    for c in range(logs.shape[1]):
        y = logs[:, c] - logs[:, c].mean()
        x = np.column_stack([np.delete(logs, c, axis=1), time])
        left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        found.append(float((left @ left) / max(y @ y, 1e-12)))
    return float(np.median(found)) if found else 0.0


def own_cells(channels: NDArray[np.object_], measure: str) -> NDArray[np.bool_]:
    """Rows of which a measure tells something: counts and revenue those of the base, spend those of the media."""
    return np.asarray((channels == BASE) != (measure == "spend"))
