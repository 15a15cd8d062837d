"""whatif.html as it is written: one file, no request, nothing of what people typed is markup, and the run's numbers."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np
import pytest
from posterior_fixture import PLAN, TWO, case, history, posterior, rich, study

from forecast.planning import Forecast
from forecast.report import whatif
from forecast.report.files import write_outputs
from forecast.report.whatif import whatif_page
from forecast.speech import languages
from forecast.study import load_study
from forecast.words import speaking
from tests.tables_fixture import HOSTILE, STEERING, plausible_tables

ASKED = {"economics": {"gross_margin": 0.6}, "plan": {"target": {"revenue": 90_000}}}


@pytest.fixture(scope="module")
def made() -> Forecast:
    """A company of two channels, delays, noise and carry-over, with a target."""
    known, past = rich()
    return Forecast(case(known, past, PLAN, study(**ASKED)))


@pytest.fixture(scope="module")
def page(made) -> str:
    """Its page."""
    return whatif_page(made).decode()


def block(page: str) -> dict:
    """The data of a page."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )


def decoded(data: dict) -> dict[str, np.ndarray]:
    """The cells of a page, (draw, cell), before they are taken back from logs and logits."""
    blocks = {name: base64.b64decode(data[name]) for name in ("ends", "codes8", "codes16")}
    ends = np.frombuffer(blocks["ends"], "<f4").reshape(-1, 2).astype(float)
    codes = {8: np.frombuffer(blocks["codes8"], "u1"), 16: np.frombuffer(blocks["codes16"], "<u2")}
    found, cell, at = {}, 0, {8: 0, 16: 0}
    for name, count, bits, _ in data["fields"]:
        values = np.zeros((data["draws"], count))
        for i in range(count):
            low, high = ends[cell]
            cell += 1
            values[:, i] = low
            if high > low:
                code = codes[bits][at[bits] : at[bits] + data["draws"]]
                values[:, i] += (high - low) * code / (2**bits - 1)
                at[bits] += data["draws"]
        found[name] = values
    assert cell == len(ends)
    assert {bits: len(codes[bits]) for bits in codes} == at
    return found


def test_the_policy_allows_what_stands_in_the_file_and_nothing_else(page):
    """One style, one script, by their hashes; no address but the name of SVG, no handler, no style of an element."""
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        inside = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"<[^>]*\s(on\w+|style|src|href)=", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    )
    assert not re.search(r"innerHTML|insertAdjacentHTML|eval\(|fetch\(|XMLHttp|import\(", page)


def test_the_same_bytes_each_time(made, page):
    """Two pages of one forecast are one."""
    assert whatif_page(made).decode() == page


def test_every_place_is_filled_and_every_text_is_said(page):
    """No place of a template is left, the script asks for no text that is not there, and none is there in vain."""
    assert not re.search(r"\{\{\w+\}\}", page)
    texts, script = block(page)["texts"], re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    asked = set(re.findall(r"\bT\.(\w+)", script))
    assert asked == set(texts)
    assert set(re.findall(r"\bM\.(\w+)", script)) == set(block(page)["marks"])
    for name in re.findall(r'\$\("(\w+)"\)', script):
        assert f'id="{name}"' in page, name


def test_the_numbers_at_the_plan_are_those_of_the_summary(made, page):
    """What the page multiplies its statistics to is what summary.json says."""
    run, told = block(page)["run"]["given"], made.told()
    head = told["headline"]
    for measure in ("revenue", "won"):
        for name in ("mean", "q10", "q50", "q90"):
            assert run[measure][-1][name] == pytest.approx(head[f"{measure}_{name}"], rel=1e-12)
    assert run["target"] == head["p_target"]
    assert run["cac"][0]["mean"] == told["economics"]["cac"]["mean"]
    assert run["ltv_cac"][0] == told["economics"]["ltv_cac"]
    margin, spend = 0.6, PLAN.sum()
    assert margin * run["eventual"][0]["mean"] - spend == pytest.approx(
        next(row["mean"] for row in told["totals"] if row["measure"] == "contribution")
    )


