"""A made company, and the exports that its tools would write of it: the truth first, the files from it.

Headers, dates and marks of numbers are those of the tools (`forecast.study.tools`, `forecast.study.crm`), in English,
German and Finnish where these are known.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

FIRST, LAST = date(2025, 1, 1), date(2025, 12, 31)
# channel: what HubSpot, GA4 and Salesforce call it
CALLED = {
    "Paid Search": ("Paid Search", "Paid Search", "Google Ads"),
    "Brand Search": ("Paid Search", "Paid Search", "Google Ads"),
    "Organic Search": ("Organic Search", "Organic Search", "Web"),
    "Email": ("Email Marketing", "Email", "Newsletter"),
    "Direct": ("Direct Traffic", "Direct", "Phone Inquiry"),
}
CAMPAIGNS = {
    "Paid Search": ("Generic | DE", "Generic | FI", "Competitors"),
    "Brand Search": ("Brand [exact]", "Brand broad"),
}
CLICKED = tuple(CAMPAIGNS)


@dataclass(frozen=True)
class Lead:
    """One lead, by day; None: it did not come so far."""

    id: int
    channel: str
    campaign: str
    created: date
    qualified: date | None = None
    won: date | None = None
    lost: date | None = None
    amount: float | None = None


@dataclass(frozen=True)
class Company:
    """What happened: leads, cents and clicks by day and campaign, sessions by day and channel group."""

    leads: tuple[Lead, ...]
    cents: dict[tuple[date, str], int]
    clicks: dict[tuple[date, str], int]
    sessions: dict[tuple[date, str], int]
    months: tuple[str, ...] = field(default_factory=lambda: tuple(f"2025-{m:02d}" for m in range(1, 13)))

    def counts(self, stage: str) -> dict[tuple[str, str], int]:
        """Leads that came to a stage, by month and channel."""
        found = Counter[tuple[str, str]]()
        for lead in self.leads:
            day = lead.created if stage == "leads" else getattr(lead, stage)
            if day is not None:
                found[_month(day), lead.channel] += 1
        return dict(found)

    def revenue(self) -> dict[tuple[str, str], float]:
        """What the deals won brought, by month and channel."""
        found: dict[tuple[str, str], float] = defaultdict(float)
        for lead in self.leads:
            if lead.won is not None:
                found[_month(lead.won), lead.channel] += lead.amount or 0.0
        return dict(found)

    def spend(self) -> dict[tuple[str, str], float]:
        """Money by month and channel, exact to the cent."""
        return {key: cents / 100 for key, cents in self._by_channel(self.cents).items()}

    def visitors(self) -> dict[tuple[str, str], int]:
        """Clicks where ads are paid by the click, sessions elsewhere."""
        found = self._by_channel(self.clicks)
        for (day, group), n in self.sessions.items():
            if group != "Paid Search":
                key = _month(day), next(name for name, called in CALLED.items() if called[1] == group)
                found[key] = found.get(key, 0) + n
        return found

    def _by_channel(self, values: Mapping[tuple[date, str], int]) -> dict[tuple[str, str], int]:
        found = Counter[tuple[str, str]]()
        for (day, campaign), value in values.items():
            channel = next(name for name, own in CAMPAIGNS.items() if campaign in own)
            found[_month(day), channel] += value
        return dict(found)


def _month(day: date) -> str:
    return day.isoformat()[:7]


def made_company(seed: int = 5) -> Company:
    """A year of a company; every channel has something in the first month and the last."""
    rng = np.random.default_rng(seed)
    days = [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]
    leads: list[Lead] = []
    for day in days:
        for channel in CALLED:
            for _ in range(int(rng.poisson(0.15))):
                campaign = str(rng.choice(CAMPAIGNS[channel])) if channel in CAMPAIGNS else ""
                leads.append(_lead(rng, len(leads) + 1001, channel, campaign, day))
    cents, clicks = {}, {}
    told = [
        day for day in days if day.day % 8 == 1 or (day + timedelta(days=1)).day == 1
    ]  # and nothing between
    for day in told:
        for names in CAMPAIGNS.values():
            for campaign in names:
                n = int(rng.poisson(9.0))
                if n or day.day == 1:  # an export has no row where nothing happened
                    clicks[day, campaign] = n
                    cents[day, campaign] = int(n * rng.integers(40, 260))
    groups = sorted({called[1] for called in CALLED.values()})
    sessions = {(day, group): int(rng.poisson(60.0)) + 1 for day in told for group in groups}
    return Company(tuple(leads), cents, clicks, sessions)


def _lead(rng: np.random.Generator, number: int, channel: str, campaign: str, day: date) -> Lead:
    def later(start: date, mean: float) -> date | None:
        then = start + timedelta(days=int(rng.exponential(mean)))
        return then if then <= LAST else None

    made = Lead(number, channel, campaign, day)
    if rng.random() < 0.4:
        lost = later(day, 20.0)
        return Lead(number, channel, campaign, day, lost=lost) if lost else made
    qualified = later(day, 10.0) if rng.random() < 0.7 else None
    if qualified is None:
        return made
    won = later(qualified, 25.0) if rng.random() < 0.5 else None
    amount = int(rng.integers(100_000, 900_000)) / 100 if won else None
    return Lead(number, channel, campaign, day, qualified, won, amount=amount)


# ------------------------------------------------------------------------------------------------------------- writing


def table(rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """Rows as a text, with quotes where they are needed."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def hubspot(company: Company, *, paid: bool = True) -> str:
    """Contacts with the dates of their lifecycle; `paid`: the second source tells the campaign."""
    head = (
        *("Record ID", "First Name", "Email", "Lifecycle Stage", "Create Date", "Became a Lead Date"),
        *("Became a Marketing Qualified Lead Date", "Became a Sales Qualified Lead Date"),
        *("Became a Customer Date", "Original Traffic Source", "Original Traffic Source Drill-Down 1"),
        "Recent Deal Amount",
    )
    rows: list[Sequence[object]] = [head]
    for lead in company.leads:
        stage = "Customer" if lead.won else "Sales Qualified Lead" if lead.qualified else "Lead"
        times = [f"{day} 09:{lead.id % 60:02d}" if day else "" for day in _lifecycle(lead)]
        source = CALLED[lead.channel][0]
        detail = lead.campaign if paid else ""
        rows.append(
            (lead.id, "A", f"a{lead.id}@example.com", stage, *times, source, detail, lead.amount or "")
        )
    return table(rows)


