"""Many independent jobs side by side: resumable, through any `concurrent.futures.Executor`.

Only `submit` and `as_completed` are used, jobs are small and picklable, and a caller's executor is never shut down: a
process pool, `distributed.Client.get_executor()` and an executor that runs in place all serve.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forecast import threads
from forecast.errors import DataError, UsageError
from forecast.stopping import shelter
from forecast.written import append

Record = dict[str, Any]  # what a job returns: ready for JSON
Job = Callable[[Any], Record]


class InPlace(Executor):
    """An executor that runs each job at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the call and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the future's to raise
            future.set_exception(error)
        return future


def _one_thread() -> None:
    threads.at_start()
    os.environ["NUMBA_NUM_THREADS"] = "1"
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker when its parent has gone: one that was killed cannot tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    """`workers` long-lived processes of one thread each; in place for one.

    Left by an error or Ctrl-C, jobs that have not begun are dropped.
    """
    if workers <= 1:
        yield InPlace()
        return
    shelter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def finished(path: Path, settings: Mapping[str, Any]) -> dict[str, Record]:
    """The records already in the results file `path`, by key; none where there is no file.

    Raises DataError where the file was made with other settings. A last line that was cut off is
    left out.
    """
    if not path.is_file():
        return {}
    records: dict[str, Record] = {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise DataError(
                [f"{path}:{number}: not a line of results ({error}); move the file away"]
            ) from error
        if number == 1:
            if record != {"settings": dict(settings)}:
                other = f"made with other settings ({record.get('settings')}, now {dict(settings)})"
                raise DataError([f"{path}: {other}; move it away, or name another file"])
            continue
        records[record.pop("key")] = record
    return records


def run_jobs(
    function: Job,
    jobs: Mapping[str, Any],
    *,
    executor: Executor | None = None,
    results: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    done: Callable[[str, Record], None] | None = None,
) -> dict[str, Record]:
    """`function(argument)` for each job (key -> argument); the records by key, in the order of `jobs`.

    With `results`, every record is appended to that file (JSON lines, the settings first) as soon as it is there, and
    keys that it holds already are not run again. A job that raises becomes a record {"error": "..."}: it is returned,
    not written, so that the next call tries it again. `done` is called with every new record.

    Raises DataError for a results file of other settings, UsageError where it cannot be written.
    """
    known = {} if results is None else finished(results, settings or {})
    records = {key: known[key] for key in jobs if key in known}
    runner = executor or InPlace()
    waiting: dict[Future[Any], str] = {}

    def collect(future: Future[Any], key: str) -> None:
        error = future.exception()
        record: Record = {"error": f"{type(error).__name__}: {error}"} if error else future.result()
        records[key] = record
        if results is not None and error is None:
            _append(results, {"key": key, **record}, settings or {})
        if done is not None:
            done(key, record)

    for key in [key for key in jobs if key not in known]:
        future = runner.submit(function, jobs[key])
        if future.done():  # in place: written before the next begins
            collect(future, key)
        else:
            waiting[future] = key
    for future in as_completed(waiting):
        collect(future, waiting[future])
    return {key: records[key] for key in jobs}


def _append(path: Path, record: Record, settings: Mapping[str, Any]) -> None:
    def lines(last: bytes) -> list[str]:
        return [*([] if last else [json.dumps({"settings": dict(settings)})]), json.dumps(record)]

    try:
        append(path, lines)
    except OSError as error:
        raise UsageError(f"{path}: results cannot be written ({error.strerror or error})") from error
