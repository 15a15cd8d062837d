"""Several exports of one made company, joined by rules: the history is the company's truth, and nothing goes unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import exports_fixture as made
import numpy as np
import pytest

from forecast.errors import DataError, ForecastError, StudyError
from forecast.history import History, audit_history, read_history, read_lead_rows, what_was_read
from forecast.history.mapped import read_sources
from forecast.history.rules import pattern_of
from forecast.read import folded
from forecast.study import Study, load_study

STAGES = ("visitors", "leads", "qualified", "won")
SHARED = (("Organic Search", "Organic Search"), ("Email", "Email*"), ("Direct", "Direct*"))
Rule = tuple[str, dict[str, str]]


@pytest.fixture(scope="module")
def company() -> made.Company:
    """A year of a company."""
    return made.made_company()


def rules(source: str, detail: str, names: Mapping[str, str] | None = None) -> list[Rule]:
    """Rules for a CRM (its source, and where it tells the campaign), the ads and the analytics."""
    called = names or dict(SHARED)
    paid = called.get("Paid Search", "Paid Search")
    return [
        ("Brand Search", {"campaign": "Brand*"}),
        ("Paid Search", {"campaign": "?*"}),
        ("Brand Search", {source: paid, detail: "Brand*"}),
        ("Paid Search", {source: paid}),
        ("Paid Search", {"channel_group": "Paid Search"}),
        *[(own, {source: called[own]}) for own, _ in SHARED],
        *[(own, {"channel_group": pattern}) for own, pattern in SHARED],
    ]


def study_of(folder: Path, sources: list[dict[str, Any]], maps: list[Rule], **history: Any) -> Study:
    """A study over files of the folder."""
    asked = {
        "name": "x",
        "funnel": {"stages": STAGES},
        "folder": folder,
        "history": {
            "source": tuple(sources),
            "map": tuple({"channel": channel, "when": when} for channel, when in maps),
            **history,
        },
    }
    return Study.model_validate(asked)


def cells(history: History, name: str) -> dict[tuple[str, str], float]:
    """What a history has, by month and channel; zeros and blanks left out."""
    values = history.counts[name].values
    return {
        (label, channel): float(values[i, j])
        for i, label in enumerate(history.labels)
        for j, channel in enumerate(history.channels)
        if np.isfinite(values[i, j]) and values[i, j] != 0
    }


def is_the_truth(history: History, company: made.Company) -> None:
    """Counts by month and channel are equal, money to the cent."""
    assert history.labels == list(company.months)
    assert history.channels == sorted(made.CALLED)
    for stage in ("leads", "qualified", "won"):
        assert cells(history, stage) == {key: n for key, n in company.counts(stage).items() if n}
    assert cells(history, "visitors") == {key: n for key, n in company.visitors().items() if n}
    for name, truth in (("spend", company.spend()), ("revenue", company.revenue())):
        found = cells(history, name)
        assert set(found) == {key for key, value in truth.items() if value}
        assert all(round(found[key] * 100) == round(value * 100) for key, value in truth.items() if value)


ADS = {"file": "ads.csv", "preset": "google-ads"}
GA4 = {"file": "ga4.csv", "preset": "ga4", "overlap": "leave out"}
HUBSPOT = {"leads": "hubspot.csv", "preset": "hubspot"}
CONTACTS = rules("original_source", "Original Traffic Source Drill-Down 1")


@pytest.fixture
def folder(company: made.Company, tmp_path: Path) -> Path:
    """The exports in English: contacts, ads and analytics."""
    made.write(tmp_path, "hubspot.csv", made.hubspot(company))
    made.write(tmp_path, "ads.csv", made.google_ads(company))
    made.write(tmp_path, "ga4.csv", made.ga4(company))
    return tmp_path


# (ads: language, delimiter, encoding), (analytics: the same)
WRITTEN = {
    "as they come": (("en", ",", "utf-8"), ("en", ",", "utf-8")),
    "with a byte-order mark": (("en", ",", "utf-8-sig"), ("en", ",", "utf-8-sig")),
    "older, tabs in UTF-16": (("en", "\t", "utf-16"), ("en", ",", "utf-8")),
    "German": (("de", ",", "utf-8"), ("de", ";", "utf-8")),
    "German, tabs in UTF-16": (("de", "\t", "utf-16"), ("de", ";", "utf-8-sig")),
    "Finnish": (("fi", ",", "utf-8"), ("en", ",", "utf-8")),
    "Finnish, tabs in UTF-16": (("fi", "\t", "utf-16"), ("de", "\t", "utf-16")),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_hubspot_ads_and_analytics_are_the_truth(company: made.Company, tmp_path: Path, written: str):
    """Counts, sessions and clicks by month and channel, and money to the cent, however the files are written."""
    (ads, ads_mark, ads_bytes), (ga4, ga4_mark, ga4_bytes) = WRITTEN[written]
    made.write(tmp_path, "hubspot.csv", made.hubspot(company))
    made.write(tmp_path, "ads.csv", made.google_ads(company, ads, delimiter=ads_mark), ads_bytes)
    made.write(tmp_path, "ga4.csv", made.ga4(company, ga4, delimiter=ga4_mark), ga4_bytes)
    is_the_truth(read_history(study_of(tmp_path, [ADS, GA4], CONTACTS, **HUBSPOT)), company)


def salesforce(folder: Path, company: made.Company, **history: Any) -> Study:
    """A study over leads of Salesforce with their opportunities, and the log of their statuses."""
    leads, changes = made.salesforce(company)
    made.write(folder, "leads.csv", leads)
    made.write(folder, "log.csv", changes)
    names = {
        "Paid Search": "Google Ads",
        "Organic Search": "Web",
        "Email": "Newsletter",
        "Direct": "Phone Inquiry",
    }
    asked = {
        "leads": "leads.csv",
        "preset": "salesforce",
        "changes": "log.csv",
        "reached": {"qualified": "working - contacted", "lost": "Closed - Not Converted"},
        "columns": {"lead_id": "ID"},
    }
    maps = rules("lead_source", "utm_campaign__c", names)
    return study_of(folder, [ADS, GA4], maps, **{**asked, **history})


def test_salesforce_with_its_log_ads_and_analytics_are_the_truth(company: made.Company, folder: Path):
    """The log tells when a lead was qualified and lost, the opportunity when it was won; a loss taken back is none."""
    history = read_history(salesforce(folder, company))
    is_the_truth(history, company)
    lost = sum(float(table.sum()) for table in history.losses.values())
    assert lost == sum(company.counts("lost").values())
    log = next(read for read in history.files if read.role == "changes")
    owner = sum(lead.id % 7 == 0 for lead in company.leads)
    assert [(str(out.reason), out.n) for out in log.left_out] == [("no change of the status", owner)]


def test_a_study_file_says_the_same(company: made.Company, folder: Path):
    """The keys as people write them."""
    text = ['name = "x"', "[history]", 'leads = "hubspot.csv"', 'preset = "hubspot"']
    for source in (ADS, GA4):
        text += ["[[history.source]]", *(f'{key} = "{value}"' for key, value in source.items())]
    for channel, when in CONTACTS:
        told = ", ".join(f'"{name}" = ["{pattern}"]' for name, pattern in when.items())
        text += ["[[history.map]]", f'channel = "{channel}"', f"when = {{ {told} }}"]
    text += ["[funnel]", f"stages = {list(STAGES)}"]
    (folder / "study.toml").write_text("\n".join(text), encoding="utf-8")
    study = load_study(folder / "study.toml")
    is_the_truth(read_history(study), company)
    assert {path.name for path in study.inputs} == {"study.toml", "hubspot.csv", "ads.csv", "ga4.csv"}


def test_what_was_read_has_the_totals_of_each_file(company: made.Company, folder: Path):
    """Each file's own totals, which add up to the history; and which file gives what."""
    study = study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT)
    history = read_history(study)
    read = what_was_read(history, study)
    frame = read.data_totals
    whole = {(row.file, row.measure): row.total for row in frame[frame["by"] == "all"].itertuples()}
    clicks, sessions = (
        sum(company.clicks.values()),
        sum(n for (_, g), n in company.sessions.items() if g != "Paid Search"),
    )
    assert whole["ads.csv", "spend"] == sum(company.cents.values()) / 100
    assert (whole["ads.csv", "visitors"], whole["ga4.csv", "visitors"]) == (clicks, sessions)
    assert clicks + sessions == float(np.nansum(history.counts["visitors"].values))
    channels = frame[(frame["by"] == "channel") & (frame["file"] == "ga4.csv")]["name"].tolist()
    assert channels == ["Direct", "Email", "Organic Search"]
    told = read.told()["files"]
    assert [file["file"] for file in told] == ["hubspot.csv", "ads.csv", "ga4.csv"]
    assert "sums" not in told[1]
    once = checks(history)["Counted once"]
    paid = sum(n for (_, group), n in company.sessions.items() if group == "Paid Search")
    assert f"visitors of Paid Search: ads.csv, and not the {paid} of ga4.csv" in plain(once)


