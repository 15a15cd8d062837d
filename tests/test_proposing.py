"""A study from files alone: each company through the command line, from its export to what `check` and `run` say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xlsxwriter
from click.testing import CliRunner
from conftest import ROOT, listing
from crm_fixture import HUBSPOT, PIPEDRIVE, SALESFORCE
from test_checking import HEAVY

from forecast.checking import check
from forecast.cli import app
from forecast.drafting import Question
from forecast.errors import DataError, UsageError
from forecast.proposing import propose

STAGES = ("visitors", "leads", "qualified", "won")
Cell = tuple[int, int, str, dict[str, float]]  # year, month, channel, measures


def counted(channels: tuple[str, ...], years: range = range(2023, 2026)) -> list[Cell]:
    """A company's months: counts that fall along the funnel, and money."""
    rng = np.random.default_rng(5)
    made = []
    for year in years:
        for month in range(1, 13):
            for channel in channels:
                visitors = int(rng.integers(1500, 2500))
                leads = round(visitors * 0.05) + int(rng.integers(0, 20))
                qualified = round(leads * 0.4)
                won = round(qualified * 0.3)
                money = {
                    "spend": round(rng.uniform(900, 1900), 2),
                    "revenue": round(won * rng.uniform(4000, 6000), 2),
                }
                counts = {"visitors": visitors, "leads": leads, "qualified": qualified, "won": won}
                made.append((year, month, channel, counts | money))
    return made


def total(cells: list[Cell], name: str) -> float:
    """The sum over all months and channels."""
    return sum(measures[name] for _, _, _, measures in cells)


def comma(x: float) -> str:
    """A number as Finns write it."""
    return f"{x:,.2f}".replace(",", "\N{NO-BREAK SPACE}").replace(".", ",")


def myynti(folder: Path, title: str = "Mainoskulut (EUR)") -> list[Cell]:
    """The Finnish company: semicolon, decimal comma, d.m.yyyy, cp1252."""
    cells = counted(("Google Ads", "Hakukone", "Sähköposti", "Kumppanit"))
    lines = [f"Kuukausi;Kanava;{title};Kävijät;Liidit;Kvalifioidut;Kaupat;Liikevaihto"]
    for year, month, channel, m in cells:
        counts = ";".join(str(m[stage]) for stage in STAGES)
        lines.append(f"1.{month}.{year};{channel};{comma(m['spend'])};{counts};{comma(m['revenue'])} €")
    (folder / "myynti.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    return cells


def deals(rng: np.random.Generator, n: int = 300) -> Iterator[tuple[int, date, date, str, str, int]]:
    """Deals: id, day of creation, day of closing, how it ended, channel, amount; the last weeks are full of them."""
    for i in range(1, n + 1):
        created = date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 725)) if i > 2 else 731 - i)
        closed = created + timedelta(days=int(rng.integers(5, 90)))
        ended = str(rng.choice(["won", "lost", "open"])) if closed < date(2025, 12, 31) else "open"
        channel = str(rng.choice(["Organic Search", "Paid Search", "Email Marketing"]))
        yield i, created, closed, ended, channel, int(rng.integers(1000, 9000))


def export(crm: str) -> tuple[str, int, int]:
    """An export with the columns of a CRM, and what is won in it: deals and their money."""
    lines, won, money = [{"hubspot": HUBSPOT, "salesforce": SALESFORCE, "pipedrive": PIPEDRIVE}[crm]], 0, 0
    for i, created, closed, ended, channel, amount in deals(np.random.default_rng(7)):
        is_won, is_open = ended == "won", ended == "open"
        won, money = won + is_won, money + is_won * amount
        stage = {"won": "Closed won", "lost": "Closed lost", "open": "Presentation"}[ended]
        flags = [str(flag).lower() for flag in (is_won, not is_open, ended == "lost")]
        end = date(2026, 3, 1) if is_open else closed
        lines.append(
            {
                "hubspot": f"{i},D,Sales Pipeline,{stage},{','.join(flags)},{end} 10:00,{created} 09:30,EUR,{amount},"
                f"{amount},{channel}\n",
                "salesforce": f"{i},D,{channel},{created},{end},{stage.title()},{int(not is_open)},{int(is_won)},EUR,"
                f"{amount},EUR,{amount}\n",
                "pipedrive": f"{i},D,{amount},EUR,Sales,Sent,{ended.title()},{created} 09:30:00,"
                f"{f'{closed} 10:00:00' if is_won else ''},{f'{closed} 10:00:00' if ended == 'lost' else ''},"
                f"{'' if is_open else f'{closed} 10:00:00'},{channel}\n",
            }[crm]
        )
    return "".join(lines), won, money


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and we are in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*args: str, code: int = 0) -> str:
    """What the command line prints."""
    ran = CliRunner().invoke(app, list(args), prog_name="forecast")
    assert ran.exit_code == code, ran.output
    return ran.output if code else ran.stdout


