"""How files are to be read, where they do not say it themselves: `[history.read]`, and over it a table for each file.

Everything here is optional. What a file shows without doubt is read so and said; what can be read in two ways is
refused with a message that names the key which settles it.
"""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from forecast.study.file import Table, nearest

ROLES = (
    "counts",
    "leads",
    "deals",
    "changes",
    "activity",
    "plan",
    "retention",
)  # files of a study, each read by these keys


def _zone(name: str) -> str:
    zones = available_timezones()
    if name not in zones:
        raise ValueError(
            f'expected a time zone such as "Europe/Helsinki"; came "{name}"{nearest(name, zones)}'
        )
    return name


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise ValueError(
            f'expected an encoding such as "utf-8", "cp1252" or "latin-1"; came "{name}"'
        ) from None
    return name


class ReadSpec(Table):
    """What a file does not say of itself.

    `decimal`, `thousands`: the marks in numbers. `dates`: the order of day, month and year ("dmy", "mdy", "ymd").
    `header_row`: row of the names of the columns, as a spreadsheet counts. `skip_rows`: rows to leave out before it.
    `sheet`: of a workbook. `week_starts`: the weekday that dates of weeks fall on. `time_zone`: where days begin, for
    times that say how far they are from UTC.
    """

    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'", ""] | None = None
    dates: Literal["dmy", "mdy", "ymd"] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    header_row: Annotated[int, Field(ge=1)] | None = None
    sheet: str | None = None
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    week_starts: (
        Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] | None
    ) = None
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    skip_rows: Annotated[int, Field(ge=0)] | None = None


class ReadsSpec(ReadSpec):
    """`[history.read]`: for all files, and for one of them where it differs (`[history.read.activity]`)."""

    counts: ReadSpec = ReadSpec()
    leads: ReadSpec = ReadSpec()
    deals: ReadSpec = ReadSpec()
    changes: ReadSpec = ReadSpec()
    activity: ReadSpec = ReadSpec()
    plan: ReadSpec = ReadSpec()
    retention: ReadSpec = ReadSpec()

    def of(self, role: str) -> ReadSpec:
        """The keys that hold for one file: its own, and where it has none those for all."""
        own: ReadSpec = getattr(self, role)
        keys = ReadSpec.model_fields
        given = {key: getattr(own if getattr(own, key) is not None else self, key) for key in keys}
        return ReadSpec.model_construct(**given)

    def place(self, role: str, key: str) -> str:
        """The dotted name of a key for one file, as a message names it: where it is given, else for all files."""
        return (
            f"history.read.{role}.{key}"
            if getattr(getattr(self, role), key) is not None
            else f"history.read.{key}"
        )