def checks(history: History) -> dict[str, str]:
    """The checks of the reading, by name: status and what they say."""
    return {str(check.name): f"{check.status} {check.value}" for check in history.found}


# ---------------------------------------------------------------------------------------------- nothing counted twice


def test_two_files_of_the_same_measure_are_asked_about(folder: Path):
    """Clicks and sessions of one channel: the study says whether they are the same."""
    study = study_of(folder, [ADS, {**GA4, "overlap": "refuse"}], CONTACTS, **HUBSPOT)
    with pytest.raises(
        StudyError, match=r"ga4.csv gives visitors of Paid Search, and ads.csv does too"
    ) as caught:
        read_history(study)
    assert 'overlap = "leave out"' in str(caught.value)
    assert 'overlap = "add"' in str(caught.value)


def test_accounts_of_their_own_are_added_up(company: made.Company, folder: Path):
    """Two accounts that pay for one channel: their money and their clicks add up."""
    made.write(folder, "ads2.csv", made.google_ads(company))
    second = {"file": "ads2.csv", "preset": "google-ads", "overlap": "add"}
    history = read_history(study_of(folder, [ADS, second, GA4], CONTACTS, **HUBSPOT))
    found, truth = cells(history, "spend"), company.spend()
    assert {key: round(value * 100) for key, value in found.items()} == {
        key: round(200 * value) for key, value in truth.items() if value
    }