def made(*args: str) -> dict[str, Any]:
    """What `init --from` tells as JSON."""
    told: dict[str, Any] = json.loads(call("init", "--json", "--from", *args))
    return told


def whole(text: str) -> float:
    """A number as it is printed."""
    return float(re.sub(r"[^\d]", "", text))


def study(path: str) -> dict[str, Any]:
    """The values of a study file."""
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def test_a_finnish_export_needs_two_commands(here: Path, no_paper: None):
    """From myynti.csv to the report, with no edit: totals are those of the file, kinds are told by names."""
    cells = myynti(here)
    said = call("init", "--from", "myynti.csv")
    assert "made myynti.toml" in said
    assert said.rstrip().endswith("Next: forecast run")
    assert "period <- Kuukausi" in said
    values = study("myynti.toml")
    assert (values["name"], values["currency"]) == ("myynti", "EUR")
    kinds = {name: spec["kind"] for name, spec in values["channels"].items()}
    assert kinds == {"Google Ads": "ppc", "Hakukone": "seo", "Sähköposti": "email"}
    assert '# Kumppanit = { kind = "other" }' in Path("myynti.toml").read_text(encoding="utf-8")
    for name in ("won", "leads", "visitors", "revenue", "spend"):
        shown = next(line for line in said.splitlines() if re.match(rf"{name} +\d", line))
        assert whole(shown) == round(total(cells, name))
    ran = CliRunner().invoke(app, ["run", "--preview", "--draws", "1000", "--quiet"])
    assert ran.exit_code == 0, ran.output
    assert (here / "reports" / "myynti" / "summary.json").is_file()


def test_a_workbook_with_a_cover_and_a_title_row(here: Path, no_paper: None):
    """The sheet with the data is found, the currency in the title above it, and it runs."""
    cells = counted(("Paid search", "Organic search", "Newsletter"))
    with xlsxwriter.Workbook("Board pack.xlsx") as book:
        cover, sheet = book.add_worksheet("Cover"), book.add_worksheet("Data")
        cover.write(1, 1, "Acme Ltd")
        cover.write(3, 1, "Marketing report")
        sheet.merge_range(0, 0, 0, 7, "Marketing funnel by month (GBP)")
        titles = ["Month", "Channel", "Ad spend", "Website visitors", "Leads", "SQLs", "Customers", "Revenue"]
        sheet.write_row(2, 0, titles)
        day = book.add_format({"num_format": "mmm yyyy"})
        for row, (year, month, channel, m) in enumerate(cells, start=3):
            sheet.write_datetime(row, 0, date(year, month, 1), day)
            sheet.write_row(row, 1, [channel, m["spend"], *(m[stage] for stage in STAGES), m["revenue"]])
    told = made("Board pack.xlsx")
    assert told["status"] in ("PASS", "REVIEW")
    assert study(told["study"])["currency"] == "GBP"
    assert "Data" in told["files"][0]["facts"]["written"]
    assert {name: whole(told["found"][name]) for name in STAGES} == {
        name: total(cells, name) for name in STAGES
    }
    ran = CliRunner().invoke(app, ["run", "--preview", "--draws", "1000", "--quiet"])
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize("crm", ["hubspot", "salesforce", "pipedrive"])
def test_an_export_of_a_crm(here: Path, crm: str):
    """Known by the names of its columns; every win and its money is read, the stages are those that are there."""
    text, won, money = export(crm)
    Path("deals.csv").write_text(text, encoding="utf-8")
    told = made("deals.csv")
    values = study("deals.toml")
    assert values["history"]["leads"] == "deals.csv"
    assert values["history"]["preset"] == crm
    assert values["funnel"]["stages"] == ["leads", "won"]
    assert values["currency"] == "EUR"
    assert told["status"] in ("PASS", "REVIEW")
    assert (whole(told["found"]["won"]), whole(told["found"]["revenue"].removesuffix("EUR"))) == (won, money)


