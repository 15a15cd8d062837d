"""Every benchmark, run once at its smallest size as a user runs it: it ends well and prints the table it promises.

Closed forms are made with few draws. Fits keep the draws of a study: fewer miss their checks, and are sampled again.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("FORECAST_REAL_DATA", ROOT.parent / "shared" / "data"))
METHODS = "spreadsheet,seasonal naive,drift"  # the baselines that are always installed
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "benchmarks").is_dir(), reason="benchmarks are no part of the source distribution"
    ),
]
needs_statsforecast = pytest.mark.skipif(
    importlib.util.find_spec("statsforecast") is None, reason="statsforecast is in the extra `bench`"
)


def process(name: str, *args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A benchmark as a script, from an unrelated folder; an hour is for busy machines."""
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *map(str, args)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )


def run(name: str, *args: object, cwd: Path) -> str:
    """What a benchmark prints; it must end with exit code 0."""
    done = process(name, *args, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def again(name: str, *args: object, cwd: Path) -> str:
    """The same, and that `--report` prints the same tables from the rows that were kept."""
    said = run(name, *args, cwd=cwd)
    told = run(name, *args, "--report", cwd=cwd)
    assert told.strip()
    assert said.endswith(told)
    return told


def tables(said: str, head: str) -> list[list[list[str]]]:
    """The words of the rows below each line with the words of `head`, up to an empty line."""
    lines = said.splitlines()
    starts = [i + 1 for i, line in enumerate(lines) if line.split() == head.split()]
    assert starts, f"no table {head!r} in:\n{said}"
    return [[line.split() for line in itertools.takewhile(str.strip, lines[i:])] for i in starts]


def shared(name: str) -> Path:
    """A folder of the public data, which are no part of the project."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(
            f"the public data {name} are not here (set FORECAST_REAL_DATA to the folder of real data)"
        )
    return folder


def test_allocate_speed(tmp_path: Path):
    """Seven problems, each solved to its optimum."""
    said = run("allocate_speed", "--repeats", 1, cwd=tmp_path)
    [rows] = tables(said, "problem median ms least ms aim gap")
    *problems, load = rows
    assert len(problems) == 7
    assert all(float(row[-1]) < 1e-5 for row in problems)
    assert load[0] == "load"


def test_backtest_cost(small_study: Path, tmp_path: Path):
    """Seconds of a fit, of a backtest and their ratio."""
    given = ["--study", small_study, "--origins", 1, "--kind", "warm", "--baseline", "spreadsheet"]
    said = run("backtest_cost", *given, cwd=tmp_path)
    number = r"\d+\.\d+"
    told = (
        rf"warm: one fit {number} s before, {number} s after\n"
        rf"  1 origins: {number} s, {number} times a fit\n"
        rf"  processor time: {number} s a fit, {number} s the backtest, {number} times\n"
    )
    assert re.match(told, said), said


def test_backtest_public(tmp_path: Path):
    """Three backtests with every baseline, and the wins of the leads that were there."""
    data = shared("olist").parent
    shared("toy_store")
    said = run("backtest_public", data, "--out", "kept", "--preview", "--workers", 1, cwd=tmp_path)
    titles = re.findall(r"^=== (.*)$", said, re.MULTILINE)
    assert titles == ["olist", "toy store, sessions not given", "toy store, sessions given"]
    found = tables(said, "Method Origins CRPS Bias In 50 % In 80 % In 90 % Skill over it")
    assert [rows[0][:2] for rows in found] == [["forecast", "7"], ["forecast", "21"], ["forecast", "21"]]
    assert all(rows[1][0] == "spreadsheet" for rows in found)
    [pipeline] = tables(said, "origin mean q05 q10 q50 q90 q95 came pit")
    assert [row[0] for row in pipeline] == [f"2018-{month:02d}" for month in range(2, 9)]
    assert [row[7] for row in pipeline][1:4] == [
        "102",
        "96",
        "108",
    ]  # of the three months after March, April, May


def test_backtests(tmp_path: Path):
    """Methods over both companies, for revenue and wins, and a row for each company."""
    given = ["--out", "kept", "--companies", 2, "--origins", 2, "--preview", "--workers", 1]
    said = again("backtests", *given, cwd=tmp_path)
    assert re.findall(r"^(\w+) of the next 3 months, 2 companies, 2 origins each$", said, re.MULTILINE) == [
        "revenue",
        "won",
    ]
    for rows in tables(said, "method outcomes CRPS/mean bias 50% 80% 90% skill PIT in fifths"):
        assert rows[0][:2] == ["forecast", "4"]
        assert rows[1][:2] == ["spreadsheet", "4"]
    [rows] = tables(said, "company CRPS/mean inside 80 % bias best baseline skill over it gate refitted")
    assert [row[0] for row in rows] == ["as", "hill,"]


def test_decisions(tmp_path: Path):
    """What is promised, real and attainable, by kind."""
    given = ["--out", "kept", "--worlds", 1, "--workers", 1, "--draws", 400, "--method", "preview"]
    said = again("decisions", *given, cwd=tmp_path)
    assert re.findall(r"^(\w+): 1 worlds, gate missed in \d, \d+% moved$", said, re.MULTILINE) == [
        "arbitrary",
        "tuned",
    ]
    assert len(re.findall(r"^real over attainable gain, in total: -?\d+\.\d{3} ± ", said, re.MULTILINE)) == 2
    for rows in tables(said, "P(better) said worlds said truly better s.e."):
        assert [row[3] for row in rows] == ["1"]


def test_demo_cost(small_study: Path, tmp_path: Path):
    """Cold, warm and re-planned: seconds by step, and no sampler loaded where nothing is fitted."""
    said = run("demo_cost", "--study", small_study, cwd=tmp_path)
    [rows] = tables(said, "cold warm re-plan")
    names = {" ".join(row[:-3]): row[-3:] for row in rows}
    steps = {f"{step} s" for step in ("read", "fit", "allocate", "simulate", "tables", "write")}
    assert {"wall s", "user s", "system s", "peak MB", "pymc loaded"} | steps == set(names)
    assert names["pymc loaded"][2] == "False"
    assert float(names["fit s"][2]) < float(names["fit s"][1])


@pytest.mark.parametrize("companies", [1, 2])
def test_demo_truth(companies: int, tmp_path: Path):
    """Forty true values beside their intervals, most of them inside."""
    said = run("demo_truth", "--companies", companies, cwd=tmp_path)
    if companies == 1:
        [rows] = tables(said, "kind quantity true q05 median q95 inside")
        assert len(rows) == 40
        assert {row[-1] for row in rows} <= {"True", "False"}
    [_, *rows] = tables(said, "inside of share")[0]
    inside = {" ".join(row[:-3]): row[-3:] for row in rows}
    assert list(inside) == ["deal value", "delay", "elasticity", "rate", "all"]
    assert inside["all"][1] == str(40 * companies)
    assert float(inside["all"][2]) > 0.7
    [rows] = tables(said, "checks won 10 % won 90 % won came revenue 10 % revenue 90 % revenue came")
    assert len(rows) == companies


def test_fit_speed(tmp_path: Path):
    """A part by the product and by PyMC, and their ratio."""
    said = run("fit_speed", "--parts", "value", "--pymc-draws", 50, "--pymc-tune", 50, cwd=tmp_path)
    head = "road compile s sample s steps a draw us a gradient divergences R-hat min ESS ESS a second"
    product, peer, ratio = tables(said, head)[0]
    assert (product[0], peer[0]) == ("product", "PyMC")
    assert float(product[-1]) > float(peer[-1])
    assert " ".join(ratio).startswith("ESS a second: ")


def test_fit_cost(tmp_path: Path):
    """CPU of a fit on a new machine and after, by each road, and what failed of it."""
    said = run("fit_cost", "--companies", "1x36", "--sampler", "auto", "--times", 2, cwd=tmp_path)
    [rows] = tables(said, "company road cold CPU s warm CPU s told")
    assert [row[:2] for row in rows] == [["1x36", "auto"]]
    assert all(float(seconds) > 0 for seconds in rows[0][2:4])


def test_large_fit(tmp_path: Path):
    """Every part of the fit, with all that is said of its sampling."""
    given = ["--channels", 2, "--weeks", 30, "--cores", 1, "--keep", "kept"]
    said = run("large_fit", *given, cwd=tmp_path)
    head = "part seconds attempts steps a draw us a gradient div R-hat least ESS min_bfmi"
    parts = [" ".join(row[1:-8]) for row in tables(said, head)[0][:5]]
    assert parts == ["visitors to leads", "leads to qualified", "qualified to won", "deal value", "visitors"]
    assert re.search(r"^\d+ s in all on 1 cores \(\d+ s of CPU\), peak \d+ MB\ngate: .+$", said, re.MULTILINE)
    assert len((tmp_path / "kept" / "large.csv").read_text(encoding="utf-8").splitlines()) == 61


def test_lift(tmp_path: Path):
    """No test, one, and all: with all of them the elasticity is known better than with none."""
    given = ["--out", "kept.jsonl", "--worlds", 1, "--workers", 1, "--draws", 400]
    said = again("lift", *given, cwd=tmp_path)
    head = (
        "tests rms error, largest channel rms error, all 80 % band holds width real / attainable "
        "promised / real worse than today gain"
    )
    [rows] = tables(said, head)
    assert [row[0] for row in rows] == ["none", "one", "all"]
    assert float(rows[2][6]) < float(rows[0][6])  # the width of the band


def test_olist(tmp_path: Path):
    """Both horizons of a month, beside what came."""
    said = run("olist", shared("olist"), "--as-of", "2018-03", cwd=tmp_path)
    head = "as_of leads seen seconds checks span q05 q10 q25 q50 q75 q90 q95 came below"
    [rows] = tables(said, head)
    assert [row[:3] for row in rows] == [["2018-03", "3343", "318"]] * 2
    assert [row[-2] for row in rows] == ["102", "150"]
    assert all(int(low) < int(high) for *_, low, high, _, _ in rows)


STAND_IN = """\
#!{python}
import json, sys
from pathlib import Path
_, script, data, plan = sys.argv
asked = json.loads(Path(plan).read_text())
assert Path(data).read_text().startswith("date,")
print(json.dumps({{"fit": 1.0, "plan": 2.0, "replan": 3.0, "plans": [asked["current"]] * 2}}))
"""


def peers(python: Path, folder: Path) -> dict[str, list[str]]:
    """The last six numbers of each plan: seconds of fit, plan and re-plan where it has them; spend, value, gain."""
    said = run("peers", "--python", python, "--worlds", 1, cwd=folder)
    [rows] = tables(said, "company plan fit s first plan s re-plan s spend true contribution gain")
    names = ["current plan", "product", "PyMC-Marketing", "oracle"]
    assert [" ".join(row[1:])[: len(name)] for row, name in zip(rows, names, strict=True)] == names
    [_, *sums] = tables(said, "fit s first plan s re-plan s true contribution gain")[0]
    assert [row[-1] for row in sums] == [row[-1] for row in rows]
    return dict(zip(names, rows, strict=True))


def test_peers_with_a_stand_in(tmp_path: Path):
    """A peer that leaves the budget as it is gains nothing, and nobody gains more than who knows the company."""
    python = tmp_path / "python"
    python.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    rows = peers(python, tmp_path)
    assert rows["PyMC-Marketing"][2:5] == ["1.00", "2.00", "3.00"]
    assert rows["PyMC-Marketing"][-1] == "0.00"
    gain = {name: float(row[-1].replace(",", "")) for name, row in rows.items()}
    assert 0 < gain["oracle"] >= gain["product"]


def test_peers(tmp_path: Path):
    """The same with the peer itself, by "peer_allocation"."""
    python = os.environ.get("PEER_PYTHON")
    if python is None:
        pytest.skip("PEER_PYTHON names no interpreter with pymc-marketing")
    assert len(peers(Path(python), tmp_path)) == 4


def test_sbc(tmp_path: Path):
    """A rank for every quantity, a figure, and a page whose results are renewed."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n", encoding="utf-8")
    given = ["--out", "kept", "--kinds", "calendar", "--fits", 2, "--workers", 1]
    said = again("sbc", *given, "--figures", "figures", "--page", "page.md", cwd=tmp_path)
    [rows] = tables(said, "quantity fits mean rank spread excess p inside")
    names = [" ".join(row[:-6]) for row in rows]
    assert len(names) > 40
    assert {"elasticity", "delay_mean_won", "log likelihood traffic", "later revenue"} <= set(names)
    assert (tmp_path / "figures" / "sbc-calendar.png").stat().st_size > 1000
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- results -->\n- calendar: 2 fits")
    assert "| quantity | calendar |" in text
    assert "old" not in text
    assert text.endswith("<!-- end of results -->\nafter\n")