def _lifecycle(lead: Lead) -> list[date | None]:
    return [lead.created, lead.created, lead.qualified, lead.qualified, lead.won]


def salesforce(company: Company) -> tuple[str, str]:
    """Leads with their opportunity, and the log of their statuses, newest first as a report lists it."""
    head = (
        *("ID", "LEADSOURCE", "UTM_CAMPAIGN__C", "STATUS", "CREATEDDATE", "CONVERTEDDATE"),
        *("CONVERTEDOPPORTUNITY.AMOUNT", "CONVERTEDOPPORTUNITY.CLOSEDATE", "CONVERTEDOPPORTUNITY.STAGENAME"),
    )
    rows: list[Sequence[object]] = [head]
    log: list[tuple[date, Sequence[object]]] = []
    for lead in company.leads:
        key = f"00Q5e00000{lead.id:05d}AAA"
        status = (
            "Closed - Not Converted" if lead.lost else "Working - Contacted" if lead.qualified else "Open"
        )
        deal = ("", "", "")
        if lead.won:
            status, deal = "Closed - Converted", (f"{lead.amount:.2f}", lead.won.isoformat(), "Closed Won")
        converted = lead.won.isoformat() if lead.won else ""
        source = CALLED[lead.channel][2]
        rows.append((key, source, lead.campaign, status, f"{lead.created}T08:00:00.000Z", converted, *deal))
        if lead.qualified:
            log.append((lead.qualified, (key, "Lead Status", "Open", "Working - Contacted")))
        if lead.lost:  # lost, taken up again on the same day, and lost for good
            log.append((lead.lost, (key, "Lead Status", "Open", "Closed - Not Converted")))
            log.append((lead.lost, (key, "Lead Status", "Closed - Not Converted", "Open")))
            log.append((lead.lost, (key, "Lead Status", "Open", "Closed - Not Converted")))
        if lead.id % 7 == 0:
            log.append((lead.created, (key, "Lead Owner", "A", "B")))
    log.sort(key=lambda row: row[0], reverse=True)
    changes = [("Lead ID", "Field / Event", "Old Value", "New Value", "Edit Date", "Edited By")]
    written = [(*row, f"{day.month}/{day.day}/{day.year} 3:25 PM", "A B") for day, row in log]
    return table(rows), table([*changes, *written])


