"""The equations of the model, each once: whatever fits, simulates, expects or draws asks here.

    delay                    delay_pmf, ages_needed, lognormal_cdf
    walks                    walk_waves and what goes with them; shocks in them: common_sds, without_shocks
    trend                    trend_waves, steepness, slopes, fading
    season                   season_basis
    spend                    lagged, carry_weights, acting_spend, power_law, michaelis_menten, response, mean_shape,
                             log_marginal
    counts                   effective_trials, due, thinned, noise_of_share, concentration, cohort_beta,
                             log_beta_binomial, log_choices, beta_binomial_slope, log_negative_binomial,
                             negative_binomial_size
    prior and data           surprise, jensen_shannon
    draws                    quantiles

The PyMC model (`fit.model`) is a second writing, and tests hold both together.

Delay. A unit enters a stage at an instant uniform within its period and moves on after a lognormal time with the given
mean and coefficient of variation. The probability that the move falls `d` periods later (double interval censoring) is

    f_d = H(d + 1) - 2 H(d) + H(d - 1),      H(x) = integral of F over [0, x],  H(x <= 0) = 0
    H(x) = x Phi(z) - mean Phi(z - s),       z = (log x - mu) / s,  s^2 = log(1 + cv^2),  mu = log mean - s^2 / 2

Source: Park et al. 2024 and Charniga et al. 2024 on delay distributions with double censoring.

Walks. A random walk of T periods with steps of sd sigma, less its own mean, has the covariance sigma^2 L+, L the
Laplacian of a path of T points. Its eigenvectors are cosines, so exactly

    l_t = sum_k a_k b_k(t),   a_k ~ Normal(0, sigma),   k = 1 .. T - 1
    b_k(t) = sqrt(2 / T) cos(pi k (t + 1/2) / T) / (2 sin(pi k / 2T))

Data of about the same weight in every period pin each a_k by itself, slow waves first. In steps every period's data
would pull on all steps before it, which a sampler with a diagonal mass matrix cannot follow.

The common walk a_k and a channel's own o_kc are sampled partly centred, by weights in [0, 1] (geometry, not model):

    a_k = sigma^(1 - v_k) r_k,                       r_k ~ Normal(0, sigma^v_k)
    o_kc = tau^(1 - w_kc) (s_kc - w_kc a_k),         s_kc ~ Normal(w_kc a_k, tau^w_kc)

At weight 1 a channel's own data speak of the sum a_k + o_kc directly; at weight 0 the prior rules. What else moves all
channels alike, the season with its own waves e_k, is in that sum too: both centres move with it,

    a_k = sigma^(1 - v_k) (r_k - v_k e_k),   o_kc = tau^(1 - w_kc) (s_kc - w_kc (a_k + e_k)).

Source: Papaspiliopoulos, Roberts & Skold 2007.

Shocks. A shock of sd eta in every period, common to the channels and less its own mean, has the covariance eta^2 in
every direction that the waves span: walk and shocks together are the same waves with coefficients of the variance

    sigma^2 + eta^2 / sum_t b_k(t)^2,

and cost one scale, no coordinate. Given the path the walk is drawn wave by wave (`without_shocks`).

Trend. A path that also rises steadily, l_t = walk + b (t - mean t) with b ~ Normal(0, k sigma), is Gaussian with mean
zero like the walk alone, and its covariance sigma^2 (L+ + k^2 (t - mean t)(t - mean t)') has eigenvectors of its own:
as many waves as before, with coefficients Normal(0, sigma). So the slope costs no coordinate and no scale. It is drawn
given the path,

    b | l ~ Normal(k^2 g'a, sigma k sqrt(1 - k^2 g'g)),   g_k = sum_t b_k(t) (t - mean t) / sum_t b_k(t)^2,

and fades ahead: after h periods the path has risen by b sum_j phi^j, j = 1 .. h. Source: Gardner & McKenzie 1985.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gammaln, ndtr

from forecast.periods import periods_per_year

Array = NDArray[np.float64]
FLOOR = 1e-9
SOFT = 0.25  # width, in units, of the smooth maximum that keeps effective trials above successes
EARLY_PERIODS = 6  # whose mean stands for what was before the window
MONTHS_OF_CARRY = 8
SEASONS = {"month": 12, "quarter": 4, "week": 54}
LEAST_LEARNT = 0.1
TREND = 0.5  # k of traffic, by the month: sd of its slope over that of a month's step
FADING = 0.9  # share of the slope that is left a month later
MOST_AGES = {"month": 60, "quarter": 20, "week": 261}  # five years


# ------------------------------------------------------------------------------------------------------------- delay


def delay_pmf(mean: ArrayLike, cv: ArrayLike, ages: int) -> Array:
    """Probability of moving on at age 0 .. ages - 1, of those who ever move on.

    Args:
        mean: mean delay in periods, any shape `s`; 0 puts all mass on age 0.
        cv: coefficient of variation, broadcast against `mean`.
        ages: number of ages kept; the mass beyond is cut and the rest renormalised to sum to one.

    Returns:
        Array of shape `s + (ages,)`, non-negative, summing to one over the last axis.
    """
    mean = np.asarray(mean, dtype=float)[..., None]
    cv = np.asarray(cv, dtype=float)[..., None]
    safe = np.where(mean > 0, mean, 1.0)
    sigma = np.sqrt(np.log1p(cv**2))
    mu = np.log(safe) - sigma**2 / 2
    x = np.arange(1.0, ages + 1.0)
    z = (np.log(x) - mu) / sigma
    integral = x * ndtr(z) - safe * ndtr(z - sigma)
    zero = np.zeros_like(integral[..., :1])
    h = np.concatenate([zero, zero, integral], axis=-1)  # H(-1), H(0), H(1) .. H(ages)
    # The floor, as the fitted model has it, keeps a delay that lies beyond all ages a distribution.
    pmf = np.clip(h[..., 2:] - 2 * h[..., 1:-1] + h[..., :-2], 0.0, None) + FLOOR
    pmf /= pmf.sum(axis=-1, keepdims=True)
    at_once = np.zeros(ages)
    at_once[0] = 1.0
    return np.where(mean > 0, pmf, at_once)


def ages_needed(mean: float, cv: float, period: str, *, tail: float = 0.005, spread: float = 1.6) -> int:
    """How many ages hold all but `tail` of the delay, were its mean `spread` times longer than expected.

    At most `MOST_AGES` of the `period`. A stated delay is at most two years (`study.FunnelSpec`), of which about a
    twentieth lies beyond them.
    """
    if mean <= 0:
        return 1
    sigma = math.sqrt(math.log1p(cv**2))
    mu = math.log(mean * spread) - sigma**2 / 2
    z = NormalDist().inv_cdf(1 - tail)
    return int(min(max(math.ceil(math.exp(mu + sigma * z)) + 1, 3), MOST_AGES[period]))


def lognormal_cdf(x: ArrayLike, mean: ArrayLike, cv: ArrayLike) -> Array:
    """P(T <= x) of a lognormal time with this mean and cv, zero up to x = 0; broadcast."""
    x, cv = np.asarray(x, dtype=float), np.asarray(cv, dtype=float)
    sigma = np.sqrt(np.log1p(cv**2))
    mu = np.log(mean) - sigma**2 / 2
    safe = np.where(x > 0, x, 1.0)
    return np.where(x > 0, ndtr((np.log(safe) - mu) / sigma), 0.0)


# ------------------------------------------------------------------------------------------------------------- walks


def walk_waves(periods: int) -> Array:
    """The waves b_k, shape (wave, period); one wave of zeros where there is a single period."""
    if periods == 1:
        return np.zeros((1, 1))
    k, t = np.arange(1.0, periods)[:, None], np.arange(periods)
    return (
        np.sqrt(2.0 / periods)
        * np.cos(np.pi * k * (t + 0.5) / periods)
        / (2.0 * np.sin(np.pi * k / (2.0 * periods)))
    )


def onto_waves(paths: Array, basis: Array) -> Array:
    """The coefficients of paths (period, column) in waves (wave, period), their means left out: (wave, column)."""
    return np.asarray((basis @ paths) / np.maximum((basis**2).sum(axis=1), 1e-300)[:, None])


def waves_centred(drift: Array, precision: Array, basis: Array) -> tuple[Array, Array]:
    """How far to centre the common waves, shape (wave,), and the channels' own, (wave, channel).

    A wave of prior variance s^2 about which the data have the information I is centred by s^2 I / (1 + s^2 I), where
    the sampled number and its centre are uncorrelated.

    Args:
        drift: typical sds of the steps of the common walk and of a channel's own.
        precision: information on a log level or logit in one cell, dims (period, channel).
        basis: the waves, (wave, period), slow ones first.
    """
    periods = len(precision)
    if periods == 1:
        return np.zeros(1), np.zeros((1, precision.shape[1]))
    variance = (basis**2).sum(axis=1)
    known = precision.mean(axis=0)
    own = drift[1] ** 2 * variance[:, None] * known
    common = drift[0] ** 2 * variance * (known / (1.0 + own)).sum(axis=1)
    return common / (1.0 + common), own / (1.0 + own)


def walks(draws: Mapping[str, Array], data: Mapping[str, Array]) -> tuple[Array, Array]:
    """The common walk (..., period) and the channels' own (..., period, channel) of draws in sampled coordinates.

    `draws` hold drift, own_drift, shock (...), waves (..., wave) and own_waves (..., wave, channel); of traffic also
    season_sd (...) and season (..., column). The common walk holds its shocks.
    """
    w, basis = data["own_centred"], data["basis"]
    beside = _season_waves(draws, data)
    common = _common_waves(draws, data, beside)
    own = draws["own_waves"] - w * (common + beside)[..., None]
    own *= draws["own_drift"][..., None, None] ** (1.0 - w)
    # One product: of many small ones some shapes take four times.
    together = np.tensordot(own, basis, axes=(-2, 0))
    return common @ basis, np.swapaxes(together, -1, -2)


def common_walk(draws: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
    """The first of `walks` alone, (..., period)."""
    return np.asarray(_common_waves(draws, data, _season_waves(draws, data)) @ data["basis"])


def _common_waves(draws: Mapping[str, Array], data: Mapping[str, Array], beside: Array) -> Array:
    """Coefficients of the common walk in its waves, (..., wave); beside: `_season_waves`."""
    v = data["walk_centred"]
    sds = common_sds(draws["drift"], draws.get("shock", 0.0), data["basis"])
    return np.asarray(sds ** (1.0 - v) * (draws["waves"] - v * beside))


def common_sds(drift: ArrayLike, shock: ArrayLike, basis: Array) -> Array:
    """Sds of the common waves, (..., wave): of a walk with steps of sd `drift` and shocks of sd `shock`, (...,)."""
    drift, shock = np.asarray(drift)[..., None], np.asarray(shock)[..., None]
    return np.asarray(np.sqrt(drift**2 + shock**2 / np.maximum((basis**2).sum(axis=1), 1e-300)))


def without_shocks(paths: Array, drift: Array, shock: Array, z: Array, basis: Array) -> Array:
    """Walks (..., period) given paths (..., period) that hold their shocks too; `z`: standard normal, (..., wave)."""
    size = np.maximum((basis**2).sum(axis=1), 1e-300)
    share = drift[..., None] ** 2 / common_sds(drift, shock, basis) ** 2
    spread = np.sqrt(share * (1.0 - share)) * common_sds(drift, shock, basis)
    return np.asarray(((paths @ basis.T) / size * share + spread * z) @ basis)


def coordinates(
    steps: Array,
    own_steps: Array,
    scales: tuple[float, float, float],
    data: Mapping[str, Array],
    season: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Sampled coordinates (`waves`, `own_waves`) of walks given by their steps: the other way round of `walks`.

    Args:
        steps: of the common walk, shape (period,); own_steps: (period, channel). The first one moves nothing.
        scales: sds of the two and of the shocks that the common steps hold, at which the coordinates are taken.
        data: arrays of a part, as `walks` takes them.
        season: sampled coordinates of the season (season_sd, season), of traffic.
    """
    v, w = data["walk_centred"], data["own_centred"]
    beside = _season_waves(season or {}, data)
    common, own = (onto_waves(np.cumsum(x, axis=0), data["basis"]) for x in (steps[:, None], own_steps))
    own_waves = own * scales[1] ** (w - 1.0) + w * (common[:, 0] + beside)[:, None]
    sds = common_sds(scales[0], scales[2], data["basis"])
    return {"waves": common[:, 0] * sds ** (v - 1.0) + v * beside, "own_waves": own_waves}


