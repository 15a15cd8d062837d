"""Notebooks that come along: `forecast notebook NAME STUDY` runs one, and keeps it as HTML with what it wrote.

    listed       the notebooks (`checking.BOOKS`), with what each is for
    parameters   the names that a notebook's cell tagged `parameters` sets, with their values
    with_values  that cell with other values
    run          the whole: parameters set, cells run in a kernel of this Python, the page written

A notebook is text until it is run. Its kernel is a process of its own, with this interpreter and this package, and
nothing of what the user has set for notebooks at large (profiles, start-up files, kernels of other environments).
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forecast import errors, stopping, written
from forecast.checking import BOOKS, Done, bundled, spoken_by
from forecast.errors import ForecastError, UsageError
from forecast.outputs import SUMMARY_FILE
from forecast.progress import Progress, Silent
from forecast.report import notebook_page
from forecast.study import load_study
from forecast.words import clean

NEEDS = ("jupytext", "nbclient", "nbconvert", "ipykernel")  # the extra "notebook"
TAG = "parameters"
SUFFIXES = (".py", ".ipynb")


def run(
    name: str,
    study: Path,
    *,
    out: Path | None = None,
    seed: int | None = None,
    draws: int | None = None,
    overrides: Sequence[str] = (),
    given: Sequence[str] = (),
    code: bool = True,
    progress: Progress | None = None,
) -> Done:
    """Run a notebook of `BOOKS`, or a file, on a study; its page and what it writes lie in `out`.

    out: reports/STUDY-NAME, where None. given: further parameters, NAME=VALUE each. code: whether the page shows it.
    Where a cell fails no page is written, and its error is raised as the kind that it was, else ForecastError.
    Raises UsageError for a notebook or a parameter that is not there.
    """
    path = found(name)
    check_installed()
    loaded = load_study(study, overrides)
    folder = out or Path("reports") / f"{loaded.name}-{path.stem}"
    page = f"{path.stem}.html"
    written.check(folder, [page], inputs=loaded.inputs)
    home = None if name in BOOKS else path.parent
    asked: dict[str, Any] = {"STUDY": _seen(study, home), "OUT": _seen(folder, home)}
    asked |= {"SEED": seed} if seed is not None else {}
    asked |= {"DRAWS": draws} if draws is not None else {}
    asked |= {"SET": list(overrides)} if overrides else {}
    book = _read(path)
    cell = _tagged(book, path)
    cell.source = with_values(cell.source, asked | _given(given), of=path.name, free=("OUT",))
    summary = folder / SUMMARY_FILE
    before = _written_at(summary)
    _execute(book, path.name, home or Path(), progress or Silent())
    made = notebook_page(book, title=f"{_title(book)} · {loaded.name}", code=code)
    files = {page: lambda place: place.write_bytes(made)}
    written.write(folder, files, command="notebook", inputs=loaded.inputs)
    status = json.loads(summary.read_bytes())["verdict"]["status"] if _written_at(summary) > before else None
    told = {"notebook": path.stem, "page": folder / page, "folder": folder, "verdict": status}
    return Done(told, folder, None, spoken_by(loaded))


def _seen(path: Path, home: Path | None) -> str:
    """A path as it was typed, or as a notebook of the user's sees it from its folder."""
    return path.as_posix() if home is None else written.relative(path, home)


def found(name: str) -> Path:
    """The script of a notebook: one of `BOOKS`, or a file of the user's. Raises UsageError."""
    if name in BOOKS:
        return bundled(f"{name}.py")
    path = Path(name)
    if path.suffix in SUFFIXES and path.is_file():
        return path
    raise UsageError(
        f"there is no notebook {clean(name)}: name one of {', '.join(BOOKS)}, or a file (.py or .ipynb)"
    )