def test_scoring(tmp_path: Path):
    """A row a company; nearer to the truth than the channel's rate, and as near as the same density drawn by NUTS."""
    said = run("scoring", "--sizes", 500, "--worlds", 1, "--nuts", cwd=tmp_path)
    head, _, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines())
    found = dict(zip(head, row, strict=True))
    assert (found["leads"], found["strength"]) == ("500", "1.0")
    assert {"won by then", "seconds", "seconds, NUTS", "luck of its wins"} < set(found)
    score, rate = (
        float(found[name].rstrip("%")) for name in ("score above truth", "channel rate above truth")
    )
    assert 0 < score < rate
    assert abs(float(found["score above NUTS"].split("%")[0])) < 0.5


def test_scoring_of_real_leads(tmp_path: Path):
    """Columns that only won leads have are found, and the page is what remains."""
    said = run("scoring", "--olist", shared("olist"), cwd=tmp_path)
    assert said.startswith("8 000 leads, 7 158 open on 2018-11-14; features: landing_page_id\n")
    assert len(re.findall(r"^- \w+: left out: filled in for won leads", said, re.MULTILINE)) == 9
    assert re.search(r"^- log score 0\.\d+ a lead; channel rate alone 0\.\d+$", said, re.MULTILINE)


def test_reading(tmp_path: Path):
    """A row for each reader, with its ratio and its memory."""
    said = run("reading", "--leads", 5000, "--times", 1, "--parquet", "--random", cwd=tmp_path)
    rows = re.findall(r"^ *(ours|DuckDB|checks|pandas|Parquet)(?: +\d+\.\d\d){6} +\d+ *$", said, re.MULTILINE)
    assert rows == ["ours", "DuckDB", "checks", "pandas", "Parquet"]
    assert "Parquet is " in said


