# ruff: noqa - deleted with the last step of the move
"""The golden run: what about a dozen small studies give, byte for byte, while the house is rebuilt around them.

    python tests/golden/make.py --out FOLDER              run all, keep outputs as text in FOLDER, compare digests
    python tests/golden/make.py --out FOLDER --write      the same, and take the digests as the new reference
    python tests/golden/make.py --diff OLD NEW            what changed between two kept runs, line by line

Every study is made here, with numpy alone, so that it does not depend on what is moved. Each command runs as a process
of its own. PDFs are kept as text (pdftotext), workbooks as their cells, netCDF as hashes of their arrays.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
REFERENCE = Path(__file__).with_name("digests.json")

CHANNELS = {"ppc": (4000.0, 1500.0), "seo": (1500.0, 2600.0), "events": (900.0, 160.0), "email": (0.0, 700.0)}
FULL = """
[channels]
ppc = { kind = "ppc" }
seo = { kind = "seo" }
events = { kind = "events" }
email = { kind = "email" }
"""


def months(count: int, first: tuple[int, int] = (2024, 1)) -> list[str]:
    start = first[0] * 12 + first[1] - 1
    return [f"{(start + i) // 12}-{(start + i) % 12 + 1:02d}" for i in range(count)]


def counts(
    seed: int, periods: list[str], names: list[str], *, cohort: bool = False, price: float = 0.0
) -> list[dict]:
    """Rows of a company by period and channel; delays of whole periods under calendar counts."""
    rng = np.random.default_rng(seed)
    rows, n = [], len(periods)
    scale = 0.25 if "W" in periods[0] else 3.0 if "Q" in periods[0] else 1.0
    for name in names:
        money, visits = CHANNELS[name]
        spend = np.round(money * scale * rng.lognormal(0, 0.25, n))
        level = (
            visits
            * scale
            * (1 + 0.15 * np.sin(np.arange(n) / 6 * np.pi))
            * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
        )
        if money:
            level = level * (0.2 + 0.8 * (spend / (money * scale)) ** 0.5)
        visitors = rng.poisson(level)
        leads = rng.binomial(visitors, 0.04)
        qualified = rng.binomial(leads, 0.4)
        if not cohort:
            late = rng.binomial(qualified, 0.4)
            qualified = qualified - late + np.concatenate([late[:1], late[:-1]])
        won = rng.binomial(qualified, 0.27)
        if cohort:
            won = rng.binomial(won, np.clip((n - np.arange(n)) / 4.0, 0.1, 1.0))
        else:
            won = np.concatenate([won[:1], won[:-1]])
        deals = won * price if price else rng.gamma(np.maximum(won, 1e-9) / 0.5) * 0.5 * 4200
        revenue = np.where(won > 0, np.round(deals), 0)
        for t in range(n):
            rows.append(
                dict(
                    period=periods[t],
                    channel=name,
                    spend=int(spend[t]) if money else "",
                    visitors=int(visitors[t]),
                )
                | dict(
                    leads=int(leads[t]), qualified=int(qualified[t]), won=int(won[t]), revenue=int(revenue[t])
                )
            )
    return sorted(rows, key=lambda r: (r["period"], names.index(r["channel"])))


def write_csv(path: Path, rows: list[dict], columns: list[str] | None = None) -> None:
    columns = columns or list(rows[0])
    lines = [",".join(columns), *(",".join(str(row[c]) for c in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def leads(seed: int, size: int, n_months: int, *, losses: bool, returned: bool = False) -> list[dict]:
    """Single leads with dates, two features and a segment."""
    rng = np.random.default_rng(seed)
    start, days = np.datetime64("2024-01-01"), int(n_months * 30.4)
    rows = []
    for i, day in enumerate(np.sort(rng.integers(0, days, size))):
        channel = ["ppc", "seo", "events"][int(rng.choice(3, p=[0.5, 0.35, 0.15]))]
        heat = ["cold", "warm", "hot"][int(rng.choice(3, p=[0.5, 0.3, 0.2]))]
        staff = int(rng.integers(5, 500))
        lift = {"cold": -0.6, "warm": 0.2, "hot": 0.9}[heat] + 0.002 * (staff - 200)
        qualifies = rng.random() < 1 / (1 + np.exp(-(-0.4 + lift)))
        wins = qualifies and rng.random() < 1 / (1 + np.exp(-(-1.0 + lift)))
        q, w = day + int(rng.gamma(2, 8)), 0
        w = q + int(rng.gamma(2, 20))
        failed = not qualifies
        back = failed and returned and rng.random() < 0.15
        gone = day + int(rng.gamma(2, 25))
        r = gone + 30 + int(rng.gamma(2, 20))
        if back and rng.random() < 0.35:
            q, qualifies = r + 10, True

        def date(at: int, holds: bool) -> str:
            return str(start + np.timedelta64(int(at), "D")) if holds and at < days else ""

        lost = failed or (not wins and rng.random() < 0.7)
        row = dict(
            lead_id=f"L{i:05d}", channel=channel, created=date(day, True), qualified=date(q, qualifies)
        )
        row |= dict(won=date(w, wins), lost=date(gone if failed else w + 5, lost and losses))
        row |= dict(returned=date(r, back)) if returned else {}
        row |= dict(amount=int(rng.gamma(2.0, 2100)) if date(w, wins) else "")
        rows.append(row | dict(temperature=heat, employees=staff))
    return rows


def activity(seed: int, n_months: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for period in months(n_months):
        for name in ("ppc", "seo", "events"):
            money, visits = CHANNELS[name]
            rows.append(
                dict(
                    period=period,
                    channel=name,
                    spend=int(money * rng.lognormal(0, 0.25)),
                    visitors=int(rng.poisson(visits)),
                )
            )
    return rows


def study(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{text.lstrip()}', encoding="utf-8")
    return path


HEAD = '[history]\ncounts = "{name}.csv"\n'
TARGET = "[plan]\nperiods = 3\ntarget = { revenue = 90_000 }\n"


def plain(folder: Path) -> list[list[str]]:
    """Calendar counts of months, fitted for real: fit, run, allocate in all its modes, scenarios."""
    write_csv(folder / "plain.csv", counts(1, months(24), ["ppc", "seo", "email"]))
    study(
        folder,
        "plain",
        HEAD.format(name="plain")
        + '[funnel]\nmarket = "b2b"\ndelay.qualified = "14 days"\ndelay.won = "1 month"\n'
        + '[channels]\nppc = { kind = "ppc" }\nseo = { kind = "seo" }\nemail = { kind = "email" }\n'
        + "[economics]\ngross_margin = 0.6\n"
        + TARGET
        + '[[scenario]]\nname = "Landing page"\nrate.leads = { times = [1.1, 1.4] }\nchannels = ["ppc"]\ncost = 3000\n'
        + '[[goal]]\nname = "Quarter"\nby = 2026-03-31\nrevenue = 120_000\n',
    )
    allocate = ["allocate", "plain.toml", "--quiet"]
    return [
        ["check", "plain.toml"],
        ["fit", "plain.toml", "--draws", "1200", "--quiet"],
        ["run", "plain.toml", "--draws", "1200", "--quiet", "--out", "run"],
        ["run", "plain.toml", "--draws", "1200", "--quiet", "--out", "run", "--json"],
        allocate,
        [*allocate, "--total", "25000", "--change", "30%"],
        [*allocate, "--marginal", "1.5"],
        [*allocate, "--cac", "1500"],
        [*allocate, "--chance", "60%"],
        [*allocate, "--json", "--set", 'budget.objective="revenue"'],
        ["scenarios", "plain.toml", "--quiet"],
        ["scenarios", "plain.toml", "--quiet", "--json"],
        ["allocate", "plain.toml", "--quiet", "--set", "funnel.value=3"],
    ]


def fitted(folder: Path) -> list[list[str]]:
    """The bundled demo, with a fit that passes its gates."""
    for name in ("demo.toml", "demo.csv"):
        shutil.copyfile(ROOT / "forecast" / "bundled" / name, folder / name)
    return [
        ["run", "demo.toml", "--quiet", "--out", "run"],
        ["allocate", "demo.toml", "--quiet", "--total", "100000"],
        ["scenarios", "demo.toml", "--quiet"],
        ["run", "demo.toml", "--quiet", "--out", "again", "--json", "--set", "plan.periods=4"],
    ]


def cohort(folder: Path) -> list[list[str]]:
    """Cohort counts, B2C, own rate, target in wins, plan by amounts, no change limit."""
    write_csv(folder / "cohort.csv", counts(2, months(20), ["ppc", "seo", "events"], cohort=True))
    study(
        folder,
        "cohort",
        HEAD.format(name="cohort")
        + 'counting = "cohort"\n[funnel]\nmarket = "b2c"\nrate.won = [0.15, 0.35]\n'
        + '[channels]\nppc = { kind = "ppc" }\nseo = { kind = "seo", locked = true }\n'
        + "[plan]\nperiods = 4\nspend = { ppc = 5000, seo = 1500, events = 800 }\ntarget = { won = 60 }\n"
        + '[budget]\ntotal = 32_000\nchange = "none"\n',
    )
    return [
        ["check", "cohort.toml", "--json"],
        ["run", "cohort.toml", "--preview", "--quiet", "--out", "run"],
    ]


def weekly(folder: Path) -> list[list[str]]:
    """Weeks with a season, carry-over, caps by period, free flighting, backtest and the report that shows it."""
    weeks = [f"{2024 + (i // 52)}-W{i % 52 + 1:02d}" for i in range(70)]
    write_csv(folder / "weekly.csv", counts(3, weeks, ["ppc", "seo"]))
    study(
        folder,
        "weekly",
        HEAD.format(name="weekly")
        + 'period = "week"\n[channels]\nppc = { kind = "ppc" }\nseo = { kind = "content" }\n'
        + '[plan]\nperiods = 6\ntarget = { revenue = 30_000 }\n[budget]\nflighting = "free"\nper_period = 2000\n'
        + "[backtest]\norigins = 3\nleast = 30\n",
    )
    preview = ["weekly.toml", "--preview", "--quiet", "--out", "run"]
    return [
        ["backtest", *preview, "--workers", "1", "--baseline", "spreadsheet", "--baseline", "drift"],
        ["run", *preview],
        ["backtest", *preview, "--workers", "1", "--baseline", "spreadsheet", "--spend", "planned", "--gate"],
    ]


def quarters(folder: Path) -> list[list[str]]:
    """Quarters, no revenue but an assumed value, a plan from a file, target as objective."""
    labels = [f"{2022 + i // 4}Q{i % 4 + 1}" for i in range(14)]
    columns = ["period", "channel", "spend", "visitors", "leads", "qualified", "won"]
    write_csv(folder / "quarters.csv", counts(4, labels, ["ppc", "events"]), columns)
    rows = [
        dict(period=p, channel=c, spend=s)
        for p in ("2025Q3", "2025Q4")
        for c, s in (("ppc", 13000), ("events", 2500))
    ]
    write_csv(folder / "plan.csv", rows)
    study(
        folder,
        "quarters",
        HEAD.format(name="quarters")
        + 'period = "quarter"\n[funnel]\nvalue = 4000\nmarket = "b2b"\n[channels]\nppc = { kind = "ppc" }\n'
        + '[plan]\nperiods = 2\nspend = "plan.csv"\ntarget = { revenue = 150_000 }\n[budget]\nobjective = "target"\n',
    )
    return [["run", "quarters.toml", "--preview", "--quiet", "--out", "run"], ["check", "quarters.toml"]]


def dated(folder: Path) -> list[list[str]]:
    """Leads with losses and activity: segments, scoring, nurturing; rank."""
    write_csv(folder / "leads.csv", leads(5, 2200, 20, losses=True, returned=True))
    write_csv(folder / "activity.csv", activity(5, 20))
    study(
        folder,
        "dated",
        '[history]\nleads = "leads.csv"\nactivity = "activity.csv"\n[funnel]\nmarket = "b2b"\n'
        + '[channels]\nppc = { kind = "ppc" }\nevents = { kind = "events" }\n[economics]\ngross_margin = 0.7\ncapacity = 60\n'
        + "sales_cost = 4000\n[plan]\nperiods = 3\ntarget = { won = 40 }\n"
        + '[segments]\ncolumn = "temperature"\n[scoring]\nfeatures = ["temperature", "employees"]\ncost_per_lead = 20\n'
        + "[nurturing]\nrate = [0.05, 0.2]\n"
        + '[[goal]]\nby = "2025-10"\nfrom = "2025-06"\nwon = 70\nchance = 0.7\n',
    )
    return [
        ["check", "dated.toml"],
        ["run", "dated.toml", "--preview", "--quiet", "--out", "run"],
        ["run", "dated.toml", "--preview", "--quiet", "--out", "again", "--json"],
        ["rank", "dated.toml", "--quiet", "--out", "rank"],
    ]


def bare(folder: Path) -> list[list[str]]:
    """Leads alone, as Pipedrive exports deals: no spend, no losses; a backtest, and a run scored by what came."""
    rows = leads(6, 1500, 22, losses=False)
    names = {
        "lead_id": "Deal - ID",
        "channel": "Deal - Source",
        "created": "Deal - Deal created",
        "amount": "Deal - Value",
    }
    names |= {"won": "Deal - Won time", "lost": "Deal - Lost time"}
    made = [{title: row[key] for key, title in names.items()} for row in rows]
    write_csv(folder / "deals.csv", made)
    spec = (
        '[history]\nleads = "deals.csv"\npreset = "pipedrive"\n{through}[funnel]\nstages = ["leads", "won"]\n'
        "[plan]\nperiods = 2\n[backtest]\norigins = 2\nleast = 12\n"
    )
    study(folder, "early", spec.format(through='through = "2025-07"\n'))
    study(folder, "bare", spec.format(through=""))
    return [
        ["run", "early.toml", "--preview", "--quiet", "--out", "run"],
        ["score", "run", "bare.toml", "--quiet"],
        ["score", "run", "bare.toml", "--quiet", "--json"],
        [
            "backtest",
            "bare.toml",
            "--preview",
            "--quiet",
            "--out",
            "past",
            "--workers",
            "1",
            "--baseline",
            "spreadsheet",
        ],
        ["run", "bare.toml", "--preview", "--quiet", "--out", "past"],
    ]


def limits(folder: Path) -> list[list[str]]:
    """Lift tests, lots, fees, groups, caps, locks, risk; and requests that clash."""
    write_csv(folder / "limits.csv", counts(7, months(26), ["ppc", "seo", "events", "email"]))
    study(
        folder,
        "limits",
        HEAD.format(name="limits")
        + FULL
        + '[economics]\ngross_margin = 0.8\nretention = 0.8\nrenewal = "year"\ndiscount_rate = 0.08\n'
        + '[plan]\nperiods = 3\ntarget = { revenue = 100_000 }\n[priors]\nrange_reads_as = 0.8\nmarginal_return_sd = "somewhat tuned"\n'
        + "[budget]\ntotal = 24_000\nlots = { events = 500 }\nfees = { seo = 300 }\nlimits.ppc = { max = 15_000 }\n"
        + '[[budget.group]]\nname = "paid"\nchannels = ["ppc", "events"]\nmax_share = 0.8\n'
        + "[budget.period_caps]\n2026-03 = 9000\n"
        + '[[lift_test]]\nchannel = "ppc"\nfrom = "2025-06"\nto = "2025-07"\nwithout = 4000\nwith = 6000\nlift = 240\nse = 90\n',
    )
    preview = ["run", "limits.toml", "--preview", "--quiet"]
    return [
        ["check", "limits.toml"],
        [*preview, "--out", "run"],
        [*preview, "--out", "cvar", "--set", 'budget.objective="cvar"', "--set", "budget.risk=0.2"],
        [*preview, "--out", "floor", "--set", "budget.floor.loss=0.05"],
        [*preview, "--out", "clash", "--set", "budget.limits.ppc.min=14000", "--set", "budget.total=9000"],
        [
            *preview,
            "--out",
            "retention",
            "--set",
            "economics.retention={mean=0.8,sd=0.05}",
            "--set",
            "priors.marginal_return_sd=0.5",
        ],
    ]


def levers(folder: Path) -> list[list[str]]:
    """Every lever of a scenario, goals of all kinds, capacity with decay, retention learnt from a table."""
    write_csv(folder / "levers.csv", counts(8, months(30), ["ppc", "seo", "events"]))
    rows = [dict(tenure=t, churned=c) for t in range(1, 6) for c in (0, 1) for _ in range(12 - 2 * t + 3 * c)]
    write_csv(folder / "customers.csv", rows)
    parts = [
        (
            "Site",
            'rate.leads = { to = 0.05, from = 0.04, sd = 0.004 }\nchannels = ["ppc"]\nstart = "2026-08"',
        ),
        ("Faster", "delay.won = { times = 0.5 }\nrate.won = { by = 0.02 }\nramp = 2"),
        ("More", 'spend = { by = 2000, channels = ["ppc"] }\ntraffic = { times = [1.0, 1.2] }'),
        ("Price", "value = { times = 1.1 }\nrate.won = { times = 0.95 }\ncost_per_period = [100, 200]"),
        ("People", "capacity = { times = 1.3 }\ncost = [5000, 9000]"),
        ("Nurture", 'recover.qualified = { share = [0.03, 0.08], delay = "45 days" }'),
    ]
    scenarios = "".join(f'[[scenario]]\nname = "{name}"\n{text}\n' for name, text in parts)
    study(
        folder,
        "levers",
        HEAD.format(name="levers")
        + '[funnel]\nmarket = "b2b"\n[channels]\nppc = { kind = "ppc" }\nseo = { kind = "seo" }\n'
        + '[economics]\ngross_margin = 0.55\nretention_table = "customers.csv"\ncapacity = 70\ncapacity_decay = 0.3\n'
        + "sales_cost_per_won = 150\n[plan]\nperiods = 6\ntarget = { revenue = 250_000 }\n"
        + scenarios
        + '[[goal]]\nby = "2026-12"\nrevenue = 300_000\n[[goal]]\nby = "2026-09"\nfrom = "2026-05"\nqualified = 260\nchance = 0.6\n',
    )
    return [["check", "levers.toml"], ["run", "levers.toml", "--preview", "--quiet", "--out", "run"]]


def single(folder: Path) -> list[list[str]]:
    """One channel, two stages, one price; columns renamed; a window; a run scored by later data."""
    rows = counts(9, months(26), ["ppc"], price=99.0)
    titles = {
        "period": "Month",
        "channel": "Source",
        "spend": "Cost",
        "leads": "leads",
        "won": "won",
        "revenue": "revenue",
    }
    write_csv(folder / "single.csv", [{title: row[key] for key, title in titles.items()} for row in rows])
    text = (
        '[history]\ncounts = "single.csv"\nfrom = "2024-02"\n{through}columns = {{ period = "Month", channel = "Source", spend = "Cost" }}\n'
        '[funnel]\nstages = ["leads", "won"]\ndelay.won = 0\n[channels.ppc]\nkind = "ppc"\n[plan]\nperiods = 3\ntarget = {{ won = 12 }}\n'
    )
    study(folder, "single", text.format(through='through = "2025-11"\n'))
    study(folder, "later", text.format(through=""))
    return [
        ["run", "single.toml", "--preview", "--quiet", "--out", "run"],
        ["score", "run", "later.toml", "--quiet", "--plan", "recommended"],
        ["run", "later.toml", "--preview", "--quiet", "--out", "free", "--set", "plan.spend={ppc=0}"],
    ]


def ragged(folder: Path) -> list[list[str]]:
    """Blanks, a channel that stops, one that starts late, one that enters later, no spend at all, segments in counts."""
    rows = []
    for segment, seed in (("north", 10), ("south", 11)):
        for row in counts(seed, months(20), ["ppc", "seo", "events", "email"]):
            at = months(20).index(row["period"])
            if row["channel"] == "events" and at < 8:
                continue
            if row["channel"] == "seo" and at > 15:
                continue
            if row["channel"] == "email":
                row["visitors"] = ""
            if row["channel"] == "ppc" and at in (4, 5):
                row["qualified"] = row["won"] = row["revenue"] = ""
            rows.append(row | {"region": segment})
    write_csv(folder / "ragged.csv", rows)
    write_csv(
        folder / "free.csv", rows, ["period", "channel", "region", "visitors", "leads", "qualified", "won"]
    )
    study(folder, "ragged", HEAD.format(name="ragged") + FULL + TARGET + '[segments]\ncolumn = "region"\n')
    study(
        folder, "free", '[history]\ncounts = "free.csv"\n[segments]\ncolumn = "region"\n[plan]\nperiods = 2\n'
    )
    return [
        ["check", "ragged.toml"],
        ["run", "ragged.toml", "--preview", "--quiet", "--out", "run"],
        ["run", "free.toml", "--preview", "--quiet", "--out", "free"],
    ]


def failing(folder: Path) -> list[list[str]]:
    """A history that FAILs its audit, and one whose target cannot be judged."""
    rows = counts(12, months(16), ["ppc", "seo"])
    for row in rows[-8:]:
        row["won"] = 0
        row["revenue"] = 0
    for row in rows[6:10]:
        row["won"] = row["qualified"] + 3
    for row in rows[-6:]:
        row["visitors"] *= 25
    write_csv(folder / "failing.csv", rows)
    study(folder, "failing", HEAD.format(name="failing") + '[funnel]\nmarket = "b2b"\n' + TARGET)
    study(folder, "short", HEAD.format(name="failing") + 'through = "2024-06"\n' + TARGET)
    return [
        ["check", "failing.toml"],
        ["run", "failing.toml", "--preview", "--quiet", "--out", "run"],
        ["run", "short.toml", "--preview", "--quiet", "--out", "short"],
        ["run", "failing.toml", "--preview", "--quiet", "--out", "run2", "--go-on"],
    ]


def wrong(folder: Path) -> list[list[str]]:
    """Messages: a study full of mistakes, data full of mistakes, commands used wrongly, help, the calculator."""
    write_csv(folder / "data.csv", counts(13, months(14), ["ppc", "seo"]))
    study(
        folder,
        "bad",
        '[history]\ncounts = "data.csv"\ncountin = "calendar"\nthrough = "2030-01"\n[funnel]\nmarket = "b2x"\nrate.won = [3, 2]\n'
        + '[channels]\npcc = { kind = "pcp" }\n[plan]\nperiods = 99\ntarget = { revenue = 1, won = 2 }\n[budget]\nobjective = "profits"\n',
    )
    lines = (folder / "data.csv").read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace("ppc", "PPC")
    lines[5] = "2024-99,seo,x,-5,1.5,2,3,4"
    lines[9] = lines[8]
    (folder / "broken.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study(folder, "broken", '[history]\ncounts = "broken.csv"\n')
    study(folder, "good", '[history]\ncounts = "data.csv"\n')
    study(
        folder,
        "unknown",
        '[history]\ncounts = "data.csv"\n[channels]\npcc = { kind = "ppc" }\n[budget]\nlimits.sea = { max = 3 }\n',
    )
    helps = [
        [name, "--help"]
        for name in (
            "check",
            "run",
            "fit",
            "allocate",
            "scenarios",
            "backtest",
            "rank",
            "score",
            "init",
            "demo",
            "funnel",
        )
    ]
    return [
        ["check", "bad.toml"],
        ["check", "broken.toml"],
        ["check", "unknown.toml"],
        ["check", "absent.toml"],
        ["allocate", "good.toml"],
        ["scenarios", "good.toml"],
        ["rank", "good.toml"],
        ["score", "nowhere", "good.toml"],
        ["backtest", "good.toml", "--preview", "--origins", "3"],
        ["run", "good.toml", "--set", "plan.periods"],
        ["fit", "good.toml", "--draws", "5"],
        ["init", "made"],
        ["init", "made"],
        [
            "funnel",
            "--visitors",
            "1000",
            "--conversion",
            "3%",
            "--qualification",
            "40%",
            "--close",
            "25%",
            "--value",
            "5000",
        ],
        [
            "funnel",
            "--visitors",
            "10",
            "--conversion",
            "0.03",
            "--qualification",
            "1",
            "--close",
            "25%",
            "--value",
            "5000",
            "--market",
            "b2c",
            "--json",
        ],
        ["--help"],
        *helps,
    ]


STUDIES = [
    fitted,
    plain,
    cohort,
    weekly,
    quarters,
    dated,
    bare,
    limits,
    levers,
    single,
    ragged,
    failing,
    wrong,
]

WORLDS = """
import hashlib, json
import numpy as np
try:
    from forecast.lab.companies import demo_world, generate
    from forecast.lab.leads import make_leads
