"""The command line: thin commands over `forecast.workflow`.

Nothing but click is imported before a command runs, so `forecast --help` answers at once. Errors of the library
become one message on stderr and their exit code (EXIT_CODES below).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from forecast import __version__
from forecast.ending import ASKED, Line, known, message_of, told_plainly, unheard
from forecast.errors import FitError, ForecastError, GateError, UsageError
from forecast.options import (
    AMOUNT,
    CSV_LOCALE,
    DRAWS,
    GO_ON,
    GROUP,
    JSON,
    LANGUAGE,
    NATURAL,
    OUT,
    OUTPUTS,
    OVERRIDES,
    PARAMETERS,
    PATH,
    PATHS,
    PREVIEW,
    QUIET,
    RECORD,
    RUN_DIR,
    SAMPLER,
    SEED,
    Number,
    rate,
)
from forecast.telling import (
    in_language,
    line_of_run,
    page,
    say,
    show,
    show_run,
    spoken,
    spoken_in,
    stop_at_fail,
    with_progress,
)

if TYPE_CHECKING:
    from pathlib import Path

    from forecast.budget import Budget

EXIT_CODES = (
    "Exit codes: 0 done; 1 unexpected; 2 usage or study file; 3 input data rejected; "
    "4 the verdict is FAIL; 5 a gate that was asked for failed; 130 interrupted."
)


class Commands(click.Group):
    """Commands in the order of this file, whose errors are messages for people."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click asks with its context
        """The commands, in the order in which a user meets them."""
        return list(self.commands)

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """Read the options of the group; what click says of them can be shown on any terminal."""
        try:
            return super().make_context(*given, **more)
        except click.ClickException as error:
            raise told_plainly(error) from None

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line; where its help cannot be written, that is said."""
        try:
            return super().main(*args, **options)
        except OSError as error:  # a closed pipe is click's, and ends quietly
            say(message_of(unheard(error) or error), err=True)
            raise SystemExit(UsageError.exit_code) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and tell how it ended in one line where that is asked for."""
        if ASKED not in ctx.args:
            return self._invoke(ctx)
        line = ctx.obj = Line()
        code = 1
        try:
            done = self._invoke(ctx)
            code = 0
        except Exit as ended:
            code = ended.exit_code
            raise
        except click.ClickException as error:
            line.said, code = error.format_message(), error.exit_code
            raise
        finally:
            if code or line.found:  # not after --help
                say(line.text(ctx.invoked_subcommand, code), nl=False)
        return done

    def _invoke(self, ctx: click.Context) -> Any:
        """Run a command; what goes wrong becomes one message on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise told_plainly(error) from None
        except (Exit, click.Abort, BrokenPipeError):
            raise  # click's own ways of leaving; a closed pipe ends quietly
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("FORECAST_TRACEBACK"):
                import traceback

                say("".join(traceback.format_exception(error)), err=True, nl=False)
            seen = unheard(error) or known(error)
            say(message_of(seen), err=True)
            stopped = 130 if isinstance(seen, KeyboardInterrupt) else 1
            raise Exit(seen.exit_code if isinstance(seen, ForecastError) else stopped) from error


def _study(**more: Any) -> Callable[..., Any]:
    """The argument STUDY."""
    return click.argument(
        "study",
        type=PATH,
        metavar="[STUDY]",
        required=False,
        help="The study (a TOML file). Default: the only one here or in models/.",
        **more,
    )


STUDY = _study(callback=lambda _context, _argument, given: given or _only_study())


STUDIES = click.argument(
    "studies",
    type=PATH,
    nargs=-1,
    metavar="[STUDY ...]",
    callback=lambda _context, _argument, given: _studies(given),
    help="The study (a TOML file), or several. Default: the only one here or in models/.",
)


def _studies(given: tuple[Path, ...]) -> list[Path]:
    """The studies that are meant, patterns of shells that expand none among them."""
    if not given:
        return [_only_study()]
    if len(given) == 1 and not any(sign in str(given[0]) for sign in "*?["):
        return list(given)
    from forecast.study import studies_of

    return studies_of(given)


def _only_study() -> Path:
    """The study that is meant where none is named, told on stderr."""
    from forecast.study import only_study

    found = only_study()
    say(f"Study: {found}", err=True)
    return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100, "show_default": True},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, message="growth-forecast %(version)s", help="Print the version and leave.")
def app() -> None:
    """Forecast leads, customers and revenue from a history, and the budget that serves them best."""


@app.command(short_help="the whole job on a synthetic company that comes along")
@click.option("--out", type=PATH, metavar="DIR", help="Write here, not to reports/demo/.")
@SEED
@DRAWS
@OUTPUTS
@CSV_LOCALE
@QUIET
@LANGUAGE
@JSON
def demo(json: bool, **options: Any) -> None:
    """The whole job on a synthetic company that comes with the package.

    Fits, forecasts, recommends a budget and writes the report. Works from any folder.
    """
    from forecast import workflow

    show_run(with_progress(workflow.demo, **options), as_json=json, outputs=options["outputs"])


@app.command(short_help="a study from your own files, or a planning folder with sample data")
@click.argument(
    "places",
    nargs=-1,
    type=PATH,
    metavar="[FILE ...] [DIR]",
    help="The folder to make, or, with --from, further files and the folder of the study (default: here).",
)
@click.option(
    "--from",
    "first",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="Propose a study from this file, and from those that follow it.",
)
@JSON
def init(places: tuple[Path, ...], first: tuple[Path, ...], json: bool) -> None:
    """Make a study: from your own files (--from), or in a planning folder with sample data and a notebook.

    With --from, each file is looked at: what it holds, how it is written, which columns are which. The study says so,
    with the evidence; what the files leave open is asked, or stands in it as a comment. Then the study is checked.

    Files that are there already are never overwritten.
    """
    if first:
        _propose(first, places, as_json=json)
        return
    from forecast import checking

    if len(places) != 1:
        raise click.UsageError("Name one folder to make, or files to start from: --from FILE.")
    files = checking.init(places[0])
    show({"files": files}, lambda: "\n".join(f"made {path}" for path in files), as_json=json)


def _propose(first: tuple[Path, ...], places: tuple[Path, ...], *, as_json: bool) -> None:
    import sys
    from functools import partial

    from forecast import proposing
    from forecast.questions import answer, files_and_folder
    from forecast.report import opening_page

    files, folder = files_and_folder(first, places)
    asked = not as_json and not line_of_run() and sys.stdin.isatty() and sys.stdout.isatty()
    ask = partial(answer, say=say) if asked else None
    made = proposing.propose(files, folder, today=_today(), ask=ask)
    show(made.told(), page(opening_page, made.told(), after=f"Next: {made.command}"), as_json=as_json)


@app.command(short_help="the funnel equation by hand, no history needed")
@click.option("--visitors", type=AMOUNT, required=True, metavar="N", help="Visitors in a period.")
@rate("--conversion", "Visitors -> leads.", required=True)
@rate("--qualification", "Leads -> qualified.", required=True)
@rate("--close", "Qualified -> customers.", required=True)
@click.option("--value", type=AMOUNT, required=True, metavar="MONEY", help="Revenue of a customer.")
@rate("--margin", "Gross margin, for the break-even.", default="100%")
@click.option(
    "--market",
    type=click.Choice(["b2b", "b2c", "none"]),
    default="b2b",
    help="Whose benchmark ranges to show.",
)
@LANGUAGE
@JSON
def funnel(market: Any, margin: float, json: bool, language: str | None, **given: float) -> None:
    """The funnel equation by hand: visitors x conversion x qualification x close rate x value.

    Rates are written as 3% or 0.03. Needs no history; benchmark ranges stand beside your rates.

    \b
    Example:
      forecast funnel --visitors 1000 --conversion 3% --qualification 40% --close 25% --value 5000
    """  # noqa: D301 - the mark keeps the example on lines of its own
    from forecast import funnel as equation
    from forecast.report import by_hand_page

    result = equation.summary(equation.Funnel(**given), market=market, margin=margin)
    show(result, page(by_hand_page, result, spoken=spoken(language)), as_json=json)


@app.command(short_help="validate the study and its data, say what was read")
@STUDY
@OVERRIDES
@LANGUAGE
@JSON
def check(json: bool, **options: Any) -> None:
    """Read and validate the study and its data; say what was read, for each file, with totals to lay beside the books.

    Prints the audit too, and the common mistakes that need no fit to be seen.

    PASS needs nothing, REVIEW wants a look, FAIL means: do not trust a forecast before it is mended.
    """
    from forecast import checking
    from forecast.report import audit_page

    result = checking.check(**in_language(options), today=_today())
    show(result.summary, page(audit_page, *result.made, spoken=result.spoken), as_json=json)


@app.command(short_help="fit the model and save it")
@STUDY
@SEED
@DRAWS
@SAMPLER
@OVERRIDES
@GO_ON
@QUIET
@LANGUAGE
@JSON
def fit(go_on: bool, json: bool, **options: Any) -> None:
    """Fit the model of every stage, check the fit and save it as NAME.nc beside the study.

    Sampling is checked, and whether the model could have made the history. A fit that fails is saved with what it
    failed, and ends with exit code 4.
    """
    from forecast import workflow
    from forecast.report import summary_page
    from forecast.words import message

    result = with_progress(workflow.fit, **options, today=_today())
    where = message("Posterior: {path}", path=result.place)
    said = page(summary_page, result.made, spoken=result.spoken, after=where)
    show({**result.summary, "path": result.place}, said, as_json=json)
    saved = f"The posterior is saved as {result.place}, marked as failed."
    stop_at_fail(result.made.verdict, saved, go_on=go_on)


@app.command(short_help="the whole job: fit, forecast, budget, report; of several studies a group")
@STUDIES
@OUT
@SEED
@DRAWS
@SAMPLER
@OVERRIDES
@GO_ON
@PREVIEW
@PATHS
@OUTPUTS
@CSV_LOCALE
@QUIET
@LANGUAGE
@JSON
@GROUP
def run(studies: tuple[Path, ...], go_on: bool, json: bool, group: dict[str, Any], **options: Any) -> None:
    """The whole job: check, fit, forecast, recommend a budget, write report and tables.

    Fits only if the data, the funnel or the priors have changed since the saved fit. --preview neither fits nor reads a
    saved fit: the numbers come from a closed form within seconds, and every output says so.

    Where the verdict is FAIL the outputs are written with FAIL on every page, and the exit code is 4. If it was the fit
    that failed, the numbers are those of --preview; --go-on keeps those of the fit, and ends with 0.

    Several studies (models/*.toml) are run side by side, each as it is alone, into reports/NAME/ or DIR/NAME/; what
    they add up to stands in group.pdf, group.xlsx, group.csv and group.json above these folders. One that fails is
    named and does not stop the rest. Started again, the command takes what is finished as it is. The exit code is the
    worst of the studies': the lowest above 0.
    """
    if len(studies) > 1:
        _run_group(studies, group, go_on=go_on, json=json, **options)
        return
    from forecast import workflow

    result = with_progress(workflow.run, *studies, **options, go_on=go_on, today=_today())
    show_run(result, as_json=json, go_on=go_on, outputs=options["outputs"])


def _run_group(studies: tuple[Path, ...], group: dict[str, Any], *, json: bool, **options: Any) -> None:
    """Run several studies, and tell what they add up to; every failure on stderr."""
    from forecast import portfolio
    from forecast.report import group_page
    from forecast.words import message

    result = with_progress(portfolio.run_group, studies, **group, **options, today=_today())
    for each in result.summary["failed"]:
        say(f"FAILED: {each['name']} (exit code {each['exit_code']}): {each['error']}", err=True)
    after = message("Outputs: {folder}/", folder=result.place)
    said = page(group_page, result.made, spoken=result.spoken, after=after)
    show({**result.summary, "folder": result.place}, said, as_json=json)
    if code := result.summary["exit_code"]:
        raise Exit(code)


def _today() -> Any:
    from datetime import date

    return date.today()  # noqa: DTZ011 - a company's books close by its own calendar


@app.command(short_help="split another budget from the saved fit, without fitting")
@STUDY
@click.option("--total", type=AMOUNT, metavar="MONEY", help="Budget over the horizon. Default: the study's.")
@rate("--change", "Largest change of a channel, e.g. 30%.")
@click.option(
    "--marginal",
    type=Number(thousands=False),
    metavar="RETURN",
    help="No fixed budget: spend until the next unit brings this back, e.g. 1.5.",
)
@click.option(
    "--cac",
    type=AMOUNT,
    metavar="MONEY",
    help="No fixed budget: customers cost at most this much on average.",
)
@rate("--chance", "The smallest budget that makes the target so likely.")
@SEED
@OVERRIDES
@GO_ON
@QUIET
@LANGUAGE
@JSON
def allocate(go_on: bool, json: bool, **options: Any) -> None:
    """Split the budget anew from the saved fit: another total, limits or objective. Does not fit.

    Prints the recommended spend of each channel over the horizon, and how firm it is: what limits cost, the range of
    budgets that are as good, what a test would be worth, what lies beyond the spend ever seen.
    """
    from forecast import workflow
    from forecast.report import split_page

    budget = _budget(**{name: options.pop(name) for name in ("total", "marginal", "cac", "chance")})
    result = with_progress(workflow.allocate, budget=budget, **options, go_on=go_on, today=_today())
    show(result.summary, page(split_page, result.made, spoken=result.spoken), as_json=json)
    stop_at_fail(result.made.verdict, "Nothing was written.", go_on=go_on)


def _budget(total: float | None, marginal: float | None, cac: float | None, chance: float | None) -> Budget:
    """What the options ask; a total beside another question is the most that it may spend."""
    from forecast.budget import Efficiency, Fixed, Target

    if sum(asked is not None for asked in (marginal, cac, chance)) > 1:
        raise UsageError("--marginal, --cac and --chance are different questions: ask one at a time")
    most = {} if total is None else {"at_most": total}
    if chance is not None:
        return Target(chance=chance, **most)
    if marginal is not None or cac is not None:
        return Efficiency(marginal=marginal, cac=cac, **most)
    return Fixed(total)


@app.command(short_help="compare the scenarios of a study from the saved fit, without fitting")
@STUDY
@SEED
@OVERRIDES
@GO_ON
@QUIET
@LANGUAGE
@JSON
def scenarios(go_on: bool, json: bool, **options: Any) -> None:
    """Compare the [[scenario]] tables of the study with the plan as it is, from the saved fit. Does not fit.

    Prints what each would bring and cost, with its band, how likely it pays back, and what a period of delay costs.
    """
    from forecast import workflow
    from forecast.report import compared_page

    result = with_progress(workflow.scenarios, **options, go_on=go_on, today=_today())
    show(result.summary, page(compared_page, result.made, spoken=result.spoken), as_json=json)
    stop_at_fail(result.made.verdict, "Nothing was written.", go_on=go_on)


@app.command(short_help="how wrong it would have been: forecasts of the past beside what came")
@STUDY
@click.option("--origins", type=NATURAL, metavar="N", help="At most so many origins, the latest ones.")
@click.option("--horizon", type=click.IntRange(1, 60), metavar="N", help="Periods ahead.")
@click.option("--every", type=NATURAL, metavar="N", help="Periods between origins.")
@click.option(
    "--spend",
    type=click.Choice(["actual", "planned", "last year"]),
    help="Spend of the tested periods: as it came, the current plan of then, or that of a year before.",
)
@click.option("--baseline", multiple=True, metavar="NAME", help="Compare with this one only. Repeatable.")
@click.option("--gate", is_flag=True, help="Exit with 5 where a threshold of the study is missed.")
@click.option("--workers", type=NATURAL, metavar="N", help="Processes. Default: one a core.")
@OUT
@SEED
@DRAWS
@OVERRIDES
@PREVIEW
@CSV_LOCALE
@QUIET
@LANGUAGE
@JSON
def backtest(baseline: tuple[str, ...], gate: bool, json: bool, **options: Any) -> None:
    """Forecast the past from what was known then, and score it by what came, beside simple methods.

    Every origin is fitted anew to its own past. What is not given follows [backtest] in the study. Writes
    backtest.json, backtest.csv and backtest_totals.csv into reports/NAME/; the next run shows them in its report and
    its verdict. A backtest that is stopped goes on where it was.
    """
    from forecast import workflow
    from forecast.report import backtest_page
    from forecast.words import message

    result = with_progress(workflow.backtest, **options, names=baseline or None, today=_today())
    where = message("Tables: {folder}/backtest.csv", folder=result.place)
    said = page(backtest_page, result.made, spoken=result.spoken, after=where)
    show({**result.summary, "folder": result.place}, said, as_json=json)
    if gate:
        workflow.check_gate(result.summary)


@app.command(short_help="score the open leads: P(win), expected value, threshold")
@STUDY
@OUT
@SEED
@OVERRIDES
@CSV_LOCALE
@QUIET
@LANGUAGE
@JSON
def rank(json: bool, **options: Any) -> None:
    """Score single leads from their features: P(win) and expected value of each open lead, best first.

    Reads the file of leads that the study names; [scoring] says which further columns are features (default: all).
    Columns that look as if they were known only after the outcome are left out, with the evidence. The score is tested
    on the newest leads. Writes ranking.csv, scoring.json and reliability.svg. Needs no fit of the forecast.
    """
    from forecast import workflow
    from forecast.report import ranking_page
    from forecast.words import message

    result = with_progress(workflow.rank, **options, today=_today())
    where = message("Ranking: {folder}/ranking.csv", folder=result.place)
    said = page(ranking_page, result.summary, result.made.table, spoken=result.spoken, after=where)
    show({**result.summary, "folder": result.place}, said, as_json=json)


@app.command(short_help="plan and actual of a saved run, the difference taken apart")
@click.argument("folder", type=PATH, metavar="RUN_DIR", help="The folder that a run wrote.")
@STUDY
@click.option(
    "--plan",
    type=click.Choice(["given", "recommended"]),
    default="given",
    help="Which of its plans was followed.",
)
@click.option(
    "--blocks",
    type=click.IntRange(1, 40),
    default=8,
    metavar="N",
    help="So many horizons as forecast then, this one among them; forecast anew in closed form where no backtest lies "
    "beside the run.",
)
@OVERRIDES
@QUIET
@CSV_LOCALE
@LANGUAGE
@JSON
def score(json: bool, **options: Any) -> None:
    """Plan and actual of a saved run: the difference taken apart, and what it means for what is still to come.

    Reads the history of the study as it is now. Shares of spend, traffic, rates, delay, deal value and chance add up to
    actual less plan. Where a part of the horizon has come: what is open, the chance of the target now, and how far the
    next forecast is likely to move. Writes score.pdf, score.xlsx, score.csv, score_totals.csv and score.json into
    RUN_DIR; the run's own files stay as they are.
    """
    from forecast import workflow
    from forecast.report import score_page
    from forecast.words import message

    result = with_progress(workflow.score, **options, today=_today())
    where = message("Report: {path}\nTables: {folder}/", path=result.place / "score.pdf", folder=result.place)
    said = page(score_page, result.made, spoken=result.spoken, after=where)
    show(result.summary, said, as_json=json)


@app.command(short_help="a notebook on a study, kept as HTML: plan, review, diagnose, decide")
@click.argument(
    "name", required=False, metavar="[NAME]", help="plan, review, diagnose or decide, or a file of your own."
)
@_study()
@click.option("--out", type=PATH, metavar="DIR", help="Write here instead of reports/STUDY-NAME/.")
@SEED
@DRAWS
@OVERRIDES
@PARAMETERS
@click.option("--no-code", is_flag=True, help="A page without the code of the cells.")
@QUIET
@JSON
def notebook(name: str | None, study: Path | None, no_code: bool, json: bool, **options: Any) -> None:
    """Run a notebook on a study; keep it as HTML, and what it writes, in reports/STUDY-NAME/.

    Without NAME: which there are. A file of your own (.py with # %% cells, or .ipynb) is run in its folder. Its cell
    tagged "parameters" takes STUDY, OUT, and what --seed, --draws, --set and --parameter give. The page asks for
    nothing outside itself. Where a cell fails, its error is told and no page is written. Needs the extra "notebook".
    """
    from forecast import books
    from forecast.checks import FAIL

    if name is None:
        show(books.listed(), books.list_text, as_json=json)
        return
    result = with_progress(books.run, name, study or _only_study(), code=not no_code, **options)
    show(result.summary, lambda: f"Notebook: {result.summary['page']}", as_json=json)
    if result.summary["verdict"] == FAIL:
        say(f"FAIL: the outputs in {result.place}/ say why.", err=True)
        raise Exit(FitError.exit_code)


@app.command(short_help="put a run on record as the plan: hashes, verdict, who, when")
@RUN_DIR
@click.option("--by", metavar="NAME", help="Who signs. Default: the user of the system.")
@click.option(
    "--chosen",
    metavar="PLAN",
    help="The plan to be followed: recommended (the default), current, or a CSV of channel and spend.",
)
@click.option(
    "--override", default="", metavar="REASON", help="Why another plan is followed, or a FAIL is signed."
)
@RECORD
@LANGUAGE
@JSON
def sign(json: bool, language: str | None, folder: Path, record: Path | None, **options: Any) -> None:
    """Append a run to the plan of record: hashes of study, data, posterior and outputs, verdict, who and when.

    The record only grows, and each entry holds the hash of the one before. A plan other than the recommended one, and a
    verdict that is FAIL, need a reason, which stands in the record. Refused where anything in RUN_DIR has changed.
    """
    from forecast import signing

    entry = signing.sign(folder, record=record, **options)
    said = spoken_in(language, signing.signed_text, entry, record or signing.record_of(folder))
    show(entry, said, as_json=json)


@app.command(short_help="whether anything has changed: inputs, posterior, outputs, record")
@RUN_DIR
@click.option("--remake", is_flag=True, help="Make the run again, and compare byte for byte.")
@RECORD
@QUIET
@LANGUAGE
@JSON
def verify(json: bool, language: str | None, **options: Any) -> None:
    """Compare a run, what it was made from and the record with their hashes; ends with 5 where anything differs.

    Each difference is a line. With --remake the run is made again from the same study, data and posterior, in a folder
    of its own, and its files are compared; of summary.json all but the date, the seconds and whether it was fitted.
    """
    from forecast import signing

    found = with_progress(signing.verify, **options)
    show(found, spoken_in(language, signing.verified_text, found), as_json=json)
    if found["differences"]:
        raise Exit(GateError.exit_code)


@app.command(short_help="the plan of record: what was signed, by whom, with what reason")
@click.argument(
    "folder", type=PATH, metavar="[DIR]", required=False, help="Where it lies. Default: reports/."
)
@click.option("--record", type=PATH, metavar="FILE", help="The record. Default: plan-of-record.jsonl in DIR.")
@LANGUAGE
@JSON
def log(json: bool, language: str | None, folder: Path | None, record: Path | None) -> None:
    """List the plan of record; ends with 5 where the chain of its entries is broken."""
    from pathlib import Path

    from forecast import signing

    entries, wrong = signing.log(record or (folder or Path("reports")) / signing.RECORD)
    said = spoken_in(language, signing.log_text, entries, wrong)
    show({"entries": entries, "differences": wrong}, said, as_json=json)
    if wrong:
        raise Exit(GateError.exit_code)