def test_scaling(tmp_path: Path):
    """A row for each size of each kind, exponents from two sizes on, and a figure; told again from what was kept."""
    kinds = {"channels": "2,3", "periods": "24", "leads": "1000,5000", "studies": "1"}
    for kind, sizes in kinds.items():
        said = run("scaling", "--out", "kept.jsonl", "--what", kind, "--sizes", sizes, cwd=tmp_path)
        rows = re.findall(rf"^ *{kind} +(\d+) +\d+\.\d+ +\d+\.\d +\d+\.\d$", said, re.MULTILINE)
        assert rows == sizes.split(",")
    told = run("scaling", "--out", "kept.jsonl", "--report", "--figures", "figures", cwd=tmp_path)
    [exponents] = tables(told, "seconds against exponent s.e. of the last two of memory")
    assert [row[0] for row in exponents] == ["channels", "leads"]
    assert (tmp_path / "figures" / "scaling.png").stat().st_size > 1000


def test_bench(tmp_path: Path):
    """Every ratio once; beside a kept table in which one was far less, that one has slowed, and the command fails."""
    table = tmp_path / "table.csv"
    options = ("--times", 1, "--leads", 5000, "--table", table)
    said = run("bench", *options, "--write", cwd=tmp_path)
    lines = table.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 11
    for what in ("forecast: re-plan", "split: 7 channels", "reading 5,000 leads: memory", "fit of the demo"):
        assert re.search(rf"^{what} +\d+\.\d\d +\d+%  +", said, re.MULTILINE), what
    kept = "split: 7 channels,0.001,0.0,1/1000 unit of bare numpy"
    table.write_text("\n".join([lines[0], kept]), encoding="utf-8")
    given = [*options, "--only", "splits", "--check"]
    done = process("bench", *given, cwd=tmp_path)
    assert done.returncode == 1, done.stderr[-2000:]
    assert (
        len(re.findall(r"^split: 7 channels .*$", done.stdout, re.MULTILINE)) == 2
    )  # once more, as it had slowed
    assert re.search(
        r"^slowed: split: 7 channels, \d+\.\d\d of 1/1000 unit of bare numpy \(0\.00 kept\)$",
        done.stdout,
        re.MULTILINE,
    )
    table.write_text("\n".join([lines[0], kept.replace("0.001", "1000")]), encoding="utf-8")
    assert "nothing has slowed" in run("bench", *given, cwd=tmp_path)


