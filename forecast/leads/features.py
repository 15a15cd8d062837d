"""The features of leads: further columns of the leads file, what each of them holds, and the numbers made of them.

A feature is a number, a category, a date, or an identifier (a text of its own for almost every lead: left out). A blank
is kept as what it is: a level of a category, an indicator beside a number. Nothing here looks at what became of a lead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import StudyError
from forecast.history import read_lead_rows
from forecast.read import BLANK
from forecast.study import Study, nearest

Array = NDArray[np.float64]

OTHER = "(other)"
MOST_LEVELS = 30
LEAST_ROWS = 20  # of a level; rarer ones are put together
CLIP = 4.0  # standard deviations: one wrong cell does not tilt a slope
CHANNELS, NUMBERS = 0, 1  # the first two groups of columns; every category has one of its own

Kind = Literal["number", "category", "date", "identifier"]


@dataclass(frozen=True, eq=False)
class LeadTable:
    """Leads one by one: `leads` has lead_id, channel, a date per stage, lost, amount; `features` the further columns.

    stages: those of the leads, the first being dated by `created`. last_day: the last date in the file. With dates in
    `returned` a lead that has come back by the last day is not lost any more.
    """

    leads: pd.DataFrame
    features: pd.DataFrame
    stages: tuple[str, ...]
    last_day: np.datetime64

    def day(self, name: str) -> NDArray[np.datetime64]:
        """The dates of a stage, or of `lost`; not-a-time where it has not happened."""
        if name not in self.leads:
            return np.full(len(self.leads), np.datetime64("NaT", "D"))
        days = self.leads[name].to_numpy().astype("datetime64[D]")
        if name == "lost" and "returned" in self.leads:
            back = self.leads["returned"].to_numpy().astype("datetime64[D]")
            days = np.where(back <= self.last_day, np.datetime64("NaT", "D"), days)
        return days

    @property
    def created(self) -> NDArray[np.datetime64]:
        """The day on which each lead came."""
        return self.day(self.stages[0])

    @property
    def age(self) -> Array:
        """Days from then to the last day."""
        return (self.last_day - self.created).astype(float)

    @property
    def won(self) -> NDArray[np.bool_]:
        """Leads that were won."""
        return self.leads[self.stages[-1]].notna().to_numpy()

    def rows(self, which: NDArray[Any] | slice) -> LeadTable:
        """Some of the leads, by a mask, by their places or by a slice."""
        leads, features = (frame.iloc[which].reset_index(drop=True) for frame in (self.leads, self.features))
        return LeadTable(leads, features, self.stages, self.last_day)

    def as_of(self, day: np.datetime64) -> LeadTable:
        """The leads as they were known at the end of `day`: nothing that came later is in it."""
        past = self.rows(self.created <= day)
        leads = past.leads
        for name in (*self.stages[1:], "lost"):
            if name in leads:
                leads[name] = leads[name].where(leads[name].to_numpy().astype("datetime64[D]") <= day)
        if "amount" in leads:
            leads["amount"] = leads["amount"].where(leads[self.stages[-1]].notna())
        return LeadTable(leads, past.features, self.stages, min(day, self.last_day))


def read_lead_table(study: Study) -> LeadTable:
    """The leads of a study one by one; the file has been checked by `read_history`.

    Raises StudyError where the history is no file of leads.
    """
    spec = study.history
    if spec.leads is None:
        raise StudyError(
            f"{study.place('history')}: expected leads, because single leads are asked for; the history is counts: "
            'give history.leads = "leads.csv", a row per lead'
        )
    stages = study.funnel.stages[study.funnel.stages.index("leads") :]
    leads, further = read_lead_rows(study)
    leads["channel"] = leads["channel"].fillna(BLANK)
    dates = [name for name in (*stages, "lost") if name in leads]
    last = max(leads[name].max() for name in dates if leads[name].notna().any())
    return LeadTable(leads, further, tuple(stages), np.datetime64(last, "D"))


def returned_column(study: Study, table: LeadTable) -> str | None:
    """The further column that says when a lead came back, by its title; None where there is none."""
    wanted = study.history.columns.get("returned", "returned").strip().casefold()
    titles = {str(name).casefold(): str(name) for name in table.features.columns}
    return titles.get(wanted)


def with_returns(study: Study, table: LeadTable) -> LeadTable:
    """The same leads; where the study has nurturing, those that came back are open again from then on."""
    column = returned_column(study, table)
    if study.nurturing is None or column is None:
        return table
    leads = table.leads.assign(returned=dates_of(table.features[column]).astype("datetime64[s]"))
    return LeadTable(leads, table.features.drop(columns=column), table.stages, table.last_day)


def chosen(study: Study, table: LeadTable) -> list[str]:
    """The columns that the study takes for features. Raises StudyError for one that the file does not have."""
    spec = study.scoring
    there = [str(name) for name in table.features.columns]
    if spec is None:
        return there
    for_key = {"features": spec.features or (), "ignore": spec.ignore, "keep": spec.keep}
    check_columns(study, table, {f"scoring.{key}": names for key, names in for_key.items()})
    return [name for name in (spec.features or there) if name not in spec.ignore]


def check_columns(study: Study, table: LeadTable, named: Mapping[str, Sequence[str]]) -> None:
    """Raise StudyError for every further column that a key of the study names and the file does not have."""
    there = [str(name) for name in table.features.columns]
    problems = [
        f'{study.place(key)}: {study.history.leads} has no further column "{name}"; it has '
        f"{', '.join(there) or 'none'}{nearest(name, there)}"
        for key, names in named.items()
        for name in names
        if name not in there
    ]
    if problems:
        raise StudyError(problems)


def text_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """The cells as text without outer blanks; a cell with nothing in it is None."""
    if values.dtype.kind in "fiub":
        return values.astype(object).where(values.notna(), None)
    if values.dtype.kind == "M":
        return values.dt.strftime("%Y-%m-%d").where(values.notna(), None)
    cells = values.astype("object").map(lambda cell: str(cell).strip(), na_action="ignore")
    return cells.where(cells.notna() & (cells != ""), None)


def labels_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """The cells as text; one with nothing in it as such."""
    cells = text_of(values).astype(object)
    return cells.where(cells.notna(), BLANK).map(str).astype(object)


def kind_of(values: pd.Series[Any]) -> Kind:
    """What a column holds: dates, numbers, categories, or an identifier."""
    cells = text_of(values).dropna()
    if values.dtype.kind == "M" or (cells.size and _dates(cells).notna().all()):
        return "date"
    if values.dtype.kind != "b" and cells.size and numbers_of(cells).notna().all():
        return "category" if cells.nunique() <= 2 else "number"
    if cells.nunique() > max(0.5 * cells.size, MOST_LEVELS):
        return "identifier"
    return "category"


def numbers_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """The cells as numbers; NaN where a cell is none."""
    return pd.to_numeric(text_of(values), errors="coerce")


def _dates(cells: pd.Series[Any]) -> pd.Series[Any]:
    looks = cells.astype(str).str.fullmatch(r"\d{4}-\d{2}-\d{2}([ T].*)?")
    return pd.to_datetime(cells.where(looks).astype("object"), errors="coerce", format="ISO8601", utc=True)


def dates_of(values: pd.Series[Any]) -> NDArray[np.datetime64]:
    """The cells as days; not-a-time where a cell is none."""
    cells = _dates(text_of(values)).dt.tz_localize(None)
    return np.asarray(cells.to_numpy().astype("datetime64[D]"))


def days_before(values: pd.Series[Any], created: NDArray[np.datetime64]) -> pd.Series[Any]:
    """Dates as days before the lead was created (negative: after it); NaN where blank."""
    made = pd.Series(pd.to_datetime(created, utc=True), index=values.index)
    return (made - _dates(text_of(values)).dt.floor("D")).dt.total_seconds() / 86400.0


@dataclass(frozen=True)
class _Numeric:
    name: str
    date: bool
    logs: bool
    mean: float
    sd: float
    blanks: bool


@dataclass(frozen=True)
class Encoder:
    """How features become columns of a design: channels, standardised numbers, levels of categories.

    columns: a name each; groups: CHANNELS, NUMBERS, or a number for each category; their coefficients share a spread.
    """

    channels: tuple[str, ...]
    numeric: tuple[_Numeric, ...]
    levels: dict[str, tuple[str, ...]]
    columns: tuple[str, ...]
    groups: NDArray[np.int64]

    def design(self, table: LeadTable) -> Array:
        """The design (lead, column); a level or channel that was never seen has no column, and its rows zeros."""
        parts = [_dummies(table.leads["channel"], self.channels)]
        for spec in self.numeric:
            raw = table.features[spec.name]
            values = (days_before(raw, table.created) if spec.date else numbers_of(raw)).to_numpy(dtype=float)
            known = np.isfinite(values)
            scaled = _logs(values) if spec.logs else values
            standard = np.clip((np.where(known, scaled, spec.mean) - spec.mean) / spec.sd, -CLIP, CLIP)
            parts.append(standard[:, None])
            if spec.blanks:
                parts.append((~known).astype(float)[:, None])
        for name, levels in self.levels.items():
            cells = labels_of(table.features[name])
            known_level = cells.where(cells.isin(levels), OTHER)
            parts.append(_dummies(known_level, levels))
        return np.concatenate(parts, axis=1)


def encoder(table: LeadTable, names: Sequence[str]) -> Encoder:
    """Settle levels, means and spreads from the leads of a table. Dates count as days before creation."""
    numeric, levels = [], {}
    for name in names:
        values, kind = table.features[name], kind_of(table.features[name])
        if kind in ("number", "date"):
            numbers = days_before(values, table.created) if kind == "date" else numbers_of(values)
            numeric.append(_settle(name, numbers.to_numpy(dtype=float), kind == "date"))
        elif kind == "category":
            levels[name] = _levels(labels_of(values))
    channels = tuple(sorted(set(table.leads["channel"])))
    columns, groups = [f"channel: {name}" for name in channels], [CHANNELS] * len(channels)
    for spec in numeric:
        shown = [spec.name, *([f"{spec.name}: blank"] if spec.blanks else [])]
        columns, groups = [*columns, *shown], [*groups, *([NUMBERS] * len(shown))]
    for number, (name, own) in enumerate(levels.items(), start=NUMBERS + 1):
        columns += [f"{name}: {level}" for level in own]
        groups += [number] * len(own)
    return Encoder(channels, tuple(numeric), levels, tuple(columns), np.array(groups, dtype=np.int64))


def _settle(name: str, values: Array, date: bool) -> _Numeric:
    known = values[np.isfinite(values)]
    logs = bool(known.size and known.min() >= 0 and _skewness(known) > 1.5)
    scaled = _logs(known) if logs else known
    sd = float(scaled.std()) if known.size else 1.0
    mean = float(scaled.mean()) if known.size else 0.0
    return _Numeric(name, date, logs, mean, sd if sd > 0 else 1.0, bool(known.size < values.size))


def _logs(values: Array) -> Array:
    return np.log1p(np.maximum(values, 0.0))


def _skewness(values: Array) -> float:
    sd = values.std()
    return float((((values - values.mean()) / sd) ** 3).mean()) if sd > 0 else 0.0


def _levels(cells: pd.Series[Any]) -> tuple[str, ...]:
    counted = cells.value_counts()
    counted = counted[counted >= min(LEAST_ROWS, cells.size)]
    kept = sorted(sorted(counted.index, key=lambda level: (-counted[level], level))[:MOST_LEVELS])
    rest = [OTHER] if cells.nunique() > len(kept) and OTHER not in kept else []
    return (*kept, *rest)


def codes_of(cells: pd.Series[Any] | NDArray[np.object_], names: Sequence[str]) -> NDArray[np.int64]:
    """The place of each cell in `names`; -1 for one that is not there."""
    found = pd.Index(list(names), dtype=object).get_indexer(pd.Index(cells.astype(object)))
    return np.asarray(found, dtype=np.int64)


def _dummies(cells: pd.Series[Any], levels: Sequence[str]) -> Array:
    codes = codes_of(cells, levels)
    dummies = np.zeros((len(cells), len(levels)))
    rows = np.flatnonzero(codes >= 0)
    dummies[rows, codes[rows]] = 1.0
    return dummies