def two_files(folder: Path) -> None:
    """Leads in one file, the days on which they were won in another; one lead was won before it came."""
    leads, ended = ["mql_id,first_contact_date,landing_page_id,origin"], ["mql_id,seller_id,won_date,segment"]
    for i, created, closed, won, channel, _ in deals(np.random.default_rng(3), 240):
        leads.append(f"lead{i:05d},{created},page{i % 7},{channel}")
        if won == "won":
            day = created - timedelta(days=2) if len(ended) == 9 else closed
            ended.append(f"lead{i:05d},s{i},{day} 12:30:00,pets")
    (folder / "leads.csv").write_text("\n".join(leads), encoding="utf-8")
    (folder / "won.csv").write_text("\n".join(ended), encoding="utf-8")


def test_leads_and_deals_in_two_files(here: Path):
    """The column that both share joins them; the row that contradicts itself is left open, and one key settles it."""
    two_files(here)
    told = made("leads.csv", "won.csv")
    values = study("leads.toml")
    assert (values["history"]["leads"], values["history"]["deals"]) == ("leads.csv", "won.csv")
    columns = {"lead_id": "mql_id", "created": "first_contact_date", "channel": "origin"}
    assert values["history"]["columns"] == columns
    assert "history.bad_rows" in [each["key"] for each in told["open"]]
    assert told["status"] is None
    text = Path("leads.toml").read_text(encoding="utf-8")
    Path("leads.toml").write_text(
        text.replace('# bad_rows = "leave out"', 'bad_rows = "leave out"'), encoding="utf-8"
    )
    assert check(Path("leads.toml")).summary["stages"] == ["leads", "won"]


OLIST = ROOT.parent / "shared" / "data" / "olist"


@pytest.mark.skipif(not OLIST.is_dir(), reason="the public data lie beside the checkout only")
def test_real_leads_and_deals_in_two_files(here: Path):
    """The join, and the one lead that was won before it was created."""
    told = made(*map(str, sorted(OLIST.glob("*.csv"))))
    values = study(told["study"])
    assert values["history"]["columns"]["lead_id"] == "mql_id"
    assert "deals" in values["history"]
    assert "history.bad_rows" in [each["key"] for each in told["open"]]


def ads(years: tuple[int, ...] = (2024, 2025)) -> str:
    """What an ads account exports: conversions are fractions, and no stage of the leads beside it."""
    lines = ["Month,Campaign,Cost,Clicks,Conversions"]
    for year in years:
        for month in range(1, 13):
            for n, channel in enumerate(("Organic Search", "Paid Search", "Email Marketing")):
                lines.append(f"{year}-{month:02d},{channel},{100 * n},{300 + month},{5 + n}.5")
    return "\n".join(lines)


def budget(first: int = 1, months: int = 4) -> str:
    """A plan by month, as Finns write it."""
    lines = ["Kuukausi;Kanava;Budjetti"]
    for month in range(first, first + months):
        lines += [
            f"{month}/2026;{channel};{n}00" for n, channel in enumerate(("Paid Search", "Email Marketing"), 1)
        ]
    return "\n".join(lines)