def _season_waves(draws: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
    """The waves e_k of the season, (..., wave); zeros where there is none."""
    if "season_waves" not in data:
        return np.zeros(len(data["walk_centred"]))
    scale = np.asarray(draws["season_sd"])[..., None] ** (1.0 - data["season_centred"])
    return np.asarray(scale * draws["season"] @ data["season_waves"].T)


# ------------------------------------------------------------------------------------------------------------- trend


def steepness(period: str) -> float:
    """k of the trend: sd of a slope a period over the sd of a period's step. `TREND` is that of months."""
    return TREND * math.sqrt(12.0 / periods_per_year(period))


def fading(periods: int, period: str) -> Array:
    """How often a slope a period is added to the path by each period ahead: sum_j phi^j, j = 1 .. h, (period,)."""
    left = FADING ** (12.0 / periods_per_year(period))
    return np.cumsum(left ** np.arange(1.0, periods + 1.0))


def trend_waves(periods: int, steep: float) -> Array:
    """The waves of a walk with a trend, (wave, period), orthogonal and slow ones first, as `walk_waves` has them."""
    if periods == 1:
        return walk_waves(1)
    walk, time = walk_waves(periods), _time(periods)
    size, waves = np.linalg.eigh(walk.T @ walk + steep**2 * np.outer(time, time))
    rows = (waves * np.sqrt(np.maximum(size, 0.0)))[:, :0:-1].T  # the last one is a constant, of size zero
    return np.asarray(rows * np.where(rows[:, :1] < 0.0, -1.0, 1.0))


def slopes(paths: Array, drift: Array | float, z: Array | float, basis: Array, steep: float) -> Array:
    """Slopes a period, (...,), of paths (..., period) about zero in `trend_waves`; `z`: standard normal, (...,).

    drift: sd of the steps, (...,).
    """
    reach = onto_waves(_time(basis.shape[1])[:, None], basis)[:, 0]
    weights = steep**2 * (reach / np.maximum((basis**2).sum(axis=1), 1e-300)) @ basis
    spread = steep * math.sqrt(max(1.0 - steep**2 * float(reach @ reach), 0.0))
    return np.asarray(paths @ weights + drift * spread * z)


def _time(periods: int) -> Array:
    return np.arange(float(periods)) - (periods - 1) / 2.0


# ------------------------------------------------------------------------------------------------------------ season


def season_basis(seasons: NDArray[np.int64], kind: str) -> Array:
    """Rows by season of the year: orthonormal contrasts of months or quarters, two Fourier pairs for weeks."""
    if kind == "week":
        angle = 2 * np.pi * seasons[:, None] * 7 / 365.25
        pairs = [f(k * angle) / k for k in (1, 2) for f in (np.sin, np.cos)]
        return np.concatenate(pairs, axis=1)
    size = SEASONS[kind]
    contrasts = np.zeros((size, size - 1))
    for j in range(size - 1):
        contrasts[: j + 1, j] = 1.0
        contrasts[j + 1, j] = -(j + 1.0)
    contrasts /= np.sqrt((contrasts**2).sum(axis=0)) * math.sqrt(1 - 1 / size)
    return contrasts[seasons]


# ------------------------------------------------------------------------------------------------ spend and response


def carry_periods(period: str) -> int:
    """How many periods back spend can act."""
    return {"month": MONTHS_OF_CARRY, "week": 26, "quarter": 3}[period]


def with_past(spend: Array, lags: int) -> Array:
    """Spend (period, channel) with `lags` periods ahead of it, in which the mean of its first ones was spent."""
    early = spend[:EARLY_PERIODS].mean(axis=0, keepdims=True)
    return np.concatenate([np.repeat(early, lags, axis=0), spend])


def lagged(path: Array, lags: int, *, skip: int = 0) -> Array:
    """Spend `k` periods ago, (lag, period, channel), of a path whose first `lags` periods are past; k = 0 .. lags.

    Without the first `skip` of the other periods.
    """
    return np.stack([path[lags - k + skip : len(path) - k] for k in range(lags + 1)])


def carry_weights(carry: Array, lags: int) -> Array:
    """Weights of spend by age, geometric and adding up to one: (lag, ...) of a carry-over (...), lags 0 .. `lags`."""
    age = np.arange(lags + 1).reshape(-1, *([1] * np.ndim(carry)))
    weights = (carry + 1e-12) ** age
    return np.asarray(weights / weights.sum(axis=0))


def acting_spend(carry: Array, spend_lags: Array) -> Array:
    """Spend that acts in each period, carry-over included: sum_k w_k x_(t-k), (..., period, channel).

    carry (..., channel); spend_lags (lag, period, channel), of `lagged`.
    """
    return weighed_spend(carry_weights(carry, len(spend_lags) - 1), spend_lags)


def weighed_spend(weights: Array, spend_lags: Array) -> Array:
    """The same from weights (lag, ..., channel) of `carry_weights`, which whoever asks for many plans keeps."""
    lags, *between, channels = weights.shape
    each = weights.reshape(lags, -1, channels).transpose(2, 1, 0) @ spend_lags.transpose(2, 0, 1)
    acting = each.transpose(1, 2, 0)  # one product a channel: ten times as fast as a sum over lags
    return np.ascontiguousarray(acting).reshape(*between, *spend_lags.shape[1:])


def power_law(z: Array, elasticity: Array) -> Array:
    """z^beta: constant elasticity; `z` is acting spend over the reference."""
    return np.exp(elasticity * np.log(z + 1e-9))


def michaelis_menten(z: Array, elasticity: Array, now: ArrayLike) -> Array:
    """now^beta u / ((1 - beta) u + beta), u = z / now: saturates, with the power law's level and elasticity at z = now.

    now: today's spend over the reference, above 0, broadcast. There, not at z = 1, a fit ends.
    """
    now = np.asarray(now, dtype=float)
    return np.asarray(now**elasticity * z / ((1.0 - elasticity) * z + elasticity * now))


def response(
    z: Array,
    elasticity: Array,
    base: Array,
    saturates: NDArray[np.bool_] | None = None,
    now: ArrayLike = 1.0,
) -> Array:
    """Traffic over its reference level at acting spend z: b + (1 - b) g(z), broadcast; both shapes agree at z = `now`.

    g is the power law, 1 at z = 1, or Michaelis-Menten where a draw `saturates`; where only some do, (draw, 1, ...), z
    and elasticity are (draw, ...).
    """
    if saturates is None or not saturates.any():
        shape = power_law(z, elasticity)
    elif saturates.all():
        shape = michaelis_menten(z, elasticity, now)
    else:  # each draw by its own shape alone: neither is cheap
        shape = np.empty_like(z)
        full, other = np.flatnonzero(saturates), np.flatnonzero(~saturates)
        shape[full] = michaelis_menten(z[full], elasticity[full], now)
        shape[other] = power_law(z[other], elasticity[other])
    return np.asarray(base + (1.0 - base) * shape)


def mean_shape(z: Array, elasticity: Array, now: ArrayLike) -> Array:
    """Mean of the two shapes g at acting spend z > 0, broadcast: what a lift test far from the history is held to."""
    return np.asarray(0.5 * (z**elasticity + michaelis_menten(z, elasticity, now)))


def log_marginal(log_worth: Array, elasticity: Array, base: Array, log_z: Array, log_spend: Array) -> Array:
    """Log of what the next unit of money returns, for each unit of traffic at the reference; broadcast.

    log [v (1 - b) z g'(z) / x], g the power law: z g' = beta z^beta; v the worth of a unit of traffic, x = z x0 spend.
    """
    return np.asarray(log_worth + np.log(elasticity) + np.log1p(-base) + elasticity * log_z - log_spend)


# ------------------------------------------------------------------------------------------------------------ counts


def effective_trials(y: Array, expected: Array) -> Array:
    """Trials N~ = y + s log(1 + exp((N - y) / s)), s = SOFT: units that may move, softly kept above those that did."""
    return np.asarray(y + SOFT * np.logaddexp(0.0, (expected - y) / SOFT))


def noise_of_share(noise: Array, p: Array, share: Array | float) -> Array:
    """Noise (logit sd) of the rate p = pi x share, where that of pi is `noise`: noise (1 - pi) / (1 - p), broadcast.

    It leaves the sd of p, by the delta method, at that of pi times the share.
    """
    return np.asarray(noise * (1.0 - p / share) / (1.0 - p))


def due(f: Array, periods: int) -> tuple[Array, Array]:
    """When units fall due to move: by period of entry, and those that entered before the window.

    Of those that enter in period s and ever move, the share f_(t-s) moves in t: (..., t, s), zero for s > t. Of as many
    entries in every period before the window, the share 1 - F_t: (..., t).

    Args:
        f: law of the delay by age, (..., age).
        periods: T, of the window.
    """
    ages = f.shape[-1]
    lag = np.subtract.outer(np.arange(periods), np.arange(periods))
    inside = np.where((lag >= 0) & (lag < ages), f[..., np.clip(lag, 0, ages - 1)], 0.0)
    waits = np.cumsum(f[..., ::-1], axis=-1)[..., ::-1]  # share that waits at least so long
    older = np.zeros((*f.shape[:-1], periods))
    older[..., : ages - 1] = waits[..., 1 : periods + 1]
    return inside, older


def thinned(f: Array, entries: Array, early: Array) -> tuple[Array, Array]:
    """Trials N, and the share phi of the rate at which they move, of calendar counts: (..., channel, period) each.

        N* = sum_a f_a n_(t-a),  phi = sum_a f_a^2 n_(t-a) / N*,  N = N* / phi

    Of units that move one by one at rate r, r N* are expected in t with the variance r N* - r^2 sum_a f_a^2 n_(t-a):
    that of N trials at the rate r phi, not of N* at r.

    Args:
        f: law of the delay by age, (..., age).
        entries: n, (channel, period).
        early: entries in every period before the window, (..., channel).
    """

    def sums(weights: Array) -> Array:
        inside, older = due(weights, entries.shape[1])
        return np.asarray(entries @ inside.swapaxes(-1, -2) + early[..., None] * older[..., None, :] + FLOOR)

    expected = sums(f)
    phi = np.minimum(sums(f**2) / expected, 1.0)
    return expected / phi, phi


def concentration(p: Array, noise: Array | float) -> Array:
    """kappa of the beta-binomial whose sd on the logit scale is about `noise`: 1 / (noise^2 p (1 - p)), broadcast.

    Units of one cell share a rate ~ Beta(kappa p, kappa (1 - p)), whose variance is p (1 - p) / (kappa + 1) and, by the
    delta method, noise^2 on the logit scale. A small addition keeps it below a million.
    """
    return np.asarray(1.0 / (noise**2 * p * (1 - p) + 1e-6))


def cohort_beta(
    rate: Array, noise: Array | float, seen: tuple[Array, Array] | None = None, lived: Array | float = 1.0
) -> tuple[Array, Array]:
    """(a, b) of the Beta that the rate of a single cohort follows, around the expected `rate`; all broadcast.

    What a cohort has shown so far (`seen`: entries n, moves y) tells of its own rate: Beta(k p + y, k (1 - p) + n F -
    y), k the `concentration`, F the share of the delay that it has `lived` through.
    """
    inner = np.clip(rate, 1e-9, 1 - 1e-9)
    kappa = concentration(inner, noise)
    a, b = inner * kappa, (1 - inner) * kappa
    if seen is None:
        return a, b
    entered, moved = seen
    return a + moved, b + np.maximum(entered * lived - moved, 0.0)


def log_beta_binomial(y: Array, n: Array, p: Array, noise: Array | float) -> Array:
    """Log probability of y of n units of a rate ~ Beta(kappa p, kappa (1 - p)), but for `log_choices`; broadcast.

    n may be any number not below y; kappa is the `concentration` at p and `noise`.
    """
    kappa = concentration(p, noise)
    a = kappa * p
    b = kappa - a
    moved = gammaln(a + y) + gammaln(b + (n - y)) - gammaln(kappa + n)
    return np.asarray(moved - gammaln(a) - gammaln(b) + gammaln(kappa))


def log_choices(y: Array, n: Array) -> Array:
    """log [n! / (n - y)!]: what `log_beta_binomial` lacks, but for log y!; broadcast."""
    return np.asarray(gammaln(n + 1.0) - gammaln(n - y + 1.0))


def beta_binomial_slope(
    y: Array, n: Array, p: Array, noise: Array | float, share: Array | float = 1.0
) -> Array:
    """Derivative of `log_beta_binomial` in logit p, the change of kappa with p included; broadcast.

    share: where `noise` is that of p = pi x share, see `noise_of_share`.
    """
    inner = p * (1.0 - p)
    kappa = concentration(p, noise)
    of_kappa = digamma(kappa + n) - digamma(kappa)
    high, low = digamma(kappa * p + y) - digamma(kappa * p), digamma(kappa * (1.0 - p) + (n - y))
    low = low - digamma(kappa * (1.0 - p))
    pi = p / share
    d_kappa = -(kappa**2) * noise**2 * ((1.0 - 2.0 * p) + 2.0 * (p - pi) / np.maximum(1.0 - pi, 1e-12))
    by_p = kappa * (high - low) + d_kappa * (p * high + (1.0 - p) * low - of_kappa)
    return np.asarray(inner * by_p)


def log_negative_binomial(y: Array, log_mean: Array, size: Array | float) -> Array:
    """Log probability of y by its mean and its variance mean + mean^2 / size, but for log [G(y + size) / G(size) y!].

    That does not depend on the mean.
    """
    return np.asarray(y * log_mean - (y + size) * np.log(size + np.exp(log_mean)) + size * np.log(size))


def negative_binomial_size(noise: Array) -> Array:
    """Size of the negative binomial of a cell whose sd on the log scale is `noise`, bounded."""
    return 1.0 / negative_binomial_spread(noise)


def negative_binomial_spread(noise: Array) -> Array:
    """Variance of such a cell beyond that of chance, over its squared mean: 1 / size."""
    return np.asarray(noise**2 + 1e-4)


# -------------------------------------------------------------------------------------------------- prior and data


def surprise(values: Array, mean: float, sd: float) -> float:
    """How far the data lie from the prior Normal(mean, sd), in standard deviations of what the prior expected of them.

    With posterior mean m and variance v (in prior sds): m / sqrt(1 - v), standard normal were the prior right
    and all of it normal (Evans & Moshonov 2006: the prior predictive of a sufficient statistic). 0 where next to
    nothing was learnt.
    """
    z = (values - mean) / sd
    learnt = 1.0 - float(z.var())
    return float(z.mean()) / math.sqrt(learnt) if learnt > LEAST_LEARNT else 0.0


def jensen_shannon(values: Array, weights: Array) -> Array:
    """Cumulative Jensen-Shannon distance of draws (draw,) from the same draws by each of some weights (law, draw).

    With distribution functions F of the draws, G by the weights, and M = (F + G) / 2, over the values x

        D = int F log2(F / M) + G log2(G / M) dx,    distance = sqrt(D / int F + G dx)

    the larger of this and of the same of -x, as neither end of a distribution is the first (Nguyen & Vreeken 2015).
    """
    order = np.argsort(values, kind="stable")
    n, gaps = len(values), np.diff(values[order])
    f = np.linspace(1.0 / n, 1.0 - 1.0 / n, n - 1)
    g = np.clip(np.cumsum(weights[:, order], axis=1)[:, :-1] / weights.sum(axis=1, keepdims=True), 0.0, 1.0)
    found = []
    for below, by_weight in ((f, g), (1.0 - f, 1.0 - g)):
        middle = np.log2(0.5 * (below + by_weight))
        apart = below * (np.log2(below) - middle) + by_weight * (
            np.log2(np.maximum(by_weight, 1e-300)) - middle
        )
        found.append(np.maximum(apart @ gaps, 0.0) / ((below + by_weight) @ gaps))
    return np.asarray(np.sqrt(np.maximum(*found)))


# ------------------------------------------------------------------------------------------------------------- draws


def quantiles(draws: Array, levels: Iterable[float]) -> Array:
    """Quantiles over the first axis, (level, ...): between the two draws beside each, as numpy's `quantile` to the bit.

    It sorts, which takes a third of the time of numpy's search for each place.
    """
    columns = np.sort(np.ascontiguousarray(np.moveaxis(np.asarray(draws, dtype=float), 0, -1)), axis=-1)
    at = np.asarray(list(levels)) * (len(draws) - 1)
    below = np.floor(at).astype(np.int64)
    low, high = columns[..., below], columns[..., np.minimum(below + 1, len(draws) - 1)]
    share, apart = at - below, high - low
    found = np.where(share < 0.5, low + apart * share, high - apart * (1.0 - share))
    return np.moveaxis(np.where(np.isnan(columns[..., -1:]), np.nan, found), -1, 0)