def test_a_source_gives_what_it_is_asked_for(company: made.Company, folder: Path):
    """Money of the ads alone, sessions of all channels: clicks are counted by nobody."""
    asked = [{**ADS, "gives": ("spend",)}, {**GA4, "overlap": "refuse"}]
    history = read_history(study_of(folder, asked, CONTACTS, **HUBSPOT))
    paid = sum(n for (_, group), n in company.sessions.items() if group == "Paid Search")
    assert float(history.counts["visitors"].sel(channel="Paid Search").sum()) == paid
    assert next(read for read in history.files if read.file == "ads.csv").unread.count("Clicks") == 1
    only = [ADS, {**GA4, "overlap": "refuse", "channels": ("Direct",)}]
    history = read_history(study_of(folder, only, CONTACTS, **HUBSPOT))
    assert float(np.nansum(history.counts["visitors"].sel(channel="Email").values)) == 0
    ga4 = next(read for read in history.files if read.file == "ga4.csv")
    n = sum(group != "Direct" for _, group in company.sessions)
    assert sum(out.n for out in ga4.left_out if "not among" in str(out.reason)) == n


# ------------------------------------------------------------------------------------------------------ rows and rules


def test_rows_that_no_rule_fits_are_listed_with_their_money(company: made.Company, folder: Path):
    """Campaigns, leads and groups without a rule: counted, listed with their sums, and a question of the audit."""
    maps = [rule for rule in CONTACTS if rule != ("Paid Search", {"campaign": "?*"})]
    maps = [rule for rule in maps if rule != ("Direct", {"original_source": "Direct*"})]
    study = study_of(folder, [ADS, GA4], maps, **HUBSPOT)
    history = read_history(study)
    generic = list(made.CAMPAIGNS["Paid Search"])
    cents = {name: sum(c for (_, own), c in company.cents.items() if own == name) for name in generic}
    clicks = {name: sum(n for (_, own), n in company.clicks.items() if own == name) for name in generic}
    ads = next(read for read in history.files if read.file == "ads.csv")
    told = [plain(out.reason) for out in ads.left_out if "no rule" in str(out.reason)]
    assert told == [
        f'no rule of history.map fits: Campaign "{name}": spend {cents[name] / 100}, visitors {clicks[name]}'
        for name in sorted(generic, key=lambda name: -cents[name])
    ]
    leads = next(read for read in history.files if read.role == "leads")
    n = sum(lead.channel == "Direct" for lead in company.leads)
    money = round(sum(lead.amount or 0.0 for lead in company.leads if lead.channel == "Direct"), 2)
    lost = next(out for out in leads.left_out if "no rule" in str(out.reason))
    assert (lost.n, len(lost.rows), leads.rows) == (n, n, len(company.leads) - n)
    assert f"amount {money}, leads {n}" in plain(lost.reason)
    row = next(i for i, lead in enumerate(company.leads) if lead.channel == "Direct")
    assert lost.rows[0] == row + 2  # the header is row 1
    audited = {str(check.name): check for check in audit_history(history, study)}
    assert audited["Channels by rules"].status == "REVIEW"
    share = sum(cents.values()) / sum(company.cents.values())
    assert f"spend {sum(cents.values()) / 100} of" in plain(audited["Channels by rules"].value)
    assert f"({round(100 * share)} %)" in plain(audited["Channels by rules"].value)
    assert "leads" in cells_of_facts(study, history)