def test_unit(tmp_path: Path):
    """The unit, and a row for each command in units."""
    said = run("unit", "--times", 1, cwd=tmp_path)
    assert re.match(r"load [\d.]+, unit [\d.]+ CPU s, 1 turns", said), said
    assert re.findall(r"^([a-z-]+) +[\d.]+ \( *[\d.]+\)$", said, re.MULTILINE) == [
        "re-plan", "allocate", "check", "init",
    ]  # fmt: skip


def test_parts(tmp_path: Path):
    """Seconds and shares of the parts of a run, which add up."""
    said = run("parts", "--times", 1, cwd=tmp_path)
    whole = re.match(r"load [\d.]+, ([\d.]+) CPU s a run, 1 runs", said)
    assert whole, said
    rows = re.findall(r"^(.+?) +([\d.]+) s +([\d.]+) %$", said, re.MULTILINE)
    assert {"imports", "simulated draws", "workbook", "the rest"} <= {name for name, *_ in rows}
    assert sum(float(seconds) for _, seconds, _ in rows) == pytest.approx(float(whole[1]), abs=0.2)


def test_start(tmp_path: Path):
    """This checkout beside itself: a row for each command."""
    said = run("start", ROOT, "--times", 1, cwd=tmp_path)
    assert re.fullmatch(
        r"\| command \|.*\n\|[-|]+\n(\| forecast .+ \| \d+ \| \d+ \| \d+\.\d\d \|\n){2}", said
    ), said


