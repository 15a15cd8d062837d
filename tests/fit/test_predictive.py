"""Posterior predictive checks: silent where the history is of the model's own law, and each finds what it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from posterior_fixture import history, posterior, study

from forecast.fit.posterior import Posterior, kept_draws
from forecast.fit.predictive import predictive_checks
from forecast.history import History

PERIODS, CHANNELS = 24, ("one", "two", "three")
VISITORS = np.array([1500.0, 700.0, 200.0])
NOISE, TRAFFIC_NOISE = 0.15, 0.1
Counts = dict[str, NDArray[np.float64]]
FAMILIES = {
    *("totals", "recent", "latest", "largest", "zeros", "dispersion"),
    *("band", "memory", "jumps", "ages", "together"),
}


def made(rng: np.random.Generator) -> Counts:
    """A history by the law itself, without delays: beta-binomial steps, negative binomial traffic, gamma deals."""
    shape = (PERIODS, len(CHANNELS))
    counts: Counts = {}
    units = rng.poisson(VISITORS * rng.gamma(1 / TRAFFIC_NOISE**2, TRAFFIC_NOISE**2, shape))
    counts["visitors"] = units.astype(float)
    for stage, rate in (("leads", 0.06), ("won", 0.2)):
        kappa = 1 / (NOISE**2 * rate * (1 - rate))
        units = rng.binomial(units, rng.beta(rate * kappa, (1 - rate) * kappa, shape))
        counts[stage] = units.astype(float)
    counts["revenue"] = rng.gamma(np.maximum(units, 1e-9) / 0.64, 5000 * 0.64) * (units > 0)
    return counts


def known(past: History) -> Posterior:
    """The constants that made it, as a posterior without doubt."""
    held = posterior(
        past,
        {"leads": 0.06, "won": 0.2},
        draws=1000,
        traffic=VISITORS,
        traffic_noise=TRAFFIC_NOISE,
        noise=NOISE,
        drift=0.05,
    )
    kept = kept_draws(1000)
    path = np.broadcast_to(np.log(VISITORS), (len(kept), PERIODS, len(CHANNELS)))
    data = held.data.assign(log_traffic_path=(("kept", "period", "channel"), path)).assign_coords(kept=kept)
    return replace(held, data=data)


def checks(counts: Counts, seed: int = 1, **changes: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Records by family and part; `changes` are variables of the posterior."""
    past = history(counts, channels=CHANNELS, periods=PERIODS)
    held = known(past)
    data = held.data.assign({k: (v.dims, v.values) for k, v in changes.items()})
    asked = study(funnel={"stages": ("visitors", "leads", "won"), "delay": {"won": 0.0}})
    found = predictive_checks(asked, past, replace(held, data=data), rng=np.random.default_rng(seed))
    return {(r["family"], r["part"]): r for r in found}


def test_p_values_are_uniform_where_the_model_is_true():
    """Over histories of the model's own law with known parameters: a p below 0.1 in about one case in ten."""
    runs = [checks(made(np.random.default_rng([9, i])), i) for i in range(16)]
    for family in FAMILIES - {"ages", "zeros"}:
        p = np.array([r["p"] for run in runs for (name, _), r in run.items() if name == family])
        assert (p < 0.1).mean() < 0.1 + 4 * np.sqrt(
            0.09 / len(runs)
        )  # parts of a history are not independent
        assert p.min() > 0.0005
    p = np.array([run["dispersion", "visitors to leads"]["p"] for run in runs])
    assert 0.3 < p.mean() < 0.7


def test_each_family_is_asked_of_each_part():
    """Traffic and both transitions have all but the ages; money has no zeros and no jumps."""
    found = checks(made(np.random.default_rng(1)))
    parts = {part for _, part in found}
    single = {"visitors", "visitors to leads", "leads to won", "revenue"}
    pairs = {
        "visitors and visitors to leads",
        "visitors and leads to won",
        "visitors to leads and leads to won",
    }
    assert parts == single | pairs
    assert {part for family, part in found if family == "together"} == pairs
    for part in single:
        absent = {"ages", "together"} | ({"zeros", "jumps"} if part == "revenue" else set())
        assert {family for family, p in found if p == part} == FAMILIES - absent


def zero_inflated(counts: Counts) -> None:
    """Leads not recorded in every eighth cell."""
    counts["leads"].flat[::8] = 0
    counts["won"].flat[::8] = 0


def overdispersed(counts: Counts) -> None:
    """Leads come in bursts: half or double, at random."""
    factor = np.random.default_rng(3).choice([0.5, 1.6], counts["leads"].shape)
    counts["leads"] = np.round(counts["leads"] * factor)


def tripled(counts: Counts) -> None:
    """One cell counted three times."""
    counts["leads"][10, 1] *= 3


def shifted(counts: Counts) -> None:
    """From the sixteenth period on five leads in six are no longer counted."""
    counts["leads"][15:] = np.round(counts["leads"][15:] / 6)


def unreported(counts: Counts) -> None:
    """The wins of the last two periods have not been booked yet."""
    counts["won"][-2:], counts["revenue"][-2:] = 0, 0


def fading(counts: Counts) -> None:
    """Visitors of the last six periods are a third short."""
    counts["visitors"][-6:] = np.round(counts["visitors"][-6:] * 0.66)