def plain(text: object) -> str:
    """A text without the spaces that do not break, and without thousands marks."""
    return str(text).replace("\u202f", "").replace("\u00a0", " ")


def cells_of_facts(study: Study, history: History) -> str:
    """What the page of what was read says of rows left out."""
    frame = what_was_read(history, study).data_read
    return " ".join(map(str, frame[frame["what"] == "rows left out"]["value"]))


def test_rows_that_no_rule_fits_may_have_a_channel(company: made.Company, folder: Path):
    """The default takes what is left, in every file, and no money is lost."""
    maps = [rule for rule in CONTACTS if rule[0] != "Paid Search"]
    history = read_history(study_of(folder, [ADS, GA4], maps, unmapped="Other", **HUBSPOT))
    assert set(history.channels) == {"Brand Search", "Direct", "Email", "Organic Search", "Other"}
    assert round(float(np.nansum(history.counts["spend"].values)) * 100) == sum(company.cents.values())
    assert int(history.counts["leads"].sum()) == len(company.leads)
    assert checks(history)["Channels by rules"].startswith("PASS")


def test_the_first_rule_holds_and_it_is_said(company: made.Company, folder: Path):
    """A campaign that fits two rules is of the first; a rule that never comes to anything is asked about."""
    maps = [("Paid Search", {"campaign": "?*"}), ("Brand Search", {"campaign": "Brand*"}), *CONTACTS[2:]]
    history = read_history(study_of(folder, [ADS, GA4], maps, **HUBSPOT))
    assert set(map(str, history.counts["spend"].dropna("channel", how="all")["channel"].values)) == {
        "Paid Search"
    }
    said = checks(history)
    n = sum(campaign.startswith("Brand") for _, campaign in company.cents)
    assert said["Rows that fit several rules"].startswith("PASS")
    assert f"rules 1, 2 ({n}" in plain(said["Rows that fit several rules"])
    assert 'rule 2 (campaign = "Brand*"): a rule before fits its rows' in said["Rules that fit nothing"]
    maps = [*CONTACTS, ("Fairs", {"original_source": "Offline*"})]
    history = read_history(study_of(folder, [ADS, GA4], maps, **HUBSPOT))
    assert 'original_source = "Offline*"): no row fits' in checks(history)["Rules that fit nothing"]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("Brand*", {"Brand [exact]", "Brand broad"}),
        ("brand [EXACT]", {"Brand [exact]"}),  # brackets are themselves, case does not matter
        ("*| ??", {"Generic | DE", "Generic | FI"}),
        ("Generic", set()),  # the whole cell
        ("*.*", set()),  # no expression
    ],
)
def test_a_pattern_is_a_whole_cell_with_stars(pattern: str, fits: set[str]):
    """Stars and question marks alone are special; all else is as it stands."""
    campaigns = [name for names in made.CAMPAIGNS.values() for name in names]
    assert {name for name in campaigns if pattern_of(pattern).fullmatch(folded(name))} == fits


