"""A posterior with its provenance: what it was fitted on, what its sampling failed, whether it could make the history.

Loads the sampler only where something is fitted: a saved fit is known by its hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forecast.errors import UsageError
from forecast.fit import scales
from forecast.fit.posterior import DEFAULT_DRAWS, DEFAULT_SEED, SCHEMA, VERSION, Posterior, package_versions
from forecast.history import History
from forecast.progress import Progress, Silent
from forecast.study import Study, market_numbers

if TYPE_CHECKING:
    from forecast.fit.extended import Extended

LEAST_DRAWS = 400
SAMPLERS = ("auto", "weighed", "nuts", "pymc")
SAMPLER = SAMPLERS[0]


def fit_hash(
    study: Study,
    history: History,
    seed: int,
    draws: int,
    sampler: str = SAMPLER,
    extended: Mapping[str, Extended] | None = None,
) -> str:
    """sha256 over all that a fit depends on: study keys, content of the data, seed, draws, sampler, priors, model.

    extended: parts sampled elsewhere (`fit.Extended`).
    """
    constants = {name: value for name, value in vars(scales).items() if name.isupper()}
    key = {
        "study": study.fit_key(history.last),
        "history": history.fingerprint(),
        "seed": seed,
        "draws": draws,
        "sampler": sampler,
        "priors": [market_numbers(), constants],
        "model": [VERSION, SCHEMA],
    }
    if "recurring" in history.counts:  # elsewhere it is no part of the fit
        kept = study.economics.model_dump(mode="json", include={"retention", "renewal"})
        key["retention"] = kept
    if extended:
        key["extended"] = {name: one.sha256 for name, one in sorted(extended.items())}
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def fit_posterior(
    study: Study,
    history: History,
    *,
    seed: int = DEFAULT_SEED,
    draws: int = DEFAULT_DRAWS,
    progress: Progress | None = None,
    sampler: str = SAMPLER,
    extended: Mapping[str, Extended] | None = None,
) -> Posterior:
    """Fit the model, judge its sampling, and see whether it could have made the history.

    A posterior that fails its diagnostics is returned too, with what failed in `provenance["failures"]`: the verdict of
    everything made from it is then FAIL. `sampler`, one of SAMPLERS: see `fit.fitting.fit`. `extended`: parts that
    were sampled from a PyMC model of one's own, by name (`fit.Extended`); the posterior then has as many draws as they.
    Raises UsageError for too few draws or an extended part that does not fit, FitError only where nothing comes back.
    """
    from forecast.fit.fitting import failures, fit  # the sampler, loaded where there is something to fit

    extended = extended or {}
    for one in extended.values():
        draws = math.prod(one.shape)
    if draws < LEAST_DRAWS:
        raise UsageError(
            f"--draws: expected at least {LEAST_DRAWS} (a smaller sample cannot pass its checks), got {draws}"
        )
    told = progress or Silent()
    posterior = fit(study, history, seed=seed, draws=draws, progress=told, sampler=sampler, extended=extended)
    extra = {
        "fit_hash": fit_hash(study, history, seed, draws, sampler, extended),
        "draws": draws,
        "method": sampler,
        "failures": failures(posterior),
        "versions": package_versions(),
        "data_sha256": history.sources,
    }
    return checked(study, history, replace(posterior, provenance=posterior.provenance | extra), seed)


def checked(study: Study, history: History, posterior: Posterior, seed: int) -> Posterior:
    """The posterior with its posterior predictive checks on record."""
    from forecast.fit.predictive import (
        predictive_checks,  # with all that fits: a saved fit has them on record
    )

    found = predictive_checks(study, history, posterior, rng=np.random.default_rng([seed, 2]))
    return replace(posterior, provenance=posterior.provenance | {"predictive": found})
