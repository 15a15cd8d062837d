"""The catalogues of other languages: found in the code, brought up to date, compiled.

    python tools/catalogue.py            every template of the code into forecast/catalogues/*/forecast.po, compiled
    python tools/catalogue.py --new sv   begins one of a further language

A template is found by reading the code, not by running it, so that none has to be seen. Of the files that speak to
people (SPEAKING) every constant that reads as a text is one: first arguments of `message` and `plural`, heads, titles,
sentences that a function returns or picks. What is not shown to a reader in another language is left out: docstrings,
errors (what is raised), keys of tables, arguments that name a look. Names of stages and measures, and what stands above
the columns of the tables, come from where they are declared.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from forecast.cli import EXIT_CODES
from forecast.columns import GROUPED, TABLES, origins
from forecast.speech import CATALOGUES, DOMAIN, MEASURE
from forecast.words import MEASURES

PACKAGE = Path(__file__).resolve().parents[1] / "forecast"
SPEAKING = (
    *(
        "backtest/summary.py",
        "budget/decision.py",
        "budget/information.py",
        "budget/objectives.py",
        "cli.py",
        "telling.py",
    ),
    *(
        "fit/gate.py",
        "history/*.py",
        "leads/leakage.py",
        "leads/ranking.py",
        "outlook/lifetime.py",
        "grouping.py",
        "judging.py",
        "planning.py",
    ),
    *(
        "outlook/recycling.py",
        "read/dates.py",
        "read/grids.py",
        "read/numbers.py",
        "read/sheets.py",
        "read/text.py",
    ),
    *(
        "report/*.py",
        "report/pages/*.py",
        "report/plots/*.py",
        "results.py",
        "signing.py",
        "verdict.py",
        "words.py",
    ),
)
# Beside notes and checks these hold errors, which stay English: by how those begin, or what SQL looks like.
WITH_ERRORS = ("read/", "budget/", "outlook/", "leads/", "history/", "backtest/")
ERRORS = re.compile(
    r"\{(file|files|place|path)\}:? ?(column|row|each|no |channel|sheet|line|its |is |has |holds |cannot|several|rows"
    r"|all |unzips|the (title|header|day)|more|numbers|\{(what|found|where|its|key)|spend by|counts by)|\{place\}|[ :]|"
    r"expected |is |its |holds |write |call |add it|add the|say |comes |and |so |take |which |leave |column \{|row |"
    r"cells |sheet |read_|cast|timestamp|the lead|a lift|a table|a \{kind\}|the \{kind\}|map |fill in the am|"
    r".*( AS | IS NULL| IS NOT NULL|DISTINCT |THEN|EXCLUDE|isfinite|PARTITION BY|bool_or)|a CSV, |, |"
    r"at least \{x:whole\} would|are meant|then what|left before|"
    r"\{file\}: (\{periods|revenue is there)|\"\{key|\{n:whole\} (leads have|ids stand|pairs)|1 (lead has|id stands)|"
    r"\"v_|\(\"v_|them where|a (return|prob)|an amount|customers above|the most that|best found|delete it|"
    r"current plan (kept|held)"
)
MAKERS = ("message", "plural")  # whose first arguments are templates, whatever they look like
# Where a text stands among the arguments of what takes one as it is: heads of columns, titles, names of checks.
PLACES = {
    **dict.fromkeys(("said", "band", "Part", "Page", "Check", "_check"), (0,)),
    **dict.fromkeys(("text", "named", "value", "over", "bar", "name", "period"), (1,)),
    "Tile": (0, 1, 2),
    "Column": (2,),
}
LOOKS = {
    "color",
    "linestyle",
    "marker",
    "loc",
    "ha",
    "va",
    "hatch",
    "facecolor",
    "edgecolor",
    "axis",
    "format",
}
_FIELD = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Found:
    """A template, the one for several where there is one, its context, and the file that it stands in."""

    one: str
    file: str
    many: str = ""
    context: str = ""


def templates() -> list[Found]:
    """Every template of the code, in the order of the files."""
    files = sorted({path for pattern in SPEAKING for path in PACKAGE.glob(pattern)})
    found = [each for path in files for each in in_file(path) if not _is_error(each)]
    declared = [(sheet, columns) for sheet, columns in (TABLES | GROUPED).values()]
    titles = [
        title for sheet, columns in declared for title in (sheet, *(column.title for column in columns))
    ]
    titles += [column.title for column in origins("revenue")]
    found += [Found(title, "columns.py") for title in titles]
    found += [Found(name, "words.py", context=MEASURE) for name in MEASURES]
    found += [Found(word, "words.py") for word in WORDS]
    plurals = {each.one for each in found if each.many}
    kept = [each for each in found if each.many or each.one not in plurals]
    return list({(each.one, each.context): each for each in reversed(kept)}.values())[::-1]


def _is_error(found: Found) -> bool:
    checks = found.file.startswith(("history/audit", "history/mistakes"))
    return found.file.startswith(WITH_ERRORS) and not checks and bool(ERRORS.match(found.one))


def in_file(path: Path) -> Iterator[Found]:
    """The templates of one file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(PACKAGE).as_posix()
    nodes = list(ast.walk(tree))
    hidden = _hidden(tree)
    given: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and _called(node) in MAKERS and id(node) not in hidden and node.args:
            if _called(node) == "plural":
                one, many = (argument.value for argument in node.args[:2])  # type: ignore[attr-defined]
                yield Found(one, name, many)
                given |= {id(argument) for argument in node.args[:2]}
            else:
                for constant in _constants(node.args[0]):
                    given.add(id(constant))
                    if re.search(r"[^\W\d_]", _FIELD.sub("", constant.value)):
                        yield Found(constant.value, name)
        elif isinstance(node, ast.Call) and id(node) not in hidden:
            for at in PLACES.get(_called(node), ()):
                for constant in _constants(node.args[at]) if at < len(node.args) else ():
                    given.add(id(constant))
                    if re.search(r"[^\W\d_]", constant.value) and constant.value not in NO_TEXT:
                        yield Found(constant.value, name)
    hidden |= given
    for node in nodes:
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in hidden and _reads_as_text(text):
            yield Found(text, name)


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "id", getattr(node.func, "attr", "")))