def test_each_file_has_its_role(here: Path):
    """Spend beside leads is activity, a budget is a plan, customers are retention; in whatever order they come."""
    Path("crm.csv").write_text(export("pipedrive")[0], encoding="utf-8")
    Path("google-ads.csv").write_text(ads(), encoding="utf-8")
    Path("budjetti.csv").write_text(budget(), encoding="utf-8")
    stays = "".join(f"{1 + i % 4},{i % 2}\n" for i in range(60))
    Path("customers.csv").write_text("tenure,churned\n" + stays, encoding="utf-8")
    told = made("budjetti.csv", "customers.csv", "google-ads.csv", "crm.csv")
    values = study("crm.toml")
    assert {file["file"]: file["role"] for file in told["files"]} == {
        "crm.csv": "leads",
        "google-ads.csv": "activity",
        "budjetti.csv": "plan",
        "customers.csv": "retention",
    }
    assert values["history"]["activity"] == "google-ads.csv"
    assert values["funnel"]["stages"] == ["visitors", "leads", "won"]
    assert values["economics"]["retention_table"] == "customers.csv"
    assert (values["plan"]["spend"], values["plan"]["periods"]) == ("budjetti.csv", 4)
    assert whole(told["found"]["spend"].removesuffix("EUR")) == 24 * 300
    assert told["status"] in ("PASS", "REVIEW")


def test_a_budget_is_no_spend_unless_someone_says_so(here: Path):
    """The column is named and left open; an answer makes it the spend."""
    cells = myynti(here, title="Budjetti")
    told = made("myynti.csv")
    assert "spend" not in told["found"]
    assert "history.columns.spend" in [each["key"] for each in told["open"]]
    assert '# spend = "Budjetti"' in Path("myynti.toml").read_text(encoding="utf-8")
    again = propose(
        [here / "myynti.csv"], here / "asked", ask=answering({"history.columns.spend": '"Budjetti"'})
    )
    assert whole(again.told()["found"]["spend"].removesuffix("EUR")) == round(total(cells, "spend"))


def answering(answers: dict[str, str]) -> Any:
    """Someone who answers some questions, by key, and leaves the others open."""

    def ask(question: Question) -> str | None:
        ways = [value for value, _ in question.choices]
        answer = answers.get(question.key)
        assert answer is None or not ways or answer in ways
        return answer

    return ask


def thousands(folder: Path) -> int:
    """Numbers of which each may be thousands or thousandths; the sum of the spend."""
    lines = ["period;channel;spend;visitors;leads;qualified;won"]
    for year, month, channel, m in counted(("ppc",)):
        lines.append(
            f"{year}-{month:02d};{channel};1.{month:03d};{';'.join(str(m[stage]) for stage in STAGES)}"
        )
    (folder / "history.csv").write_text("\n".join(lines), encoding="utf-8")
    return 3 * sum(1000 + month for month in range(1, 13))


def test_what_is_ambiguous_stays_a_comment_and_check_asks_for_it(here: Path):
    """Both readings stand in the study; `check` refuses until one is taken, and an answer settles it at once."""
    spent = thousands(here)
    told = made("history.csv")
    assert "history.read.thousands" in [each["key"] for each in told["open"]]
    assert told["status"] is None
    text = Path("history.toml").read_text(encoding="utf-8")
    assert '# thousands = "."' in text
    assert '# decimal = "."' in text
    assert "history.read.thousands" in call("check", "history.toml", code=3)
    Path("history.toml").write_text(text.replace('# thousands = "."', 'thousands = "."'), encoding="utf-8")
    call("check", "history.toml")
    answers = {"history.read.thousands": 'history.read.thousands = "."', "currency": '"SEK"'}
    asked = propose([here / "history.csv"], here / "asked", ask=answering(answers)).told()
    assert asked["status"] in ("PASS", "REVIEW")
    assert asked["found"]["spend"].endswith("SEK")
    assert whole(asked["found"]["spend"].removesuffix("SEK")) == spent


def test_a_key_is_for_the_file_that_needs_it(here: Path):
    """Where one of two files is ambiguous, its own table gets the key, and the other is read as before."""
    text, won, _ = export("pipedrive")
    Path("crm.csv").write_text(text, encoding="utf-8")
    rows = [line.split(",") for line in ads().splitlines()]
    spent = [
        [month, channel, f"1.{int(cost):03d}", clicks, leads]
        for month, channel, cost, clicks, leads in rows[1:]
    ]
    Path("ads.csv").write_text("\n".join(map(";".join, [rows[0], *spent])), encoding="utf-8")
    told = made("crm.csv", "ads.csv")
    assert "history.read.activity.thousands" in [each["key"] for each in told["open"]]
    text = Path("crm.toml").read_text(encoding="utf-8")
    Path("crm.toml").write_text(text.replace("# activity.thousands", "activity.thousands"), encoding="utf-8")
    read = json.loads(call("check", "crm.toml", "--json"))["read"]
    assert json.dumps(read).count(str(24 * 3300)) >= 1
    assert won > 0