def check_installed() -> None:
    """Raises UsageError, with the command that installs them, where packages that run a notebook are missing."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UsageError(
            f'to run a notebook takes the extra "notebook", of which {", ".join(missing)} cannot be found here; '
            f"install it:\n  {sys.executable} -m pip install {' '.join(NEEDS)}"
        )


# ---------------------------------------------------------------------------------------------------------- parameters


def parameters(source: str) -> dict[str, Any]:
    r"""The names that a cell sets to plain values, in their order.

    >>> parameters('STUDY = "a.toml"  # which\nDRAWS = 4000')
    {'STUDY': 'a.toml', 'DRAWS': 4000}
    """
    return {name: ast.literal_eval(value) for name, value in _assigned(source)}


def with_values(source: str, given: Mapping[str, Any], *, of: str = "", free: Sequence[str] = ()) -> str:
    r"""The cell with values of its own in place of those that it has; comments stay.

    A text stands for a value of the kind that the cell has. free: names that the cell need not have. Raises UsageError
    for another name that it does not set, and for a text that is no such value.

    >>> print(with_values("SEED = 1  # of chance\nLAST = 3", {"LAST": "6"}))
    SEED = 1  # of chance
    LAST = 6
    """
    places = dict(_assigned(source))
    known = parameters(source)
    for name in given:
        if name not in known and name not in free:
            raise UsageError(f"{of}: has no parameter {clean(name)}; it has {', '.join(known) or 'none'}")
    lines = source.encode().split(b"\n")
    for name, value in sorted(places.items(), key=lambda place: -place[1].lineno):
        if name in given:
            first, last = value.lineno - 1, (value.end_lineno or value.lineno) - 1
            put = repr(_as_kind(name, given[name], known[name]))
            put = put if '"' in put else put.replace("'", '"')  # the quotes of the house
            before, after = lines[first][: value.col_offset], lines[last][value.end_col_offset :]
            lines[first : last + 1] = [before + put.encode() + after]
    return b"\n".join(lines).decode()


def _assigned(source: str) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _as_kind(name: str, value: Any, default: Any) -> Any:
    """A value that was typed as one of the kind that stands there."""
    if not isinstance(value, str) or isinstance(default, str):
        return value
    try:
        read = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        read = value
    if default is None or type(read) is type(default):
        return read
    if isinstance(default, float) and type(read) is int:
        return float(read)
    kinds = {bool: "True or False", int: "a whole number", float: "a number", list: "a list, as in Python"}
    what = kinds.get(type(default), f"a {type(default).__name__}")
    raise UsageError(f"--parameter {name}: expected {what}, such as {default!r}; got {clean(value)}")


def _given(texts: Sequence[str]) -> dict[str, str]:
    split = [text.partition("=") for text in texts]
    for name, sign, _ in split:
        if not (sign and name.strip().isidentifier()):
            raise UsageError(f"--parameter {clean(name)}: expected NAME=VALUE")
        if name.strip() in ("STUDY", "OUT"):
            raise UsageError(
                f"--parameter {clean(name)}: the study is the argument STUDY, the folder is --out"
            )
    return {name.strip(): value for name, _, value in split}


# ------------------------------------------------------------------------------------------------------------- running


def _read(path: Path) -> Any:
    import jupytext

    try:
        book = jupytext.read(path)
    except Exception as error:
        raise UsageError(f"{path}: cannot be read as a notebook ({clean(str(error))})") from error
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number + 1}"  # else chance: the same notebook is to be the same bytes
    return book


def _tagged(book: Any, path: Path) -> Any:
    for cell in book.cells:
        if cell.cell_type == "code" and TAG in cell.metadata.get("tags", []):
            return cell
    raise UsageError(
        f'{path}: has no cell tagged "{TAG}", which sets STUDY: # %% tags=["{TAG}"] above it in a script'
    )


def _title(book: Any) -> str:
    heads = [_heading(cell) for cell in book.cells]
    return next((head for head in heads if head), "Notebook")


def _heading(cell: Any) -> str:
    """The last heading of a cell of text, without its signs."""
    heads = (
        re.findall(r"^#+\s+(.+)$", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else []
    )
    return clean(heads[-1]) if heads else ""


def _execute(book: Any, name: str, home: Path, progress: Progress) -> None:
    """Run every cell in a kernel of this Python. Raises the error of a cell as `_failed` tells it."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    at = {"cell": 0}
    total = len(book.cells)

    def on_start(cell: Any, cell_index: int) -> None:
        at["cell"] = cell_index
        if head := _heading(cell):
            progress.step(head)
        progress.update(cell_index, total)

    progress.step("starting a kernel")
    with _kernel() as kernel:
        client = NotebookClient(
            book,
            km=kernel,
            timeout=None,
            record_timing=False,
            extra_arguments=["--InlineBackend.figure_formats={'retina'}"],
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(home)}},
            on_cell_start=on_start,
        )
        try:  # in a thread of its own: in the first one it would take over Ctrl-C and SIGTERM, which `stopping` hears
            with ThreadPoolExecutor(1) as thread:
                thread.submit(
                    client.execute, env=_environment(), stderr=subprocess.DEVNULL, cleanup_kc=True
                ).result()
        except CellExecutionError as error:
            raise _failed(book, name, at["cell"], error) from None
        except DeadKernelError:
            raise _told(
                book, name, at["cell"], "its process ended, as where memory runs out: try fewer draws"
            ) from None


def _environment() -> dict[str, str]:
    """Of the kernel: this package first, no start-up files of the user's."""
    own = str(Path(__file__).parents[1])
    paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSTARTUP": ""}


@contextmanager
def _kernel() -> Iterator[Any]:
    """A kernel of this interpreter, whichever are installed for the user; its files go with it."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class Own(KernelSpecManager):
        """The one kernel that there is."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(
                argv=argv, display_name=kernel_name, language="python", env={"IPYTHONDIR": place}
            )

    with stopping.scratch() as place:
        yield AsyncKernelManager(
            kernel_spec_manager=Own(),
            connection_file=str(Path(place) / "kernel.json"),
            transport="tcp" if os.name == "nt" else "ipc",  # no port that others of the machine can see
        )


def _failed(book: Any, name: str, number: int, error: Any) -> ForecastError:
    """The error of a cell as a message: the line, and what it says; with the exit code of its kind where it is ours."""
    kind = getattr(errors, error.ename, None)
    ours = isinstance(kind, type) and issubclass(kind, ForecastError)
    cell = book.cells[number]
    frames = [
        line for out in cell.outputs for line in _plain("\n".join(out.get("traceback", []))).split("\n")
    ]
    line = next((found[1] for text in frames if (found := re.match(r"-+> *\d+ (.*)", text))), "")
    code = (line or cell.source.strip().split("\n")[-1]).strip()
    said = _plain(error.evalue) if ours else f"{error.ename}: {_plain(error.evalue)}"
    made = _told(book, name, number, f"{code}\n  {said}")
    made.exit_code = kind.exit_code if ours and kind is not None else ForecastError.exit_code
    return made


def _told(book: Any, name: str, number: int, said: str) -> ForecastError:
    heads = [head for head in map(_heading, book.cells[:number]) if head]
    where = f" ({heads[-1]})" if heads else ""
    return ForecastError(
        f"{name}: cell {number + 1} of {len(book.cells)}{where} failed; no page was written\n  {said}"
    )


def _plain(text: str) -> str:
    """Without the signs that colour a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def listed() -> list[dict[str, str]]:
    """The notebooks that come along, by name."""
    return [{"name": name, "for": text} for name, text in BOOKS.items()]


def list_text() -> str:
    """The same, a line each."""
    width = max(map(len, BOOKS))
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in BOOKS.items())
