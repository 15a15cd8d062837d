"""The media mix of `fit.mix` as a linear Gaussian model around a path, given its scales: see `fit.latent`.

All sales are one channel here; the scores of all responses are its bent effects.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from forecast.equations import log_negative_binomial, negative_binomial_size
from forecast.fit.gaussian import Columns, Rows
from forecast.fit.latent import FARTHEST, HOLLOW, WIDEST, WIDTH, Latent, Scale
from forecast.fit.mix import LEVEL, NAMES, log_response
from forecast.fit.parts import Part
from forecast.fit.scales import SEASON_SD

Array = NDArray[np.float64]


class Mix(Latent):
    """The sales of all channels. Columns: season, level, waves, scores of the responses; see the module."""

    learns = True
    bends: Array | None = None

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        d = self.data
        self.media = len(d["share_prior"])
        self.bent = 3 * self.media + 1
        self.seasons, self.waves = d["season_basis"].shape[1], len(d["basis"])
        self.scales = (
            Scale("season_sd", "gamma", SEASON_SD),
            Scale("drift", "gamma", float(d["drift_prior"][0])),
            Scale("noise", "gamma", float(d["noise_prior"])),
        )
        straight = self.seasons + 1 + self.waves
        self.common, self.own = slice(0, self.seasons), slice(self.seasons, straight + self.bent)
        self.unit = np.concatenate([d["season_basis"], np.ones((len(d["y"]), 1)), d["basis"].T], axis=1)
        self.path = np.zeros((1, straight + self.bent))
        self.learnt = np.zeros((1, self.bent, self.bent)), np.zeros((1, self.bent))
        self.look(self.path)

    def scores(self, z: Array) -> dict[str, Array]:
        """Scores (..., 3 media + 1) by name."""
        k = self.media
        return {n: z[..., i * k : (i + 1) * k] for i, n in enumerate(NAMES)} | {"z_media": z[..., -1:]}

    def look(self, path: Array) -> None:
        """Means and slopes around a path; bends are found when they are asked for."""
        self.path, self.bends = path, None
        z, eye = path[0, -self.bent :], WIDTH * np.eye(self.bent)
        found = log_response(self.data, self.scores(np.concatenate([z[None], z + eye, z - eye])))
        here, n = found[0], self.bent
        slopes = (found[1 : n + 1] - found[n + 1 :]) / (2.0 * WIDTH)
        self.rows = np.concatenate([self.unit, slopes.T], axis=1)[None]  # channel, period, column
        straight = path[0, : -self.bent]
        self.log_mean = (self.data["level_prior"] + self.unit @ straight + self.data["log_days"] + here)[None]

    def _bends(self) -> Array:
        """Second derivatives of the log response at the path, (period, score, score)."""
        z, eye = self.path[0, -self.bent :], WIDTH * np.eye(self.bent)
        up, left = np.triu_indices(self.bent)
        around = np.concatenate([z + p * eye[up] + q * eye[left] for p in (1, -1) for q in (1, -1)])
        corner = log_response(self.data, self.scores(around)).reshape(4, len(up), -1)
        bends = np.empty((corner.shape[2], self.bent, self.bent))
        second = (corner[0] - corner[1] - corner[2] + corner[3]) / (4.0 * WIDTH**2)
        bends[:, up, left] = bends[:, left, up] = second.T
        return bends

    def sds(self, theta: Array) -> tuple[Array, Array]:
        """See `Latent`."""
        season, drift = np.exp(theta[:, :1]), np.exp(theta[:, 1:2])
        own = [np.full_like(drift, LEVEL), drift * np.ones(self.waves), np.ones((len(theta), self.bent))]
        return season * np.ones(self.seasons), np.concatenate(own, axis=1)

    def seen(self, theta: Array, *, bent: bool) -> Rows:
        """See `Latent`."""
        d, size = self.data, _size(theta)
        nu, y, weight = np.exp(self.log_mean), d["y"].T, d["weight"].T
        score = weight * (y - nu) * size / (size + nu)
        curvature = weight * (y + size) * size * nu / (size + nu) ** 2
        bend, pull = np.zeros((len(theta), 1, self.bent, self.bent)), np.zeros((len(theta), 1, self.bent))
        if bent:
            if self.bends is None:
                self.bends = self._bends()
            bend -= np.einsum("gct,tij->gcij", score, self.bends)
            values, axes = np.linalg.eigh(bend)
            bend = (axes * np.maximum(values, HOLLOW)[..., None, :]) @ axes.swapaxes(-1, -2)
            pull = np.einsum("gcij,cj->gci", bend, self.path[:, -self.bent :]) + self.learnt[1]
            bend += self.learnt[0]
        return Rows(self.rows[None], curvature, score, bend, pull)

    def log_likelihood(self, theta: Array, counts: Columns, u: Array) -> Array:
        """See `Latent`."""
        return self._cells(np.repeat(theta, counts, axis=0), u[:, 0]).sum(axis=1)[:, None]

    def _cells(self, theta: Array, u: Array) -> Array:
        """Log likelihood by period but for gamma functions of counts, (D, T), at unit coordinates (D, column)."""
        d = self.data
        log_mean = d["level_prior"] + u[:, : -self.bent] @ self.unit.T + d["log_days"]
        log_mean = log_mean + log_response(d, self.scores(u[:, -self.bent :]))
        return np.asarray(
            d["weight"][:, 0] * log_negative_binomial(d["y"][:, 0], log_mean, _size(theta)[:, :, 0])
        )

    def told(self, theta: Array) -> Array:
        """Gamma functions of the counts, which the noise alone moves."""
        y, size = self.data["y"][self.data["weight"] > 0], _size(theta)[:, 0]
        return np.asarray((gammaln(size + y) - gammaln(size)).sum(axis=1))

    def of_draws(self, draws: Mapping[str, Array]) -> tuple[Array, Array]:
        """See `Latent`."""
        d, theta = self.data, self._scales_of(draws)
        sds = np.exp(theta)
        straight = [sds[:, :1] * draws["season"], LEVEL * draws["level"], sds[:, 1:2] * draws["waves"]]
        z = [draws[name] for name in (*NAMES, "z_media")]
        size = _size(theta)[:, :, 0]
        cells = self._cells(theta, np.concatenate([*straight, *z], axis=1))
        cells = cells + d["weight"][:, 0] * (gammaln(d["y"][:, 0] + size) - gammaln(size))
        return cells[:, None], np.zeros((len(theta), 0))

    def moved(self, step: Array) -> None:
        """See `Latent`."""
        far = max(
            np.abs(step[:, : -self.bent] @ self.unit.T).max() / FARTHEST, np.abs(step[:, -self.bent :]).max()
        )
        path = self.path + step * min(1.0, 1.0 / max(far, 1e-9))
        path[:, -self.bent :] = np.clip(path[:, -self.bent :], -WIDEST, WIDEST)
        self.look(path)

    def points(self, theta: Array, a: Array, b: Array) -> Array:
        """See `Latent`; effects stand for themselves."""
        return np.concatenate([theta, b[:, 0], a], axis=1)


def _size(theta: Array) -> Array:
    return negative_binomial_size(np.exp(theta[:, 2, None, None]))
