"""How deals ended, where a column of words says it; which pipeline they ran through; in which currency they are.

One pass over the file counts the values of these columns, month by month of closing. What each value means is settled
here, by the study's own words first; SQL then compares with the very values that were found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecast.errors import DataError, StudyError
from forecast.history.currencies import Amounts, Conversion, conversion, converted_titles, currency_of
from forecast.history.lead_rows import Cell, LeadRows, literal
from forecast.read import LeftOut, Outcome, folded
from forecast.study import LOST, NO, OPEN, WON, YES, Preset, Study, nearest
from forecast.words import Text, message

FLAGS = ("is_won", "is_closed", "is_lost")
SURVEYED = ("outcome", *FLAGS, "pipeline", "currency")
MOST_VALUES = 1_000  # a column of more different values is no column of outcomes
MOST_LISTED = 12  # values named in a message
CLOSED = (
    0.5  # of the rows of a value, with a closing month before the newest lead's: the value is no open stage
)
BLANK_VALUE = "(blank)"
_SUFFIX = re.compile(r"\s*\(([^()]*)\)$")  # "Closed won (Sales Pipeline)"


@dataclass(frozen=True)
class Surveyed:
    """The relation after outcomes, pipelines and currencies are settled, and what is to be said of them."""

    relation: LeadRows
    outcomes: tuple[Outcome, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Text, ...] = ()
    reading: Mapping[str, str] = field(default_factory=dict)
    converts: bool = False  # amounts are converted, so that each needs its currency


def survey(relation: LeadRows, study: Study, preset: Preset, first: str, header: Sequence[str]) -> Surveyed:
    """Settle what the columns of words mean, and make dates of winning and losing where there are none.

    `first`: our name of the first stage. `header`: titles among which a converted amount may stand. Raises DataError
    where no value is understood as won, for currencies that cannot be added up, and StudyError for an unknown pipeline.
    """
    cells = relation.cells
    _check_keys(study, cells)
    if not any(name in cells for name in SURVEYED):
        return Surveyed(relation)
    found = _counted(relation, first)
    notes: list[Text] = []
    reading: dict[str, str] = {}
    left_out: list[LeftOut] = []
    relation, found = _choose(relation, found, study, preset, notes, reading, left_out)
    relation, outcomes = _settle(relation, found, study, preset)
    converts = False
    if {"currency", "amount"} <= set(cells):
        converted = _conversion(found, cells, study, header)
        converts = bool(converted.rates) and cells["currency"].told
        relation = _converted(relation, converted)
        notes += [converted.note] if converted.note else []
        reading |= {"currency": converted.other} if converted.other else {}
    return Surveyed(relation, outcomes, tuple(left_out), tuple(notes), reading, converts)


def _check_keys(study: Study, cells: Mapping[str, Cell]) -> None:
    """Raise StudyError for each key of the study whose column no file has: it would do nothing, unseen."""
    spec = study.history
    of_outcomes = {"outcome", *FLAGS} & set(cells)
    asked = {
        "pipelines": (spec.pipelines, {"pipeline", "outcome"} & set(cells), "pipeline"),
        "won_values": (spec.won_values, of_outcomes, "outcome"),
        "lost_values": (spec.lost_values, of_outcomes, "outcome"),
    }
    text = (
        '{place}: {file} has no column that it speaks of; name it: history.columns = {{ {column} = "its name in the '
        'file" }}, or remove the key'
    )
    problems: list[Text] = [
        message(text, place=study.place(f"history.{key}"), file=str(spec.leads), column=column)
        for key, (given, there, column) in asked.items()
        if given and not there
    ]
    if problems:
        raise StudyError(problems)


def _counted(relation: LeadRows, first: str) -> pd.DataFrame:
    """Rows by the values of the columns of words and the month of closing; None where a column is absent or empty."""
    there = relation.cells
    keys = [
        f'"t_{name}" AS {name}' if name in there else f"CAST(NULL AS VARCHAR) AS {name}" for name in SURVEYED
    ]
    closed = "CAST(date_trunc('month', \"v_closed\") AS DATE)" if "closed" in there else "CAST(NULL AS DATE)"
    keys.append(f"{closed} AS month")
    amount = ['count("t_amount")', 'sum("v_amount")'] if "amount" in there else ["0", "0.0"]
    measures = [
        "count(*) AS n",
        f"{amount[0]} AS priced",
        f"{amount[1]} AS total",
        f'max("v_{first}") AS newest',
    ]
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    sql = f"SELECT {', '.join([*keys, *measures])} FROM {relation.rows} GROUP BY {places} LIMIT 1000000"  # noqa: S608
    found = relation.table(sql)
    return found.astype(dict.fromkeys(SURVEYED, object)).where(found.notna(), None)


# --------------------------------------------------------------------------------------------------------- pipelines


def _choose(
    relation: LeadRows,
    found: pd.DataFrame,
    study: Study,
    preset: Preset,
    notes: list[Text],
    reading: dict[str, str],
    left_out: list[LeftOut],
) -> tuple[LeadRows, pd.DataFrame]:
    """The rows of the pipelines that the study names; all, and said so, where it names none."""
    wanted = study.history.pipelines
    if "pipeline" in relation.cells:
        column, title = "pipeline", relation.cells["pipeline"].title
        of_value = {value: _name(value) for value in found["pipeline"].unique()}
    elif "outcome" in relation.cells and preset.suffixed:
        column, title = "outcome", relation.cells["outcome"].title
        of_value = {value: _suffix(value) for value in found["outcome"].unique()}
        if set(of_value.values()) == {BLANK_VALUE}:
            of_value = {}
    else:
        of_value = {}
    if not of_value:
        if wanted is not None:
            text = "{place}: column {title} of {file} tells no pipeline; name one that does: history.columns.pipeline"
            cell = relation.cells["outcome"]
            place = study.place("history.pipelines")
            raise StudyError(message(text, place=place, title=cell.title, file=cell.file))
        return relation, found
    names = found[column].map(lambda value: of_value[value])
    counts = found.groupby(names)["n"].sum().sort_values(ascending=False, kind="stable")
    listed = [message("{name} ({n:whole})", name=name, n=int(n)) for name, n in counts.items()]
    if wanted is None:
        if counts.size > 1:
            shown = [f"{name} ({int(n)})" for name, n in counts.items()]
            more = [f"and {len(shown) - MOST_LISTED} more"] if len(shown) > MOST_LISTED else []
            reading["pipelines"] = ", ".join([*shown[:MOST_LISTED], *more])
            reading["pipeline"] = str(counts.index[0])
            notes.append(
                message("{title}: several pipelines, all read: {listed:list.12}", title=title, listed=listed)
            )
        return relation, found
    keys = {folded(name): name for name in counts.index}
    if unknown := [name for name in wanted if folded(name) not in keys]:
        text = "{place}: the data have no pipeline {unknown}; column {title} has {listed:list.12}{guess}"
        told: dict[str, Any] = {
            "unknown": [f'"{name}"' for name in unknown],
            "title": title,
            "listed": listed,
        }
        guess = nearest(unknown[0], [str(name) for name in counts.index]) or "."
        raise StudyError(message(text, place=study.place("history.pipelines"), guess=guess, **told))
    chosen = {keys[folded(name)] for name in wanted}
    for name, n in counts.items():
        if name not in chosen:
            left_out.append(LeftOut(message("pipeline {name}, not in history.pipelines", name=name), int(n)))
    values = [value for value, name in of_value.items() if name in chosen]
    return relation.where(_among(f'"t_{column}"', values)), found[names.isin(chosen)]


def _name(value: object) -> str:
    return BLANK_VALUE if value is None else str(value)


def _suffix(value: object) -> str:
    """The pipeline that an outcome carries in parentheses."""
    hit = None if value is None else _SUFFIX.search(str(value))
    return hit.group(1).strip() if hit else BLANK_VALUE


# ---------------------------------------------------------------------------------------------------------- outcomes


def _bare(value: str) -> str:
    """An outcome without the pipeline in parentheses."""
    return folded(_SUFFIX.sub("", value))


class _Meaning:
    """What an outcome means: by the study's own words, then by columns of yes and no, then by words of any system."""

    def __init__(self, study: Study, preset: Preset) -> None:
        spec = study.history
        self.own = {
            **{folded(value): "lost" for value in spec.lost_values or ()},
            **{folded(value): "won" for value in spec.won_values or ()},
        }
        self.known = {
            **dict.fromkeys(OPEN, "open"),
            **dict.fromkeys((*LOST, *preset.lost_values), "lost"),
            **dict.fromkeys((*WON, *preset.won_values), "won"),
        }

    def of(self, value: str | None, flags: Mapping[str, bool | None]) -> str:
        """ "won", "lost", "open", or "" where nothing tells."""
        spellings = () if value is None else (folded(value), _bare(value))
        for text in spellings:
            if text in self.own:
                return self.own[text]
        if flags["is_won"]:
            return "won"
        if flags["is_lost"] or (flags["is_closed"] and flags["is_won"] is False):
            return "lost"
        meant = next((self.known[text] for text in spellings if text in self.known), "")
        if meant == "won" and flags["is_won"] is False:
            return ""
        return "open" if not meant and flags["is_closed"] is False else meant


