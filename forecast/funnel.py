"""The funnel equation by hand: visitors x conversion x qualification x close rate x value, no history needed.

    visitors --conversion--> leads --qualification--> qualified --close--> won --value--> revenue

Any factor at zero makes the result zero, and an improvement of any factor multiplies through the whole chain.
Rates are shares in [0, 1]; money is in one currency, whichever it is; visitors and revenue are per period.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from decimal import Context
from typing import TYPE_CHECKING, Any, overload

from forecast.errors import UsageError
from forecast.study import market_prior, rate_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# The rates in order, each with the stage that it leads into.
RATES: dict[str, str] = {"conversion": "leads", "qualification": "qualified", "close": "won"}
BAND_LEVELS: tuple[float, ...] = (0.10, 0.25, 0.50, 0.75, 0.90)  # central 50 % and 80 %, and the median
READ_AS_CENTRAL = 0.5  # the share of companies that a published range is read to hold
_TWELVE_DIGITS = Context(prec=12)
_GRID = 64  # points per rate: 64^3 products, quantiles good to about 0.2 %


@overload
def funnel_value(  # type: ignore[overload-overlap]  # a number may stand for an array, and five numbers give one
    visitors: float, conversion: float, qualification: float, close: float, value: float
) -> float: ...
@overload
def funnel_value(
    visitors: float | Array,
    conversion: float | Array,
    qualification: float | Array,
    close: float | Array,
    value: float | Array,
) -> Array: ...
def funnel_value(visitors: Any, conversion: Any, qualification: Any, close: Any, value: Any) -> Any:
    """Revenue of a funnel: visitors x conversion x qualification x close x value.

    Takes numbers or arrays that broadcast; rates in [0, 1], value in currency per customer.

    >>> round(funnel_value(1000, 0.03, 0.40, 0.25, 5000), 6)
    15000.0
    """
    return visitors * conversion * qualification * close * value


@dataclass(frozen=True)
class Funnel:
    """One funnel: visitors per period, three rates in [0, 1] and the value of a customer in currency.

    Raises UsageError when a number is negative, not finite, or a rate is above 1.

    >>> guide = Funnel(visitors=1000, conversion=0.03, qualification=0.40, close=0.25, value=5000)
    >>> clean(guide.leads), clean(guide.qualified), clean(guide.won), clean(guide.revenue)
    (30, 12, 3, 15000)
    """

    visitors: float
    conversion: float
    qualification: float
    close: float
    value: float

    def __post_init__(self) -> None:
        for name, number in asdict(self).items():
            if not (math.isfinite(number) and number >= 0):
                raise UsageError(f"{name} must be a number of 0 or more, not {number}.")
            if name in RATES and number > 1:
                raise UsageError(f"{name} is a share between 0 and 1 (0 % and 100 %), not {number}.")

    @property
    def leads(self) -> float:
        """Leads per period: visitors x conversion."""
        return self.visitors * self.conversion

    @property
    def qualified(self) -> float:
        """Qualified leads per period: leads x qualification."""
        return self.leads * self.qualification

    @property
    def won(self) -> float:
        """Customers per period: qualified leads x close rate."""
        return self.qualified * self.close

    @property
    def revenue(self) -> float:
        """Revenue per period: customers x value."""
        return self.won * self.value

    def worth(self) -> dict[str, float]:
        """What one unit of each stage is worth in expected revenue, in currency.

            qualified = close x value
            lead = qualification x close x value
            visitor = conversion x qualification x close x value

        A qualified lead is worth 1 / qualification times a lead: taking one for the other overpays as much.
        """
        qualified = self.close * self.value
        lead = self.qualification * qualified
        return {"visitor": self.conversion * lead, "lead": lead, "qualified": qualified}

    def break_even(self, margin: float = 1.0) -> dict[str, float]:
        """The most that one unit of each stage may cost without a loss: margin x its worth, in currency.

        Raises UsageError unless 0 < margin <= 1.
        """
        if not 0 < margin <= 1:
            raise UsageError(f"margin is a share above 0 and at most 1 (100 %), not {margin}.")
        return {unit: margin * worth for unit, worth in self.worth().items()}

    def plus_one_point(self) -> dict[str, dict[str, float | None]]:
        """What one percentage point more of each rate brings, the others as they are.

        For each rate: `rate` (the raised one, at most 1), `revenue` and `gain` in currency, `relative` gain
        as a share of the revenue (None where there is no revenue to compare with).
        """
        raised: dict[str, dict[str, float | None]] = {}
        for name in RATES:
            rate = min(getattr(self, name) + 0.01, 1.0)
            revenue = replace(self, **{name: rate}).revenue
            gain = revenue - self.revenue
            relative = gain / self.revenue if self.revenue > 0 else None
            raised[name] = {"rate": rate, "revenue": revenue, "gain": gain, "relative": relative}
        return raised


def against_benchmarks(funnel: Funnel, market: str) -> dict[str, dict[str, Any]]:
    """Each rate beside the published range of the market: low, high, stands (below, inside, above), source.

    A rate without a published range is left out; market "none" has no ranges at all.
    """
    places: dict[str, dict[str, Any]] = {}
    for name, stage in RATES.items():
        if (published := rate_range(market, stage)) is None:
            continue
        rate, low, high = getattr(funnel, name), published.low, published.high
        stands = "below" if rate < low else "above" if rate > high else "inside"
        places[name] = {"rate": rate, "low": low, "high": high, "stands": stands, "source": published.source}
    return places


def benchmark_band(visitors: float, value: float, market: str) -> dict[str, float] | None:
    """Revenue that these visitors and this value bring at the rates of some company of the market.

        revenue = visitors x value x r1 x r2 x r3,  logit r_k ~ Normal(m_k, s_k) independent

    with m_k, s_k from the published ranges. Quantiles q10, q25, q50, q75, q90 in currency per period, from
    a grid of equally likely rates (no random numbers). None if a rate has no such range.
    """
    if any(rate_range(market, stage) is None for stage in RATES.values()):
        return None
    import numpy as np

    product = np.ones(1)
    for stage in RATES.values():
        prior = market_prior(market, stage, READ_AS_CENTRAL)
        rates = [
            prior.quantile((i + 0.5) / _GRID) for i in range(_GRID)
        ]  # midpoints of equally likely slices
        product = np.multiply.outer(product, np.asarray(rates)).ravel()
    levels = zip(BAND_LEVELS, np.quantile(product, BAND_LEVELS), strict=True)
    return {f"q{round(100 * level)}": visitors * value * float(share) for level, share in levels}


def clean(number: float) -> float:
    """The number without the dust of binary arithmetic: 12 significant digits, and whole numbers as int.

    >>> clean(30.000000000000004), clean(0.1 + 0.2)
    (30, 0.3)
    """
    rounded = float(_TWELVE_DIGITS.create_decimal(number))
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def summary(funnel: Funnel, *, market: str = "b2b", margin: float = 1.0) -> dict[str, Any]:
    """Everything about a funnel as one plain dict, numbers cleaned: what `forecast funnel --json` prints."""
    result = asdict(funnel) | {
        name: getattr(funnel, name) for name in ("leads", "qualified", "won", "revenue")
    }
    result |= {
        "worth": funnel.worth(),
        "margin": margin,
        "break_even": funnel.break_even(margin),
        "plus_one_point": funnel.plus_one_point(),
        "market": market,
        "benchmarks": against_benchmarks(funnel, market),
        "benchmark_revenue": benchmark_band(funnel.visitors, funnel.value, market),
    }
    return {key: _cleaned(part) for key, part in result.items()}


def _cleaned(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _cleaned(part) for key, part in item.items()}
    return clean(item) if isinstance(item, (int, float)) else item
