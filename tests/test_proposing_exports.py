"""A study from the exports of several tools: each is taken for what it is, and rules join them to one history."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import exports_fixture as made
import numpy as np
import pytest

from forecast.history import read_history
from forecast.proposing import Proposed, propose
from forecast.study import load_study


@pytest.fixture(scope="module")
def company() -> made.Company:
    """A year of a company."""
    return made.made_company()


def proposed(folder: Path, *names: str) -> Proposed:
    """What is written about files of the folder."""
    return propose([folder / name for name in names], folder)


WRITTEN = {
    "English": (("en", ",", "utf-8"), ("en", ",", "utf-8")),
    "German": (("de", "\t", "utf-16"), ("de", ";", "utf-8-sig")),
    "Finnish ads": (("fi", "\t", "utf-16"), ("en", ",", "utf-8")),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_contacts_ads_and_analytics_become_one_study(company: made.Company, tmp_path: Path, written: str):
    """Roles, rules and what is counted once are proposed; the study reads to the company's totals as it stands."""
    (ads, *ads_form), (ga4, *ga4_form) = WRITTEN[written]
    made.write(tmp_path, "hubspot-contacts.csv", made.hubspot(company))
    made.write(tmp_path, "google-ads.csv", made.google_ads(company, ads, delimiter=ads_form[0]), ads_form[1])
    made.write(tmp_path, "ga4.csv", made.ga4(company, ga4, delimiter=ga4_form[0]), ga4_form[1])
    told = proposed(tmp_path, "ga4.csv", "google-ads.csv", "hubspot-contacts.csv").told()
    assert {file["file"]: file["role"] for file in told["files"]} == {
        "hubspot-contacts.csv": "leads",
        "google-ads.csv": "activity",
        "ga4.csv": "activity",
    }
    because = {file["file"]: file["facts"]["because"] for file in told["files"]}
    assert "an export of Google Ads" in because["google-ads.csv"]
    assert "an export of GA4" in because["ga4.csv"]
    assert "names of an export of HubSpot" in because["hubspot-contacts.csv"]
    assert told["status"] in ("PASS", "REVIEW")
    text = (tmp_path / "hubspot-contacts.toml").read_text(encoding="utf-8")
    history = tomllib.loads(text)["history"]
    assert [(source["file"], source["preset"]) for source in history["source"]] == [
        ("google-ads.csv", "google-ads"),
        ("ga4.csv", "ga4"),
    ]
    assert history["source"][1]["overlap"] == "leave out"
    assert "# when = { campaign = " in text  # how campaigns are parted, as a comment
    assert all(
        "# " in text.partition(f'channel = "{rule["channel"]}"')[0].splitlines()[-2]
        for rule in history["map"]
    )
    read = read_history(load_study(tmp_path / "hubspot-contacts.toml"))
    assert set(read.channels) == {"Direct", "Email", "Organic Search", "Paid Search"}
    clicks, sessions = company.clicks, company.sessions
    visits = sum(clicks.values()) + sum(n for (_, group), n in sessions.items() if group != "Paid Search")
    assert float(np.nansum(read.counts["visitors"].values)) == visits
    assert round(float(np.nansum(read.counts["spend"].values)) * 100) == sum(company.cents.values())
    assert int(read.counts["leads"].sum()) == len(company.leads)


def test_what_one_of_several_files_leaves_open_is_asked_for_that_file(company: made.Company, tmp_path: Path):
    """A German export in which 1.200 may be two things, beside an English one: a key of its source alone."""
    made.write(tmp_path, "hubspot.csv", made.hubspot(company))
    made.write(tmp_path, "ads.csv", made.google_ads(company))
    sessions = {key: 1000 + 10 * n for key, n in company.sessions.items()}
    german = made.ga4(replace(company, sessions=sessions), "de", delimiter=";").splitlines()
    keep = [line for line in german if "Grand total" not in line]
    cells = [line.split(";") for line in keep]
    marked = [
        [*row[:2], f"{int(row[2]):,}".replace(",", "."), "1", "1"] if row[0].isdigit() else row
        for row in cells
    ]
    made.write(tmp_path, "ga4.csv", "\n".join(map(";".join, marked)))
    made_of = proposed(tmp_path, "hubspot.csv", "ads.csv", "ga4.csv")
    assert [doubt.key for doubt in made_of.doubts] == ["history.source#2.read.thousands"]
    written = (tmp_path / "hubspot.toml").read_text(encoding="utf-8")
    assert '# read.thousands = "."' in written
    settled = written.replace('# read.thousands = "."', 'read.thousands = "."')
    (tmp_path / "hubspot.toml").write_text(settled, encoding="utf-8")
    read = read_history(load_study(tmp_path / "hubspot.toml"))
    visits = sum(n for (_, group), n in sessions.items() if group != "Paid Search") + sum(
        company.clicks.values()
    )
    assert float(np.nansum(read.counts["visitors"].values)) == visits


def test_groups_that_ads_bring_too_are_told(company: made.Company, tmp_path: Path):
    """Sessions of Performance Max stand under another name than search: the same campaigns must have it too."""
    made.write(tmp_path, "hubspot.csv", made.hubspot(company))
    made.write(tmp_path, "ads.csv", made.google_ads(company))
    made.write(tmp_path, "ga4.csv", made.ga4(company).replace(",Email,", ",Cross-network,"))
    told = proposed(tmp_path, "hubspot.csv", "ads.csv", "ga4.csv").told()
    assert any("Cross-network" in line and "counted twice" in line for line in told["look"])


def test_a_log_of_statuses_is_proposed_as_a_comment(company: made.Company, tmp_path: Path):
    """Which status is which stage only people know: the values stand beside the key."""
    leads, log = made.salesforce(company)
    made.write(tmp_path, "leads.csv", leads)
    made.write(tmp_path, "lead-history.csv", log)
    told = proposed(tmp_path, "lead-history.csv", "leads.csv").told()
    assert {file["file"]: file["role"] for file in told["files"]} == {
        "leads.csv": "leads",
        "lead-history.csv": "changes",
    }
    text = (tmp_path / "leads.toml").read_text(encoding="utf-8")
    assert '# changes = "lead-history.csv"' in text
    assert "Working - Contacted" in text
    assert "# reached = { qualified = " in text
    assert "changes" not in tomllib.loads(text)["history"]