def is_flag(value: object) -> bool | None:
    """The yes or no in a cell; None for anything else."""
    text = "" if value is None else folded(str(value)).removesuffix(".0")
    return True if text in YES else False if text in NO else None


def _settle(
    relation: LeadRows, found: pd.DataFrame, study: Study, preset: Preset
) -> tuple[LeadRows, tuple[Outcome, ...]]:
    """What each outcome was taken for; dates of winning and losing, where the file has a closing date instead."""
    cells = relation.cells
    if not any(name in cells for name in ("outcome", *FLAGS)):
        return relation, ()
    values = found["outcome"].nunique()
    if values > MOST_VALUES:
        text = (
            "{file}: column {title}: more than {n:whole} different values, so it does not tell how deals ended; name "
            'the column that does: history.columns = {{ outcome = "its name in the file" }}.'
        )
        raise DataError(
            message(text, n=MOST_VALUES, file=cells["outcome"].file, title=cells["outcome"].title)
        )
    meaning = _Meaning(study, preset)
    keys = ["outcome", *FLAGS]
    rows = [
        (
            tuple(row[:4]),
            meaning.of(row[0], {name: is_flag(cell) for name, cell in zip(FLAGS, row[1:4], strict=True)}),
        )
        for row in found[keys].itertuples(index=False)
    ]
    found = found.assign(meant=[meant for _, meant in rows])
    found = _not_understood(found)
    totals: Counter[tuple[str, str]] = Counter()
    for value, meant, n in zip(found["outcome"], found["meant"], found["n"], strict=True):
        totals[_name(value), meant] += int(n)
    outcomes = tuple(Outcome(value, meant, n) for (value, meant), n in totals.most_common())
    made = {}
    for name in ("won", "lost"):
        if name not in cells and "closed" in cells:
            taken = list(dict.fromkeys(key for key, meant in rows if meant == name))
            made[name] = _is_one_of([k for k in keys if k in cells], keys, taken)
    if "won" in made:
        _check_won(outcomes, cells)
    return _dated(relation, made), outcomes


