"""Lift tests: what a study says of an experiment reaches the fit as a normal observation of the response."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import STUDY, counts
from model_fixture import log_density
from posterior_fixture import Array, history, study
from scipy.special import logit

from forecast.errors import StudyError
from forecast.fit.data import lift_data, traffic_data
from forecast.fit.fitting import preview
from forecast.fit.parts import Part
from forecast.fit.points import POSITIVE, sizes_of
from forecast.fit.posterior import Posterior
from forecast.fit.provenance import fit_hash
from forecast.fit.sensitivity import part_sensitivities
from forecast.history import History, read_history
from forecast.outlook import Case, Future
from forecast.periods import log_days
from forecast.results import evidence_table
from forecast.study import Study, load_study
from forecast.words import typed

KINDS = {"ads": {"kind": "ppc"}, "seo": {"kind": "seo"}}
ADS = {"channel": "ads", "from": "2026-01", "to": "2026-03", "without": 3000.0, "with": 6000.0}
SEO = {"channel": "seo", "from": "2026-01", "to": "2026-06", "without": 1000.0, "with": 0.0}
TEST = """
[[lift_test]]
channel = "ppc"
from = "2026-02"
to = 2026-03-01
without = 2000
with = 3000
lift = -12.5
se = 80
note = "ten regions of twenty"
"""


def asked(*tests: dict[str, object]) -> Study:
    """A study of two paid channels with these tests."""
    return study(channels=KINDS, lift_test=tests)


@pytest.fixture(scope="module")
def past() -> History:
    """Two years of two channels whose spend varies by 5 %, and one without spend."""
    rng = np.random.default_rng(1)
    spend = np.array([3000.0, 1000.0, 0.0]) * np.exp(0.05 * rng.normal(size=(24, 3)))
    visitors = rng.poisson([[800.0, 400.0, 300.0]] * 24).astype(float)
    return history(
        {"visitors": visitors, "leads": 40.0, "won": 4.0, "spend": spend},
        channels=["ads", "seo", "word of mouth"],
        periods=24,
    )


def elasticity(past: History, *tests: dict[str, object]) -> Array:
    """Draws of the elasticity (draw, channel), in closed form."""
    return preview(asked(*tests), past, seed=1, draws=2000).array("elasticity")


# In the study


def write(folder: Path, text: str) -> Path:
    """The small company with this added to its study."""
    (folder / "small.csv").write_text(counts(), encoding="utf-8")
    (folder / "small.toml").write_text(STUDY + text, encoding="utf-8")
    return folder / "small.toml"


def test_a_test_is_read_as_it_stands(tmp_path: Path):
    """Null and negative results are results; a date without quotes is a period; one period needs no `to`."""
    loaded = load_study(write(tmp_path, TEST + TEST.replace("to = 2026-03-01\n", "")))
    first, second = loaded.lift_tests
    assert (first.channel, first.without, first.with_, first.lift, first.se) == ("ppc", 2000, 3000, -12.5, 80)
    assert [str(day) for day in first.window("month")] == ["2026-02-01", "2026-03-01"]
    assert [str(day) for day in second.window("month")] == ["2026-02-01", "2026-02-01"]
    assert len(lift_data(loaded, read_history(loaded))["lift"]) == 2


def test_what_is_wrong_is_told_with_its_line(tmp_path: Path):
    """Each table of the list has lines of its own."""
    second = TEST.replace('"2026-02"', '"2026-04"')
    third = TEST.replace("with = 3000", "with = 2000").replace("channel", "chanel")
    path = write(tmp_path, TEST + second + third.replace("se = 80", "se = 0"))
    with pytest.raises(StudyError) as caught:
        load_study(path)
    told = [typed(problem).replace(f"{path}:", "") for problem in caught.value.problems]
    assert told == [
        "37: lift_test.3.channel: this key is needed",
        '38: lift_test.3.chanel: unknown key; did you mean "channel"?',
        "44: lift_test.3.se: expected a number above 0; came 0",
    ]
    path = write(tmp_path, TEST + second + TEST.replace("with = 3000", "with = 2000"))
    with pytest.raises(StudyError, match=r":37: lift_test.3: expected two different amounts of spend"):
        load_study(path)
    path = write(tmp_path, TEST + second)
    with pytest.raises(
        StudyError, match=r':30: lift_test.2.to: expected a period not before from = "2026-04"'
    ):
        load_study(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ppc"', '"pcp"', r':18: lift_test.1.channel: the data have no channel "pcp".*did you mean "ppc"'),
        ('"ppc"', '"seo"', r':18: lift_test.1.channel: "seo" has no recorded spend'),
        ("to = 2026-03-01", "to = 2026-09-01", r":20: lift_test.1.to: .* 2025-01 to 2026-06; came 2026-09"),
        ('from = "2026-02"', 'from = "2024-02"', r":19: lift_test.1.from: expected a period of the history"),
    ],
)
def test_a_test_must_have_a_place_in_the_data(tmp_path: Path, old: str, new: str, message: str):
    """Channel with spend, periods of the history."""
    loaded = load_study(write(tmp_path, TEST.replace(old, new)))
    with pytest.raises(StudyError, match=message):
        read_history(loaded)


def test_a_fit_belongs_to_its_tests_but_not_to_their_notes(tmp_path: Path):
    """Another result is another fit; another note is not; without tests the key has no word of them."""
    plain = load_study(write(tmp_path, ""))
    past = read_history(plain)
    keys = [
        load_study(write(tmp_path, text)).fit_key()
        for text in (TEST, TEST.replace("ten", "nine"), TEST.replace("-12.5", "12.5"))
    ]
    assert "lift_tests" not in plain.fit_key()
    assert keys[0] == keys[1] != keys[2]
    assert json.loads(json.dumps(keys[0])) == keys[0]
    assert fit_hash(plain, past, 1, 400) != fit_hash(load_study(write(tmp_path, TEST)), past, 1, 400)


# In the model


def test_without_tests_there_are_no_rows(past: History):
    """Arrays of no rows, whatever the study says of other things."""
    data = lift_data(asked(), past)
    assert all(len(values) == 0 for values in data.values())
    assert data["lift_share"].shape == data["lift_age"].shape == (0, 24)


def test_what_is_not_known_yet_is_left_out(past: History):
    """Of a history cut back to before the end of a test, the test is no part."""
    tests = [{**ADS, "lift": 1.0, "se": 1.0}, {**SEO, "lift": 1.0, "se": 1.0}]
    assert lift_data(asked(*tests), past.as_of("2026-06"))["lift"].size == 2
    assert lift_data(asked(*tests), past.as_of("2026-03"))["lift"].size == 1
    assert lift_data(asked(*tests), past.as_of("2026-02"))["lift"].size == 0


def test_the_arrays_say_what_the_test_says(past: History):
    """Mean over its periods, months since its start, spend over the reference, error with 10 % of lift."""
    data = lift_data(asked({**SEO, "lift": -50.0, "se": 12.0}), past)
    assert data["lift_channel"].tolist() == [1.0]
    assert data["lift_share"][0, 12:18] == pytest.approx(1 / 6)
    assert data["lift_age"][0].tolist() == [0.0] * 12 + [1, 2, 3, 4, 5, 6] + [0.0] * 6
    reference = past.spend_reference[1]
    assert data["lift_spend"][0] == pytest.approx([1000 / reference, -1000 / reference])
    assert data["lift_sd"] == pytest.approx(13.0)


@pytest.mark.parametrize("moved", [0.25, 1.0, 4.0])
def test_the_density_of_a_test_is_normal_about_what_the_forecast_would_bring(past: History, moved: float):
    """Two roads: the kernel with a test less the kernel without, and the response that simulation uses, twice.

    Spend has `moved` by a factor in the last half year.
    """
    spend = past.spend * np.where(np.arange(24) < 18, 1.0, moved)[:, None]
    past = replace(past, counts=past.counts.assign(spend=(("period", "channel"), spend)))
    tests = [{**ADS, "lift": 90.0, "se": 40.0}, {**SEO, "lift": -70.0, "se": 25.0}]
    with_tests, without = (traffic_data(asked(*given), past, None, None) for given in (tests, []))
    part = Part("traffic", "visitors", "traffic", with_tests)
    shapes = sizes_of(part)
    posterior = preview(asked(), past, seed=1, draws=8)
    differences, expected = [], []
    for draw in range(4):
        point = _point(shapes, with_tests, posterior, draw)
        differences.append(log_density(part)(point) - log_density(Part("t", "v", "traffic", without))(point))
        total = 0.0
        for test, c in zip(tests, (0, 1), strict=True):
            lift = _measured(past, posterior, draw, c, test)
            total -= 0.5 * ((test["lift"] - lift) / np.hypot(test["se"], 0.1 * test["lift"])) ** 2
        expected.append(total)
    assert differences == pytest.approx(expected, rel=1e-4)


def _point(shapes: list, data: dict[str, Array], posterior: object, draw: int) -> Array:
    """A point whose response is that of a draw, with level 6, no season and no walks."""
    values = {name: np.zeros(shape) for name, shape in shapes}
    values["level"] += 6.0
    for name in ("elasticity", "base", "carry"):
        share, prior = posterior.array(name)[draw], data[f"{name}_prior"]
        share = np.where(share > 0, share, 0.5)  # of a channel whose spend does not last, no matter
        values[f"z_{name}"] = (logit(share) - prior[0]) / prior[1]
    return np.concatenate([values[name].ravel() for name, _ in shapes])


def _measured(past: History, posterior: object, draw: int, c: int, test: dict[str, object]) -> float:
    """Traffic a period with the changed spend less traffic without, by `Case.response`, at a level of 6."""
    first, last = (np.datetime64(test[key]) for key in ("from", "to"))
    inside = np.flatnonzero((past.periods >= first) & (past.periods <= last))
    spend = np.full((len(inside), 3), float(test["without"]))
    steady = np.repeat(spend[:1], 30, axis=0)  # the test begins after long at the usual spend
    future = Future(
        *[np.zeros(0)] * 2,
        {},
        *[np.zeros(0)] * 2,
        steady,
        past.spend_reference,
        past.spend_now,
        np.ones(3, dtype=bool),
        *[steady] * 2,
    )
    twice = Posterior(
        posterior.data.isel(draw=[draw, draw]), (), {}
    )  # the shapes of the first two draws differ
    paths = [
        Case(study(), past, twice, future, amount).response(amount)[:, :, c].mean(axis=0)
        for amount in (spend, 0 * spend + test["with"])
    ]
    units = np.exp(6.0 + log_days(past.periods, "month")[inside])
    return float((units * (paths[1] - paths[0])).mean())


# In the posterior, in closed form


def test_a_test_that_found_nothing_pulls_the_elasticity_down(past: History):
    """No lift from twice the spend: elasticity far below what it was, and of the other channel as before."""
    before, after = elasticity(past), elasticity(past, {**ADS, "lift": 0.0, "se": 40.0})
    assert after[:, 0].mean() < before[:, 0].mean() - 1.5 * before[:, 0].std()
    assert after[:, 1].mean() == pytest.approx(before[:, 1].mean(), abs=0.02)
    lower = elasticity(past, {**ADS, "lift": -60.0, "se": 40.0})
    assert lower[:, 0].mean() < after[:, 0].mean()


@pytest.mark.parametrize("true", [0.3, 0.8])
def test_sharp_tests_pin_the_response(past: History, true: float):
    """Ten tests without error of their own: twice the spend brings what they measured, to their 10 % over root ten."""
    test = {**ADS, "lift": 800 * (2.0**true - 1.0), "se": 1.0}
    found = preview(asked(*[test] * 10), past, seed=1, draws=2000)
    beta, base = (found.array(name)[:, 0] for name in ("elasticity", "base"))
    gain = (1.0 - base) * (0.5 * (2.0**beta + 2.0 / (2.0 - beta)) - 1.0)
    assert gain.mean() == pytest.approx(2.0**true - 1.0, rel=0.08)
    assert gain.std() < 0.06 * gain.mean()


def test_the_evidence_meter_rises(past: History):
    """With a test the share of the elasticity that is data goes up, and the table says that a test is in it."""
    tables = []
    for tests in ((), ({**ADS, "lift": 300.0, "se": 60.0},)):
        posterior = preview(asked(*tests), past, seed=1, draws=2000)
        tables.append(evidence_table(asked(*tests), past, posterior, ["ads", "seo"]))
    without, given = (table.set_index("channel") for table in tables)
    assert given.loc["ads", "evidence"] > without.loc["ads", "evidence"] + 0.2
    # of another channel as before, within the chance of 2000 draws (seeds differ by up to 0.11)
    assert given.loc["seo", "evidence"] == pytest.approx(without.loc["seo", "evidence"], abs=0.15)
    assert "lift tests: 1" in str(given.loc["ads", "sentence"])
    assert "lift test" not in f"{without.loc['ads', 'sentence']}{given.loc['seo', 'sentence']}"


def test_a_test_is_likelihood(past: History):
    """Sensitivity counts a test as data: the log likelihood with it less the one without is that of the test."""
    tests, rng = [{**ADS, "lift": 300.0, "se": 30.0}], np.random.default_rng(3)
    parts = [
        Part("traffic", "visitors", "traffic", traffic_data(asked(*t), past, None, None)) for t in (tests, [])
    ]
    points = 0.1 * rng.normal(size=(40, sum(int(np.prod(shape)) for _, shape in sizes_of(parts[0]))))
    draws, at = {}, 0
    for name, shape in sizes_of(parts[0]):
        values = points[:, at : at + int(np.prod(shape))]
        at += values.shape[1]
        values = values + 6.0 * (name == "level")
        draws[name] = (np.exp(values) if name in POSITIVE else values).reshape(4, 10, *shape)
    draws["noise_apart"] = np.zeros((4, 10, len(past.channels)))
    pulls = [part_sensitivities(draws, part, {}, past.channels)[1].likelihood for part in parts]
    levels = np.concatenate(
        [np.full(int(np.prod(shape)), 6.0 * (name == "level")) for name, shape in sizes_of(parts[0])]
    )
    whole = [np.array([log_density(part)(x + levels) for x in points]) for part in parts]
    told, expected = pulls[0] - pulls[1], whole[0] - whole[1]
    assert told - told[0] == pytest.approx(expected - expected[0], abs=1e-6)
    assert np.ptp(expected) > 1.0
