"""Exports of ad accounts and web statistics, small: the titles are those of the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from forecast.errors import DataError
from forecast.history import History, read_history
from forecast.study import Study

LEADS = "lead_id,channel,created,won\na,X,2026-01-05,\nb,X,2026-02-05,2026-02-20\nc,X,2026-03-31,\n"
MONTHS = ("2026-01-01", "2026-02-01", "2026-03-01")
GOOGLE = (
    "Month,Campaign,Campaign type,Currency code,Cost,Impr.,Clicks",
    '{day},X,Search,EUR,"1,200.50",9,40',
)
EXPORTS: dict[str, tuple[str, str, str, str, str]] = {  # encoding, before, header, row, after
    "google": (
        "utf-8", 'Campaign report\n"January 1, 2026 - March 31, 2026"\n', *GOOGLE,
        'Total: Campaigns, --, --,EUR,"3,601.50",27,120\nTotal: Account, --, --,EUR,"3,601.50",27,120\n',
    ),
    "meta": (
        "utf-8-sig", "", "Reporting starts,Reporting ends,Campaign name,Results,Reach,Amount spent (EUR),Link clicks",
        "{day},{end},X,4,900,1200.50,40", "",
    ),
    "meta, German": (
        "utf-8", "", "Berichtsstart,Berichtsende,Kampagnenname,Ausgegebener Betrag (EUR),Link-Klicks",
        "{day},{end},X,1200.50,40", "",
    ),
    "linkedin": (
        "utf-16", "Campaign Performance Report (in UTC)\nReport Start: 1/1/2026, 12:00 AM\n\n",
        "Start Date (in UTC)\tAccount Name\tCurrency\tCampaign Name\tTotal Spent\tClicks",
        "{us}\tAcme\tEUR\tX\t1,200.50\t40", "",
    ),
    "microsoft": (
        "utf-8-sig", '"Report Name: Campaigns"\n"Time Zone: (GMT+02:00) Helsinki"\n\n',
        "Month,Campaign name,Currency code,Impressions,Clicks,Spend", "{day},X,EUR,900,40,1200.50",
        "\n\"©2026 Microsoft Corporation. All rights reserved. \"\n",
    ),
    "google, Finnish": (
        "utf-16", "Kampanjaraportti\n", "Kuukausi\tKampanja\tValuuttakoodi\tKustannukset\tKlikkaukset",
        "{day}\tX\tEUR\t1\N{NO-BREAK SPACE}200,50\t40", "",
    ),
}  # fmt: skip


def beside_leads(folder: Path, content: str, encoding: str = "utf-8", **history: object) -> History:
    """The history of three leads with this file of activity."""
    (folder / "leads.csv").write_text(LEADS, encoding="utf-8")
    (folder / "ads.csv").write_text(content, encoding=encoding)
    asked = {"leads": "leads.csv", "activity": "ads.csv", **history}
    stages = ("visitors", "leads", "won")
    return read_history(
        Study.model_validate({"name": "x", "folder": folder, "history": asked, "funnel": {"stages": stages}})
    )


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_of_ad_accounts_are_read_as_they_come(tmp_path: Path, name: str) -> None:
    """Spend and visits of each month, whatever the titles; sums below are left out."""
    encoding, before, header, row, after = EXPORTS[name]
    rows = "".join(
        row.format(day=day, end=day[:8] + "28", us=f"{int(day[5:7])}/1/2026") + "\n" for day in MONTHS
    )
    history = beside_leads(tmp_path, before + header + "\n" + rows + after, encoding)
    assert history.counts["spend"].values.ravel().tolist() == [1200.5] * 3
    assert history.counts["visitors"].values.ravel().tolist() == [40] * 3


def ga4(rows: Sequence[Sequence[str]]) -> str:
    """An export of GA4 with these rows."""
    head = [
        "# Traffic acquisition",
        "# Start date: 20260101",
        "Session default channel group,Year month,Sessions",
    ]
    return "\n".join([*head, *(",".join(row) for row in rows)]) + "\n"


def test_web_statistics_with_their_sum_above(tmp_path: Path) -> None:
    """GA4 writes the sum into the first row, and "Grand total" beyond the last column."""
    rows = [["X", month[:7].replace("-", ""), "40"] for month in MONTHS]
    history = beside_leads(tmp_path, ga4([["", "", "120", "Grand total"], *rows]))
    assert history.counts["visitors"].values.ravel().tolist() == [40] * 3
    with pytest.raises(DataError, match=r"another number of cells in row 4"):
        beside_leads(tmp_path, ga4([["", "", "120", "Sum of X"], *rows]))


def test_two_columns_of_visits_are_asked_for_and_none_is_told(tmp_path: Path) -> None:
    """The key that the message names settles it; a file with nothing to read says what it has."""
    rows = [
        ["Date", "Channel Type", "Unique visitors", "Visits"],
        *([m[:7], "X", "40", "50"] for m in MONTHS),
    ]
    content = "\n".join(",".join(row) for row in rows) + "\n"
    with pytest.raises(DataError, match=r'history.columns = { visitors = "Unique visitors" }'):
        beside_leads(tmp_path, content)
    history = beside_leads(tmp_path, content, columns={"visitors": "Unique visitors"})
    assert history.counts["visitors"].values.ravel().tolist() == [40] * 3
    with pytest.raises(
        DataError, match=r"row 1: no column of spend, visitors; the file has Date, Channel Type, People"
    ):
        beside_leads(tmp_path, content.replace("Unique visitors", "People").replace("Visits", "Actions"))


def test_the_channel_of_an_ads_file_can_be_named(tmp_path: Path) -> None:
    """A mapped name that only the activity has is meant for it; one that neither has is refused by key."""
    content = "Month,Touchpoint,Cost\n" + "".join(f"{month},X,5\n" for month in MONTHS)
    with pytest.raises(DataError, match=r'row 1: no column "channel".*history.columns = { channel = '):
        beside_leads(tmp_path, content)
    history = beside_leads(tmp_path, content, columns={"channel": "Touchpoint"})
    assert history.channels == ["X"]
    for mistyped in ("Tuchpoint", "lead_id"):
        with pytest.raises(
            DataError, match=r"call the one that is meant channel, or correct history.columns.channel"
        ):
            beside_leads(tmp_path, content, columns={"channel": mistyped})
    with pytest.raises(DataError, match=r'no column "Tuchpoint", which history.columns.channel names'):
        beside_leads(tmp_path, content.replace("Touchpoint", "channel"), columns={"channel": "Tuchpoint"})


def test_the_row_of_the_header_is_named(tmp_path: Path) -> None:
    """Of a file with lines before it, the row that it has."""
    content = "A report\n\nMonth,Touchpoint,Cost\n" + "".join(f"{month},X,5\n" for month in MONTHS)
    with pytest.raises(DataError, match=r'ads.csv: row 3: no column "channel"'):
        beside_leads(tmp_path, content)


def test_money_of_another_currency_in_a_table_is_to_be_looked_at(tmp_path: Path) -> None:
    """One other currency in all rows is read and asked about; the way out converts it."""
    content = (
        GOOGLE[0] + "\n" + "".join(GOOGLE[1].format(day=day) + "\n" for day in MONTHS).replace("EUR", "SEK")
    )
    history = beside_leads(tmp_path, content)
    (found,) = [check for check in history.found if str(check.name) == "Currency of the data"]
    assert found.status == "REVIEW"
    assert "history.exchange = { SEK = ... }" in str(found.advice)
    converted = beside_leads(tmp_path, content, exchange={"SEK": 0.1})
    assert converted.counts["spend"].values.ravel().tolist() == pytest.approx([120.05] * 3)
