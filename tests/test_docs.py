"""The documentation under test: every command is described, every shown output is what is printed.

Blocks are marked by what stands after their language:

    console run        each `$ forecast ...` prints just what is shown, and ends well
    console run=3      the same for a command that ends with that exit code; its message is shown
    console run slow   the same among the slow tests; commands of a block follow each other in one folder, and what is
                       shown as `...` alone is not compared
    csv file=NAME      (any language) the block is a file, there for the commands of the page
    toml               a study, or a part of one: it loads
    pycon run          lines at the Python prompt, checked as one doctest a page; `pycon run outside` another one,
                       in a while (`make test-outside`)
    python run outside the blocks of a page are one program, that has to end well (`make test-outside`)
"""

from __future__ import annotations

import doctest
import re
import shlex
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import cli_reference
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import forecast
from forecast.__main__ import main
from forecast.study import (
    KEYS,
    PRESETS,
    ROLES,
    TOOLS,
    ChangeSpec,
    DelayChangeSpec,
    FactorSpec,
    RecoverSpec,
    Study,
    load_study,
)

ROOT = Path(forecast.__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "models/README.md")),
    *sorted(DOCS.glob("*.md")),
]
RUNNABLE = re.compile(r"^```console run(?:=(\d+))?( slow)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^```python run outside\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPTS = re.compile(r"^```pycon run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONG_PROMPTS = re.compile(r"^```pycon run outside\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _examples() -> list[Any]:
    """(page, commands with what they show, exit code) of each block that opens with ```console run."""
    found = []
    for page in PAGES:
        for code, slow, block in RUNNABLE.findall(_text(page)):
            parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
            shown = [part.replace("\\\n", " ").partition("\n")[::2] for part in parts]
            marks = [pytest.mark.slow] if slow else []
            found.append(
                pytest.param(
                    _name(page), shown, int(code or 0), id=f"{_name(page)} {shown[0][0]}", marks=marks
                )
            )
    return found


EXAMPLES = _examples()
SNIPPETS = [(_name(page), i, text) for page in PAGES for i, text in enumerate(TOML.findall(_text(page)))]


@pytest.mark.parametrize("command", cli_reference.command_names())
@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_every_command_is_described(command, page):
    """A command that is not in the README and the reference does not exist for a user."""
    assert f"forecast {command}" in (ROOT / page).read_text(encoding="utf-8")


def test_the_reference_is_up_to_date():
    """docs/cli.md is what the commands' own help says now; `make docs` writes it."""
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == cli_reference.reference()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/stability.md"])
def test_files_and_targets_that_are_named_exist(page):
    """Paths of tests and of the package, names of tests, targets of make."""
    text = _text(ROOT / page)
    places = re.findall(r"`((?:tests|forecast|tools)/[\w./]+?)(?: -q)?`", text)
    files = re.findall(r"`((?:[a-z]+/)*[a-z_]+\.py)`", text)
    assert places or files
    assert not [place for place in places if not (ROOT / place).exists()]
    assert not [f for f in files if not any((ROOT / top / f).exists() for top in ("", "forecast"))]
    made = set(re.findall(r"^([a-z-]+)(?: [a-z]+)*:", _text(ROOT / "Makefile"), re.MULTILINE)) | {"sdist"}
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= made
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name in re.findall(r"`(test_\w+)(?:\[\w+\])?`", text) if f"def {name}(" not in tests]


def test_there_are_examples_to_run():
    """The README shows the funnel with its output."""
    shown = [
        command
        for page, block, _ in (each.values for each in EXAMPLES)
        if page == "README.md"
        for command, _ in block
    ]
    assert any("forecast funnel" in command for command in shown)