def test_files_elsewhere_are_named_from_the_folder_of_the_study(here: Path):
    """DIR is made; the file is not copied, and the study finds it."""
    (here / "data").mkdir()
    myynti(here / "data")
    told = made("data/myynti.csv", "plans/2026")
    assert told["study"] == str(Path("plans/2026/myynti.toml"))
    assert study(told["study"])["history"]["counts"] == "../../data/myynti.csv"
    assert told["next"] == "forecast run plans/2026/myynti.toml"
    assert listing(here / "plans") == ["2026", "2026/myynti.toml"]


def test_weeks_are_seen_by_their_distance(here: Path):
    """Mondays seven days apart: weeks, and a quarter of them ahead."""
    lines = ["date,source,cost,sessions,leads,sql,customers,revenue"]
    for week in range(80):
        monday = date(2024, 1, 1) + timedelta(weeks=week)
        lines += [f"{monday},{channel},200,900,40,16,4,9000" for channel in ("Newsletter", "LinkedIn")]
    Path("weekly.csv").write_text("\n".join(lines), encoding="utf-8")
    told = made("weekly.csv")
    values = study("weekly.toml")
    assert (values["history"]["period"], values["plan"]["periods"]) == ("week", 13)
    assert whole(told["found"]["won"]) == 640


def test_months_across_are_read(here: Path):
    """A pivot with a column a month and the measure in a column of its own."""
    months = [f"{month}/2025" for month in range(1, 13)]
    lines = [";".join(["Kanava", "Mittari", *months])]
    for channel in ("Google Ads", "Uutiskirje"):
        for measure, n in (
            ("Kustannus", 900),
            ("Kävijät", 1000),
            ("Liidit", 50),
            ("Kvalifioidut", 20),
            ("Kaupat", 5),
        ):
            lines.append(";".join([channel, measure, *[str(n)] * 12]))
    Path("taulukko.csv").write_text("\n".join(lines), encoding="utf-8")
    told = made("taulukko.csv")
    assert (whole(told["found"]["won"]), whole(told["found"]["visitors"])) == (120, 24_000)


def test_columns_that_no_title_tells_of(here: Path):
    """A period and a channel under odd names are seen by their cells, and said with what was seen."""
    lines = ["Ajanjakso X;Lähde;Liidit;Kaupat;Oma luku"]
    lines += [f"{month}/2025;{name};50;5;7" for month in range(1, 13) for name in ("Blogi", "Messut")]
    Path("oma.csv").write_text("\n".join(lines), encoding="utf-8")
    told = made("oma.csv")
    assert study("oma.toml")["history"]["columns"] == {"period": "Ajanjakso X"}
    assert '"Ajanjakso X" names a period in every row' in Path("oma.toml").read_text(encoding="utf-8")
    assert told["files"][0]["facts"]["not read"] == "Oma luku"
    assert whole(told["found"]["won"]) == 120


def test_of_several_sheets_one_is_asked_for(here: Path):
    """Each is a way out; an answer takes it."""
    with xlsxwriter.Workbook("years.xlsx") as book:
        for year, won in (("2024", 5), ("2025", 7)):
            sheet = book.add_worksheet(year)
            sheet.write_row(0, 0, ["Month", "Channel", "Cost", "Leads", "Customers"])
            for month in range(1, 13):
                sheet.write_row(month, 0, [f"{year}-{month:02d}", "Ads", 100, 50, won])
    told = made("years.xlsx")
    asked = next(each for each in told["open"] if each["key"] == "history.read.counts.sheet")
    assert asked["ways"] == ['history.read.counts.sheet = "2024"', 'history.read.counts.sheet = "2025"']
    answers = {"history.read.counts.sheet": asked["ways"][1]}
    again = propose([here / "years.xlsx"], here / "asked", ask=answering(answers)).told()
    assert whole(again["found"]["won"]) == 84