def _not_understood(found: pd.DataFrame) -> pd.DataFrame:
    """The meaning of rows that nothing tells of: open, or not understood where most of a value's rows have closed."""
    newest, month = pd.to_datetime(found["newest"]).max(), pd.to_datetime(found["month"])
    ended = (month < newest.replace(day=1)) if found["newest"].notna().any() else month.notna() & False
    of_value, unclear = found["outcome"].map(_name), found["meant"] == ""
    n = found["n"].where(unclear, 0)
    closed, all_rows = (cells.groupby(of_value).transform("sum") for cells in (n.where(ended, 0), n))
    meant = (
        found["meant"].mask(unclear, "open").mask(unclear & (closed >= CLOSED * all_rows), "not understood")
    )
    return found.assign(meant=meant)


def _check_won(outcomes: Iterable[Outcome], cells: Mapping[str, Cell]) -> None:
    """Raise DataError where deals have ended and not one of them is understood as won."""
    listed = list(outcomes)
    meant = {outcome.meaning for outcome in listed}
    if "won" in meant or ("lost" in meant and "not understood" not in meant):
        return
    where = next(cells[name] for name in ("outcome", *FLAGS) if name in cells)
    text = (
        "{file}: column {title}: no value is understood as won; its values are {values:list.12}; name those that "
        "mean so: history.won_values = [...], and history.lost_values = [...] for lost deals."
    )
    values = [message('"{value}" ({n:whole})', value=outcome.value, n=outcome.n) for outcome in listed]
    raise DataError(message(text, file=where.file, title=where.title, values=values))