def _constants(node: ast.AST) -> Iterator[ast.Constant]:
    """The texts that an expression may come to."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)


def _reads_as_text(said: str) -> bool:
    """Words with a space between them, or one that begins as a title does."""
    bare = _FIELD.sub("", said)
    if "\n" in said or not re.search(r"[^\W\d_]", bare) or said in NO_TEXT:
        return False
    return bool(re.search(r"[A-Za-z)}.,:%][ ~][A-Za-z({\d]", said)) or bool(
        re.fullmatch(r"[A-Z][a-z\u00ad-]+", said)
    )


def _but_messages(node: ast.AST) -> set[int]:
    """All of an f-string but the messages that stand inside."""
    made = [each for each in ast.walk(node) if isinstance(each, ast.Call) and _called(each) in MAKERS]
    inside = {id(each) for call in made for each in ast.walk(call)}
    return {id(each) for each in ast.walk(node)} - inside


def _hidden(tree: ast.AST) -> set[int]:
    """What no reader of another language is shown: docstrings, what is raised, keys, formats, looks, f-strings."""
    hidden: set[int] = set()

    def hide(node: ast.AST | None) -> None:
        if node is not None and id(node) not in hidden:
            hidden.update(id(each) for each in ast.walk(node))

    for node in ast.walk(tree):
        hidden |= _but_messages(node) if isinstance(node, ast.JoinedStr) else set()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            hide(node.body[0])
        elif isinstance(node, ast.Raise | ast.Compare | ast.Import | ast.ImportFrom | ast.Assert):
            hide(node)
        elif isinstance(node, ast.Subscript):
            hide(node.slice)
        elif isinstance(node, ast.AnnAssign | ast.arg):
            hide(node.annotation)
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in LOOKS:
                    hide(keyword.value)
            called = _called(node)
            if called.endswith(("Error", "Problem")) or called in QUIET:
                hide(node)
    return hidden


WHEN = datetime(2020, 2, 2, tzinfo=UTC)  # the only date in the files: the same texts, the same bytes
QUIET = {
    *(
        "compile",
        "Literal",
        "option",
        "argument",
        "command",
        "step",
        "execute",
        "sql",
        "TypeVar",
        "there",  # of report/plots: what is refused
        "one_of",
        "_side_by_side",
        "rate",
        "startswith",
        "Card",
    ),
    *("endswith", "removeprefix", "removesuffix", "partition", "split"),
}
# Constants that read as a text and are none: marks, keys, what a terminal asks by itself, keys of backtest.json.
NO_TEXT = {
    "Table Style Light 1", "mmm 2026  ", "mmm yyyy",
    "Cc", "Cf", "Me", "Mn", "Zs", "Visible", "TIMESTAMP WITH TIME ZONE", "Glyph .* missing from font",
    "company currency", "home currency", "base currency", "no currency", "(converted) currency", "each channel",
    'history.bad_rows = "leave out"', 'history.fractions = "round" where conversions were shared out', "General",
    "[plan] target = { revenue = 240_000 }, or { won = 45 }", "Print the version and leave.", "Nothing was written.",
    "  Number (0: leave it open)", "  (empty: leave it open)", "interrupted; no outputs were written", "optimal, to",
    "could not be displayed", "first period", "last period", "a limit", "best found", "current plan kept",
    "current plan held", "cv of the delay", "the verdict is FAIL", "the plan is not the recommended one", EXIT_CODES,
    "The report shows boxes for signs that no font here has; report.xlsx holds every name in full.",
    "{path}: the record cannot be written ({reason}); give another one with --record",
}  # fmt: skip
# Words that stand alone in small letters, in places that show them as they are.
WORDS = (
    " to ", "{year:d}-{month:02d}", "{year:d}-{month:02d}-{day:02d}",
    "expected contribution", "expected revenue inside the horizon", "PASS", "REVIEW", "FAIL", "UNKNOWN", "total",
    "preview", "sampling", "divergences", "scatter", "written", "columns", "periods", "currency", "outcome", "joined",
    "left out", "current", "recommended", "below", "above", "none", "and", "expected value", "capacity", "cost",
    "P(win)", "P(below)", "P(target)", "totals", "extrapolation", "encoding", "delimiter", "numbers", "dates", "sheet",
    "header",    "comma", "semicolon", "tab", "counts", "deals", "changes", "activity", "plan", "retention", "year",
    "row {n}", "row {row}", "{row} ({value})", "{n:whole} rows, first: {rows}", "bar", "wins", "days", "other",
    "(default)", "all", "yes", "chance", "database", "files", "snapshot", "lead {row}", "a row without an id",
    "{row} of file {n}", "{n:whole}, {first:clean} to {last:clean}", "{n:whole} bytes of answers left the database",
    "spend planned then", "spend as last year", "rates", "season", "won, %",
    "{amount:exact} {measure:stage} by {by:period}",
)  # fmt: skip


def catalogue(language: str) -> Catalog:
    """All templates of the code as a catalogue without translations."""
    made = Catalog(
        locale=language, project="growth-forecast", version="1", domain=DOMAIN, fuzzy=False, charset="utf-8",
        header_comment="# Texts of growth-forecast; brought up to date by `make catalogue`.",
        creation_date=WHEN, revision_date=WHEN, last_translator="", language_team="",
    )  # fmt: skip
    for each in templates():
        key = (each.one, each.many) if each.many else each.one
        made.add(key, locations=[(f"forecast/{each.file}", 0)], context=each.context or None)
    return made


def _key(message: Message) -> tuple[str, str]:
    one = message.id if isinstance(message.id, str) else message.id[0]
    return one, message.context or ""


def updated(language: str) -> Catalog:
    """The catalogue of a language with every template of the code, and no others; translations are kept.

    Those of templates that are gone stay at the end, marked as obsolete: one that comes back finds its translation.
    """
    path = CATALOGUES / language / f"{DOMAIN}.po"
    made = catalogue(language)
    if path.is_file():
        with path.open("rb") as file:
            old = read_po(file, locale=language)
        memory = {_key(message): message for message in (*old.obsolete.values(), *old) if message.id}
        for message in made:
            known = memory.pop(_key(message), None) if message.id else None
            if known is not None and isinstance(known.id, str) == isinstance(message.id, str):
                message.string = known.string
        made.obsolete.update({str(key): gone for key, gone in sorted(memory.items()) if gone.string})
        made.mime_headers  # noqa: B018 - sets the plural forms
    return made


def write(language: str, made: Catalog) -> None:
    """The catalogue and its compiled form, the same bytes each time."""
    folder = CATALOGUES / language
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{DOMAIN}.po").open("wb") as file:
        write_po(file, made, width=118, omit_header=False, include_lineno=False, sort_by_file=False)
    with (folder / f"{DOMAIN}.mo").open("wb") as file:
        write_mo(file, made)


def main() -> None:
    """Bring every catalogue up to date."""
    parser = argparse.ArgumentParser(description="Bring the catalogues up to date with the code.")
    parser.add_argument("--new", metavar="LANGUAGE", help="begin a catalogue of this language")
    asked = parser.parse_args()
    known = sorted(path.parent.name for path in CATALOGUES.glob(f"*/{DOMAIN}.po"))
    for language in dict.fromkeys([*known, *([asked.new] if asked.new else [])]):
        made = updated(language)
        write(language, made)
        missing = [
            m for m in made if m.id and not (all(m.string) if isinstance(m.string, tuple) else m.string)
        ]
        sys.stdout.write(f"{language}: {len(made)} templates, {len(missing)} without translation\n")


if __name__ == "__main__":
    main()