def test_a_renamed_column_is_named(company: made.Company, folder: Path):
    """The rule that names a column which no file has: file, line, and what may be meant."""
    text = made.hubspot(company).replace(
        "Original Traffic Source Drill-Down 1", "Original Traffic Source Drilldown 1"
    )
    made.write(folder, "hubspot.csv", text)
    with pytest.raises(StudyError, match=r"history.map.3.when.*no file has a column") as caught:
        read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    assert 'did you mean "Original Traffic Source Drilldown 1"?' in str(caught.value)
    made.write(folder, "hubspot.csv", made.hubspot(company))
    mapped = {**ADS, "columns": {"spend": "Costs"}}
    with pytest.raises(
        DataError, match=r'no column "Costs", which history.source.1.columns.spend names'
    ) as wrong:
        read_history(study_of(folder, [mapped, GA4], CONTACTS, **HUBSPOT))
    assert 'did you mean "Cost"?' in str(wrong.value)


def test_no_rule_at_all_keeps_the_names_of_the_files(company: made.Company, folder: Path):
    """Rules hold for files that have their columns: without one, a file's own names of channels hold."""
    maps = [rule for rule in CONTACTS if "channel_group" not in rule[1]]
    with pytest.raises(StudyError, match="gives visitors of Paid Search"):
        read_history(study_of(folder, [ADS, {**GA4, "overlap": "refuse"}], maps, **HUBSPOT))
    history = read_history(study_of(folder, [ADS, GA4], maps, **HUBSPOT))
    is_the_truth(history, company)


def test_a_rule_may_hold_for_one_file(company: made.Company, folder: Path):
    """The same column in two files: a rule that names one of them leaves the other alone."""
    text = made.hubspot(company).replace("First Name", "Campaign").splitlines()
    made.write(folder, "hubspot.csv", "\n".join(text))  # every contact has a campaign called "A"
    asked = {"leads": "hubspot.csv", "preset": "hubspot"}
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **asked))
    assert float(history.counts["leads"].sel(channel="Paid Search").sum()) == len(company.leads)
    maps = [{"channel": channel, "when": when} for channel, when in CONTACTS]
    maps[0] |= {"file": "ads.csv"}
    maps[1] |= {"file": "ads.csv"}
    study = study_of(folder, [ADS, GA4], [], **{**asked, "map": tuple(maps)})
    is_the_truth(read_history(study), company)
    with pytest.raises(ValueError, match=r'came "add.csv"; did you mean "ads.csv"'):
        study_of(folder, [ADS, GA4], [], **{**asked, "map": ({**maps[0], "file": "add.csv"},)})


def test_files_of_any_size_are_ruled_alike(
    company: made.Company, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Leads and log as DuckDB reads large files: the same history, and single leads have the channels of the rules."""
    monkeypatch.setattr("forecast.read.relation.MODERATE", 10)
    is_the_truth(read_history(salesforce(folder, company)), company)
    ours, _ = read_lead_rows(salesforce(folder, company))
    assert ours["channel"].tolist() == [lead.channel for lead in company.leads]
    qualified = [None if lead.qualified is None else lead.qualified.isoformat() for lead in company.leads]
    assert [None if str(day) == "NaT" else str(day)[:10] for day in ours["qualified"]] == qualified


def test_weeks_and_quarters_are_added_up_too(company: made.Company, folder: Path):
    """Days come to the periods of the study; what a campaign cost in all is the same."""
    for period, n in (("week", 53), ("quarter", 4)):
        history = read_history(study_of(folder, [ADS, GA4], CONTACTS, period=period, **HUBSPOT))
        assert len(history.labels) in (n, n - 1)  # the last week of the year is not over
        first = [day for day, _ in company.cents if _before(day, history.labels[-1], period)]
        cents = sum(value for (day, _), value in company.cents.items() if day in set(first))
        assert round(float(np.nansum(history.counts["spend"].values)) * 100) == cents


def _before(day: date, label: str, period: str) -> bool:
    year, week, _ = day.isocalendar()
    return period == "quarter" or f"{year}-W{week:02d}" <= label


# ----------------------------------------------------------------------------------------------------- odd and hostile


def test_a_row_of_totals_that_says_otherwise_is_asked_about(company: made.Company, folder: Path):
    """Rows that were taken out: the export's own total tells."""
    text = made.google_ads(company)
    gone = next(line for line in text.splitlines() if line.startswith("2025-06-"))
    made.write(folder, "ads.csv", text.replace(gone + "\n", ""))
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    found = [check for check in history.found if str(check.name) == "Totals of exports"]
    assert [check.status for check in found] == ["REVIEW", "PASS"]
    assert f"{sum(company.cents.values()) / 100}" in plain(found[0].value)


def test_totals_of_parts_are_no_rows(company: made.Company, folder: Path):
    """Below a report stand totals of kinds of campaigns and of the account: none is counted, one must agree."""
    text = made.google_ads(company)
    whole = text.splitlines()[-1]
    part = 'Total: Search campaigns, --,EUR,"1,000.00",900,80, --'
    made.write(folder, "ads.csv", text.replace(whole, f"{part}\n{whole}"))
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    is_the_truth(history, company)
    assert checks(history)["Totals of exports"].startswith("PASS")


def test_a_campaign_called_total_is_a_campaign(company: made.Company, folder: Path):
    """A word in a name makes no total of a row that has a period."""
    made.write(folder, "ads.csv", made.google_ads(company).replace("Competitors", "Total Search"))
    is_the_truth(read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT)), company)