def _dated(relation: LeadRows, made: Mapping[str, str]) -> LeadRows:
    """Dates of winning and losing from the closing date, where the outcome says so."""
    columns: dict[str, str] = {}
    for name, condition in made.items():
        columns |= {
            f"t_{name}": f"CASE WHEN {condition} THEN coalesce(\"t_closed\", '(no closing date)') END",
            f"v_{name}": f'CASE WHEN {condition} THEN "v_closed" END',
            f"g_{name}": f"({condition})",
        }
    return relation.beside(columns, dict.fromkeys(made, relation.cells.get("closed", Cell("", ""))))


def _is_one_of(there: Sequence[str], keys: Sequence[str], taken: Sequence[tuple[object, ...]]) -> str:
    """SQL for rows whose outcome and flags are one of those taken."""
    if not taken:
        return "false"
    picked = [keys.index(name) for name in there]
    if len(there) == 1:
        return _among(f'"t_{there[0]}"', [key[picked[0]] for key in taken])
    row = ", ".join(f"coalesce(\"t_{name}\", '')" for name in there)
    listed = {", ".join(literal(str(key[i] or "")) for i in picked) for key in taken}
    return f"(({row}) IN ({', '.join(f'({one})' for one in sorted(listed))}))"


def _among(column: str, values: Iterable[object]) -> str:
    """SQL for a text that is one of some, None among them or not; never NULL."""
    listed = list(dict.fromkeys(values))
    texts = ", ".join(literal(str(value)) for value in listed if value is not None)
    parts = [f"coalesce({column} IN ({texts}), false)"] if texts else []
    parts += [f"{column} IS NULL"] if None in listed else []
    return f"({' OR '.join(parts)})" if parts else "false"


# -------------------------------------------------------------------------------------------------------- currencies


def _conversion(
    found: pd.DataFrame, cells: Mapping[str, Cell], study: Study, header: Sequence[str]
) -> Conversion:
    names = found["currency"].map(currency_of)
    sums = found.groupby(names)[["priced", "total"]].sum()
    amounts = {
        str(name): Amounts(int(row["priced"]), float(row["total"] or 0.0)) for name, row in sums.iterrows()
    }
    title = cells["amount"].title
    others = [name for name in converted_titles(header) if name != title]
    example = others[0] if others else "..."
    return conversion(
        amounts,
        currency=study.currency,
        exchange=study.history.exchange,
        file=cells["currency"].file,
        column=title,
        remedy=message(
            'map the column that holds them in one (history.columns.amount = "{example}")', example=example
        ),
    )


def _converted(relation: LeadRows, converted: Conversion) -> LeadRows:
    if not converted.rates:
        return relation
    cases = " ".join(
        f"WHEN {literal(name)} THEN {rate!r}" for name, rate in converted.rates.items() if rate != 1.0
    )
    if not cases:
        return relation
    return relation.instead({"v_amount": f'"v_amount" * CASE upper("t_currency") {cases} ELSE 1.0 END'})
