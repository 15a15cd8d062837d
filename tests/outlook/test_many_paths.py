"""Many paths in little memory: the first are those of a run without, sums are exact, quantiles are off by little."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior_fixture import DELAYS, PLAN, RATES, TWO, case, history, posterior

from forecast.outlook import REPLICATES, Case, Paths, run_paths, simulate, totals_of, with_totals, within
from forecast.outlook.paths import OFF, Cells
from forecast.results import LEVELS, forecast_table, summarise

PLANS = {"given": PLAN, "more": 1.3 * PLAN}


def market(draws: int = 400) -> Case:
    """Two channels, three periods: noise, delays and carry-over."""
    past, noise = history(TWO), {"noise": 0.2, "shock": 0.1, "traffic_noise": 0.2, "drift": 0.05}
    delayed = {"delays": DELAYS, "traffic": [1000.0, 400.0], "carry": [0.3, 0.0]}
    return case(posterior(past, RATES, draws=draws, **delayed, **noise), past)


def all_of(made: Case, turns: int) -> xr.Dataset:
    """The same paths, all kept: turn by turn, as `run_paths` runs them."""
    rng = np.random.default_rng(5)
    return xr.concat([simulate(made, PLANS, rng=rng) for _ in range(turns)], "draw")


@pytest.fixture(scope="module")
def both() -> tuple[Paths, xr.Dataset]:
    """Six paths of each draw, in sums and whole."""
    made = market()
    return run_paths(made, PLANS, rng=np.random.default_rng(5), paths=2400), all_of(made, 3)


def test_first_paths_are_those_of_a_run_without(both):
    """Bit by bit."""
    found, _ = both
    plain = simulate(market(), PLANS, rng=np.random.default_rng(5))
    assert found.first.identical(plain.assign_attrs(paths=2400, kept_of_each_draw=REPLICATES))


def test_means_and_deviations_are_those_of_all_paths(both):
    """To rounding, in every cell and total."""
    found, whole = both
    for measure in whole:
        for plan in PLANS:
            exact = summarise(with_totals(whole[measure].sel(plan=plan).values.astype(float), str(measure)))
            told = found.summary(plan, str(measure), LEVELS)
            assert told["mean"] == pytest.approx(exact["mean"], rel=1e-9, abs=1e-9)
            assert told["sd"] == pytest.approx(exact["sd"], rel=1e-7, abs=1e-7)


def test_quantiles_are_off_by_a_thousandth_at_most(both):
    """Of themselves; those of small counts not at all."""
    found, whole = both
    for measure in whole:
        exact = summarise(with_totals(whole[measure].sel(plan="given").values.astype(float), str(measure)))
        told = found.summary("given", str(measure), LEVELS)
        for level in LEVELS:
            assert told[level] == pytest.approx(exact[level], rel=OFF * 1.001, abs=1e-5)
            if np.issubdtype(whole[measure].dtype, np.integer):
                few = exact[level] < 400
                assert (told[level][few] == exact[level][few]).all()


def test_totals_are_of_every_path(both):
    """Draw by draw; of a few periods those of the first paths."""
    found, whole = both
    draws = whole.sizes["draw"] // 3
    for measure in ("won", "revenue"):
        exact = totals_of(whole, "more", measure).reshape(3, draws // 2, 2).transpose(1, 0, 2).ravel()
        assert totals_of(found, "more", measure) == pytest.approx(exact, rel=1e-6)
        assert (within(found, "given", measure, slice(0, 3)) == totals_of(found, "given", measure)).all()
        some = found.first[measure].sel(plan="given").values[:, :2].sum(axis=(1, 2))
        assert within(found, "given", measure, slice(0, 2)) == pytest.approx(some)


def test_the_grand_total_is_one_number_everywhere(both):
    """Its quantiles in a table are those of the totals that the first page tells."""
    found, _ = both
    for level, share in LEVELS.items():
        told = found.summary("given", "revenue", LEVELS)[level][-1, -1]
        assert told == np.quantile(totals_of(found, "given", "revenue"), share)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch):
    """The same sums, counts and totals from one and from three, in three chunks a turn."""
    monkeypatch.setattr("forecast.outlook.simulation.CHUNK", 100)
    one, three = (
        run_paths(market(250), PLANS, rng=np.random.default_rng(5), paths=1500, threads=threads)
        for threads in (1, 3)
    )
    assert one.first.identical(three.first)
    for key, cells in one.cells.items():
        other = three.cells[key]
        assert (one.totals[key] == three.totals[key]).all()
        assert (cells.counts == other.counts).all()
        assert cells.mean.tobytes() == other.mean.tobytes()
        assert cells.squares.tobytes() == other.squares.tobytes()


def test_a_table_of_many_paths_has_the_rows_of_one_of_few(both):
    """And nearly its numbers."""
    found, whole = both
    labels, stages = ["a", "b", "c"], market().stages
    told, exact = (forecast_table(each, "given", labels, stages) for each in (found, whole))
    assert (told[["period", "channel", "measure"]] == exact[["period", "channel", "measure"]]).all(axis=None)
    assert told["q50"].to_numpy() == pytest.approx(exact["q50"].to_numpy(), rel=2 * OFF, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=30), min_size=1, max_size=4
    ),
    st.floats(0.0, 1.0),
)
def test_quantiles_of_any_numbers(chunks, level):
    """Negative ones, nought and ties included, whatever comes in which chunk."""
    cells, every = Cells((1,), whole=False), np.concatenate(chunks)
    for chunk in chunks:
        cells.add(np.array(chunk)[:, None])
    low, high = (np.quantile(every, level, method=name) for name in ("lower", "higher"))
    found = float(cells.quantile(level)[0])
    slack = 1.001 * OFF
    assert min(low, high) - slack * abs(low) - 1e-5 <= found <= max(low, high) + slack * abs(high) + 1e-5
    assert cells.mean[0] == pytest.approx(every.mean(), rel=1e-9, abs=1e-6)


_CHILD = """
import resource, sys
import numpy as np
from test_many_paths import PLANS, market
from forecast.outlook import run_paths
run_paths(market(1000), PLANS, rng=np.random.default_rng(1), paths=int(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_paths():
    """Ten times the paths take the room of their totals alone: four bytes a path, measure and plan."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])

    def peak(paths: int) -> int:
        command = [sys.executable, "-c", _CHILD, str(paths)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        return int(done.stdout)

    totals = 17 * len(PLANS) * 4 * 180_000 / 2**20
    assert peak(200_000) - peak(20_000) < totals + 15