def test_draws_are_kept_to_half_a_step_of_their_cell(made, page):
    """8 bits between the least and the most of a cell; chance has 16."""
    found, own = decoded(block(page)), made.ingredients
    for name, values in own.draws.items():
        cells = values.reshape(len(values), -1)
        if name.startswith("rate_"):
            cells = np.log(cells / (1.0 - cells))
        step = np.ptp(cells, axis=0) / 255
        assert (np.abs(found[name] - cells) <= 0.51 * step + 1e-6 * np.abs(cells) + 1e-9).all(), name
    for name, values in own.chance.items():
        cells = values.reshape(len(values), -1)
        assert (
            np.abs(found[f"chance_{name}"] - cells).max() <= 0.51 * np.ptp(cells) / 65535 + 1e-6 * cells.max()
        )


def test_names_are_text_and_nothing_more(tmp_path):
    """Names that would be markup, script or a turn of direction are data; the TOML has them as they are typed."""
    names = (*HOSTILE, *STEERING, "</script><script>alert(1)</script>", "]]>", "<!--", 'a"b\\c')
    shape = np.ones(len(names))
    past = history({name: values[0] * shape for name, values in TWO.items()}, channels=names)
    known = posterior(past, {"leads": 0.05, "qualified": 0.4, "won": 0.25}, draws=100)
    page = whatif_page(Forecast(case(known, past, np.full((3, len(names)), 1000.0)))).decode()
    data = block(page)
    assert data["raw_names"] == list(names)
    assert page.count("<script") == page.count("</script>") == 2
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "alert" not in markup
    assert not any(sign in page for sign in "\x1b\u202e\u2028\x07")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"economics": {"capacity": 30.0}}, "Sales takes 30 a period at most."),
        ({}, "The open pipeline keeps the rates and times that it has."),
    ],
)
def test_what_the_page_does_not_hold_is_said(asked, said):
    """Limits of sales and what the open pipeline keeps stand among the notes."""
    known, past = rich()
    assert said in whatif_page(Forecast(case(known, past, PLAN, study(**asked)))).decode()


def test_without_value_and_without_spend():
    """Wins stand for revenue; without recorded spend there is no lever on it, and the page says so."""
    past = history({name: values for name, values in TWO.items() if name != "spend"})
    known = posterior(past, {"leads": 0.05, "qualified": 0.4, "won": 0.25}, draws=100, deal_mean=None)
    page = whatif_page(Forecast(case(known, past, np.zeros((3, 2))))).decode()
    data = block(page)
    assert not data["valued"]
    assert "revenue" not in data["run"]["given"]
    assert "cac" not in data["run"]["given"]
    assert "No spend was recorded: there is nothing to divide." in page


def test_a_bundle_without_ingredients_has_no_page(tmp_path, no_paper):
    """Nothing is written for it, and a page of an earlier run goes."""
    tables = plausible_tables(channels=("ppc",), stages=("leads", "won"), past=12)
    with pytest.raises(ValueError, match="ingredients"):
        whatif_page(tables)
    folder = tmp_path / "run"
    write_outputs(folder, tables, None, {})
    assert not (folder / "whatif.html").exists()


def test_marks_are_read_off_the_words_that_are_spoken():
    """Thousands, decimals, minus, percent and the two words between ends."""
    told = whatif.marks()
    assert told["group"] == "\u202f"
    assert told["decimal"] == "."
    assert told["minus"] == "\N{MINUS SIGN}"
    assert told["percent"] == "\N{NO-BREAK SPACE}%"
    assert told["to"] == told["to_minus"] == " to "
    assert told["below"].startswith("below")


@pytest.mark.parametrize("language", languages())
def test_every_language_has_a_page(made, language):
    """The page says which language it speaks, and holds marks that a script can write numbers with."""
    with speaking(language):
        page = whatif_page(made).decode()
        told = block(page)["marks"]
    assert f'<html lang="{language}">' in page
    assert set(told) == {
        "group",
        "decimal",
        "minus",
        "percent",
        "missing",
        "to",
        "to_minus",
        "below",
        "above",
    }


def test_a_study_reads_what_the_page_would_write(tmp_path):
    """Keys as the script writes them (quoted, dotted) are those of the study file."""
    text = """name = "a"
[history]
counts = "a.csv"
[plan]
periods = 3
target.revenue = 300000
spend."paid \\"search\\"" = 1200.5
[[scenario]]
name = "What if"
rate."leads" = { times = 1.2 }
delay."won" = { times = 0.8 }
traffic = { times = 1.1 }
value = { times = 1.05 }
"""
    path = tmp_path / "a.toml"
    path.write_text(text)
    read = load_study(path)
    assert read.plan.spend == {'paid "search"': 1200.5}
    assert [key for key, _ in read.scenarios[0].levers()] == ["rate.leads", "delay.won", "traffic", "value"]
