"""The density of a part in coordinates in which it is nearly N(0, I), with its gradient: what chains walk on.

A part is N(0, I) in its scores and effects (v, x), x = (a, b), times the likelihood (`fit.latent`). Chains see z:

    v = v0 + C z_v,      x = D(theta(v)) (x0 + L'^-1 z_x),      D_j = (sd_j(theta0) / sd_j(theta))^w_j

v0, C: mean and Cholesky root of the scores' covariance by a few weighted points (`fit.weighed`); x0, L: the Gaussian of
the effects at v0. w_j in [0, 1] is how far the data know effect j there, 1 - its variance, a channel's own given the
common ones: an effect that they know keeps its size on the column when its sd moves, another its size in sds. Source:
Papaspiliopoulos, Roberts & Skold 2007 on partial centring.

The gradient in the effects is that of the rows of the likelihood around x itself; in the few scores it is a difference
of densities, all taken at once. Leapfrog steps need no more: any field that depends on the position alone leaves them
reversible and keeps volume, and the energies that decide are exact.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from forecast.fit.gaussian import Solved
from forecast.fit.latent import Latent

Array = NDArray[np.float64]

STEP = 1e-4  # of a score
LEAST_SD = 1e-12  # of an effect that moves nothing


class Whitened:
    """The log density of one part at points z, from where a weighed fit has been to."""

    def __init__(self, latent: Latent, mean: Array, cov: Array, solved: Solved) -> None:
        self.latent, self.mean = latent, mean
        self.root = np.linalg.cholesky(cov)
        self.channels, self.wide, self.deep = len(latent.path), solved.a.shape[1], solved.b.shape[2]
        self.size = len(mean) + self.wide + self.channels * self.deep
        self.middle = np.concatenate([solved.a[0], solved.b[0].ravel()])
        self.spread = self._spread(solved)
        known = 1.0 - (self.spread**2).sum(axis=1)
        for c in range(self.channels):  # given the common ones: whatever those are, the sum is known
            at = slice(self.wide + c * self.deep, self.wide + (c + 1) * self.deep)
            known[at] = 1.0 - (self.spread[at, at] ** 2).sum(axis=1)
        self.centred = np.clip(known, 0.0, 1.0)
        self.at = self._sds(latent.theta(mean[None]))

    def _spread(self, solved: Solved) -> Array:
        """L'^-1, (effect, effect): how far each effect moves with each standard number."""
        size = len(self.middle)
        white = np.eye(size)
        spread = np.empty((size, size))
        a = solved.common(0, white[:, : self.wide])
        spread[:, : self.wide] = a - solved.a
        b = white[:, self.wide :].reshape(size, self.channels, self.deep)
        for c in range(self.channels):
            at = slice(self.wide + c * self.deep, self.wide + (c + 1) * self.deep)
            spread[:, at] = solved.own(0, c, a, b[:, c].copy()) - solved.b[0, c]
        return np.ascontiguousarray(spread.T)

    def _sds(self, theta: Array) -> Array:
        """Log sds of all effects at each setting, (G, effect); of one that moves nothing it is no matter."""
        common, own = self.latent.sds(theta)
        return np.log(np.maximum(np.concatenate([common, np.tile(own, self.channels)], axis=1), LEAST_SD))

    def effects(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """Scores (D, S), settings (D, S), effects (D, effect), and the log of their size over that at v0."""
        scores = self.mean + z[:, : len(self.mean)] @ self.root.T
        theta = self.latent.theta(scores)
        sized = self.centred * (self.at - self._sds(theta))
        x = self.middle + z[:, len(self.mean) :] @ self.spread.T
        return scores, theta, x * np.exp(sized), sized

    def split(self, x: Array) -> tuple[Array, Array]:
        """Common effects (D, P) and those of channels (D, channel, Q)."""
        return x[:, : self.wide], x[:, self.wide :].reshape(-1, self.channels, self.deep)

    def log_densities(self, z: Array) -> Array:
        """Log density of each point, (D,), up to a constant."""
        scores, theta, x, sized = self.effects(z)
        latent, ones = self.latent, np.ones(len(z), dtype=np.int64)
        u = latent.coordinates(latent.sds(theta), ones, *self.split(x))
        found = latent.log_likelihood(theta, ones, u).sum(axis=1) + latent.told(theta)
        return np.asarray(
            found - 0.5 * (scores**2).sum(axis=1) - 0.5 * (x**2).sum(axis=1) + sized.sum(axis=1)
        )

    def points(self, z: Array, rng: np.random.Generator) -> Array:
        """The unconstrained points of a part (D, dimension) at z (D, size)."""
        _, theta, x, _ = self.effects(z)
        return self.latent.points_of(theta, *self.split(x), rng)

    def copy(self) -> Whitened:
        """Another one, which may look elsewhere."""
        other = copy(self)
        other.latent = copy(self.latent)
        return other

    def __call__(self, z: Array) -> tuple[float, Array]:
        """Log density and its gradient at one point; -inf where there is none."""
        with np.errstate(all="ignore"):
            return self._with_gradient(z)

    def _with_gradient(self, z: Array) -> tuple[float, Array]:
        scales = len(self.mean)
        around = np.tile(z, (2 * scales + 1, 1))
        around[1 : 1 + scales, :scales] += STEP * np.eye(scales)
        around[1 + scales :, :scales] -= STEP * np.eye(scales)
        found = self.log_densities(around)
        gradient = np.zeros_like(z)
        if not np.isfinite(found).all():
            return -np.inf, gradient
        gradient[:scales] = (found[1 : 1 + scales] - found[1 + scales :]) / (2.0 * STEP)
        _, theta, x, sized = self.effects(z[None])
        latent, sds = self.latent, self.latent.sds(theta)
        u = latent.coordinates(sds, np.ones(1, dtype=np.int64), *self.split(x))[0]
        slopes = latent.slopes(theta, u)
        common = sds[0][0] * slopes[:, latent.common].sum(axis=0)
        own = sds[1][0] * slopes[:, latent.own]
        pull = np.concatenate([common, own.ravel()]) - x[0]
        gradient[scales:] = self.spread.T @ (np.exp(sized[0]) * pull)
        return float(found[0]), gradient
