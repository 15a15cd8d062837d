"""Many jobs: resumed, run anywhere, errors kept apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forecast.errors import DataError, UsageError
from forecast.jobs import InPlace, finished, pool, run_jobs

CALLS: list[int] = []


def square(x: int) -> dict[str, Any]:
    """x squared; 13 is refused."""
    CALLS.append(x)
    if x == 13:
        raise ValueError("unlucky")
    return {"square": x * x}


@pytest.mark.parametrize("executor", [None, InPlace()])
def test_records_come_in_the_order_of_the_jobs(executor: Any) -> None:
    """Whatever finishes first."""
    jobs = {f"j{i}": i for i in (3, 1, 2)}
    records = run_jobs(square, jobs, executor=executor)
    assert list(records) == list(jobs)
    assert [r["square"] for r in records.values()] == [9, 1, 4]


def test_threads_and_processes_give_what_one_process_gives() -> None:
    """Any executor serves, and is left open."""
    jobs = {str(i): i for i in range(6)}
    expected = run_jobs(square, jobs)
    with ThreadPoolExecutor(2) as threads:
        assert run_jobs(square, jobs, executor=threads) == expected
        assert threads.submit(square, 2).result() == {"square": 4}  # the caller's executor is still alive
    with pool(2) as processes:
        assert run_jobs(square, jobs, executor=processes) == expected
    with pool(1) as one:
        assert isinstance(one, InPlace)


def test_what_is_in_the_file_is_not_run_again(tmp_path: Path) -> None:
    """A second call takes up where the first stopped."""
    path = tmp_path / "deep" / "results.jsonl"
    first = run_jobs(square, {"a": 4, "b": 5}, results=path, settings={"seed": 1})
    CALLS.clear()
    told: list[str] = []
    again = run_jobs(
        square, {"a": 4, "b": 5, "c": 6}, results=path, settings={"seed": 1}, done=lambda k, _: told.append(k)
    )
    assert CALLS == [6]
    assert told == ["c"]
    assert again == first | {"c": {"square": 36}}
    assert list(finished(path, {"seed": 1})) == ["a", "b", "c"]


def test_a_job_that_raises_is_told_and_tried_again(tmp_path: Path) -> None:
    """Its error is a record of its own; the others go on."""
    path = tmp_path / "results.jsonl"
    records = run_jobs(square, {"a": 13, "b": 2}, results=path)
    assert records == {"a": {"error": "ValueError: unlucky"}, "b": {"square": 4}}
    CALLS.clear()
    run_jobs(square, {"a": 13, "b": 2}, results=path)
    assert CALLS == [13]


def test_a_line_cut_off_is_taken_up_again(tmp_path: Path) -> None:
    """An interrupted write costs one job."""
    path = tmp_path / "results.jsonl"
    run_jobs(square, {"a": 1, "b": 2}, results=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    CALLS.clear()
    run_jobs(square, {"a": 1, "b": 2}, results=path)
    assert CALLS == [2]
    assert path.read_bytes() == whole


def test_other_settings_and_damage_are_refused(tmp_path: Path) -> None:
    """Results of two settings never mix."""
    path = tmp_path / "results.jsonl"
    run_jobs(square, {"a": 1}, results=path, settings={"seed": 1})
    with pytest.raises(DataError, match=r"results\.jsonl: made with other settings .*move it away"):
        run_jobs(square, {"a": 1}, results=path, settings={"seed": 2})
    path.write_text("nonsense\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.jsonl:1: not a line of results"):
        run_jobs(square, {"a": 1}, results=path, settings={"seed": 1})
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        run_jobs(square, {"a": 1}, results=blocked / "results.jsonl")
