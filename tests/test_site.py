"""The site of the documentation: what must hold of the pages, and of what is built from them.

What the build itself refuses (a link into nothing, a page outside of all contents, an equation that is none) is not
asked again: it is built with warnings as errors.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from urllib.parse import unquote, urlsplit

import pictures
import pytest
from browser_fixture import browser, needs_browser

import forecast
from forecast.words import number, percent

ROOT = Path(forecast.__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("*/README.md")),
    *sorted(DOCS.glob("*.md")),
]
CONTENTS = re.findall(
    r"^```\{toctree\}\n(.*?)^```$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
NAMES = re.findall(
    r"^```\{names\} (\S+)\n((?::all:\n)?)(?::given:\n)?(.*?)^```$",
    (DOCS / "reference.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
IMPORTS = re.compile(r"^\s*from (forecast[\w.]*) import \(?([\w, \n]+)\)?$", re.MULTILINE)
needs_sphinx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="Sphinx (`make test-outside`)",
)


def _code(page: Path) -> str:
    """The Python that a page shows."""
    found = re.findall(
        r"^```(?:python|pycon)[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return re.sub(r"^(?:>>>|\.\.\.) ?", "", "\n".join(found), flags=re.MULTILINE)


def test_every_page_stands_in_the_contents_once():
    """A page that docs/index.md does not list is found by nobody."""
    lines = [line for block in CONTENTS for line in block.split("\n\n", 1)[1].split()]
    listed = [line for line in lines if (DOCS / f"{line}.md").exists()]
    assert sorted(listed) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


def test_the_api_reference_has_every_public_name():
    """Each name of `forecast` once, a module with its own names, and of folders those that a page imports."""
    listed: dict[str, list[str]] = {module: [] for module, _, _ in NAMES}
    for module, every, names in NAMES:
        listed[module] += dir(resolve_name(module)) if every else names.split()
    public = {name for name in forecast.__all__ if name != "__version__"}
    assert sorted(listed["forecast"]) == sorted(name for name in public if f"forecast.{name}" not in listed)
    for page in PAGES:
        for module, names in IMPORTS.findall(_code(page)):
            for name in re.findall(r"\w+", names):
                if f"{module}.{name}" in listed:  # a folder, whose names are used behind its own
                    used = re.findall(rf"\b{name}\.([a-zA-Z_]\w*)", _code(page))
                    assert set(used) <= set(listed[f"{module}.{name}"]), f"{page.name} uses names of {name}"
                    continue
                assert name in listed.get(module, ()), f"{page.name} imports {name} of {module}"
    for module, names in listed.items():
        assert set(names) <= set(dir(resolve_name(module)))


def test_every_picture_says_what_it_shows():
    """Each picture of a page has a text in its place, for whoever cannot see it."""
    shown = [
        text for page in PAGES for text in re.findall(r"!\[([^\]]*)\]\(", page.read_text(encoding="utf-8"))
    ]
    assert shown
    assert all(len(text) > 10 for text in shown)


@pytest.mark.parametrize("name", pictures.SHOWN)
def test_pictures_are_those_of_the_sample(name):
    """A picture shows the sample as it is now (`make pictures`), and is small."""
    picture = DOCS / "pictures" / name
    assert pictures.source_of(picture) == pictures.hash_of(
        ROOT / "reports" / "sample" / pictures.SHOWN[name][0]
    )
    assert picture.stat().st_size < 200_000


def test_bands_are_read_on_numbers_of_the_sample():
    """The numbers that docs/bands.md reads aloud are those of the pictures beside them."""
    headline = json.loads((ROOT / "reports" / "sample" / "summary.json").read_text(encoding="utf-8"))[
        "headline"
    ]
    page = (DOCS / "bands.md").read_text(encoding="utf-8")
    mean, low, high, gain = (
        number(headline[key]) for key in ("revenue_mean", "revenue_q10", "revenue_q90", "gain_mean")
    )
    read = [
        f"expected {mean}",
        f"{low} to {high} (80",
        f"target {percent(headline['p_target'])}",
        f"gain {gain}",
    ]
    assert all(re.sub(r"[\u202f\xa0]", " ", said) in page for said in read)


# The site, built


class Page(HTMLParser):
    """Of a page of the site: where its links lead, what it loads, which places it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up what a tag says."""
        given = dict(attrs)
        self.places |= {value for key, value in attrs if key in ("id", "name") and value}
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "shortcut icon", "preload"):
            self.loads.append(str(given["href"]))
        elif given.get("src"):
            self.loads.append(str(given["src"]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make site` builds it, which fails on a warning."""
    folder = tmp_path_factory.mktemp("site") / "site"
    said = subprocess.run(
        ["sh", "tools/site.sh", sys.executable, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Its pages by path."""
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


@needs_sphinx
@pytest.mark.outside
def test_every_link_of_the_site_leads_somewhere(site, pages):
    """Links within the site: the file is there, and the place in it. Links to elsewhere are listed, never followed."""
    broken, elsewhere = [], set()
    for path, page in pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                elsewhere.add(link)
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not to.exists() or (place and to.suffix == ".html" and place not in pages[to].places):
                broken.append(f"{path.relative_to(site)}: {link}")
    print("\n".join(sorted(elsewhere)))  # noqa: T201  # with -s
    assert len(pages) > len(PAGES)
    assert not broken


@needs_sphinx
@pytest.mark.outside
def test_the_site_asks_nobody_for_anything(site, pages):
    """No page loads a script, a style, a font or an image from elsewhere, nor does a style sheet."""
    asked = [
        load
        for page in pages.values()
        for load in page.loads
        if urlsplit(load).scheme or load.startswith("//")
    ]
    sheets = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    asked += [
        found
        for sheet in sheets
        for found in re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)'\"]+", sheet)
    ]
    assert sheets
    assert not asked


@needs_sphinx
@pytest.mark.outside
def test_the_site_says_nothing_of_the_machine_that_built_it(site):
    """No path of the place where it was built stands in it."""
    for file in site.rglob("*"):
        if file.suffix in {".html", ".js", ".css"}:
            assert str(ROOT) not in file.read_text(encoding="utf-8"), file


@needs_sphinx
@needs_browser
@pytest.mark.outside
def test_a_browser_opens_the_site_from_a_disk(site):
    """Pages open without a server: nothing but files is asked for, equations are drawn, and the search finds a word."""
    asked: list[str] = []
    said: list[str] = []
    with browser() as found:
        page: Any = found.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.wait_for_url("**/docs/index.html")
        for name in ("README", "docs/first-forecast", "docs/reference"):
            page.goto((site / f"{name}.html").as_uri())
        page.goto((site / "docs" / "method.html").as_uri())
        equations = page.evaluate(
            "[...document.querySelectorAll('.equation math')].map(e => e.getBoundingClientRect().height)"
        )
        page.goto((site / "search.html").as_uri() + "?q=carry-over")
        page.wait_for_selector("#search-results li a")
    assert equations
    assert min(equations) > 0
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)


@needs_sphinx
@pytest.mark.outside
def test_docstrings_become_what_sphinx_reads():
    """The examples of docs/extensions/, which has a module that only Sphinx can load."""
    code = "import plain_docstrings, doctest; print(*doctest.testmod(plain_docstrings))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS / "extensions", capture_output=True, text=True, check=True
    )
    failed, tried = said.stdout.split()
    assert (failed, tried > "0") == ("0", True)
