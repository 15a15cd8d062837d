"""The weighed closed form: the posterior of long chains, an alarm where it is not, the same bytes by the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from part_fixture import KINDS, PERIODS, asked_of, counts, part_of
from posterior_fixture import Array
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from forecast.fit import data as inputs
from forecast.fit import weighed as module
from forecast.fit.gate import GATE
from forecast.fit.gaussian import Rows
from forecast.fit.parts import Part
from forecast.fit.points import Draws, constrained, sizes_of
from forecast.fit.rates_latent import Rates
from forecast.fit.sampling import sample_whitened
from forecast.fit.traffic_latent import Traffic
from forecast.fit.weighed import Certificate, weighed_draws
from forecast.fit.whitened import Whitened

LONG = {"seed": 5, "draws": 2500, "tune": 600, "target_accept": 0.98, "cores": 2}
WALKERS, STRIDES = 1000, (1.0, 0.5, 0.25) * 30  # of all that is random in a point, by step

APART = ("own_waves", "noise_apart")  # hundreds, and no parameter


def numbers(draws: Draws) -> dict[str, Array]:
    """Every single number of the draws but own waves, (chain, draw)."""
    found = {}
    for name, values in draws.items():
        series = values.reshape(*values.shape[:2], -1)
        found |= {f"{name}[{i}]": series[:, :, i] for i in range(series.shape[2]) if name not in APART}
    return found


def passes(certificate: Certificate) -> bool:
    """Whether the gate of a fit lets it through."""
    enough = min(certificate.ess_scales, certificate.ess_effects) > GATE.min_ess
    return certificate.worst < GATE.max_k and enough


def agree(part: Part, others: Draws, sizes: dict[str, float]) -> None:
    """Means and ends of every number lie with those of draws by another road within the Monte Carlo error of both."""
    made, certificate = weighed_draws(part, seed=1, draws=4000, good=passes)
    assert passes(certificate)
    far = apart(made, certificate, others, sizes)
    worst = max(far, key=lambda name: abs(far[name]))
    assert abs(far[worst]) < 4.5, (worst, far[worst])
    assert np.sqrt(np.mean(np.square(list(far.values())))) < 1.3


def apart(made: Draws, certificate: Certificate, others: Draws, sizes: dict[str, float]) -> dict[str, float]:
    """By number, and its 10 and 90 % ends: difference from other draws of these effective sizes, in its own error."""
    found, far = numbers(made), {}
    for name, values in numbers(others).items():
        sd = values.std()
        error = np.sqrt(1.0 / sizes[name] + 1.0 / min(certificate.ess_scales, certificate.ess_effects))
        far[name] = (found[name].mean() - values.mean()) / sd / error
        for share in (0.1, 0.9):
            gap = np.quantile(found[name], share) - np.quantile(values, share)
            far[f"{name} {share}"] = gap / sd / (error * 1.71)  # an end of a normal: sqrt(.09) / density
    return far


def by_chains(part: Part) -> None:
    """They agree with NUTS, by its effective sizes."""
    chains, moved = sample_whitened(part, **LONG)
    assert moved.divergences <= 10  # of 10,000
    sizes = {
        name: float(array_stats.ess(long, chain_axis=0, draw_axis=1, method="mean"))
        for name, long in numbers(chains).items()
    }
    agree(part, chains, sizes)


def walked(part: Part, seed: int) -> Draws:
    """Independent draws of the exact density, each the end of a walk of its own, all walks side by side.

    A step of stride s goes from white coordinates z to sqrt(1 - s^2) z + s N(0, I), which leaves N(0, I) as it is, and
    is taken with the chance of what the density has beside it (Neal 1999; Cotter et al. 2013).
    """
    density, rng = Whitened(*module.middle_of(part, seed=seed)), np.random.default_rng(seed)
    z, beside = np.zeros((WALKERS, density.size)), np.full(WALKERS, -np.inf)
    for stride in STRIDES:
        there = np.sqrt(1.0 - stride**2) * z + stride * rng.standard_normal(z.shape)
        found = density.log_densities(there) + 0.5 * (there**2).sum(axis=1)
        taken = np.log(rng.random(WALKERS)) < found - beside
        z[taken], beside[taken] = there[taken], found[taken]
    return constrained(density.points(z, rng)[None], sizes_of(part))


@pytest.mark.parametrize("kind", ["calendar", "value"])
def test_weighed_draws_are_those_of_the_exact_density(kind: str):
    """A thousand walks on it, without a gradient; chains, and parts that need them, are slow."""
    others = walked(part_of(kind), seed=5)
    agree(part_of(kind), others, dict.fromkeys(numbers(others), float(WALKERS)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_weighed_draws_are_those_of_long_chains(kind: str):
    """Of two channels, with delays, lift tests and a tuned budget."""
    by_chains(part_of(kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["calendar", "traffic"])
def test_weighed_draws_of_many_channels_are_those_of_long_chains(kind: str):
    """Ten channels, whose responses are drawn of candidates each."""
    by_chains(part_of(kind, 10))


@pytest.mark.parametrize("kind", ["calendar", "traffic"])
def test_many_channels_pass_the_gate(kind: str):
    """Ten channels: k-hat and effective sizes as the fit asks for them, of traffic by one round more at times."""
    _, certificate = weighed_draws(part_of(kind, 10), seed=1, draws=4000, good=passes)
    assert passes(certificate)


def test_draws_at_one_setting_come_in_turns(monkeypatch: pytest.MonkeyPatch):
    """Those of many channels, in the order of their settings: each draw has the Gaussian of its own setting."""
    work = module._searched(part_of("value"), 1, few=True)
    monkeypatch.setattr(module, "LARGEST", 7.0 * work.latent.path.size)
    counts = np.array([300, 7, 400])
    points = np.argsort(work._pooled(work.kept)[1], kind="stable")[[0, 1, -1]]
    theta = work.latent.theta(work._pooled(work.kept)[0][points])
    assert int(counts.max() * work.latent.path.size) > module.LARGEST
    order = np.argsort(points)
    drawn = work._drawn(theta[order], counts[order], points[order])
    solved = work._solid(theta[order])
    assert len(drawn.a) == len(drawn.b) == len(drawn.log_effects) == counts.sum()
    for i, (first, n) in enumerate(zip(np.cumsum([0, *counts[order][:-1]]), counts[order], strict=True)):
        mine = drawn.a[first : first + n]
        sd = np.sqrt(np.diagonal(np.linalg.inv(solved.top[i].T @ solved.top[i])))
        assert (np.abs(mine.mean(axis=0) - solved.a[i]) < 5.0 * sd / np.sqrt(n)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_path_settles_at_the_mode(kind: str):
    """No step of the effects away from it makes the exact density larger, at the scales where it was sought."""
    work = module._Weighing(part_of(kind), np.random.default_rng(1))
    latent = work.latent
    theta = module.latent_theta(latent)
    work.settle(theta)
    found, one = work.solve(theta, bent=False), np.ones(1, dtype=np.int64)
    sizes = found.a.size, found.b.size

    def density(effects: Array) -> float:
        a, b = effects[None, : sizes[0]], effects[sizes[0] :].reshape(found.b.shape)
        u = latent.coordinates(latent.sds(theta), one, a, b)
        return float(latent.log_likelihood(theta, one, u).sum() - 0.5 * (effects**2).sum())

    mode = np.concatenate([found.a.ravel(), found.b.ravel()])
    best = minimize(lambda x: -density(x), mode, method="L-BFGS-B", options={"maxfun": 4000})
    assert -best.fun < density(mode) + 0.02


def test_weights_of_a_gaussian_are_told_from_those_of_a_tail():
    """Smoothed weights sum to one; k-hat is low for a proposal a little too narrow, high for one far too narrow."""
    normal = np.random.default_rng(5).standard_normal(4000)
    near, k_near = module._smoothed(-0.5 * (normal / 1.05) ** 2 + 0.5 * normal**2)
    far, k_far = module._smoothed(-0.5 * (normal / 3.0) ** 2 + 0.5 * normal**2)
    assert near.sum() == pytest.approx(1.0)
    assert k_near < 0.4
    assert module._effective(near) > 3900
    assert k_far > GATE.max_k
    assert module._effective(far) < 1000
    alike, k_alike = module._smoothed(np.full(400, -3.0))
    assert (alike == 1 / 400).all()
    assert k_alike == 0.0
    some, _ = module._smoothed(np.where(np.arange(4000) < 40, -np.inf, 0.1 * normal))
    assert some[:40].max() < 1e-300


def test_a_nearly_exact_gaussian_has_a_low_k_hat():
    """Deal values given their scales: nearly every draw of the effects counts."""
    _, certificate = weighed_draws(part_of("value"), seed=1, draws=4000)
    assert certificate.worst < 0.6
    assert certificate.ess_effects > 3000


@pytest.mark.parametrize("kind", ["calendar", "traffic"])
def test_a_broken_approximation_is_refused(monkeypatch: pytest.MonkeyPatch, kind: str):
    """Too narrow a Gaussian is told by its weights: the gate is missed, also after more rounds where those are made."""
    of = {"calendar": Rates, "traffic": Traffic}[kind]
    right = of.seen

    def narrow(self, theta: Array, *, bent: bool) -> Rows:
        seen = right(self, theta, bent=bent)
        return replace(seen, curvature=6.0 * seen.curvature)

    asked: list[Certificate] = []

    def good(certificate: Certificate) -> bool:
        asked.append(certificate)
        return passes(certificate)

    monkeypatch.setattr(of, "seen", narrow)
    _, certificate = weighed_draws(part_of(kind), seed=1, draws=4000, good=good)
    assert not any(passes(each) for each in (*asked, certificate))
    hopeless = asked[0].ess_effects < module.HOPELESS  # which no more points are wasted on
    assert (len(asked) == 1) == hopeless


def test_more_points_are_drawn_where_the_certificate_is_not_good():
    """A round at a time, at most twice; the scales are known better for it."""
    part, seen = part_of("value"), list[Certificate]()

    def never(certificate: Certificate) -> bool:
        seen.append(certificate)
        return False

    _, last = weighed_draws(part, seed=1, draws=400, good=never)
    points = [certificate.points for certificate in (*seen, last)]
    assert np.diff(points).tolist() == [module.ONE_MORE] * module.MOST_MORE
    assert last.ess_scales > 1.5 * seen[0].ess_scales


def test_the_same_seed_gives_the_same_bytes():
    """However many threads the linear algebra may use; another seed gives others."""
    for kind in ("calendar", "traffic"):
        part = part_of(kind)
        with threadpool_limits(2):
            one = weighed_draws(part, seed=1, draws=400)[0]
        two, other = (weighed_draws(part, seed=seed, draws=400)[0] for seed in (1, 2))
        assert all(one[name].tobytes() == two[name].tobytes() for name in one)
        assert one["mu"].tobytes() != other["mu"].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_channel_has_weights_too(kind: str):
    """Where levels have no spread to learn, the weights pass as well."""
    _, certificate = weighed_draws(part_of(kind, 1), seed=1, draws=4000, good=passes)
    assert passes(certificate)


def test_scales_that_no_data_touch_follow_their_prior():
    """Without a delay its mean and spread are drawn from the prior."""
    asked = asked_of(leads=0, won=0)
    data, _ = inputs.transition_data(asked, counts(), "visitors", "leads")
    part = Part("leads", "visitors to leads", "calendar", data)
    made, _ = weighed_draws(part, seed=1, draws=4000)
    z = (np.log(made["delay_cv"][0]) - data["delay_prior"][2]) / data["delay_prior"][3]
    assert abs(z.mean()) < 0.07
    assert abs(z.std() - 1.0) < 0.05
    assert set(made) == {*dict(sizes_of(part)), "noise_apart"}
    assert made["own_waves"].shape == (1, 4000, PERIODS - 1, 2)
    assert constrained(np.zeros((1, 1, 0)), []) == {}


@pytest.mark.parametrize("kind", ["calendar", "traffic", "value"])
def test_few_points_are_the_same_posterior_coarsely(kind: str):
    """The preview's: as far from the fit's draws as their effective sizes say, and these are fewer."""
    part = part_of(kind)
    many, known = weighed_draws(part, seed=2, draws=4000)
    few, certificate = weighed_draws(part, seed=2, draws=4000, few=True)
    assert certificate.points < known.points / 2
    least = min(known.ess_scales, known.ess_effects)
    assert least > 2 * certificate.ess_scales > 60
    far = apart(few, certificate, many, dict.fromkeys(numbers(many), least))
    assert max(map(abs, far.values())) < 5.0
    assert np.sqrt(np.mean(np.square(list(far.values())))) < 1.3
