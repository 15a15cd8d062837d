"""The contents of a report: two pages to decide on, then chapters, the past before the evidence, words last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from forecast.report.document import Page, Part, Report
from forecast.report.pages.budget import budget_page, firmness_page
from forecast.report.pages.economics import customers_page, funnel_page, market_page, mistakes_page
from forecast.report.pages.evidence import evidence_page
from forecast.report.pages.forecast import forecast_page
from forecast.report.pages.glossary import glossary_page
from forecast.report.pages.horizon import horizon_page
from forecast.report.pages.leads import leads_page
from forecast.report.pages.overview import overview_page
from forecast.report.pages.past import past_page
from forecast.report.pages.scenarios import scenarios_page
from forecast.words import horizon_words, message, short_names, spoken

if TYPE_CHECKING:
    from forecast.results import Results

PAGES = (
    overview_page,
    horizon_page,
    lambda _: Page("Contents", [Part(contents=True)]),
    forecast_page,
    funnel_page,
    budget_page,
    firmness_page,
    customers_page,
    market_page,
    mistakes_page,
    scenarios_page,
    leads_page,
    past_page,
    evidence_page,
    glossary_page,
)


_KEPT: ContextVar[dict[tuple[int, str], Report] | None] = ContextVar("_KEPT", default=None)


@contextmanager
def made_once() -> Iterator[None]:
    """Inside, the report of the same results is made once in a language: the files of a run share it."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def report_of(made: Results) -> Report:
    """The report: every page that the results can fill."""
    kept = _KEPT.get()
    if kept is None:
        return _report_of(made)
    asked = id(made), spoken()
    if asked not in kept:
        kept[asked] = _report_of(made)
    return kept[asked]


def _report_of(made: Results) -> Report:
    study = made.study
    pages = (page(made) for page in PAGES)
    return Report(
        title=message("Growth forecast: {name}", name=short_names([study.name], 60)[study.name]),
        about=message(
            "As of {as_of}, for {horizon}, in {cur}",
            as_of=study.as_of,
            horizon=horizon_words(study.horizon, study.period),
            cur=study.currency,
        ),
        as_of=message("as of {as_of}", as_of=study.as_of),
        status=made.verdict.status,
        run=str(made.provenance.get("run_id", "")),
        pages=[page for page in pages if page is not None],
    )