ADS = {
    "en": ("Campaign report", "January 1, 2025 - December 31, 2025", "Total: Account"),
    "de": ("Kampagnenbericht", "1. Januar 2025 - 31. Dezember 2025", "Gesamt: Konto"),
    "fi": ("Kampanjaraportti", "1. tammikuuta 2025 - 31. joulukuuta 2025", "Yhteensä: tili"),
}
ADS_TITLES = {
    "en": ("Day", "Campaign", "Currency code", "Cost", "Impr.", "Clicks", "Avg. CPC"),
    "de": ("Tag", "Kampagne", "Währungscode", "Kosten", "Impr.", "Klicks", "Durchschn. CPC"),
    "fi": ("Päivä", "Kampanja", "Valuuttakoodi", "Hinta", "Impr.", "Klikkaukset", "Keskim. CPC"),
}


def google_ads(
    company: Company,
    language: str = "en",
    *,
    delimiter: str = ",",
    currency: str = "EUR",
    totals: bool = True,
) -> str:
    """The report of campaigns by day, as the tool writes it in a language."""
    title, when, whole = ADS[language]
    rows: list[Sequence[object]] = []
    for (day, campaign), cents in sorted(company.cents.items()):
        clicks = company.clicks[day, campaign]
        cost, each = number(cents, language), number(cents // clicks, language) if clicks else " --"
        rows.append((_day(day, language), campaign, currency, cost, whole_number(clicks * 31, language),
                     whole_number(clicks, language), each))  # fmt: skip
    cents, clicks = sum(company.cents.values()), sum(company.clicks.values())
    last = (
        number(cents, language),
        whole_number(clicks * 31, language),
        whole_number(clicks, language),
        " --",
    )
    below = [(whole, " --", currency, *last)] if totals else []
    return f'{title}\n"{when}"\n' + table([ADS_TITLES[language], *rows, *below], delimiter)


def _day(day: date, language: str) -> str:
    return day.isoformat() if language == "en" else f"{day.day}.{day.month}.{day.year}"


def number(cents: int, language: str) -> str:
    """An amount as a language writes it: 1,234.56; 1.234,56; 1 234,56 with a space that does not break."""
    plain = f"{cents / 100:,.2f}"
    return _marked(plain, language)


def whole_number(n: int, language: str) -> str:
    """A count as a language writes it."""
    return _marked(f"{n:,}", language)


def _marked(plain: str, language: str) -> str:
    if language == "en":
        return plain
    thousands = {"de": ".", "fi": "\u00a0"}[language]
    return plain.replace(",", "?").replace(".", ",").replace("?", thousands)


GA4_TITLES = {
    "en": ("Session primary channel group (Default Channel Group)", "Sessions", "Engaged sessions", "Total users"),
    "de": (
        "Sitzung – primäre Channelgruppe (Standard-Channelgruppe)", "Sitzungen", "Sitzungen mit Interaktionen",
        "Nutzer insgesamt",
    ),
}  # fmt: skip


def ga4(company: Company, language: str = "en", *, delimiter: str = ",") -> str:
    """An exploration of sessions by date and channel group: comments above, a grand total in a cell beyond."""
    dash = "# ----------------------------------------"
    above = [dash, "# Sessions, by channel", "# Free form 1", "# 20250101-20251231", dash, ""]
    group, sessions, engaged, users = GA4_TITLES[language]
    date_title = "Date" if language == "en" else "Datum"
    n = sum(company.sessions.values())
    total = ("", "", n, n // 2, n - 7, "Grand total")
    rows = [
        (day.strftime("%Y%m%d"), name, value, value // 2, value - 1)
        for (day, name), value in sorted(company.sessions.items())
    ]
    return (
        "\n".join(above)
        + "\n"
        + table([(date_title, group, sessions, engaged, users), total, *rows], delimiter)
    )


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> str:
    """Write a text into a folder; gives its name."""
    (folder / name).write_bytes(text.encode(encoding))
    return name
