"""What columns of words say: outcomes, pipelines; nothing that is not understood goes by without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from crm_fixture import HUBSPOT, leads_of, refused, study_of

from forecast.errors import DataError, StudyError
from forecast.history import History, audit_history
from forecast.history.outcomes import is_flag

DEALS = "Record ID,Deal Stage,Close Date,Create Date,Original Traffic Source,Amount\n" + "".join(
    f"{stage}{i},{stage} ({pipeline}),2026-0{2 + i}-10,2026-01-05,web,100\n"
    for stage, pipeline, n in (
        ("Closed won", "Sales Pipeline", 4),
        ("Closed lost", "Sales Pipeline", 3),
        ("Contract signed", "Partner Pipeline", 3),
        ("Not signed", "Partner Pipeline", 2),
    )
    for i in range(n)
)
DEALS += "".join(
    f"open{i},Presentation (Sales Pipeline),{day},2026-06-02,web,\n"
    for i, day in enumerate(["2026-12-31", ""])
)


def checks(folder: Path, history: History) -> dict[str, tuple[str, str]]:
    """Status and value of each check of the audit by its name."""
    asked = audit_history(history, study_of(folder, leads="leads.csv"))
    return {str(check.name): (check.status, str(check.value)) for check in asked}


def meanings(history: History) -> dict[str, tuple[str, int]]:
    """What each value was taken for, and how many rows have it."""
    return {outcome.value: (outcome.meaning, outcome.n) for outcome in history.files[0].outcomes}


def test_values_that_are_not_understood_are_listed(tmp_path: Path) -> None:
    """Stages of a second pipeline that close: a REVIEW names them with counts; an open stage is none of them."""
    history = leads_of(tmp_path, DEALS, preset="hubspot")

    assert history.counts["won"].sum() == 4
    assert meanings(history) == {
        "Closed won (Sales Pipeline)": ("won", 4),
        "Closed lost (Sales Pipeline)": ("lost", 3),
        "Contract signed (Partner Pipeline)": ("not understood", 3),
        "Not signed (Partner Pipeline)": ("not understood", 2),
        "Presentation (Sales Pipeline)": ("open", 2),
    }
    status, value = checks(tmp_path, history)["Outcomes understood"]
    assert status == "REVIEW"
    assert '"Contract signed (Partner Pipeline)" (3), "Not signed (Partner Pipeline)" (2)' in value


@pytest.mark.parametrize("suffix", ["", " (Partner Pipeline)"])
def test_the_study_names_its_own_outcomes(tmp_path: Path, suffix: str) -> None:
    """With or without the pipeline in parentheses, in any case; the words of the CRM hold beside them."""
    own = {"won_values": (f"CONTRACT  signed{suffix}",), "lost_values": (f"not signed{suffix}",)}
    history = leads_of(tmp_path, DEALS, preset="hubspot", **own)

    assert history.counts["won"].sum() == 7
    assert int(history.losses["won"].sum()) == 5
    assert checks(tmp_path, history)["Outcomes understood"][0] == "PASS"


def test_columns_of_yes_and_no_are_read(tmp_path: Path) -> None:
    """Stages of any name: whether a deal is closed and won stands beside them; a pipeline column too."""
    rows = "".join(
        f"{i},A,P,{stage},{won},{closed},,2026-0{i}-10,2026-01-05,EUR,10,10,web\n"
        for i, (stage, won, closed) in enumerate(
            [("Signiert", "true", "true"), ("Aus", "false", "true"), ("Demo", "false", "false")], start=2
        )
    )
    history = leads_of(tmp_path, HUBSPOT + rows, preset="hubspot", through="2026-02")

    assert {value: meaning for value, (meaning, _) in meanings(history).items()} == {
        "Signiert": "won", "Aus": "lost", "Demo": "open",
    }  # fmt: skip
    assert history.counts["won"].sum() == 1


def test_no_win_understood_is_told_as_that(tmp_path: Path) -> None:
    """All values with counts, and the key; but a company that has lost and not yet won is no such case."""
    foreign = DEALS.replace("Closed won", "Kauppa tehty").replace("Contract signed", "Kauppa tehty")
    text = refused(DataError, tmp_path, foreign, preset="hubspot")

    assert (
        'column Deal Stage: no value is understood as won; its values are "Kauppa tehty (Sales Pipeline)" (4)'
        in text
    )
    assert "history.won_values" in text
    young = "".join(line for line in DEALS.splitlines(True) if "Partner" not in line and "won" not in line)
    assert leads_of(tmp_path, young, preset="hubspot").counts["won"].sum() == 0


def test_an_outcome_without_a_preset(tmp_path: Path) -> None:
    """`history.columns` takes the outcome and the closing date of any export; words of four languages are known."""
    text = "id,lähde,luotu,tila,päättynyt\n1,web,2026-01-05,Voitettu,2026-02-10\n2,web,2026-01-06,HÄVITTY,2026-02-28\n"
    columns = {
        "lead_id": "id",
        "channel": "lähde",
        "created": "luotu",
        "outcome": "tila",
        "closed": "päättynyt",
    }
    history = leads_of(tmp_path, text, columns=columns)

    assert history.counts["won"].sum() == 1
    assert int(history.losses["won"].sum()) == 1


def test_a_column_of_a_thousand_values_is_no_outcome(tmp_path: Path) -> None:
    """A wrong mapping is told, not counted."""
    rows = "".join(f"{i},x,2026-01-05,name {i},2026-02-01\n" for i in range(1100))
    text = refused(DataError, tmp_path, "lead_id,channel,created,outcome,closed\n" + rows)

    assert "column outcome: more than" in text
    assert "history.columns = { outcome =" in text


def test_pipelines_are_said_and_chosen(tmp_path: Path) -> None:
    """All are read and said; those not chosen are left out and counted; an unknown one is refused."""
    everything = leads_of(tmp_path, DEALS, preset="hubspot")
    assert everything.counts["won"].sum() == 4
    status, value = checks(tmp_path, everything)["Pipelines"]
    assert (status, value) == ("REVIEW", "all are read: Sales Pipeline (9), Partner Pipeline (5)")

    chosen = leads_of(tmp_path, DEALS, preset="hubspot", pipelines=("sales pipeline",))
    assert chosen.files[0].rows + sum(out.n for out in chosen.files[0].left_out) == 14
    assert chosen.counts["won"].sum() == 4
    out = chosen.files[0].left_out[0]
    assert (str(out.reason), out.n, out.bad) == (
        "pipeline Partner Pipeline, not in history.pipelines",
        5,
        False,
    )
    assert not {"Pipelines", "Rows left out"} & set(checks(tmp_path, chosen))

    text = refused(StudyError, tmp_path, DEALS, preset="hubspot", pipelines=("Sale Pipeline",))
    assert 'history.pipelines: the data have no pipeline "Sale Pipeline"' in text
    assert "Sales Pipeline (9), Partner Pipeline (5)" in text
    assert 'did you mean "Sales Pipeline"?' in text


def test_pipelines_need_a_column(tmp_path: Path) -> None:
    """Of our name, mapped or the CRM's; where there is none the key is refused."""
    text = "lead_id,channel,created,won,pipeline\na,x,2026-01-05,,one\nb,x,2026-01-31,,two\n"
    assert leads_of(tmp_path, text, pipelines=("two",)).counts["leads"].sum() == 1
    assert "history.pipelines: leads.csv has no column that it speaks of" in refused(
        StudyError, tmp_path, text.replace("pipeline", "team"), pipelines=("two",)
    )


@pytest.mark.parametrize("key", ["won_values", "lost_values"])
def test_words_for_no_column_are_refused(tmp_path: Path, key: str) -> None:
    """A key that would do nothing is told, not passed by."""
    text = "lead_id,channel,created,won\na,x,2026-01-05,2026-01-31\n"
    assert f"history.{key}: leads.csv has no column" in refused(StudyError, tmp_path, text, **{key: ("Ja",)})


@pytest.mark.parametrize(
    ("cell", "meant"), [("TRUE", True), ("1.0", True), ("nej", False), ("maybe", None), (None, None)]
)
def test_yes_and_no(cell: str | None, meant: bool | None) -> None:
    """As exports write them; a word that is neither is neither."""
    assert is_flag(cell) is meant