def in_runs(counts: Counts) -> None:
    """Four good quarters of a year, then four bad ones: leads two fifths up or down."""
    way = np.where(np.arange(PERIODS) % 8 < 4, 1.4, 0.6)[:, None]
    counts["leads"] = np.round(counts["leads"] * way)


def shared(counts: Counts) -> None:
    """Months that are good or bad for visitors and for their rate at once."""
    luck = np.exp(np.random.default_rng(4).normal(0.0, 0.5, PERIODS))[:, None]
    counts["visitors"] = np.round(counts["visitors"] * luck)
    counts["leads"] = np.round(counts["leads"] * luck**2)


def whale(counts: Counts) -> None:
    """One deal of a hundred times the usual size."""
    counts["revenue"][12, 0] += 500_000


@pytest.mark.parametrize(
    ("harm", "family", "part"),
    [
        (zero_inflated, "zeros", "visitors to leads"),
        (overdispersed, "dispersion", "visitors to leads"),
        (overdispersed, "band", "visitors to leads"),
        (tripled, "largest", "visitors to leads"),
        (shifted, "jumps", "visitors to leads"),
        (shifted, "totals", "visitors to leads"),
        (unreported, "latest", "leads to won"),
        (fading, "recent", "visitors"),
        (in_runs, "memory", "visitors to leads"),
        (whale, "largest", "revenue"),
        (shared, "together", "visitors and visitors to leads"),
    ],
)
def test_each_check_finds_what_it_is_for(harm: Any, family: str, part: str):
    """Clean data pass that check at 0.01; harmed data do not, and the record says where."""
    counts = made(np.random.default_rng(21))
    assert checks(counts)[family, part]["p"] > 0.01
    harm(counts)
    found = checks(counts)[family, part]
    assert found["p"] < (0.01 if family == "jumps" else 0.002)  # one step among 23 can hardly stand out more
    place = {
        tripled: "two",
        shifted: "all channels" if family == "totals" else "2026-04",
        unreported: "all channels",
        whale: "one",
    }
    assert place.get(harm, "") in found["channel"]


def test_sums_tell_how_far_all_channels_are_off():
    """`overall` is the relative miss, the size that decides between REVIEW and FAIL."""
    counts = made(np.random.default_rng(21))
    fading(counts)
    assert checks(counts)["recent", "visitors"]["overall"] == pytest.approx(-0.34, abs=0.06)


def test_doubt_about_parameters_is_in_both_sides():
    """With a rate known to a factor of two only, a total that is 25 % off is no alarm."""
    counts = made(np.random.default_rng(21))
    counts["leads"] = np.round(counts["leads"] * 0.75)
    assert checks(counts)["totals", "visitors to leads"]["p"] < 0.002
    doubt = np.random.default_rng(2).normal(0.0, 0.7, (1000, 1, 1)) + np.log(0.06 / 0.94)
    path = xr.DataArray(
        np.broadcast_to(doubt, (1000, PERIODS, 3)).astype(np.float32), dims=("draw", "period", "channel")
    )
    assert checks(counts, logit_rate_leads=path)["totals", "visitors to leads"]["p"] > 0.01


def test_ages_show_a_delay_of_another_shape():
    """Moves at the ages of the fitted delay pass; moves that all wait three periods do not."""
    rng = np.random.default_rng(4)
    entered = np.full((PERIODS, 1), 60.0)
    asked = study(history={"leads": "none.csv"}, funnel={"stages": ("leads", "won"), "delay": {"won": 45.0}})
    p = []
    for share in ([0.15, 0.48, 0.23, 0.08, 0.06], [0.0, 0.0, 0.0, 1.0, 0.0]):
        cells = np.zeros((PERIODS, PERIODS, 1), dtype=np.int64)
        for t in range(PERIODS):
            ages = rng.multinomial(15, share)[: PERIODS - t]
            cells[t, : len(ages), 0] = ages
        won = np.array([sum(cells[t - a, a, 0] for a in range(t + 1)) for t in range(PERIODS)], dtype=float)
        past = history(
            {"leads": entered, "won": won[:, None]},
            channels=("one",),
            periods=PERIODS,
            counting="leads",
            triangles={"won": cells},
        )
        held = posterior(past, {"won": 0.25}, draws=400, delays={"won": (1.5, 0.8)}, noise=0.1)
        found = predictive_checks(asked, past, held, rng=np.random.default_rng(1))
        p.append(next(r["p"] for r in found if r["family"] == "ages"))
    assert p[0] > 0.01
    assert p[1] < 0.004


def unpriced(counts: Counts) -> None:
    """The wins of the largest channel stand in a channel of their own, without its money."""
    counts["revenue"][:, 0] = 0.0


def unwon(counts: Counts) -> None:
    """Money of the last periods is booked where nothing is won."""
    counts["revenue"][-6:, 0] += counts["revenue"][-6:].sum(axis=1)
    counts["won"][-6:, 0] = 0.0


@pytest.mark.parametrize(("harm", "way"), [(unpriced, -1), (unwon, 1)])
def test_money_and_wins_that_do_not_meet_are_in_the_sums(harm: Any, way: int):
    """The revenue of the data is set against that of the model for the same periods, not for fitting cells alone."""
    counts = made(np.random.default_rng(21))
    assert checks(counts)["recent", "revenue"]["p"] > 0.01
    harm(counts)
    found = checks(counts)["recent", "revenue"]
    assert found["p"] < 0.002
    assert found["overall"] * way > 0.25
