"""Names of columns as people write them, in English, Finnish, Swedish and German.

A name is found whatever its case, blanks, underscores and unit: "Mainoskulut (EUR)" is `mainoskulut`. A column that has
our own name, or the one that the study maps, goes before all that stands here; of two that may be meant, which is
asked.
A budget is a plan: it is spend in a plan, and never in a history.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from forecast.study import KEYS

CODES = tuple(
    """EUR USD GBP SEK NOK DKK ISK CHF PLN CZK HUF RON BGN JPY CNY CAD AUD NZD INR BRL MXN ZAR TRY AED SGD HKD KRW THB
    ILS UAH RUB""".split()  # noqa: SIM905 - a list of words
)
PERIODS = {
    "month": """month, year month, yearmonth, month of the year, kuukausi, kk, vuosi kuukausi, månad, monat, jahr monat,
        month start, start of month, reporting month""",
    "week": "week, iso week, year week, week of the year, viikko, vko, vk, vecka, woche, kw, kalenderwoche, week start",
    "quarter": "quarter, kvartaali, neljännes, vuosineljännes, kvartal, quartal, fiscal quarter",
}
DATES = """date, day, pvm, päivä, päivämäärä, jakso, aika, datum, dag, tid, tag, zeitraum, reporting starts,
    start date (in utc), berichtsstart"""

_NAMES = {
    "channel": (
        """channel, marketing channel, channel group, default channel group, session default channel group,
        default channel grouping, first user default channel group, channel type, kanava, markkinointikanava, kanal,
        marknadsföringskanal, marketingkanal""",
        """source, traffic source, original source, lead source, utm source, lähde, liidin lähde, källa, leadkälla,
        quelle, herkunft, leadquelle""",
        "campaign, campaign name, kampanja, kampanjan nimi, kampanj, kampanjnamn, kampagne, kampagnenname",
    ),
    "spend": (
        """spend, cost, costs, ad spend, ad cost, advertising cost, media cost, media spend, marketing spend,
        amount spent, total spent, total spend, total cost, cost micros, kustannus, kustannukset, kulut, kulu,
        mainoskulut, mainoskulu, mainoskustannukset, markkinointikulut, menot, kostnad, kostnader, annonskostnad,
        annonskostnader, reklamkostnad, utgifter, kosten, werbekosten, ausgaben, werbeausgaben, mediakosten,
        ausgegebener betrag""",
    ),
    "visitors": (
        """visitors, website visitors, unique visitors, visits, sessions, clicks, users, kävijät, verkkosivukävijät,
        kävijämäärä, istunnot, käynnit, klikkaukset, käyttäjät, besökare, besök, sessioner, klick, användare, besucher,
        besuche, sitzungen, klicks, nutzer""",
        "link clicks, link klicks, linkin klikkaukset",
    ),
    "leads": (
        """leads, new leads, contacts, new contacts, enquiries, inquiries, form submissions, conversions, liidit,
        uudet liidit, yhteydenotot, yhteydenottopyynnöt, konversiot, förfrågningar, kontakter, konverteringar,
        anfragen, kontakte, interessenten""",
    ),
    "qualified": (
        """qualified, qualified leads, sql, sqls, sales qualified leads, sales qualified, opportunities, meetings,
        kvalifioidut, kvalifioidut liidit, kvalifioitu, myyntikeskustelut, tapaamiset, kvalificerade,
        kvalificerade leads, möten, kvalificerad, qualifiziert, qualifizierte, qualifizierte leads, termine""",
    ),
    "won": (
        """won, deals, won deals, deals won, closed won, customers, new customers, orders, purchases, kaupat, kauppa,
        voitetut, voitettu, voitetut kaupat, uudet asiakkaat, asiakkaat, tilaukset, vunna, vunnen, vunna affärer,
        affärer, nya kunder, kunder, beställningar, order, gewonnen, gewonnene, gewonnene deals, abschlüsse, neukunden,
        kunden, aufträge, bestellungen""",
    ),
    "revenue": (
        """revenue, total revenue, turnover, net sales, sales revenue, liikevaihto, myynti, myyntitulot, tuotto,
        omsättning, intäkter, intäkt, försäljning, umsatz, erlös, erlöse, umsatzerlöse""",
    ),
    "refunds": (
        "refunds, refunded, refunded amount, credit notes, hyvitykset, palautukset, erstattungen, gutschriften",
    ),
    "recurring": (
        "recurring, recurring revenue, renewal revenue, jatkuva liikevaihto, återkommande intäkter",
    ),
    "lead_id": (
        """lead id, leadid, id, record id, deal id, contact id, opportunity id, liidi id, liidin id, liidin tunnus,
        tunnus, tunniste, kaupan tunnus, ärende id, lead nr, affärs id, vorgangs id, lead nummer""",
    ),
    "created": (
        """created, create date, created at, created date, date created, creation date, luotu, luontipäivä, luontipvm,
        luotu pvm, skapad, skapad datum, skapades, erstellt, erstellt am, erstelldatum, erstellungsdatum,
        angelegt am""",
    ),
    "lost": (
        """lost, lost at, lost date, date lost, hävitty, menetetty, hävitty pvm, förlorad, förlorad datum, verloren,
        verloren am""",
    ),
    "amount": (
        """amount, value, deal value, deal amount, arvo, summa, kaupan arvo, kauppasumma, belopp, värde, affärsvärde,
        betrag, wert, auftragswert""",
    ),
    "currency": (
        "currency, currency code, valuutta, valuuttakoodi, valuta, valutakod, währung, währungscode",
    ),
    "outcome": ("outcome, stage, deal stage, status, deal status, tila, vaihe, kaupan vaihe, steg, phase",),
    "closed": (
        "closed, close date, closed date, closing date, päättynyt, päättymispäivä, stängd, abgeschlossen am",
    ),
    "returned": ("returned, returned at, palannut, återkom, zurückgekehrt",),
}  # dates of leads that were reached: words of the stage itself, and of the day on which it was
_DATED = {
    "qualified": (
        "qualified at, qualified date, sql at, sql date, kvalifioitu pvm, kvalificerad datum, qualifiziert am",
    ),
    "won": ("won at, won date, date won, won time, voitettu pvm, voittopäivä, vunnen datum, gewonnen am",),
}
BUDGET = "budget, budjetti, planned spend, suunniteltu kustannus, planerad kostnad, geplante kosten, plan"
MEASURES = "measure, metric, kpi, mittari, luku, mätetal, mått, kennzahl, messgröße"


# What the last word of a row of totals is, or all that stands before a mark ("Total: Account"), in several languages.
TOTAL_WORDS = frozenset({
    "total", "totals", "totale", "totaal", "totalt", "totalsumma", "yhteensä", "summa", "loppusumma", "kokonaissumma",
    "gesamt", "insgesamt", "summe", "gesamtsumme", "gesamtergebnis", "endsumme",
})  # fmt: skip
TOTAL_NAMES = TOTAL_WORDS | {
    "sum",
    "all channels",
    "all sources",
    "all campaigns",
    "total general",
    "kaikki kanavat",
    "kaikki lähteet",
    "alla kanaler",
    "alle kanäle",
}


def _listed(names: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in names.split(","))


def folded(name: str) -> str:
    r"""A name without case, needless blanks, Unicode form and signs that nobody sees: what spellings of it share.

    >>> folded("Ma\u0308ki\u00a0 Oy\u200b") == folded("M\u00e4ki oy")
    True
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        name = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
    return " ".join(name.split()).casefold()


