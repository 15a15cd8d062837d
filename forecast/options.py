"""Options and arguments that several commands share, each declared once, and how what is typed is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from forecast.ending import ASKED

if TYPE_CHECKING:
    from pathlib import Path


def parse_share(text: str) -> float:
    """A share in [0, 1] from what people type: see `amounts.parse_share`."""
    from forecast import amounts

    return amounts.parse_share(text)


class _Path(click.Path):
    """A path of `pathlib`, which `--help` need not load."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from pathlib import Path

        return Path(os.fsdecode(super().convert(value, param, ctx)))


class Number(click.ParamType[float]):
    """A number as people type it; one that can be read in two ways is refused with both."""

    name = "number"

    def __init__(self, least: float | None = None, *, thousands: bool = True) -> None:
        self.least, self.thousands = least, thousands

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; click's own error where it is none."""
        from forecast.amounts import parse_number

        option = param.opts[0] if param is not None else ""
        try:
            number = parse_number(str(value), option=option, thousands=self.thousands)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self.least is not None and number < self.least:
            self.fail(f"{value} is below {self.least}.", param, ctx)
        return number


class Kinds(click.ParamType[tuple[str, ...]]):
    """Kinds of outputs, with commas between."""

    name = "kinds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The kinds; click's own error where one is none."""
        from forecast.outputs import chosen

        try:
            return chosen(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CsvLocale(click.ParamType[str]):
    """A locale that Babel knows."""

    name = "locale"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The locale as it was typed; click's own error where it is none."""
        from forecast.outputs import csv_form

        try:
            csv_form(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


PATH = _Path()
NATURAL = click.IntRange(min=1)
AMOUNT = Number(least=0)
OUT = click.option("--out", type=PATH, metavar="DIR", help="Write here instead of reports/NAME/.")
SEED = click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of all random numbers.")
DRAWS = click.option("--draws", type=NATURAL, metavar="N", help="Number of draws.")
PATHS = click.option(
    "--paths",
    type=NATURAL,
    metavar="N",
    help="Simulate at least so many futures, as many of each draw. Default: two of each draw.",
)
SAMPLER = click.option(
    "--sampler",
    type=click.Choice(["auto", "weighed", "nuts", "pymc"]),
    help="How draws are made: by weights, by chains where weights fail (auto, the default); by weights alone; by "
    "chains (NUTS); by PyMC's own sampler.",
)
OVERRIDES = click.option(
    "--set",
    "overrides",
    multiple=True,
    callback=lambda _context, _option, given: list(given),
    metavar="KEY=VALUE",
    help="Override a key of the study: plan.periods=6. Repeatable.",
)
PARAMETERS = click.option(
    "--parameter",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the notebook: RUN=reports/2027-q1. Repeatable.",
)
OUTPUTS = click.option(
    "--outputs",
    type=Kinds(),
    metavar="KINDS",
    help="Write these only, with commas between: pdf, xlsx, csv, whatif, draws. Default: all. summary.json is always "
    "written.",
)
CSV_LOCALE = click.option(
    "--csv-locale",
    type=CsvLocale(),
    metavar="LOCALE",
    help="Decimal mark and delimiter of CSV files, as a spreadsheet of this locale takes them: fi, de, en. Default: "
    "the study's, else point and comma.",
)


def _language(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    if given:
        from forecast.speech import check_language

        try:
            check_language(given)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return given


LANGUAGE = click.option(
    "--language",
    metavar="CODE",
    callback=_language,
    help="Language of report, workbook and terminal: en or fi. Default: the study's.",
)
QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
_WHOLE = click.option("--json", is_flag=True, help="The result as JSON on stdout.")
_IN_A_LINE = click.option(
    ASKED,
    is_flag=True,
    expose_value=False,  # the group reads it: a line comes where the options of a command are wrong, too
    help="The end as one line of JSON on stdout, also where it is a failure: exit code, error, verdict, headline.",
)
GO_ON = click.option(
    "--go-on", is_flag=True, help="Exit with 0 on a FAIL too, and keep the numbers of a fit that failed."
)
PREVIEW = click.option(
    "--preview", is_flag=True, help="A closed-form approximation in place of the fit, for a first look."
)
RUN_DIR = click.argument("folder", type=PATH, metavar="RUN_DIR", help="The folder that a run wrote.")
RECORD = click.option(
    "--record", type=PATH, metavar="FILE", help="The record. Default: plan-of-record.jsonl beside RUN_DIR."
)


def JSON(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 - used as the options above are
    """The two ways in which programs are answered."""
    return _WHOLE(_IN_A_LINE(command))


class Correlation(click.ParamType[float | None]):
    """A correlation from 0 to 1, or the word for learning it."""

    name = "correlation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """The number, None for "learnt"; click's own error where it is neither."""
        if value == LEARNT:
            return None
        found = Number(least=0, thousands=False).convert(value, param, ctx)
        if found > 1:
            self.fail(f'{value}: expected a number from 0 to 1, or "{LEARNT}".', param, ctx)
        return found


class Rate(click.ParamType[tuple[str, float]]):
    """What one unit of a currency is worth: SEK=0.088."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Code and rate; click's own error where they are none."""
        code, _, text = str(value).partition("=")
        if not (code.isascii() and code.isalpha() and len(code) == 3):
            self.fail(f"{value}: expected CODE=NUMBER, such as SEK=0.088.", param, ctx)
        found = Number(thousands=False).convert(text, param, ctx)
        if found <= 0:
            self.fail(f"{value}: a rate is above 0.", param, ctx)
        return code.upper(), found


LEARNT = "learnt"
_GROUP = (
    click.option(
        "--executor",
        type=click.Choice(["inline", "processes", "dask"]),
        default="inline",
        help="Several studies: one after the other here, in processes, or by Dask (extra cluster).",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Of Dask, one that runs: tcp://host:8786. Default: processes of this machine.",
    ),
    click.option("--workers", type=NATURAL, metavar="N", help="Processes. Default: one a core."),
    click.option(
        "--correlation",
        type=Correlation(),
        default=LEARNT,
        metavar="NUMBER",
        help="Of the studies' totals, from 0 to 1, or learnt from their pasts.",
    ),
    click.option(
        "--rate",
        "rates",
        multiple=True,
        type=Rate(),
        metavar="CODE=NUMBER",
        help="What one unit of another currency is worth in the group's: SEK=0.088. Repeatable.",
    ),
)


def GROUP(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 - used as the options above are
    """The options of several studies at once, handed to the command as `group`."""

    @wraps(command)
    def together(
        *given: Any, executor: str, scheduler: str | None, workers: int | None, correlation: float | None,
        rates: tuple[tuple[str, float], ...], **options: Any,
    ) -> Any:  # fmt: skip
        engine = {"executor": executor, "scheduler": scheduler, "workers": workers}
        group = {**engine, "correlation": correlation, "rates": dict(rates)}
        return command(*given, group=group, **options)

    for option in reversed(_GROUP):
        together = option(together)
    return together


def rate(flag: str, text: str, **more: Any) -> Callable[..., Any]:
    """An option that takes a share."""
    return click.option(flag, type=parse_share, metavar="RATE", help=text, **more)