except ImportError:
    from forecast.synthetic import demo_world, generate
    from forecast.lead_worlds import make_leads
def h(text): return hashlib.sha256(text.encode()).hexdigest()
c = generate(demo_world(), np.random.default_rng(7))
w = make_leads(np.random.default_rng(8), size=400, returns=(0.2, 80.0, 0.35))
print(json.dumps({"leads": h(c.leads.to_csv()), "activity": h(c.activity.to_csv()), "all": h(c.all_leads.to_csv()),
                  "lead world": h(w.leads.to_csv()), "lead truth": h(w.truth.to_csv())}))
"""


# --------------------------------------------------------------------------------------------------- as plain text


def array_hashes(path: Path) -> str:
    import h5py

    lines = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            values = item[()]
            data = (
                values.tobytes()
                if isinstance(values, np.ndarray) and values.dtype.kind != "O"
                else repr(np.asarray(values).tolist()).encode()
            )
            lines.append(f"{name} {item.shape} {hashlib.sha256(data).hexdigest()[:16]}")

    with h5py.File(path) as file:
        file.visititems(visit)
        attrs = {k: str(v) for k, v in file.attrs.items() if not k.startswith("_")}
    lines += [f"attr {k} {neutral(v)}" for k, v in sorted(attrs.items())]
    return "\n".join(lines)


def cells(path: Path) -> str:
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(path)
    lines = []
    for name in book.sheet_names:
        lines.append(f"== {name}")
        lines += ["\t".join(map(str, row)) for row in book.get_sheet_by_name(name).to_python()]
    return "\n".join(lines)


def neutral(text: str) -> str:
    """Without seconds, and without what names the study's bytes or the place it lies in."""
    text = re.sub(r'"(seconds)": \{[^}]*\}', r'"\1": {}', text)
    text = re.sub(r'"seconds": [0-9.]+', '"seconds": 0', text)
    text = re.sub(r'("study_sha256": )"[0-9a-f]*"', r'\1""', text)
    text = re.sub(r"(study[^\n]{0,40}\s)[0-9a-f]{12,64}", r"\1HASH", text)
    return text


