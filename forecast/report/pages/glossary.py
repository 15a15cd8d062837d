"""The last page: what the words of the report mean, each in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forecast.report.document import Listing, Page, Part, Row
from forecast.words import Text

if TYPE_CHECKING:
    from forecast.results import Results

TERMS: dict[str, Text] = {
    "Expected": "The mean of all simulated futures; it adds up over channels and periods. Every number of this report "
    "that is not called otherwise is one.",
    "80 % band": "Four futures out of five lie in it, one in ten below it, one in ten above it. Bands do not add up.",
    "Horizon": "The periods that are forecast, all together.",
    "Won": "Leads that became customers; a win is one of them.",
    "Conversion, qualification, close rate": "Share of what enters a stage that reaches the next one in the end: "
    "visitors to leads, leads to qualified, qualified to won.",
    "Open pipeline": "Leads that were in the funnel at the end of the data and are neither won nor lost.",
    "Delay": "Time from one stage to the next, of those that get there.",
    "Contribution": "Gross margin times revenue, less spend.",
    "Eventual": "Whenever it lands, also after the horizon: of the leads that the horizon acquires.",
    "Nearly as good": "Range of spend of a channel within which the result hardly depends on the amount.",
    "Elasticity": "How much more traffic more spend brings: at 0.5, a tenth more spend brings about a twentieth more.",
    "CPL": "Cost per lead: spend over leads.",
    "CAC": "Cost of a new customer: spend over the customers that it wins in the end.",
    "LTV": "Gross margin that a customer brings over the lifetime that the study gives.",
    "LTV/CAC": "What a customer brings over what it costs to win one.",
    "Break-even": "The cost per lead at which a lead brings back just what it costs.",
    "Prior, assumed": "What is usual for such companies, taken where your own data tell little.",
    "Chance, luck": "What differs between futures even if every rate were known: which leads close, for how much.",
    "PASS, REVIEW, FAIL": "A check that holds; one that a reader should weigh; one for which no decision should rest "
    "on these numbers.",
    "Run": 'The identity of this report: the same study, data, fit and versions have the same one. "forecast verify" '
    "finds any change.",
}


def glossary_page(_: Results) -> Page:
    """The words."""
    rows = [Row([name, said]) for name, said in TERMS.items()]
    return Page("Words", [Part(listings=[Listing(["", ""], rows, "ll", "a1", folds=True)])])