def test_every_key_that_stands_as_a_comment_is_one(here: Path):
    """With the # taken away, one at a time, the study is TOML still, and the key is in the table it belongs to."""
    two_files(here)
    made("leads.csv", "won.csv")
    lines = Path("leads.toml").read_text(encoding="utf-8").splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r'# ("[^"]+"|[\w.]+) = ', line)]
    assert len(keys) >= 5
    for i in keys:
        tomllib.loads("\n".join([*lines[:i], lines[i].removeprefix("# "), *lines[i + 1 :]]))


def test_counts_by_cohort_are_asked_for(here: Path):
    """Wins that fall off in the last rows while leads stand still: named, left open, and settled by an answer."""
    lines = ["period,channel,spend,visitors,leads,qualified,won"]
    for n in range(24):
        won, qualified = {21: (4, 50), 22: (3, 45), 23: (0, 30)}.get(n, (12, 50))
        month = f"{2024 + n // 12}-{n % 12 + 1:02d}"
        lines += [f"{month},{channel},900,3000,125,{qualified},{won}" for channel in ("ppc", "seo")]
    Path("history.csv").write_text("\n".join(lines), encoding="utf-8")
    told = made("history.csv")
    assert "history.counting" in [each["key"] for each in told["open"]]
    assert '# counting = "cohort"' in Path("history.toml").read_text(encoding="utf-8")
    answers = {"history.counting": '"cohort"', "currency": '"EUR"'}
    asked = propose([here / "history.csv"], here / "asked", ask=answering(answers)).told()
    assert study(asked["study"])["history"]["counting"] == "cohort"
    assert asked["status"] != "FAIL"


def test_nothing_is_overwritten(here: Path):
    """A study that is there stays as it is."""
    myynti(here)
    Path("myynti.toml").write_text("mine", encoding="utf-8")
    said = call("init", "--from", "myynti.csv", code=2)
    assert "myynti.toml exists already; nothing was written" in said
    assert Path("myynti.toml").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_written_is_named(here: Path):
    """A file where the folder should be."""
    myynti(here)
    Path("plan").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match=r"plan.*cannot be written"):
        propose([here / "myynti.csv"], here / "plan" / "new")
    assert listing(here) == ["myynti.csv", "plan"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name;town\nAnna;Turku\nBo;Vasa\n", "its columns are name, town"),
        ("Month,Campaign,Cost\n2025-01,a,5\n2025-02,a,6\n", "a study starts from counts"),
    ],
)
def test_a_file_that_no_study_starts_from(here: Path, text: str, expected: str):
    """Said with what it has and what is needed; nothing is written."""
    Path("x.csv").write_text(text, encoding="utf-8")
    assert expected in call("init", "--from", "x.csv", code=3)
    assert listing(here) == ["x.csv"]


def test_a_file_that_is_not_there(here: Path):
    """Named, with what is there."""
    with pytest.raises(DataError, match="no such file"):
        propose([here / "nothing.csv"], here)


def test_what_a_person_types(here: Path, monkeypatch: pytest.MonkeyPatch):
    """At a terminal: a name, a number of a choice, a share in percent; what cannot be is asked again."""
    thousands(here)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    typed = "SEK\n1\nmuch\n60%\n9\n1\n"
    ran = CliRunner().invoke(app, ["init", "--from", "history.csv"], input=typed)
    assert ran.exit_code == 0, ran.output
    values = study("history.toml")
    assert (values["currency"], values["funnel"]["market"]) == ("SEK", "b2b")
    assert values["economics"]["gross_margin"] == 0.6
    assert values["history"]["read"]["thousands"] == "."


def test_init_needs_a_folder_or_files(here: Path):
    """Neither, or two folders: how it is called."""
    assert "--from FILE" in call("init", code=2)
    assert "--from FILE" in call("init", "a", "b", code=2)


def test_a_start_from_files_loads_nothing_heavy(here: Path):
    """Neither figures, documents, a solver, a sampler nor, for counts, a database."""
    myynti(here)
    text = (
        "import sys; from forecast.cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text, "init", "--from", "myynti.csv"],
        cwd=here,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    loaded = set(ran.stderr.split())
    assert "forecast.proposing" in loaded
    assert loaded.isdisjoint(HEAVY)