def means_total(name: str) -> bool:
    """Whether a name says that its rows add up others.

    >>> [means_total(name) for name in ("Grand Total", "Total: Account", "Yhteensä", "Total 2025", "Total TV", "ppc")]
    [True, True, True, True, False, False]
    """
    plain = folded(name)
    parts = [part.strip(" *") for part in re.split(r"[:|/()]| [\u2013-] ", plain)]
    parts = [part for part in parts if part]
    last = re.sub(r" (19|20)\d\d$", "", plain.strip(" *:()")).split(" ")[-1]
    return plain in TOTAL_NAMES or last in TOTAL_WORDS or any(part in TOTAL_NAMES for part in parts)


# what may stand in brackets and leave the meaning as it is: other words there may change it (lost, planned, target)
_MONEY = rf"(?:{'|'.join(CODES).lower()}|us\$|[€$£¥₹]|zł|kr|micros)"
_PIECES = r"(?:kpl|pcs|st|stk|stück|n|#|count|number|lukumäärä|määrä|antal|anzahl)\.?"
_YEAR, _MONTH, _DAY = r"[yvjå]{2,4}", r"(?:mm?|kk?)", r"(?:dd?|pp?|tt?)"
_PATTERN = (
    rf"(?:{_YEAR}[-/.]{_MONTH}(?:[-/.]{_DAY})?|(?:{_DAY}[-/.])?{_MONTH}[-/.]{_YEAR})"  # yyyy-mm, pp.kk.vvvv
)
_SAID = rf"(?:{_MONEY}|{_PIECES}|{_PATTERN})"
_UNIT = re.compile(rf"\s*(?:\(\s*{_SAID}\s*\)|\[\s*{_SAID}\s*\]|,\s*{_MONEY}|[€$£])$")


@lru_cache(maxsize=10_000)  # of every cell of the first rows it is asked whether it is a title
def title_key(name: str) -> str:
    """What two writings of one title share: case, blanks, underscores, hyphens and the unit at its end do not matter.

    >>> title_key("Mainos_kulut  (EUR)"), title_key("Lead-ID"), title_key("Deals (lost)")
    ('mainos kulut', 'lead id', 'deals (lost)')
    """
    plain = unicodedata.normalize("NFKC", name).replace("\ufeff", "")
    plain = _UNIT.sub("", folded(plain.replace("_", " "))).replace("-", " ")
    plain = folded(plain)
    return plain or folded(name)


def place_of_key(name: str, header: Sequence[str]) -> int | None:
    """Where the column stands that a rule calls by a name: the file's own title, or one of `KEYS` in any language.

    >>> place_of_key("campaign", ("Tag", "Kampagne")), place_of_key("Tag", ("Tag", "Kampagne"))
    (1, 0)
    """
    own = [at for at, title in enumerate(header) if title.strip() and folded(title) == folded(name)]
    if own:
        return own[0]
    titles = [title_key(title) for title in header]
    for known in KEYS.get(title_key(name).replace(" ", "_"), ()):
        if (key := title_key(known)) in titles:
            return titles.index(key)
    return None


def tiers(ours: str, role: str, kind: str | None) -> tuple[tuple[str, ...], ...]:
    """Names that a column of ours may have, the better known first: as keys of titles."""
    if ours == "period":
        own = PERIODS.get(kind or "", "")
        sets: tuple[str, ...] = (own, DATES) if own else (DATES,)
    else:
        sets = _NAMES.get(ours, ())
        if role in {"leads", "deals"} and ours in _DATED:
            sets = (*_DATED[ours], *sets)
        if role == "plan" and ours == "spend":
            sets = (*sets, BUDGET)
    return tuple(tuple(title_key(name) for name in _listed(names)) for names in sets)
