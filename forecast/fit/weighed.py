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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, gammaln, logsumexp, ndtri, softmax
from threadpoolctl import threadpool_limits

from forecast.fit.gaussian import Columns, Solved, points_drawn, solve, tempered
from forecast.fit.kinds import latent_of
from forecast.fit.latent import Latent
from forecast.fit.parts import Part
from forecast.fit.points import Draws, constrained, sizes_of
from forecast.fit.scales import NOISE_SPREAD

Array = NDArray[np.float64]

# Points of the scales by round: of parts with bent effects, and of others.
MANY = (48, 100, 100, 150, 300, 500)
OTHERS = (48, 100, 150, 200, 512)
FEW, FEW_OTHERS = (48, 64, 64, 128), (32, 48, 96)
APART = np.linspace(-1.75, 1.75, 15)  # log noise of a channel over that of all
APART_PRIOR = -0.5 * (APART / NOISE_SPREAD) ** 2
TIMES_APART, SETTLED_APART = 3, 0.05
SCOUTS = 2  # rounds that only look where the others go: the path is moved after them
# A round after them tells whether the scales lie where the path is: else it is moved again, so often at most.
FAR, MOST_FARTHER, FEWER_FARTHER = 1.0, 8, 2
ONE_MORE, MOST_MORE = 512, 3  # points of one more round, and how many of them
HOPELESS = 100.0  # effective draws of the effects, which more points of the scales cannot mend
FREEDOM, WIDER, LEAST_VARIANCE = 8.0, 1.25, 0.01  # of the t proposals
LEAST_DRAWS = 2000  # of the effects, that are weighed: fewer cannot be told good from bad
HEAVY = 8.0  # degrees of freedom of the effects that are far from Gaussian
LEAST_LEARNT, LOOSER, CHANGE = 60.0, 1.1, (0.25, 4.0)  # effective draws; of variances that are fitted to them
LEAST_POINTS = 12.0  # effective points of the rounds that propose the next
CANDIDATES, FOR_ALL = 6, 24  # of bent effects: of a channel, and at least of all channels together
ALIKE = 1e-6  # of log weights: nothing but rounding is between them
CHUNK, MOST_KEPT = 1e6, 3e7  # numbers held at once, and of solutions that are not made again
LARGEST = 4e6  # numbers of the draws at one setting: more are drawn in turns
ITERATIONS = 30
UNDAMPED = 8  # of these: later ones are shortened, so that a path does not go to and fro
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
    part: Part,
    *,
    seed: int,
    draws: int,
    few: bool = False,
    good: Callable[[Certificate], bool] = lambda _: True,
) -> tuple[Draws, Certificate]:
    """Draws of a part by parameter, (1, draw, ...) as samplers give them, and how far they can be trusted.

    Same part, seed and draws: the same bytes. `few`: with as few points as still tell where the scales are. Where the
    certificate is not `good` and more points may make it so, further rounds are made.
    """
    # Shared among threads, sums would depend on how many there are, and small ones take longer.
    with threadpool_limits(1):
        work = _searched(part, seed, few=few)
        found, certificate = work.draws(draws)
        for _ in range(MOST_MORE):
            if good(certificate) or certificate.ess_effects < HOPELESS:
                break
            work.look_closer()
            work.round(ONE_MORE, first=False)
            found, certificate = work.draws(draws)
    return found, certificate


def middle_of(part: Part, *, seed: int) -> tuple[Latent, Array, Array, Solved]:
    """Where the posterior of a part lies, by few points: its Gaussian model with the path there, scores, effects.

    Of the scores mean and covariance, of the effects their Gaussian at that mean.
    """
    with threadpool_limits(1):
        work = _searched(part, seed, few=True)
        mean, cov = work.moments()
        return work.latent, mean, cov, work.solve(work.latent.theta(mean[None]))


def _searched(part: Part, seed: int, *, few: bool) -> _Weighing:
    """All planned rounds of a part."""
    work = _Weighing(part, np.random.default_rng([seed, *f"weighed {part.name}".encode()]), few=few)
    work.settle(latent_theta(work.latent))
    rounds, others = (FEW, FEW_OTHERS) if few else (MANY, OTHERS)
    sizes = rounds if work.latent.bent else others
    for i, size in enumerate(sizes):
        work.round(size, first=i == 0)
        if i == SCOUTS - 1:
            work.settle_at_mean()
            if work.latent.noisy and work.channels > 1 and not part.data["noise_apart"].any():
                work.tell_noise_apart()
        elif i == SCOUTS:
            for _ in range(FEWER_FARTHER if few else MOST_FARTHER):
                if work.arrived():
                    break
                work.settle_at_mean()
                work.round(size, first=False)
            if work.latent.learns:
                work.learn()
    return work