def test_the_currency_of_ads_is_told(company: made.Company, folder: Path):
    """All in another currency: asked about; with a rate: converted to the cent; in two: refused."""
    made.write(folder, "ads.csv", made.google_ads(company, currency="SEK"))
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    assert "Cost: all in SEK, read as EUR" in checks(history)["Currency of the data"]
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, exchange={"SEK": 0.5}, **HUBSPOT))
    assert np.isclose(np.nansum(history.counts["spend"].values), sum(company.cents.values()) / 200)
    mixed = made.google_ads(company).replace("Competitors,EUR", "Competitors,SEK")
    made.write(folder, "ads.csv", mixed)
    with pytest.raises(DataError, match="more than one currency"):
        read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))


def test_files_that_end_apart_are_asked_about(company: made.Company, folder: Path):
    """Ads that stop two months before the analytics: exported earlier, or nothing spent?"""
    early = replace(company, cents={k: v for k, v in company.cents.items() if k[0] < date(2025, 11, 1)})
    made.write(folder, "ads.csv", made.google_ads(early))
    with pytest.raises(
        StudyError, match=r"the rows of ads.csv end with 2025-10, and others go on to 2025-12"
    ) as caught:
        read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    assert 'through = "2025-12"' in str(caught.value)
    history = read_history(study_of(folder, [{**ADS, "through": "2025-12"}, GA4], CONTACTS, **HUBSPOT))
    assert history.labels[-1] == "2025-12"
    assert float(history.counts["spend"].sel(channel="Paid Search").values[-1]) == 0
    short = read_history(study_of(folder, [ADS, GA4], CONTACTS, through="2025-10", **HUBSPOT))
    assert short.labels[-1] == "2025-10"


def test_a_month_that_is_not_over_is_left_out(company: made.Company, folder: Path):
    """Exports made in the middle of a month: its days are no month, and the rows are listed."""
    day = date(2025, 12, 10)
    cut = replace(
        company,
        leads=tuple(lead for lead in company.leads if lead.created < day),
        cents={k: v for k, v in company.cents.items() if k[0] < day},
        sessions={k: v for k, v in company.sessions.items() if k[0] < day},
    )
    made.write(folder, "ads.csv", made.google_ads(cut))
    made.write(folder, "ga4.csv", made.ga4(cut))
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    assert history.labels[-1] == "2025-11"
    ads = next(read for read in history.files if read.file == "ads.csv")
    assert any("was not over" in str(out.reason) and out.n for out in ads.left_out)


def test_the_month_of_today_is_not_over(company: made.Company, folder: Path):
    """A report by month tells of a month from its first day on: the running one is left out."""
    monthly: dict[tuple[date, str], int] = {}
    for (day, group), n in company.sessions.items():
        key = day.replace(day=1), group
        monthly[key] = monthly.get(key, 0) + n
    made.write(folder, "ga4.csv", made.ga4(replace(company, sessions=monthly)))
    study = study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT)
    for today, last in ((None, "2025-12"), (date(2025, 12, 10), "2025-11"), (date(2026, 1, 1), "2025-12")):
        rows = read_sources(study, ("visitors",), today=today).rows
        assert str(rows.starts.max())[:7] == last
    asked = study_of(folder, [ADS, GA4], CONTACTS, through="2025-12", **HUBSPOT)
    assert (
        str(read_sources(asked, ("visitors",), today=date(2025, 12, 10)).rows.starts.max())[:7] == "2025-12"
    )