@pytest.mark.parametrize(("page", "block", "code"), EXAMPLES)
def test_shown_output_is_real(page, block, code, tmp_path, monkeypatch, capsys):
    """Each example prints, from a folder with the files of its page, exactly what the page shows.

    In this process, whose start would cost more than most examples: what a process of its own adds to the command is
    tested with the command (tests/test_cli.py, tests/test_end_to_end.py).
    """
    for name, content in FILES.findall(_text(ROOT / page)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for command, shown in block:
        program, *args = shlex.split(command)
        assert program == "forecast", "only our own command is run from a page"
        monkeypatch.setattr(sys, "argv", [program, *args])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        assert shown in ("...\n", said.err if code else said.out)


def _with(blocks):
    return [page for page in PAGES if blocks.search(_text(page))]


@pytest.mark.outside
@pytest.mark.parametrize("page", _with(LONG_PROMPTS), ids=_name)
def test_long_python_prompts_are_real(page, tmp_path, monkeypatch):
    """The same of what takes more than a moment."""
    import matplotlib as mpl

    mpl.use("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of plots of others
        _asked_again(LONG_PROMPTS, page, tmp_path, monkeypatch, _Drawn())


@pytest.mark.parametrize("page", _with(PROMPTS), ids=_name)
def test_python_prompts_are_real(page, tmp_path, monkeypatch):
    """Every line at the Python prompt of a page shows what Python answers."""
    _asked_again(PROMPTS, page, tmp_path, monkeypatch)


class _Drawn(doctest.OutputChecker):
    """Numbers of a few hundred draws: as shown, or within 15 % of it, or two steps of their last place.

    Another processor rounds the last bit of a logarithm otherwise, after which other draws are chosen. The mean of 400
    draws is known to some 4 %, an end of a band to 6 %.
    """

    NUMBER = re.compile(r"(?<![\d-])-?\d+(?:\.\d+)?(?![\d-])")  # no months

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether what came is what is shown."""
        if super().check_output(want, got, optionflags):
            return True
        pairs = list(zip(self.NUMBER.findall(want), self.NUMBER.findall(got), strict=False))
        alike = super().check_output(self.NUMBER.sub("#", want), self.NUMBER.sub("#", got), optionflags)
        return alike and want.count("...") == 0 and all(self._near(*pair) for pair in pairs)

    @staticmethod
    def _near(shown: str, came: str) -> bool:
        last = int(Decimal(shown).normalize().as_tuple().exponent)
        return abs(float(shown) - float(came)) <= max(0.15 * abs(float(shown)), 2.0 * 10.0**last)


def _asked_again(blocks, page, tmp_path, monkeypatch, checker=None):
    monkeypatch.chdir(tmp_path)
    lines = "\n".join(blocks.findall(_text(page)))
    test = doctest.DocTestParser().get_doctest(lines, {}, _name(page), str(page), 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(checker, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(test, out=said.append)
    assert test.examples
    assert not said, "".join(said)


@pytest.mark.outside
def test_an_outsiders_model_goes_through_forecast_and_budget(tmp_path, monkeypatch, capsys):
    """The blocks of docs/extending.md run as they stand, and the forecast differs as it should.

    The sale that was put into the data is found; December has it, the months beside it do not.
    """
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    page: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in PROGRAM.findall(_text(DOCS / "extending.md")):
            exec(compile(block, "docs/extending.md", "exec"), page)  # noqa: S102 - what is tested
    assert "sale --> term" in page["pm"].model_to_mermaid(page["model"])
    found = page["trace"].posterior["sale"]
    assert abs(float(found.mean()) - np.log(1.5)) < 3.0 * float(found.std())
    ratio = page["visitors"](page["made"]) / page["visitors"](page["plain"])
    np.testing.assert_allclose(ratio, [1.0, float(np.exp(found).mean()), 1.0], rtol=0.03)
    assert list(page["made"].known["name"]) == ["December sale"]
    own, plain = (page["money"](page[each]) for each in ("made", "plain"))
    assert sum(own.values()) == pytest.approx(sum(plain.values()), rel=1e-3)
    assert own["ppc"] > 1.02 * plain["ppc"]
    assert "December sale" in capsys.readouterr().out


@pytest.mark.parametrize(("page", "number", "text"), SNIPPETS)
def test_every_study_shown_loads(page, number, text, tmp_path):
    """A study on a page is valid as it stands; a part of one is valid in a study that has the rest."""
    head = "" if re.search(r"^name\s*=", text, re.MULTILINE) else 'name = "part"\n'
    tail = "" if "[history" in text else '\n[history]\ncounts = "history.csv"\n'
    path = tmp_path / "study.toml"
    path.write_text(head + text + tail, encoding="utf-8")
    assert load_study(path).name


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    """Every relative link of a page names a file or folder that is there."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", _text(page))
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_name_of_a_preset_is_documented(preset):
    """The table of presets holds each column name that a preset looks for."""
    rows = [line for line in _text(DOCS / "data.md").splitlines() if line.startswith("| ")]
    position = list(PRESETS).index(preset) + 2
    shown = {
        name for row in rows if row.count("|") == 5 for name in row.split("|")[position].strip().split(", ")
    }
    known = PRESETS[preset]
    names = {name for names in known.columns.values() for name in names}
    more = {name for given in vars(known).values() if isinstance(given, tuple) for name in given}
    assert names | more <= shown


@pytest.mark.parametrize("tool", TOOLS)
def test_every_name_of_a_tool_is_documented(tool):
    """The table of tools holds each column name that a tool's export is known by."""
    page = _text(DOCS / "data.md")
    titles = [title for names in TOOLS[tool].columns.values() for title in names]
    titles += [title for key in TOOLS[tool].keys for title in KEYS[key]]
    absent = [title for title in titles if title not in page]
    assert not absent


# The table of study keys


def _table_in(annotation: object) -> type[BaseModel] | None:
    """The table of the study that an annotation holds, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    parts = getattr(annotation, "__args__", ())
    return next((found for part in parts if (found := _table_in(part))), None)


def _keys(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Every key of a study by its dotted name; NAME, STAGE and COLUMN stand for names that the user gives."""
    names = {"channels": "NAME", "limits": "NAME", "delay": "STAGE", "rate": "STAGE", "columns": "COLUMN"}
    names |= {
        "exchange": "CURRENCY",
        "spend_columns": "CHANNEL",
        "reached": "STAGE",
        "when": "COLUMN",
        "lots": "NAME",
        "fees": "NAME",
        "period_caps": "PERIOD",
        "recover": "STAGE",
        "units": "STAGE",
    }
    found: dict[str, FieldInfo] = {}
    for field, info in model.model_fields.items():
        if field in {"folder", "path"} or (prefix == "history.read." and field in ROLES):
            continue
        named = (
            field in names
            and prefix not in ("budget.group.", "nurturing.")
            and prefix + field
            not in ("scenario.channels", "event.channels", "change.channels", "history.source.channels")
        )
        key = prefix + (info.alias or field) + (f".{names[field]}" if named else "")
        inner = _table_in(info.annotation)
        alone = field == "retention" or (field == "read" and prefix == "history.source.")
        alone |= inner in (ChangeSpec, DelayChangeSpec, FactorSpec, RecoverSpec)
        found |= {key: info} if inner is None or alone else _keys(inner, f"{key}.")
    return found


def _default(key: str, info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    if value is None or key.endswith((".STAGE", ".COLUMN", ".NAME", ".PERIOD", ".CURRENCY", ".CHANNEL")):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return f"{value[0]:g}"  # a range that is a single number
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{part}"' for part in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def test_the_guide_lists_every_key_with_its_default():
    """The table of keys in the guide has each key of a study once, in order, with the default that the code has."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| [^|]+ \| `?([^|]*?)`? \| [^|]+ \|$", _text(DOCS / "guide.md"), re.MULTILINE
    )
    assert rows == [(key, _default(key, info)) for key, info in _keys(Study).items()]