def as_text(path: Path) -> str:
    if path.suffix == ".pdf":
        return subprocess.run(
            ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
        ).stdout
    if path.suffix == ".xlsx":
        return cells(path)
    if path.suffix == ".nc":
        return array_hashes(path)
    return path.read_text(encoding="utf-8")


def run_study(make, out: Path) -> None:  # noqa: ANN001
    work = out / "work" / make.__name__
    kept = out / make.__name__
    work.mkdir(parents=True)
    kept.mkdir(parents=True)
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "PYTHONHASHSEED": "0",
    }
    commands = make(work)
    inputs = set(work.rglob("*"))
    for number, arguments in enumerate(commands):
        done = subprocess.run(
            [sys.executable, "-m", "forecast", *arguments],
            cwd=work,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"$ forecast {' '.join(arguments)}\nexit {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        (kept / f"{number:02d}-{arguments[0].strip('-')}.txt").write_text(neutral(said), encoding="utf-8")
    for path in sorted(work.rglob("*")):
        if path.is_file() and path not in inputs:
            target = kept / "files" / path.relative_to(work)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_name(target.name + ".txt").write_text(neutral(as_text(path)), encoding="utf-8")


def digests(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*.txt") if "work" not in path.relative_to(out).parts[:1])
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:20] for path in files
    }