@pytest.mark.skipif(os.name == "nt", reason="commands are killed by POSIX means")
def test_kills(tmp_path: Path):
    """A few kills, a full disk, some bits: counts by kind, and nothing wrong."""
    said = run("kills", "--kills", 4, "--full", 2, "--flips", 10, "--pairs", 1, cwd=tmp_path)
    assert "4 kills, 0 wrong" in said
    assert "10 bits turned, 10 found" in said
    assert said.endswith("nothing wrong\n")


def test_tuned_dial(tmp_path: Path):
    """Each setting for both kinds of budget, made by two processes."""
    given = ["--out", "kept.jsonl", "--worlds", 1, "--workers", 2, "--draws", 400]
    said = again("tuned_dial", *given, cwd=tmp_path)
    head = (
        "budget worlds setting promised real attainable worse than today P(better) said truly better "
        "80 % band holds called material"
    )
    [rows] = tables(said, head)
    settings = [["not", "tuned"], ["somewhat", "tuned"], ["carefully", "tuned"]]
    assert [row[:4] for row in rows] == [
        [k, "1", *words] for k in ("arbitrary", "tuned") for words in settings
    ]


def test_peaks(tmp_path: Path):
    """Both studies and both measures, and how far the learnt sizes lie from the true ones."""
    given = ["--out", "kept.jsonl", "--companies", 1, "--workers", 1]
    said = again("peaks", *given, cwd=tmp_path)
    [rows] = tables(said, "study measure shops CRPS/came bias 80%")
    assert [row[:3] for row in rows] == [
        [study, measure, "1"] for study in ("without", "event") for measure in ("visitors", "revenue")
    ]
    without, named = (float(rows[i][3]) for i in (0, 2))
    assert named < 0.5 * without
    assert "W48: learnt over true size" in said


def test_money(tmp_path: Path):
    """A line for each kind of company; the books that tell money apart miss less of refunds than those that do not."""
    told, blind = (run("money", "--companies", 2, *more, cwd=tmp_path) for more in ((), ("--blind",)))
    for said in (told, blind):
        assert all(
            re.search(rf"^\| {kind} \|", said, re.MULTILINE)
            for kind in ("free", "refunds", "notes", "recurring")
        )


def test_revisions(tmp_path: Path):
    """Wins and revenue of one company: most changes lie in their band."""
    said = run("revisions", "--companies", 1, cwd=tmp_path)
    found = re.findall(r"^ *(\w+)  (\d) of (\d) in their", said, re.MULTILINE)
    assert [name for name, *_ in found] == ["won", "revenue"]
    assert all(int(inside) >= 2 for _, inside, _ in found)


def test_verdict_alarms(tmp_path: Path):
    """A line for each way of counting, and for each harm; a gap never passes."""
    said = run("verdict_alarms", "--companies", 1, "--harmed", 1, cwd=tmp_path)
    found = dict(re.findall(r"^(\w.*?) +(\d+) of 1 ", said, re.MULTILINE))
    sound = ["sound, calendar", "sound, cohort", "sound, leads"]
    assert list(found) == [*sound, "gaps", "unreported", "stricter", "tripled", "bursts", "weaker"]
    assert found["gaps"] == "1"


def test_weighed(tmp_path: Path):
    """A row for each part, with NUTS and a long run beside it, and what they add up to."""
    given = ["--study", "", "--worlds", 1, "--counting", "calendar", "--nuts", "--long", 400]
    said = run("weighed", *given, cwd=tmp_path)
    parts = re.findall(r"(visitors to leads|leads to qualified|qualified to won|deal value) +weights", said)
    assert len(parts) == 4
    assert re.search(r"^parts by: .*'weights': \d.*; largest k-hat -?\d\.\d\d; least effective size \d+$", said,
                     re.MULTILINE)  # fmt: skip
    assert "MC error" in said


