"""What a fit is known by, and what is refused before one is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.errors import UsageError
from forecast.fit.provenance import fit_hash, fit_posterior
from forecast.history import read_history
from forecast.study import load_study


def test_the_hash_of_a_fit_is_of_what_it_depends_on(fitted_study: Path):
    """Name, currency, plan and locks leave it; margin, seed and draws do not."""
    study = load_study(fitted_study)
    history = read_history(study)
    first = fit_hash(study, history, 1, 4000)
    for update in (
        {"name": "other"},
        {"currency": "USD"},
        {"plan": study.plan.model_copy(update={"periods": 9})},
    ):
        assert fit_hash(study.model_copy(update=update), history, 1, 4000) == first
    margin = study.economics.model_copy(update={"gross_margin": 0.5})
    others = [
        fit_hash(study.model_copy(update={"economics": margin}), history, 1, 4000),
        fit_hash(study, history, 2, 4000),
        fit_hash(study, history, 1, 5000),
        fit_hash(study, history.as_of("2026-05"), 1, 4000),
    ]
    assert len({first, *others}) == 5


def test_too_few_draws_are_refused(fitted_study: Path):
    """A sample that cannot pass its checks is not drawn at all."""
    study = load_study(fitted_study)
    with pytest.raises(UsageError, match=r"--draws: expected at least 400 .* got 399"):
        fit_posterior(study, read_history(study), draws=399)