def diff(old: Path, new: Path) -> int:
    before, after = digests(old), digests(new)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        a, b = (
            (root / name).read_text(encoding="utf-8").splitlines() if (root / name).exists() else []
            for root in (old, new)
        )
        print("\n".join(difflib.unified_diff(a, b, f"old/{name}", f"new/{name}", lineterm="", n=0)))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", help="these studies alone")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--again", action="store_true", help="digest what FOLDER holds, without running")
    parser.add_argument("--diff", nargs=2, type=Path)
    args = parser.parse_args()
    if args.diff:
        return diff(*args.diff)
    if args.again:
        for path in args.out.glob("*/**/*.txt"):
            if "work" not in path.relative_to(args.out).parts[:1]:
                path.write_text(neutral(path.read_text(encoding="utf-8")), encoding="utf-8")
        REFERENCE.write_text(json.dumps(digests(args.out), indent=0) + "\n", encoding="utf-8")
        return 0
    shutil.rmtree(args.out, ignore_errors=True)
    chosen = [make for make in STUDIES if not args.only or make.__name__ in args.only]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda make: run_study(make, args.out), chosen))
    if not args.only or "worlds" in args.only:
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", WORLDS], env=env, capture_output=True, text=True, check=True
        )
        (args.out / "worlds.txt").write_text(done.stdout, encoding="utf-8")
    found = digests(args.out)
    if args.write:
        REFERENCE.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
        return 0
    known = json.loads(REFERENCE.read_text(encoding="utf-8"))
    known = {k: v for k, v in known.items() if not args.only or k.split("/")[0] in args.only}
    changed = sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name))
    print("\n".join(changed) if changed else f"all {len(found)} outputs as before")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
