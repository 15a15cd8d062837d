"""Companies with money beside their deals, and what a forecast of the next quarter makes of it.

    free         a share of the deals brings nothing, deal by deal (or month by month, in every second company)
    refunds      part of earlier revenue is paid back; in a column `refunds`
    notes        the same, as rows of a channel "credit notes" with revenue below 0
    recurring    customers won before go on paying; in a column `recurring`

Steady funnels, known truth, previews. --blind forecasts the same companies from books that do not tell it apart:
without the column refunds; recurring revenue within the column revenue. Bias, CRPS and width: of all companies
together, over what came to all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from command import parser_of
from numpy.typing import NDArray

from forecast.equations import delay_pmf
from forecast.fit import preview
from forecast.history import read_history
from forecast.planning import forecast
from forecast.study import Study

Array = NDArray[np.float64]
KINDS = ("free", "refunds", "notes", "recurring")
BEFORE, KNOWN, AHEAD = 12, 36, 3
CHANNELS = ("ppc", "seo")


def company(kind: str, number: int, *, blind: bool) -> tuple[pd.DataFrame, float]:
    """The books of a company, a row per month and channel, and the revenue of the quarter after them."""
    rng = np.random.default_rng([number, KINDS.index(kind)])
    n = BEFORE + KNOWN + AHEAD
    visitors = rng.poisson(rng.gamma(50, [20.0, 12.0], (n, 2)))
    leads = rng.binomial(visitors, [0.05, 0.06])
    qualified = rng.binomial(leads, 0.4)
    won = rng.binomial(qualified, 0.3)
    spend = rng.normal([3000, 1500], [300, 150], (n, 2)).round()
    share = rng.uniform(0.2, 0.6) if kind == "free" else 0.0
    paid = rng.binomial(won, 1 - share) if number % 2 else won * (rng.random(won.shape) >= share)
    mean = rng.uniform(3000, 8000)
    revenue = np.where(paid > 0, rng.gamma(np.maximum(paid, 1e-9) / 0.5, mean * 0.5), 0.0).round()
    back, again = np.zeros((n, 2)), np.zeros(n)
    if kind in ("refunds", "notes"):
        part, law = rng.uniform(0.05, 0.25), delay_pmf(rng.uniform(0.5, 3), 1.0, BEFORE)
        due = np.array([law[: t + 1] @ revenue[t::-1][:BEFORE] for t in range(n)])
        back = (mean / 2 * rng.poisson(part * due / (mean / 2))).round()
    if kind == "recurring":
        walk = np.cumsum(rng.normal(rng.normal(0, 0.01), 0.01, n))
        again = (rng.uniform(2, 8) * revenue.mean() * np.exp(walk + rng.normal(0, 0.03, n))).round()
    came = float((revenue - back)[-AHEAD:].sum() + again[-AHEAD:].sum())
    months = pd.period_range("2022-11", periods=n, freq="M").astype(str)
    frames = []
    for c, name in enumerate(CHANNELS):
        counts = {"visitors": visitors, "leads": leads, "qualified": qualified, "won": won}
        frame = pd.DataFrame({"period": months, "channel": name, "spend": spend[:, c]})
        frame = frame.assign(
            **{stage: values[:, c] for stage, values in counts.items()}, revenue=revenue[:, c]
        )
        if kind == "refunds" and not blind:
            frame["refunds"] = back[:, c]
        if kind == "recurring" and blind:
            frame["revenue"] += again / len(CHANNELS)
        frames.append(frame)
    if kind == "notes":
        frames.append(
            pd.DataFrame({"period": months, "channel": "credit notes", "revenue": -back.sum(axis=1)})
        )
    if kind == "recurring" and not blind:
        frames.append(pd.DataFrame({"period": months, "channel": "customers", "recurring": again}))
    books = pd.concat(frames)
    return books[books["period"].isin(months[BEFORE:-AHEAD])], came


def forecast_of(kind: str, number: int, *, blind: bool) -> tuple[Array, float]:
    """Draws of the quarter's revenue, and what came."""
    books, came = company(kind, number, blind=blind)
    with tempfile.TemporaryDirectory() as folder:
        books.to_csv(Path(folder) / "books.csv", index=False)
        net = kind == "notes" or (kind == "refunds" and not blind)
        asked = {
            "name": "books",
            "folder": Path(folder),
            "history": {"counts": "books.csv", "net_revenue": net},
            "funnel": {"market": "b2b", "delay": {"qualified": "0 days", "won": "0 days"}},
            "plan": {"periods": AHEAD},
        }
        study = Study.model_validate(asked)
        history = read_history(study)
    made = forecast(study, history, preview(study, history, seed=number, draws=1000))
    draws = made.draws["revenue"].sel(plan="given").sum(("period", "channel"))
    return np.asarray(draws.values, dtype=float), came


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each kind of company."""
    parser = parser_of(__doc__)
    parser.add_argument("--companies", type=int, default=24)
    parser.add_argument("--blind", action="store_true")
    options = parser.parse_args(argv)
    print("| company | bias | in 80 % | CRPS | width of 80 % |\n|---|---|---|---|---|")
    for kind in KINDS:
        rows = []
        for number in range(options.companies):
            draws, came = forecast_of(kind, number, blind=options.blind)
            low, high = np.quantile(draws, (0.1, 0.9))
            n, ordered = len(draws), np.sort(draws)
            crps = np.abs(draws - came).mean() - ((2 * np.arange(n) + 1 - n) @ ordered) / n**2
            rows.append((came, draws.mean() - came, low <= came <= high, crps, high - low))
        came, bias, inside, crps, width = np.array(rows, dtype=float).mean(axis=0)
        print(
            f"| {kind} | {bias / came:+.3f} | {inside:.2f} | {crps / came:.3f} | {width / came:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
