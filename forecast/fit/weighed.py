"""A part fitted in closed form and weighed by its exact density: independent draws of the posterior, without chains.

For scales theta the rest of a part is nearly Gaussian (`fit.latent`): G(theta) is solved exactly around one path. Two
weightings make exact what is nearly so:

    w_i = exp L(theta_i) / q(v_i)       scales, drawn in rounds from q; L the Laplace evidence by the exact density
    u_j = p(x_j) / (exp L(theta_j) G(a_j, b_j | theta_j))                   effects, drawn from G at the scales drawn

q is the mixture of all rounds' proposals in scores v, each a t_8 around what the rounds before it found. Both sets of
weights are smoothed by Pareto; its shape k-hat tells whether they can be trusted: below 0.7 the error of a mean goes
down with the number of draws as it should. Sources: Vehtari et al. 2024, Pareto smoothed importance sampling; Veach &
Guibas 1995 (mixture weights); Owen 1997 (scrambled nets); Tierney & Kadane 1986 (Laplace evidence).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, gammaln, ndtri

from forecast.fit.gaussian import points_drawn, tempered
from forecast.fit.latent import Latent, latent_of
from forecast.fit.parts import Part
from forecast.fit.sampling import Draws, constrained, log_density, sizes_of

Array = NDArray[np.float64]

MANY = (48, 150, 250, 400, 1024)
ROUNDS = {"traffic": MANY, "value": MANY}
OTHER_ROUNDS = (48, 100, 150, 200, 512)
SCOUTS = 2  # rounds that only look where the others go: the path is moved after them
LEARNT = 4  # rounds after which what is far from Gaussian is fitted to the weighed draws so far
ONE_MORE, HOPELESS = (
    512,
    100.0,
)  # points of one more round; effective draws of the effects that it cannot mend
FREEDOM, WIDER, LEAST_VARIANCE = 8.0, 1.25, 0.01  # of the t proposals
LEAST_DRAWS = 2000  # of the effects, that are weighed: fewer cannot be told good from bad
HEAVY = 8.0  # degrees of freedom of the effects that are far from Gaussian
LEAST_LEARNT, LOOSER, CHANGE = 60.0, 1.1, (0.6, 4.0)  # effective draws; of variances that are fitted to them
LEAST_POINTS = 12.0  # effective points of the rounds that propose the next
ITERATIONS = 30
SETTLED = 1e-3  # largest step of a unit coordinate at which a path stands


@dataclass(frozen=True)
class Certificate:
    """What the weights of a part tell of its draws: Pareto k-hat and effective sizes.

    k_scales, k_effects, k_joint: of w, of u, and of both together (one draw of the effects at each point of the
    scales); ess_scales, ess_effects: 1 / sum of squared weights; points: of the scales that were weighed.
    """

    k_scales: float
    k_effects: float
    k_joint: float
    ess_scales: float
    ess_effects: float
    points: int

    @property
    def worst(self) -> float:
        """Largest k-hat."""
        return max(self.k_scales, self.k_effects, self.k_joint)


def weighed_draws(
    part: Part, *, seed: int, draws: int, good: Callable[[Certificate], bool] = lambda _: True
) -> tuple[Draws, Certificate]:
    """Draws of a part by parameter, (1, draw, ...) as samplers give them, and how far they can be trusted.

    Same part, seed and draws: the same bytes. Where the certificate is not `good` and may become so, one
    more round is made.
    """
    work = _Weighing(part, np.random.default_rng([seed, *f"weighed {part.name}".encode()]))
    work.settle(latent_theta(work.latent))
    for i, size in enumerate(ROUNDS.get(part.kind, OTHER_ROUNDS)):
        work.round(size, first=i == 0)
        if i == SCOUTS - 1:
            work.settle_at_mean()
        if i == LEARNT - 1 and work.latent.learns:
            work.learn()
    found, certificate = work.draws(draws)
    if not good(certificate) and certificate.ess_effects > HOPELESS:
        work.round(ONE_MORE, first=False)
        found, certificate = work.draws(draws)
    return found, certificate


def latent_theta(latent: Latent) -> Array:
    """Scales at the middle of where the first round looks."""
    return latent.theta(latent.first_scores()[0][None])[0]


@dataclass(frozen=True)
class _Proposal:
    """A normal or t_8 law of scores."""

    mean: Array
    root: Array
    heavy: bool

    def draw(self, points: int, rng: np.random.Generator) -> Array:
        uniform = _net(points, len(self.mean) + self.heavy, rng)
        white = ndtri(uniform[:, : len(self.mean)])
        if self.heavy:
            chi2 = 2.0 * gammaincinv(0.5 * FREEDOM, uniform[:, -1])
            white *= np.sqrt(FREEDOM / chi2)[:, None]
        return np.asarray(self.mean + white @ self.root.T)

    def log_density(self, v: Array) -> Array:
        white = np.linalg.solve(self.root, (v - self.mean).T)
        dims, squares = len(self.mean), (white**2).sum(axis=0)
        log_root = np.log(np.diagonal(self.root)).sum()
        if not self.heavy:
            return np.asarray(-0.5 * squares - log_root - 0.5 * dims * math.log(2.0 * math.pi))
        constant = (
            gammaln(0.5 * (FREEDOM + dims))
            - gammaln(0.5 * FREEDOM)
            - 0.5 * dims * math.log(FREEDOM * math.pi)
        )
        return np.asarray(constant - log_root - 0.5 * (FREEDOM + dims) * np.log1p(squares / FREEDOM))


def _net(points: int, dims: int, rng: np.random.Generator) -> Array:
    """Scrambled Sobol points of the open unit cube, (points, dims): the first of a whole power of two."""
    from scipy.stats import qmc

    whole = qmc.Sobol(dims, seed=rng).random_base2(max(points - 1, 1).bit_length())
    return np.clip(whole[:points], 1e-12, 1.0 - 1e-12)


@dataclass(frozen=True)
class _Solution:
    """G(theta) at one setting: as `kernels.blocks` solves it, its means, and log |root of its precision|."""

    blocks: Array
    top: Array
    a: Array
    b: Array
    log_root: float


class _Weighing:
    """Rounds of points of one part, their evidence, and the draws that come of them."""

    def __init__(self, part: Part, rng: np.random.Generator) -> None:
        self.part, self.rng = part, rng
        self.latent = latent_of(part)
        self.density: Callable[[Array], tuple[float, Array]] = log_density(part)
        self.channels = len(self.latent.around)
        self.proposals: list[_Proposal] = []
        # Of each round: scores, their log target, log weights of one draw of the effects at each, its bent effects.
        self.rounds: list[tuple[Array, ...]] = []
        self.kept = 0

    def solve(self, theta: Array, *, bent: bool = True) -> _Solution:
        """G at one setting of the scales; without its bends where those leave no Gaussian."""
        from forecast.fit.kernels.blocks import solve_blocks

        latent, seen = self.latent, self.latent.seen(theta, bent=bent)
        p, q, c = len(latent.common), len(latent.own), self.channels
        common_sd, own_sd = latent.sds(theta)
        blocks, top, a, b = np.empty((c, q, q + p + 1)), np.empty((p, p + 1)), np.empty(p), np.empty((c, q))
        log_root = solve_blocks(
            seen.rows, seen.curvature, seen.score, latent.around, seen.bend, seen.pull, latent.common, latent.own,
            common_sd, own_sd, blocks, top, a, b,
        )  # fmt: skip
        if math.isnan(log_root) and bent:
            return self.solve(theta, bent=False)
        return _Solution(blocks, top, a, b, log_root)

    def settle(self, theta: Array) -> None:
        """Move the path to the posterior mode at one setting, in bounded steps."""
        latent = self.latent
        common_sd, own_sd = latent.sds(theta)
        for _ in range(ITERATIONS):
            found = self.solve(theta, bent=False)
            wanted = np.zeros_like(latent.around)
            wanted[:, latent.common] += common_sd * found.a
            wanted[:, latent.own] += own_sd * found.b
            step = wanted - latent.around
            latent.moved(step)
            if np.abs(step).max() < SETTLED:
                break

    def round(self, size: int, *, first: bool) -> None:
        """Draw so many points of the scales and weigh them."""
        if first:
            mean, sd = self.latent.first_scores()
            proposal = _Proposal(mean, np.diag(sd), heavy=False)
        else:
            mean, cov = self._moments()
            least = self.latent.first_scores()[1] ** 2 if len(self.rounds) < SCOUTS + 1 else np.diagonal(cov)
            root = np.linalg.cholesky(WIDER * cov + LEAST_VARIANCE * np.diag(least))
            proposal = _Proposal(mean, root, heavy=True)
        v = proposal.draw(size, self.rng)
        self.proposals.append(proposal)
        self.rounds.append((v, *self._evidence(v)))

    def settle_at_mean(self) -> None:
        """Move the path to the mode at the mean of what was found; the rounds so far only propose from then on."""
        mean, _ = self._moments()
        self.settle(self.latent.theta(mean[None])[0])
        self.kept = len(self.rounds)

    def learn(self) -> None:
        """Fit the Gaussian of the bent effects to their weighed moments; the rounds so far are only proposals then.

        A factor exp(-z'Bz / 2 + s'z) on G turns the mean and covariance of z by G into those by the weights.
        """
        _, log_weights = self._pooled(self.kept)
        log_effects, z = (np.concatenate([r[i] for r in self.rounds[self.kept :]]) for i in (2, 3))
        as_drawn = tempered(log_weights, least=LEAST_LEARNT)
        as_weighed = tempered(log_weights + log_effects, least=LEAST_LEARNT)
        bend, pull = np.zeros((self.channels, *2 * z.shape[2:])), np.zeros((self.channels, *z.shape[2:]))
        for c in range(self.channels):
            (mean, cov), (wanted, spread) = (
                (w @ z[:, c], np.cov(z[:, c].T, aweights=w, ddof=0).reshape(bend[c].shape))
                for w in (as_drawn, as_weighed)
            )
            root = np.linalg.cholesky(cov)
            inverse = np.linalg.inv(root)
            ratio, axes = np.linalg.eigh(inverse @ spread @ inverse.T)
            axes = inverse.T @ axes
            precision = axes / np.clip(LOOSER * ratio, *CHANGE) @ axes.T
            bend[c] = precision - inverse.T @ inverse
            pull[c] = precision @ wanted - inverse.T @ inverse @ mean
        self.latent.learn(bend, pull)
        self.kept = len(self.rounds)

    def _moments(self) -> tuple[Array, Array]:
        """Mean and covariance of the scores by the weights of the rounds so far."""
        used = self.kept if self.kept < len(self.rounds) else 0
        v, log_weights = self._pooled(used)
        weights = tempered(log_weights, least=LEAST_POINTS)
        mean = weights @ v
        return mean, np.cov(v.T, aweights=weights, ddof=0).reshape(2 * (v.shape[1],))

    def _pooled(self, first: int) -> tuple[Array, Array]:
        """Scores of the rounds from `first` on, and their log weights by the mixture of their proposals."""
        v, target = (np.concatenate([r[i] for r in self.rounds[first:]]) for i in (0, 1))
        share = np.log([len(r[0]) / len(v) for r in self.rounds[first:]])
        each = [log + p.log_density(v) for log, p in zip(share, self.proposals[first:], strict=True)]
        return v, np.asarray(target - np.logaddexp.reduce(each, axis=0))

    def _evidence(self, v: Array) -> tuple[Array, Array, Array]:
        """Log target of scores, the log weight of one draw of the effects at each, and its bent effects."""
        latent, theta = self.latent, self.latent.theta(v)
        found = [self.solve(row) for row in theta]
        log_root = np.array([one.log_root for one in found])
        a, b = np.stack([one.a for one in found]), np.stack([one.b for one in found])
        log_evidence = self._log_joint(theta, a, b) - log_root
        noise, log_noise = self._noise(len(v))
        drawn = [self._effects(one, row[None]) for one, row in zip(found, noise, strict=True)]
        a, b = (np.concatenate([pair[i] for pair in drawn]) for i in (0, 1))
        with np.errstate(invalid="ignore"):  # where the density is zero the weight is too
            log_effects = self._log_joint(theta, a, b) - log_noise - log_root - log_evidence
            target = log_evidence - latent.log_prior(theta) - 0.5 * (v**2).sum(axis=1)
        bad = ~np.isfinite(target)
        last = np.where(bad[:, None, None], 0.0, b[:, :, b.shape[2] - latent.bent :])
        return np.where(bad, -np.inf, target), np.where(bad, 0.0, log_effects), last

    def _noise(self, draws: int) -> tuple[Array, Array]:
        """Standard numbers behind draws of the effects, (draw, P + channel x Q), and their log density.

        Normal, but t of each channel's bent effects, which are drawn first given the common ones, and of common effects
        whose tails are `wide`.
        """
        wide, deep, bent = len(self.latent.common), len(self.latent.own), self.latent.bent
        noise = self.rng.standard_normal((draws, wide + self.channels * deep))
        log_density = -0.5 * (noise**2).sum(axis=1)
        if self.latent.wide:
            first = noise[:, :wide]
            log_density += 0.5 * (first**2).sum(axis=1)
            first *= np.sqrt(HEAVY / self.rng.chisquare(HEAVY, first.shape))
            log_density -= 0.5 * (HEAVY + 1.0) * np.log1p(first**2 / HEAVY).sum(axis=1)
        if bent:
            last = noise[:, wide:].reshape(draws, self.channels, deep)[:, :, deep - bent :]
            log_density += 0.5 * (last**2).sum(axis=(1, 2))
            last *= np.sqrt(HEAVY / self.rng.chisquare(HEAVY, (draws, self.channels, 1)))
            squares = (last**2).sum(axis=2)
            log_density -= 0.5 * (HEAVY + bent) * np.log1p(squares / HEAVY).sum(axis=1)
        return noise, log_density

    @staticmethod
    def _effects(solution: _Solution, normal: Array) -> tuple[Array, Array]:
        """Draws of a and b at one setting from standard numbers (draw, size)."""
        from forecast.fit.kernels.blocks import draw_blocks

        a, b = np.empty((len(normal), len(solution.a))), np.empty((len(normal), *solution.b.shape))
        draw_blocks(solution.blocks, solution.top, normal, a, b)
        return a, b

    def _log_joint(self, theta: Array, a: Array, b: Array) -> Array:
        """Exact log density of scales and effects, up to a constant."""
        x, jacobian = self.latent.points(theta, a, b)
        return np.array([self.density(row)[0] for row in x]) + jacobian

    def draws(self, draws: int) -> tuple[Draws, Certificate]:
        """Draws of the posterior by both weights, and their certificate."""
        many = max(draws, LEAST_DRAWS)
        v, log_weights = self._pooled(self.kept)
        log_effects = np.concatenate([r[2] for r in self.rounds[self.kept :]])
        smooth, k_scales = _smoothed(log_weights)
        _, k_joint = _smoothed(log_weights + log_effects)
        counts = points_drawn(smooth, many)
        kept = np.flatnonzero(counts)
        theta = self.latent.theta(v[kept])
        rows, effects, log_g = np.repeat(np.arange(len(kept)), counts[kept]), [], []
        for i, times in enumerate(counts[kept]):
            solution = self.solve(theta[i])
            noise, log_noise = self._noise(int(times))
            effects.append(self._effects(solution, noise))
            x, jacobian = self.latent.points(theta[i : i + 1], solution.a[None], solution.b[None])
            log_g.append(log_noise + self.density(x[0])[0] + jacobian[0])
        a, b = (np.concatenate([pair[i] for pair in effects]) for i in (0, 1))
        x, jacobian = self.latent.points(theta[rows], a, b)
        log_u = np.array([self.density(row)[0] for row in x]) + jacobian - np.concatenate(log_g)
        again, k_effects = _smoothed(log_u)
        chosen = self.rng.permutation(np.repeat(np.arange(many), points_drawn(again, draws)))
        x = x[chosen]
        idle = self.latent.idle
        if idle:
            spread = [scale.first + scale.second * self.rng.standard_normal(draws) for scale in idle]
            x[:, -len(idle) :] = np.stack(spread, axis=1)
        certificate = Certificate(k_scales, k_effects, k_joint, _effective(smooth), _effective(again), len(v))
        return constrained(x[None], sizes_of(self.part)), certificate


def _smoothed(log_weights: Array) -> tuple[Array, float]:
    """Normalised weights with their tail smoothed by Pareto, and its k-hat (inf where there is no tail to fit)."""
    from arviz_stats.base.array import array_stats

    some = np.isfinite(log_weights)
    least = log_weights[some].min() - 700.0 if some.any() else 0.0
    # ArviZ takes log likelihoods left out of a fit, whose weights are their inverse.
    smooth: Any
    smooth, k = array_stats.psislw(-np.where(some, log_weights, least))  # type: ignore[no-untyped-call]
    weights = np.exp(smooth - smooth.max())
    k = float(k)
    return np.asarray(weights / weights.sum()), math.inf if math.isnan(k) else k


def _effective(weights: Array) -> float:
    return float(1.0 / (weights**2).sum())