def worlds(counting: str, baselines: str, folder: Path) -> list[str]:
    """The methods of the table of one world, which stands there for all worlds and for its family."""
    given = ["--out", "kept.jsonl", "--worlds", 1, "--workers", 1, "--counting", counting]
    given += ["--baselines", baselines] if baselines else []
    said = again("worlds", *given, cwd=folder)
    whole, family = tables(said, "method worlds CRPS/mean s.e. bias 50% 80% 90%")
    assert family[: len(whole)] == whole
    assert all(row[-13] == "1" for row in whole)
    lines = re.findall(r"^(\S.*): -?\d+\.\d% below the best baseline", said, re.MULTILINE)
    assert bool(lines) == ("calendar" in counting)
    assert re.search(rf"^{counting}: \d+\.\d s a fit \(median\), gate missed in \d of 1$", said, re.MULTILINE)
    return [" ".join(row[:-13]) for row in whole]


def test_worlds(tmp_path: Path):
    """The product, its preview, the limit and the baselines."""
    found = worlds("calendar", METHODS, tmp_path)
    assert found == ["reachable", *METHODS.split(","), "preview, calendar", "product, calendar"]


def test_worlds_by_leads(tmp_path: Path):
    """Baselines are made from counts; without them the methods stand alone."""
    assert worlds("leads", "", tmp_path) == ["reachable", "preview, leads", "product, leads"]


@needs_statsforecast
def test_worlds_beside_every_baseline(tmp_path: Path):
    """With the two of statsforecast."""
    assert {"AutoETS", "AutoARIMA"} < set(worlds("calendar", "", tmp_path))


def test_worlds_that_change(tmp_path: Path):
    """A row a family, beside companies that stand still, and the checks that name the change."""
    given = ["--changing", "--out", "kept.jsonl", "--companies", 1, "--workers", 1, "--draws", 400]
    said = again("worlds", *given, "--families", "stands still;lumpy channel;growing", cwd=tmp_path)
    head = "family n bias of truth beyond CRPS/mean limit 80% may 80% 50% may 50% named alarm"
    [rows] = tables(said, head)
    families = ["stands still", "growing", "lumpy channel"]
    assert [" ".join(row).split(" 1 ")[0] for row in rows] == families
    assert {share for row in rows[1:] for share in row[-2:]} <= {"0%", "100%"}
    assert re.findall(r"^(\S.*) \(1\): \S", said, re.MULTILINE) == families


def test_open_pipeline(tmp_path: Path):
    """Made companies by both roads, without the public sets."""
    said = run("open_pipeline", tmp_path, "--only", "olist", "--made", 2, "--draws", 200, cwd=tmp_path)
    assert "no folder of this name" in said
    assert re.search(r"^hazards +CRPS/came \d.*$", said, re.MULTILINE)
    assert re.search(r"^CRPS of hazards over that of the lognormal: [+-]\d", said, re.MULTILINE)


def test_leads_worth(tmp_path: Path):
    """One company by each road, told again from the rows that were kept."""
    said = again("leads_worth", "--out", "kept.jsonl", "--worlds", 1, "--workers", 1, cwd=tmp_path)
    assert re.findall(r"^ *(calendar|leads|leads, lognormal|reachable) +1 ", said, re.MULTILINE)


def test_groups_of_companies(tmp_path: Path):
    """A group of each family, its rows by how units are put side by side."""
    said = again(
        "portfolio", "--out", "kept.jsonl", "--groups", 3, "--workers", 1, "--draws", 100, cwd=tmp_path
    )
    ways = re.findall(r"^ *(nothing shared|shocks of the months|a walk) +(\w+) +1 ", said, re.MULTILINE)
    assert [way for _, way in ways] == ["independent", "assumed", "learnt"] * 3


def test_many_companies(tmp_path: Path):
    """The command on two companies, here and in processes: the same bytes."""
    given = ["--speed", "--companies", 2, "--channels", 2, "--draws", 100, "--outputs", "csv"]
    said = run("portfolio", *given, "--executor", "inline;processes", cwd=tmp_path)
    assert re.findall(r"^ *(inline|processes) .* (True|False) +\S+$", said, re.MULTILINE) == [
        ("inline", "True"),
        ("processes", "True"),
    ]
