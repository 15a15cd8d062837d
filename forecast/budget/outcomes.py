"""What single draws bring at a split: contribution with its chance for risk, what lands inside the horizon for targets.

`look(x)` gives the objective at a split and the weighted mean of the draws' curves that has its slope there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtr, ndtri

from forecast.budget.response import Background, Curves

Array = NDArray[np.float64]


class Draws:
    """Every draw's measure and its variance of chance, on fine tables."""

    def __init__(self, curves: Curves, name: str) -> None:
        self.spend, self.mean = curves.fine(name)
        _, variance = curves.fine(f"{name}_variance")
        self.variance = np.maximum(variance, 0.0)

    def at(self, x: Array) -> tuple[Array, Array]:
        """Mean and variance of chance of a split, (draw,), channels added up."""
        lanes = np.arange(len(x))
        right = np.clip((self.spend < x[:, None]).sum(axis=1), 1, self.spend.shape[1] - 1)
        left = self.spend[lanes, right - 1]
        share = np.clip((x - left) / np.maximum(self.spend[lanes, right] - left, 1e-300), 0.0, 1.0)

        def pick(table: Array) -> Array:
            both = table[:, lanes, right - 1] * (1 - share) + table[:, lanes, right] * share
            return np.asarray(both.sum(axis=1))

        return pick(self.mean), pick(self.variance)

    def tables(self, weight: Array, on_variance: Array) -> Array:
        """Weighted sums over draws of the curves and of their variances, (channel, point)."""
        found = np.tensordot(weight, self.mean, axes=(0, 0))
        return np.asarray(found + np.tensordot(on_variance, self.variance, axes=(0, 0)))


class Risk(Draws):
    """Contribution by draw, with chance as one fixed normal score a draw; mean, cvar and what lies between."""

    def __init__(self, curves: Curves, risk: float, mix: float) -> None:
        """`mix`: weight of cvar against the mean."""
        super().__init__(curves, "value")
        count = len(self.mean)
        order = np.random.default_rng(0).permutation(count)
        self.score, self.mix = ndtri((order + 0.5) / count), mix
        self.worst = max(round(risk * count), 1)
        self.average = self.mean.mean(axis=0)

    def outcomes(self, x: Array) -> Array:
        """Contribution of a split with chance, (draw,)."""
        mean, variance = self.at(x)
        return mean - x.sum() + self.score * np.sqrt(variance)

    def cvar(self, x: Array) -> float:
        """Mean of the worst outcomes."""
        return float(np.sort(self.outcomes(x))[: self.worst].mean())

    def p_loss(self, x: Array) -> float:
        """P(contribution < 0)."""
        mean, variance = self.at(x)
        return float(ndtr(-(mean - x.sum()) / np.sqrt(np.maximum(variance, 1e-300))).mean())

    def look(self, x: Array) -> tuple[float, Array]:
        """Objective at a split, and the weighted curves that it is there."""
        mean, variance = self.at(x)
        sd = np.sqrt(np.maximum(variance, 1e-300))
        outcome = mean - x.sum() + self.score * sd
        tail = np.argpartition(outcome, self.worst - 1)[: self.worst]
        reached = (1.0 - self.mix) * float(mean.mean() - x.sum()) + self.mix * float(outcome[tail].mean())
        # All draws count alike but for the worst, so only these are added up anew.
        share = self.mix / self.worst
        on_variance = share * self.score[tail] / (2 * sd[tail])
        bad = share * self.mean[tail].sum(axis=0) + np.tensordot(on_variance, self.variance[tail], axes=1)
        return reached, (1.0 - self.mix) * self.average + bad


class Chance(Draws):
    """P(what lands inside the horizon >= target), chance of what paid channels bring worked out and not drawn."""

    def __init__(self, curves: Curves, target: float, background: Background) -> None:
        """`background`: what comes whatever is spent, by posterior draw."""
        super().__init__(curves, "inside")
        keep = np.linspace(0, len(background.inside) - 1, len(self.mean)).astype(int)
        self.need = target - background.inside[keep]

    def look(self, x: Array) -> tuple[float, Array]:
        """P(target) at a split, and the weighted curves that have its slope there; money costs nothing."""
        mean, variance = self.at(x)
        reached = gamma_tail(self.need, mean, variance)
        step = 1e-4
        on_mean = (gamma_tail(self.need, mean * (1 + step), variance) - reached) / np.maximum(
            step * mean, 1e-300
        )
        on_variance = (gamma_tail(self.need, mean, variance * (1 + step)) - reached) / np.maximum(
            step * variance, 1e-300
        )
        return float(reached.mean()), self.tables(on_mean / len(mean), on_variance / len(mean))


def gamma_tail(need: Array, mean: Array, variance: Array) -> Array:
    """P(A >= need), of a gamma with this mean and variance."""
    mean, variance = np.maximum(mean, 1e-12), np.maximum(variance, 1e-24)
    return np.where(need <= 0, 1.0, gammaincc(mean**2 / variance, np.maximum(need, 0.0) * mean / variance))
