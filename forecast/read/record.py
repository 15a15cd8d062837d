"""What was read of a file, and how: what a person lays beside the file to see that nothing was misread."""

from __future__ import annotations

from dataclasses import dataclass, replace

from forecast.words import Text


@dataclass(frozen=True)
class LeftOut:
    """Rows that were not used, and why: their numbers as a spreadsheet shows them (the first ones, where many).

    bad: they contradict themselves, and `history.bad_rows` leaves such rows out; then all of their numbers are here.
    ids: of leads in a database, whose rows have no numbers, the first ones.
    """

    reason: Text
    n: int
    rows: tuple[int, ...] = ()
    bad: bool = False
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A value of the column of outcomes, how many rows have it, and what it was taken for.

    meaning: "won", "lost", "open" or "not understood".
    """

    value: str
    meaning: str
    n: int


@dataclass(frozen=True)
class FileRead:
    """One file as it was read.

    role: "counts", "leads", "deals", "changes", "activity", "plan" or "retention". dialect: how it is written, by what
    ("encoding", "delimiter", "numbers", "dates", "sheet", "header" ...). columns: title in the file by our name;
    unread: the other titles. rows: those used. notes: what was done or found on the way, each to be said once.
    outcomes: the values of the column that says how deals ended. sums: totals of what was taken from the file, where
    several files of one role make up the history: "all", "year" or "channel", its name, measure, total, blank cells.
    files: those that a pattern matched, in order.
    """

    role: str
    file: str
    dialect: dict[str, Text]
    columns: dict[str, str]
    unread: tuple[str, ...] = ()
    rows: int = 0
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Text, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    sums: tuple[tuple[str, str, str, float, int], ...] = ()
    files: tuple[str, ...] = ()

    def taking(self, ours: str, title: str) -> FileRead:
        """The same, with one of the columns that were not read taken for one of ours."""
        unread = tuple(each for each in self.unread if each != title)
        return replace(self, columns={**self.columns, ours: title}, unread=unread)
