"""Exports of CRMs and files of leads, made small: the headers are those of real exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forecast.errors import ForecastError
from forecast.history import History, read_history
from forecast.study import Study

HUBSPOT = (
    "Record ID,Deal Name,Pipeline,Deal Stage,Is Closed Won,Is Deal Closed?,Is closed lost,Close Date,Create Date,"
    "Currency,Amount,Amount in company currency,Original Traffic Source\n"
)
SALESFORCE = (
    "Opportunity ID,Opportunity Name,Lead Source,Created Date,Close Date,Stage,Closed,Won,Amount Currency,Amount,"
    "Amount (converted) Currency,Amount (converted)\n"
)
PIPEDRIVE = (
    "Deal - ID,Deal - Title,Deal - Value,Deal - Currency of Value,Deal - Pipeline,Deal - Stage,Deal - Status,"
    "Deal - Deal created,Deal - Won time,Deal - Lost time,Deal - Deal closed on,Deal - Source channel\n"
)
EXPORTS = {
    "hubspot": HUBSPOT
    + "1,A,Sales Pipeline,Closed won,true,true,false,2026-02-03 10:00,2026-01-05 09:30,EUR,1000,1000,Organic Search\n"
    "2,B,Sales Pipeline,Closed lost,false,true,true,2026-03-31 10:00,2026-01-06 09:30,SEK,900,80,Paid Search\n"
    "3,C,Sales Pipeline,Presentation,false,false,false,2026-04-30 10:00,2026-02-06 09:30,SEK,5000,440,\n"
    "4,D,Sales Pipeline,Closed won,true,true,false,2026-02-05 10:00,2026-01-07 09:30,SEK,10000,880,Paid Search\n",
    "salesforce": SALESFORCE + "1,A,Organic Search,2026-01-05,2026-02-03,Closed Won,1,1,EUR,1000,EUR,1000\n"
    "2,B,Paid Search,2026-01-06,2026-03-31,Closed Lost,1,0,SEK,900,EUR,80\n"
    "3,C,,2026-02-06,2026-04-30,Prospecting,0,0,SEK,5000,EUR,440\n"
    "4,D,Paid Search,2026-01-07,2026-02-05,Closed Won,1,1,SEK,10000,EUR,880\n",
    "pipedrive": PIPEDRIVE
    + "1,A,1000,EUR,Sales,Sent,Won,2026-01-05 09:30:00,2026-02-03 10:00:00,,2026-02-03 10:00:00,Organic Search\n"
    "2,B,80,EUR,Sales,Sent,Lost,2026-01-06 09:30:00,,2026-03-31 10:00:00,2026-03-31 10:00:00,Paid Search\n"
    "3,C,440,EUR,Sales,Met,Open,2026-02-06 09:30:00,,,,\n"
    "4,D,880,EUR,Sales,Sent,Won,2026-01-07 09:30:00,2026-02-05 10:00:00,,2026-02-05 10:00:00,Paid Search\n",
}
TWO_STAGES = {"stages": ("leads", "won")}
THREE_STAGES = {"stages": ("leads", "qualified", "won")}


def study_of(folder: Path, *, funnel: dict[str, Any] | None = None, **history: Any) -> Study:
    """A study over files in the folder; the funnel is leads and won, unless another is asked for."""
    asked = {"name": "x", "history": history, "funnel": funnel or TWO_STAGES, "folder": folder}
    return Study.model_validate(asked)


def leads_of(folder: Path, text: str, **history: Any) -> History:
    """The history of a file of leads with this content."""
    (folder / "leads.csv").write_text(text, encoding="utf-8")
    return read_history(study_of(folder, leads="leads.csv", **history))


def refused(kind: type[ForecastError], folder: Path, text: str, **history: Any) -> str:
    """What a person is told of such a file."""
    with pytest.raises(kind) as caught:
        leads_of(folder, text, **history)
    return str(caught.value)