def test_a_day_without_a_row_is_nothing_and_not_a_gap(company: made.Company, folder: Path):
    """Ads that pause for two months have no rows there: nothing was spent."""
    paused = {k: v for k, v in company.cents.items() if k[0].month not in (5, 6)}
    made.write(folder, "ads.csv", made.google_ads(replace(company, cents=paused)))
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    spend = history.counts["spend"].sel(channel="Paid Search").values
    assert spend[4] == spend[5] == 0
    assert (spend[[3, 6]] > 0).all()


def test_leads_without_a_source_have_no_channel(company: made.Company, folder: Path):
    """A contact whose source is empty is none that a rule forgot."""
    text = made.hubspot(company).splitlines()
    text.append("1,B,b@example.com,Lead,2025-03-03 09:00,2025-03-03 09:00,,,,,,")
    made.write(folder, "hubspot.csv", "\n".join(text))
    history = read_history(study_of(folder, [ADS, GA4], CONTACTS, **HUBSPOT))
    assert float(history.counts["leads"].sel(channel="(blank)").sum()) == 1
    assert checks(history)["Channels by rules"].startswith("PASS")


def test_names_that_steer_a_screen_are_shown_as_they_are_written(company: made.Company, folder: Path):
    """A campaign with signs that act: they are written out in what is said, and never long."""
    name = "\x1b[31mRed" + "x" * 500
    made.write(folder, "ads.csv", made.google_ads(company).replace("Competitors", name))
    maps = [rule for rule in CONTACTS if rule != ("Paid Search", {"campaign": "?*"})]
    history = read_history(study_of(folder, [ADS, GA4], maps, **HUBSPOT))
    ads = next(read for read in history.files if read.file == "ads.csv")
    told = " ".join(str(out.reason) for out in ads.left_out)
    assert "\\u001b[31mRed" in told
    assert "\x1b" not in told
    assert len(told) < 600


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": ({"file": "ads.csv", "preset": "google-adz"},)}, 'did you mean "google-ads"?'),
        ({"source": ({"file": "ads.csv", "gives": ("spent",)},)}, 'came "spent"; did you mean "spend"?'),
        ({"source": ({"file": "ads.csv", "overlap": "sum"},)}, "'refuse', 'leave out' or 'add'"),
        ({"source": ({"file": "ads.csv"},), "activity": "x.csv"}, "there is history.activity too"),
        ({"source": ({"file": "ads.csv"}, {"file": "ads.csv"})}, '"ads.csv" is there twice'),
        ({"source": ({"file": "ads.csv", "columns": {"spent": "Cost"}},)}, 'did you mean "spend"?'),
        ({"source": ({"file": "ads.csv", "through": "2025-13"},)}, "history.source.1.through"),
        ({"map": ({"channel": "x", "when": {}},)}, "at least 1 item"),
        ({"unmapped": "x"}, "no rule of history.map fits; there is none"),
        ({"changes": "log.csv"}, "belong together"),
        ({"reached": {"wonn": "Won"}, "changes": "log.csv"}, 'did you mean "won"?'),
        ({"reached": {"won": "A", "lost": "a"}, "changes": "log.csv"}, "is there for won too"),
    ],
)
def test_keys_that_say_nothing_are_refused(tmp_path: Path, asked: dict[str, Any], said: str):
    """What is wrong in the study, with what was expected."""
    with pytest.raises(ValueError, match="validation error") as caught:
        study_of(tmp_path, [], [], **{"leads": "hubspot.csv", **asked})
    assert said in str(caught.value)


def test_rules_belong_to_leads(tmp_path: Path):
    """Counts have their channels."""
    with pytest.raises(ValueError, match="belongs to leads"):
        study_of(tmp_path, [], [("x", {"campaign": "*"})], counts="counts.csv")


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ({"reached": {"qualified": "Working - Contact", "lost": "Closed - Not Converted"}},
         'no change to "Working - Contact"'),
        ({"columns": {"lead_id": "ID", "status": "Newest Value"}}, 'no column "Newest Value"'),
        ({"columns": {"lead_id": "LEADSOURCE"}}, "LEADSOURCE"),
    ],
)  # fmt: skip
def test_a_log_that_does_not_fit_is_refused(
    company: made.Company, folder: Path, history: dict[str, Any], said: str
):
    """Statuses that never came, columns that are not there, ids of something else."""
    with pytest.raises(ForecastError) as caught:
        read_history(salesforce(folder, company, **history))
    assert said in str(caught.value)
