"""Money in several currencies: converted where the study has rates, said where one is another's, else refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from crm_fixture import leads_of, refused, study_of

from forecast.errors import DataError, StudyError
from forecast.history import audit_history, read_history
from forecast.history.currencies import Amounts, conversion, converted_titles

LEADS = "lead_id,channel,created,won,amount,currency\n"
MIXED = (
    LEADS + "a,x,2026-01-05,2026-02-28,1000,EUR\nb,x,2026-01-05,2026-02-28,10000,SEK\nc,x,2026-01-05,,,JPY\n"
)


def test_two_currencies_are_refused_with_the_ways_out(tmp_path: Path) -> None:
    """Counts and sums of each; currencies of rows without an amount do not matter."""
    text = refused(DataError, tmp_path, MIXED)

    assert "leads.csv: column amount: its rows are in more than one currency: EUR (1 row," in text.replace(
        "\u00a0", " "
    )
    for words in ("SEK", "history.columns.amount", "history.exchange = { SEK = ... }", "export one currency"):
        assert words in text
    assert "JPY" not in text


def test_rates_convert_and_it_is_said(tmp_path: Path) -> None:
    """One unit in the study's currency; the sum is that of the converted amounts."""
    history = leads_of(tmp_path, MIXED, exchange={"sek": 0.088})

    assert sorted(history.deals["amount"]) == [880, 1000]
    assert history.counts["revenue"].sum() == 1880
    (note,) = history.files[0].notes
    assert str(note).replace("\u00a0", " ").startswith("amount: converted, 1 SEK = 0.088 EUR:")
    assert "no rate for SEK" in refused(DataError, tmp_path, MIXED, exchange={"USD": 0.9})


def test_a_converted_amount_needs_its_currency(tmp_path: Path) -> None:
    """Where amounts are converted, one without a currency is no amount: refused with its row."""
    text = refused(DataError, tmp_path, MIXED + "d,x,2026-01-05,2026-02-01,5,\n", exchange={"SEK": 0.088})

    assert "column currency: row 5: is empty where there is an amount" in text


@pytest.mark.parametrize(("exchange", "revenue", "asked"), [({}, 10_000, True), ({"SEK": 0.1}, 1_000, False)])
def test_one_other_currency_is_said_not_refused(
    tmp_path: Path, exchange: dict[str, float], revenue: float, asked: bool
) -> None:
    """All amounts in SEK, a study in EUR: a check asks, unless the study has a rate."""
    text = LEADS + "b,x,2026-01-05,2026-02-28,10000,SEK\n"
    history = leads_of(tmp_path, text, exchange=exchange)
    found = {
        str(check.name): str(check.value)
        for check in audit_history(history, study_of(tmp_path, leads="leads.csv"))
    }

    assert history.counts["revenue"].sum() == revenue
    assert ("Currency of the data" in found) == asked
    if asked:
        assert found["Currency of the data"] == "the amounts are in SEK, and are read as EUR"


def test_rates_without_a_column_of_currencies_are_refused(tmp_path: Path) -> None:
    """They would convert nothing, unseen: in leads as in counts."""
    leads = "lead_id,channel,created,won,amount\na,x,2026-01-05,2026-01-31,5\n"
    text = refused(StudyError, tmp_path, leads, exchange={"SEK": 0.1})
    assert "history.exchange: leads.csv has no column of currencies" in text
    (tmp_path / "c.csv").write_text("period,channel,leads,won,revenue\n2026-01,x,5,1,9\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"history.exchange: c.csv has no column of currencies"):
        read_history(study_of(tmp_path, counts="c.csv", exchange={"SEK": 0.1}))


def test_the_own_currency_alone_is_nothing_to_tell() -> None:
    """In small letters or with none at all in some rows: as it is."""
    found = conversion(
        {"EUR": Amounts(3, 10.0), "": Amounts(1, 2.0)},
        currency="eur",
        exchange={"SEK": 0.1},
        file="f",
        column="c",
        remedy="",
    )
    assert (dict(found.rates), found.note, found.other) == ({}, "", "")


def test_converted_columns_are_known_by_their_titles() -> None:
    """As the three CRMs write them; the currency of a converted amount is no amount."""
    titles = ["Amount", "Amount (converted) Currency", "Amount (converted)", "Amount in company currency"]
    assert converted_titles(titles) == titles[2:]


@pytest.mark.parametrize("whole", [4 << 20, 0])
def test_signs_and_titles_of_amounts_name_their_currency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    """Leads without a column of currencies: amounts in euros and dollars are never added up, rates convert them.

    In files that are read whole, and in those that DuckDB reads.
    """
    monkeypatch.setattr("forecast.read.relation.MODERATE", whole)
    rows = "a,x,2026-01-05,2026-02-28,1000 €\nb,x,2026-01-05,2026-02-28,$500\nc,x,2026-01-05,2026-02-28,7\n"
    mixed = LEADS.replace(",currency", "") + rows
    text = refused(DataError, tmp_path, mixed)
    assert "column amount: its rows are in more than one currency" in text
    assert "history.exchange = { USD = ... }" in text

    history = leads_of(tmp_path, mixed, exchange={"USD": 0.9})
    assert sorted(history.deals["amount"]) == [7, 450, 1000]  # one without a sign is in the study's

    dollars = LEADS.replace("amount,currency", "Amount (USD)") + "b,x,2026-01-05,2026-02-28,500\n"
    titled = leads_of(tmp_path, dollars)
    assert titled.reading["currency"] == "USD"
    assert leads_of(tmp_path, dollars, exchange={"USD": 0.9}).counts["revenue"].sum() == 450


def test_one_sign_is_nothing_to_tell(tmp_path: Path) -> None:
    """Every amount with the sign of the study's currency."""
    euros = (
        LEADS.replace(",currency", "") + "a,x,2026-01-05,2026-02-28,1000 €\nb,x,2026-01-05,2026-02-28,€ 5\n"
    )
    history = leads_of(tmp_path, euros)

    assert history.counts["revenue"].sum() == 1005
    assert history.files[0].notes == ()
