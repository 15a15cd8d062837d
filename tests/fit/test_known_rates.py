"""What a study knows of single channels: keys, arrays, and that a posterior follows as far as data leave room.

That both writings of the density agree is held by the kind "known" of `part_fixture` in test_latent, test_whitened and
test_weighed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from part_fixture import asked_of, counts, part_of
from posterior_fixture import Array, history, study
from scipy.special import logit

from forecast.errors import StudyError
from forecast.fit import channel_priors, fit_hash, preview, transition_data
from forecast.history import History, read_history
from forecast.study import CHANNEL_PRIORS, Study, load_study

RANGE = (0.05, 0.08)


@pytest.fixture(scope="module")
def past() -> History:
    """A year of a channel that closes a quarter of its leads, and of one that begins: three leads a month."""
    rng = np.random.default_rng(4)
    leads = np.column_stack([rng.poisson(120, 12), np.full(12, 3)]).astype(float)
    won = np.column_stack([rng.binomial(leads[:, 0].astype(int), 0.25), np.zeros(12)]).astype(float)
    won[9, 1] = 3.0
    return history({"leads": leads, "won": won}, channels=("old", "new"), periods=12)


def asked(**channels: object) -> Study:
    """A study of leads that close without a delay."""
    return study(funnel={"stages": ("leads", "won"), "delay": {"won": 0.0}}, channels=channels)


def level(asked: Study, past: History, channel: int) -> Array:
    """Mean logit rate over the history, (draw,)."""
    path = preview(asked, past, draws=1000).array("logit_rate_won")
    return np.asarray(path[:, :, channel].mean(axis=1))


def test_a_channel_with_little_data_moves_by_the_precision_of_what_is_known(past: History):
    """Its posterior is the one without, times the normal that the range says; the channel with data stays."""
    free, known = asked(), asked(new={"rate": {"won": RANGE}})
    (before, after), stays = (
        [level(each, past, 1) for each in (free, known)],
        [level(each, past, 0) for each in (free, known)],
    )
    said = transition_data(known, past, "leads", "won")[0]["known_rates"]
    assert said[:, 0].tolist() == [0.0, 0.0]
    mean, precision = said[:, 1]
    assert mean == pytest.approx(np.mean(logit(RANGE)))
    total = before.var() ** -1 + precision
    expected = (before.mean() * before.var() ** -1 + mean * precision) / total
    assert after.mean() == pytest.approx(expected, abs=0.35 * total**-0.5)  # the first is no quite normal
    assert after.std() == pytest.approx(total**-0.5, rel=0.15)
    assert after.mean() < before.mean() - 0.4  # from 13 to 8 %
    assert stays[1].mean() == pytest.approx(stays[0].mean(), abs=0.2 * stays[0].std())


def test_a_channel_with_much_data_hardly_moves(past: History):
    """What is known of it is one more source, beside 1,400 leads."""
    free, known = (level(each, past, 0) for each in (asked(), asked(old={"rate": {"won": RANGE}})))
    assert known.mean() < free.mean()
    assert known.mean() > logit(0.2)


def test_what_a_channel_says_stands_in_place_of_its_kind():
    """Of its own parameters alone, read as ranges are; a carry-over begins to act where the kind has none."""
    plain = asked_of()
    own = plain.replace({"channels.ads.elasticity": [0.2, 0.3], "channels.ads.carry_over": [0.3, 0.5]})
    before, after = (channel_priors(each, counts()) for each in (plain, own))
    assert after["elasticity_prior"][0, 0] == pytest.approx(np.mean(logit([0.2, 0.3])))
    assert after["elasticity_prior"][1, 0] < CHANNEL_PRIORS["ppc"].elasticity.sd
    assert (before["carries"].tolist(), after["carries"].tolist()) == ([0.0, 1.0], [1.0, 1.0])
    assert after["base_prior"].tolist() == before["base_prior"].tolist()
    for name in ("elasticity_prior", "carry_prior"):
        assert after[name][:, 1].tolist() == before[name][:, 1].tolist()


def test_a_fit_belongs_to_what_is_known(past: History):
    """Only where something is; a lock is none of it."""
    plain, locked, known = asked(), asked(new={"locked": True}), asked(new={"rate": {"won": RANGE}})
    hashes = [fit_hash(each, past, 1, 100) for each in (plain, locked, known)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert "channels" not in plain.fit_key()


def test_nothing_changes_where_nothing_is_known():
    """No array, so that a fit of before is still the same bytes."""
    assert "known_rates" not in part_of("calendar").data
    assert "known_rates" in part_of("known").data


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "channels.ppc.rate.won",
            [0.3, 0.2],
            r"channels\.ppc\.rate\.won: expected \[low, high\] with 0 < low",
        ),
        ("channels.ppc.elasticity", [0.2, 3.0], r"channels\.ppc\.elasticity: .*is written 0\.03"),
        (
            "channels.ppc.rate.wonn",
            [0.2, 0.3],
            r'channels\.ppc\.rate\.wonn: expected a stage .*did you mean "won"',
        ),
        ("channels.ppc.rate.visitors", [0.2, 0.3], "is the first stage, and nothing leads into it"),
        ("channels.ppc.elastic", [0.2, 0.3], 'unknown key; did you mean "elasticity"'),
    ],
)
def test_what_is_no_range_is_refused(small_study: Path, key: str, value: list[float], said: str):
    """With its key."""
    with pytest.raises(StudyError, match=said):
        load_study(small_study).replace({key: value})


def test_leads_with_days_have_no_rate_to_know(tmp_path: Path):
    """Their stages are fitted by how fast they move; that is said where the data are read."""
    rows = "".join(
        f"{i},ads,2025-{1 + i % 12:02d}-0{1 + i % 9},{f'2026-01-{1 + i % 28:02d}' if i % 3 else ''}\n"
        for i in range(60)
    )
    (tmp_path / "leads.csv").write_text("lead_id,channel,created,won\n" + rows, encoding="utf-8")
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[history]\nleads = "leads.csv"\n[funnel]\nstages = ["leads", "won"]\n', encoding="utf-8"
    )
    asked = load_study(tmp_path / "s.toml")
    assert "won" in read_history(asked).by_day
    with pytest.raises(StudyError, match=r"channels\.ads\.rate\.won: is of leads with days"):
        read_history(asked.replace({"channels.ads.rate.won": RANGE}))
