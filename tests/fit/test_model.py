"""The studies in models/ and what the model card says of priors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import forecast
from forecast.equations import carry_periods
from forecast.fit import fitting as fit
from forecast.fit import posterior, sampling, scales
from forecast.fit.gate import GATE
from forecast.history import MIN_MONTHS_FOR_SEASON
from forecast.study import load_study
from forecast.study import market as benchmarks

ROOT = Path(forecast.__file__).parents[1]
MODELS = ROOT / "models"
CARD = (MODELS / "README.md").read_text(encoding="utf-8")


def _rows(header: str) -> list[list[str]]:
    """The cells of the table of the model card whose header line starts with `header`."""
    lines = CARD[CARD.index(header) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.toml")), ids=lambda path: path.name)
def test_every_study_in_models_loads(path):
    """Each study of the folder is valid, and its data are where it says."""
    study = load_study(path)
    files = [name for name in (study.history.counts, study.history.leads, study.history.activity) if name]
    assert files
    assert all((study.folder / name).is_file() for name in files)


def test_the_demo_study_is_the_bundled_one():
    """The demo in models/ is the bundled study, reading the bundled counts from where they lie."""
    bundled = (ROOT / "forecast" / "bundled" / "demo.toml").read_text(encoding="utf-8")
    assert bundled.count('counts = "demo.csv"') == 1
    expected = bundled.replace('counts = "demo.csv"', 'counts = "../forecast/bundled/demo.csv"')
    assert (MODELS / "demo.toml").read_text(encoding="utf-8") == expected


def test_the_rate_priors_of_the_card_are_the_ones_in_use():
    """Range, median and 90 % interval of each rate's prior, as the card shows them, are what the code has."""
    rows = _rows("| market | rate into |")
    assert [(row[0], row[1]) for row in rows[:-1]] == [
        (market, stage) for market in ("b2b", "b2c") for stage in ("leads", "qualified", "won")
    ]
    for market, stage, published, median, ninety in rows:
        known = benchmarks.rate_range(market, stage) if market != "any" else None
        prior = benchmarks.market_prior(market if known else "none", stage, 0.5)
        shown = "none" if known is None else f"{100 * known.low:.0f} to {100 * known.high:.0f} %"
        assert published == shown
        assert median == _percent(prior.quantile(0.5))
        assert ninety == f"{_percent(prior.quantile(0.05))} to {_percent(prior.quantile(0.95))}"


def test_the_channel_priors_of_the_card_are_the_ones_in_use():
    """Medians and 90 % intervals of elasticity, base and carry-over by kind are what the code has."""
    rows = _rows("| kind | elasticity |")
    assert [row[0] for row in rows] == list(benchmarks.CHANNEL_PRIORS)
    for kind, elasticity, base, carry, _ in rows:
        prior = benchmarks.CHANNEL_PRIORS[kind]
        assert elasticity == _interval(prior.elasticity)
        assert base == _interval(prior.base)
        assert carry == ("none" if prior.carry_over is None else _interval(prior.carry_over))


def _interval(prior: benchmarks.LogitNormal) -> str:
    return f"{prior.quantile(0.5):.2f} ({prior.quantile(0.05):.2f} to {prior.quantile(0.95):.2f})"


def test_the_settings_of_the_card_are_the_ones_in_use():
    """Chains, draws, gates, default delays and scales of drift, as the card states them, are what the code has."""
    text = " ".join(CARD.split())
    days = benchmarks.DEFAULT_DELAY_DAYS
    common, own = scales.DRIFT_A_MONTH
    for stated in (
        f"{sampling.CHAINS} chains, {fit.TUNE} tuning draws each, {posterior.DEFAULT_DRAWS} draws in all",
        f"target acceptance {fit.TARGET_ACCEPT}.",
        f"at most twice: target acceptance {fit.RETRY_ACCEPT}, then {fit.LAST_ACCEPT}",
        f"of both together | below {GATE.max_k} |",
        f"effective sizes of both weightings | above {GATE.min_ess:.0f} |",
        f"worst parameter) | below {GATE.max_rhat} |",
        f"bulk and tail | above {GATE.min_ess:.0f} |",
        f"divergences | below {100 * GATE.max_divergent:.1f} % of the draws; a few are a REVIEW |",
        f"it is {days['qualified']:.0f} days into `qualified`, {days['won']:.0f} days into `won`, none into `leads`",
        f"{benchmarks.OTHER_DELAY_DAYS:.0f} days into any other stage",
        f"Gamma(2, 2 / {common}) | {common} |",
        f"Gamma(2, 2 / {own}) | {own} |",
        f"Gamma(2, {2 / scales.RATE_NOISE:.0f}) | {scales.RATE_NOISE} |",
        f"Gamma(2, 2 / {scales.TRAFFIC_NOISE}) | {scales.TRAFFIC_NOISE} |",
        f"reaches back {carry_periods('month')} months, {carry_periods('week')} weeks",
        f"{carry_periods('quarter')} quarters",
        f"from {MIN_MONTHS_FOR_SEASON} months of history on",
    ):
        assert stated in text


def test_the_card_links_to_files_that_are_there():
    """Every relative link of the card leads somewhere."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", CARD)
    assert targets
    assert not [target for target in targets if not (MODELS / target).exists()]