def latent_theta(latent: Latent) -> Array:
    """Scales at the middle of where the first round looks, (1, S)."""
    return latent.theta(latent.first_scores()[0][None])


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
class _Drawn:
    """Draws of the effects at some settings, in their order: a (D, P), b (D, channel, Q).

    log_effects (D,): weight of a draw, its density over the Gaussian it came from, less the `evidence` (G,) of its
    setting: Laplace's, by the exact density at the Gaussian's mean. tried (D, candidate, channel, m): bent effects of
    all candidates, and their `log_tried` weights (D, candidate, channel).
    """

    a: Array
    b: Array
    log_effects: Array
    evidence: Array
    tried: Array
    log_tried: Array

    @classmethod
    def together(cls, found: Sequence[_Drawn]) -> _Drawn:
        """The draws of some settings after those of others."""
        return cls(*(np.concatenate([getattr(one, field.name) for one in found]) for field in fields(cls)))


class _Weighing:
    """Rounds of points of one part, their evidence, and the draws that come of them."""

    def __init__(self, part: Part, rng: np.random.Generator, *, few: bool = False) -> None:
        self.part, self.rng, self.few = part, rng, few
        self.latent = latent_of(part)
        self.channels = len(self.latent.path)
        self.candidates = max(CANDIDATES, FOR_ALL // self.channels) // (1 + few) if self.latent.bent else 1
        self.proposals: list[_Proposal] = []
        # Of each round: scores, log target, log weight of one draw of the effects at each; candidates, see `_Drawn`.
        self.rounds: list[tuple[Array, ...]] = []
        self.kept, self.at = 0, np.zeros(len(self.latent.scales))
        self.solved: list[Solved] = []  # of the first settings from `kept` on, as many as there is room for
        self.room = MOST_KEPT
        self.apart_told: Array | None = None  # evidence of `tell_noise_apart`, (APART, channel)

    @property
    def near(self) -> bool:
        """Whether draws of the effects are taken as they come: of few points, where G is near enough."""
        return self.few and self.candidates == 1

    def solve(self, theta: Array, *, bent: bool = True) -> Solved:
        """G at each setting of the scales."""
        latent = self.latent
        return solve(
            latent.seen(theta, bent=bent), latent.path, (latent.common, latent.own), latent.sds(theta)
        )

    def settle(self, theta: Array) -> None:
        """Move the path to the posterior mode at one setting (1, S), in bounded steps."""
        latent = self.latent
        for i in range(ITERATIONS):
            found = self.solve(theta, bent=False)
            mode = latent.coordinates(latent.sds(theta), np.ones(1, dtype=np.int64), found.a, found.b)
            step = mode[0] - latent.path
            latent.moved(step * min(1.0, UNDAMPED / (i + 1)))
            if np.abs(step).max() < SETTLED:
                break

    def round(self, size: int, *, first: bool) -> None:
        """Draw so many points of the scales and weigh them."""
        if first:
            mean, sd = self.latent.first_scores()
            proposal = _Proposal(mean, np.diag(sd), heavy=False)
        else:
            mean, cov = self.moments()
            least = self.latent.first_scores()[1] ** 2 if len(self.rounds) < SCOUTS + 1 else np.diagonal(cov)
            root = np.linalg.cholesky(WIDER * cov + LEAST_VARIANCE * np.diag(least))
            proposal = _Proposal(mean, root, heavy=True)
        v = proposal.draw(size, self.rng)
        self.proposals.append(proposal)
        self.rounds.append((v, *self._evidence(v, keep=len(self.rounds) >= SCOUTS)))

    def settle_at_mean(self) -> None:
        """Move the path to the mode at the mean of what was found; the rounds so far only propose from then on."""
        self.at, _ = self.moments()
        self.settle(self.latent.theta(self.at[None]))
        self.kept, self.solved, self.room = len(self.rounds), [], MOST_KEPT

    def tell_noise_apart(self) -> None:
        """Find how the noises of channels differ, by the evidence of each channel at the mean of the scores.

        log noise_c = log noise + z_c, z_c ~ Normal(0, NOISE_SPREAD): taken at its posterior mean from here on, and
        drawn from its posterior when all else is (`_apart`). Given the common effects the evidence of a channel is
        Laplace's, at Gaussians about the path for each z.
        """
        latent = self.latent
        theta, ones = latent.theta(self.at[None]), np.ones(1, dtype=np.int64)
        for _ in range(TIMES_APART):
            found = []
            start = latent.apart
            for z in APART:
                latent.apart = np.full(self.channels, z)
                solved = self.solve(theta, bent=False)
                u = latent.coordinates(latent.sds(theta), ones, solved.a, solved.b)
                log_root = np.log(np.diagonal(solved.root[0], axis1=-2, axis2=-1)).sum(axis=-1)
                told = latent.log_likelihood(theta, ones, u)[0] + latent.noise_told(theta)[0]
                found.append(told - 0.5 * (solved.b[0] ** 2).sum(axis=1) - log_root)
            self.apart_told = np.nan_to_num(np.array(found), nan=-np.inf)
            latent.apart = softmax(self.apart_told + APART_PRIOR[:, None], axis=0).T @ APART
            self.settle(theta)
            if np.abs(latent.apart - start).max() < SETTLED_APART:
                break

    def _apart(self, theta: Array) -> Array:
        """How the noises of channels differ, (draw, channel), drawn given the common noise of each draw.

        The evidence tells of log noise + z: where a draw's common noise is above the others', z is below. Of the level
        of the common noise it tells too little, the common effects being held, so that is left to the draws.
        """
        many = len(theta)
        if self.apart_told is None:
            return np.broadcast_to(self.latent.apart, (many, self.channels))
        log_noise = theta[:, [scale.name for scale in self.latent.scales].index("noise")]
        moved = APART + (log_noise - log_noise.mean())[:, None]
        found = np.empty((many, self.channels))
        for c, told in enumerate(self.apart_told.T):
            log = np.interp(moved, APART, told) + APART_PRIOR
            cumulated = np.cumsum(softmax(log, axis=1), axis=1)
            cell = (cumulated < self.rng.random((many, 1))).sum(axis=1)
            beside = (APART[1] - APART[0]) * (self.rng.random(many) - 0.5)
            found[:, c] = APART[np.minimum(cell, len(APART) - 1)] + beside
        return found

    def look_closer(self) -> None:
        """Choose each bent effect among twice as many from now on: a weight that is too large is then one of more."""
        self.candidates *= 2 if self.latent.bent else 1

    def arrived(self) -> bool:
        """Whether the scores' mean lies where the path was settled, in posterior sds."""
        mean, cov = self.moments()
        return bool((np.abs(mean - self.at) < FAR * np.sqrt(np.diagonal(cov))).all())

    def learn(self) -> None:
        """Fit the Gaussian of the bent effects to their weighed moments; the rounds so far are only proposals then.

        A factor exp(-z'Bz / 2 + s'z) on G turns the mean and covariance of z by G into those by the weights.
        """
        _, log_weights = self._pooled(self.kept)
        z, log_tried = (np.concatenate([r[i] for r in self.rounds[self.kept :]]) for i in (3, 4))
        by_point = (
            np.repeat(tempered(log_weights, least=LEAST_LEARNT)[:, None], z.shape[1], axis=1) / z.shape[1]
        )
        bend, pull = np.zeros((self.channels, *2 * z.shape[3:])), np.zeros((self.channels, *z.shape[3:]))
        for c in range(self.channels):
            within = softmax(log_tried[..., c], axis=1)
            each = tempered(np.log(by_point * within + 1e-300).ravel(), least=LEAST_LEARNT)
            (mean, cov), (wanted, spread) = (
                (w @ points, np.cov(points.T, aweights=w, ddof=0).reshape(bend[c].shape))
                for w, points in ((x, z[:, :, c].reshape(each.size, -1)) for x in (by_point.ravel(), each))
            )
            root = np.linalg.cholesky(cov)
            inverse = np.linalg.inv(root)
            ratio, axes = np.linalg.eigh(inverse @ spread @ inverse.T)
            axes = inverse.T @ axes
            precision = axes / np.clip(LOOSER * ratio, *CHANGE) @ axes.T
            bend[c] = precision - inverse.T @ inverse
            pull[c] = precision @ wanted - inverse.T @ inverse @ mean
        self.latent.learn(bend, pull)
        self.kept, self.solved, self.room = len(self.rounds), [], MOST_KEPT

    def moments(self) -> tuple[Array, Array]:
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

    def _evidence(self, v: Array, *, keep: bool) -> tuple[Array, ...]:
        """Log target of scores, the log weight of one draw of the effects at each, and its candidates."""
        theta, each = self.latent.theta(v), self._chunk(1)
        found = []
        for i in range(0, len(v), each):
            solved = self._solid(theta[i : i + each])
            self.room -= solved.size if keep else 0
            if keep and self.room > 0:
                self.solved.append(solved)
            ones = np.full(len(solved.a), 0 if self.near else 1, dtype=np.int64)
            found.append(self._draw(solved, theta[i : i + each], ones))
        drawn = _Drawn.together(found)
        with np.errstate(invalid="ignore"):  # where the density is zero the weight is too
            target = drawn.evidence - 0.5 * (v**2).sum(axis=1)
        if self.near:
            return (
                np.where(np.isfinite(target), target, -np.inf),
                np.zeros(len(v)),
                drawn.tried,
                drawn.log_tried,
            )
        bad = ~(np.isfinite(target) & np.isfinite(drawn.log_effects))
        tried, log_tried = drawn.tried.copy(), drawn.log_tried.copy()
        tried[bad], log_tried[bad] = 0.0, 0.0
        return np.where(bad, -np.inf, target), np.where(bad, 0.0, drawn.log_effects), tried, log_tried

    def _chunk(self, draws: int) -> int:
        """How many settings to take at a time, of so many draws each."""
        columns = self.latent.path.shape[1]
        return max(int(CHUNK // (self.channels * columns * (columns + self.candidates * draws))), 1)

    def _solid(self, theta: Array) -> Solved:
        """G at each setting, without its bends where those leave no Gaussian."""
        solved = self.solve(theta)
        if (lost := np.isnan(solved.log_root)).any():
            straight = self.solve(theta[lost], bent=False)
            for field in fields(Solved):
                getattr(solved, field.name)[lost] = getattr(straight, field.name)
        return solved

    def _draw(self, solved: Solved, theta: Array, counts: Columns) -> _Drawn:
        """So many draws of the effects at each setting.

        Of a channel with bent effects a few candidates are drawn given the common effects, and one is kept by their
        weights: the weight of the draw is then the mean of theirs, as if the channel had been integrated out.
        """
        latent = self.latent
        many = self.candidates
        sds, ends = latent.sds(theta), np.cumsum(counts)
        a, log_common = self._white((int(ends[-1]), sds[0].shape[1]), sds[0].shape[1] if latent.wide else 0)
        b, log_own = self._white((int(ends[-1]) * many, self.channels, sds[1].shape[1]), latent.bent)
        for i, (first, last) in enumerate(zip(ends - counts, ends, strict=True)):
            if first == last:
                continue
            a[first:last] = solved.common(i, a[first:last])
            rows, given = slice(many * first, many * last), np.repeat(a[first:last], many, axis=0)
            for c in range(self.channels):
                b[rows, c] = solved.own(i, c, given, b[rows, c])
        with np.errstate(over="ignore", invalid="ignore"):
            each = np.zeros((len(a), many, self.channels))
            if not self.near:
                u = latent.coordinates(sds, many * counts, np.repeat(a, many, axis=0), b)
                dense = latent.log_likelihood(theta, many * counts, u) - 0.5 * (b**2).sum(axis=2) - log_own
                each = dense.reshape(each.shape)
            ones = np.ones(len(theta), dtype=np.int64)
            middle = latent.log_likelihood(theta, ones, latent.coordinates(sds, ones, solved.a, solved.b))
            at_mean = (
                middle.sum(axis=1) - 0.5 * (solved.a**2).sum(axis=1) - 0.5 * (solved.b**2).sum(axis=(1, 2))
            )
            log_effects = logsumexp(each, axis=1).sum(axis=1) - self.channels * math.log(many)
            log_effects += -0.5 * (a**2).sum(axis=1) - log_common - np.repeat(at_mean, counts)
            log_effects *= not self.near
        tried = b.reshape(-1, many, *b.shape[1:])[..., b.shape[2] - latent.bent :].copy()  # b itself may go
        if many > 1:
            best = (each + self.rng.gumbel(size=each.shape)).argmax(axis=1)
            b = b[many * np.arange(len(a))[:, None] + best, np.arange(self.channels)]
        return _Drawn(a, b, log_effects, at_mean + latent.told(theta) - solved.log_root, tried, each)

    def _white(self, shape: tuple[int, ...], heavy: int) -> tuple[Array, Array]:
        """Standard numbers behind draws of effects, and their log density: normal, but t of the last `heavy` ones.

        Of common effects, (draw, P), each for itself; of those of a channel, (draw, channel, Q), together.
        """
        white = self.rng.standard_normal(shape)
        if not heavy:
            return white, -0.5 * (white**2).sum(axis=-1)
        rest, last = white[..., : shape[-1] - heavy], white[..., shape[-1] - heavy :]
        alone = len(shape) == 2
        last *= np.sqrt(HEAVY / self.rng.chisquare(HEAVY, last.shape if alone else (*last.shape[:-1], 1)))
        if alone:
            tails = -0.5 * (HEAVY + 1.0) * np.log1p(last**2 / HEAVY).sum(axis=-1)
        else:
            tails = -0.5 * (HEAVY + heavy) * np.log1p((last**2).sum(axis=-1) / HEAVY)
        return white, tails - 0.5 * (rest**2).sum(axis=-1)

    def _drawn(self, theta: Array, counts: Columns, points: Columns) -> _Drawn:
        """So many draws of the effects at each setting, these `points` of the rounds that count."""
        most = max(int(LARGEST // (self.latent.path.size * self.candidates)), 1)
        turns = -(-counts // most)
        if (turns > 1).any():
            theta, points = np.repeat(theta, turns, axis=0), np.repeat(points, turns)
            last = np.cumsum(turns) - 1
            shared = np.full(len(points), most)
            shared[last] = counts - most * (turns - 1)
            counts = shared
        each, found = self._chunk(int(counts.max())), []
        starts = np.cumsum([0, *(len(solved.a) for solved in self.solved)])
        for i in range(0, len(theta), each):
            rows = slice(i, i + each)
            if points[rows][-1] < starts[-1]:
                at = np.searchsorted(starts, points[rows], side="right") - 1
                solved = Solved.picked(
                    [(self.solved[j], p - starts[j]) for j, p in zip(at, points[rows], strict=True)]
                )
            else:
                solved = self._solid(theta[rows])
            made = self._draw(solved, theta[rows], counts[rows])
            found.append(
                replace(made, tried=made.tried[:0], log_tried=made.log_tried[:0])
            )  # proposals ask for them
        return _Drawn.together(found)

    def draws(self, draws: int) -> tuple[Draws, Certificate]:
        """Draws of the posterior by both weights, and their certificate."""
        many = max(draws, LEAST_DRAWS)
        v, log_weights = self._pooled(self.kept)
        log_effects = np.concatenate([r[2] for r in self.rounds[self.kept :]])
        smooth, k_scales = _smoothed(log_weights)
        _, k_joint = _smoothed(log_weights + log_effects)
        counts = points_drawn(smooth, many)
        kept = np.flatnonzero(counts)
        theta, counts = self.latent.theta(v[kept]), counts[kept]
        drawn = self._drawn(theta, counts, kept)
        again, k_effects = _smoothed(drawn.log_effects)
        chosen = self.rng.permutation(np.repeat(np.arange(many), points_drawn(again, draws)))
        theta = np.repeat(theta, counts, axis=0)[chosen]
        effects = drawn.a[chosen], drawn.b[chosen]
        del drawn
        x = self.latent.points_of(theta, *effects, self.rng)
        del effects
        certificate = Certificate(k_scales, k_effects, k_joint, _effective(smooth), _effective(again), len(v))
        found = constrained(x[None], sizes_of(self.part))
        if self.latent.noisy:
            found["noise_apart"] = self._apart(theta)[None]
        return found, certificate


def _smoothed(log_weights: Array) -> tuple[Array, float]:
    """Normalised weights with their tail smoothed by Pareto, and its k-hat (inf where there is no tail to fit)."""
    from arviz_stats.base.array import array_stats

    some = np.isfinite(log_weights)
    least = log_weights[some].min() - 700.0 if some.any() else 0.0
    if some.all() and np.ptp(log_weights) < ALIKE:  # no tail to fit
        return np.full(log_weights.shape, 1.0 / log_weights.size), 0.0
    # ArviZ takes log likelihoods left out of a fit, whose weights are their inverse.
    smooth: Any
    smooth, k = array_stats.psislw(-np.where(some, log_weights, least))  # type: ignore[no-untyped-call]
    weights = np.exp(smooth - smooth.max())
    k = float(k)
    return np.asarray(weights / weights.sum()), math.inf if math.isnan(k) else k


def _effective(weights: Array) -> float:
    return float(1.0 / (weights**2).sum())
