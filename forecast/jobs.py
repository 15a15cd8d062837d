"""Many independent jobs side by side: resumable, through any `concurrent.futures.Executor`.

Only `submit` and `as_completed` are used, jobs are small and picklable, and a caller's executor is never shut down: a
process pool, `distributed.Client.get_executor()` and an executor that runs in place all serve.

    run_jobs    the records of all jobs, those in a file of results as they are; `saved_lines` writes such a file anew
    pool        an executor of processes of this machine
    cluster     an executor of Dask: a scheduler that runs, or processes of its own
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from forecast import __version__, threads
from forecast.bounds import MOST_JSON
from forecast.errors import DataError, UsageError
from forecast.saved import ORIGINS, SpoiltError, amiss, sealed, spoilt, unsealed
from forecast.stopping import shelter
from forecast.words import message
from forecast.written import append, save

Record = dict[str, Any]  # what a job returns: ready for JSON
Job = Callable[[Any], Record]
ANSWERS = 10.0  # seconds that a scheduler has to answer


def failure(error: BaseException) -> Record:
    """The record of a job that raised."""
    return {"error": f"{type(error).__name__}: {error}"}


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
    context = multiprocessing.get_context("spawn")
    with (
        shelter(),
        ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as executor,
    ):
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


class _Apart(Executor):
    """An executor of Dask whose jobs do not know that they are its tasks.

    In a thread of a task xarray asks the scheduler for its locks, which it does not find, and Dask's profiler holds on
    to the frames that it samples, so that files of HDF5 are laid out as chance has it. A job has a thread of its own.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send the call to a worker."""
        return self._executor.submit(_apart, fn, *args, **kwargs)


def _apart(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with ThreadPoolExecutor(1) as own:
        return own.submit(fn, *args, **kwargs).result()


@contextmanager
def cluster(scheduler: str | None, workers: int) -> Iterator[Executor]:
    """An executor of Dask: of the scheduler at an address (tcp://host:8786), else of `workers` processes of its own.

    A job whose worker dies goes to another one. Raises UsageError without `distributed`, where nothing answers at the
    address within `ANSWERS` seconds, and where a worker has another version of the package or more than one thread.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UsageError(
            "--executor dask needs the extra cluster: pip install 'growth-forecast[cluster]'"
        ) from None
    with ExitStack() as stack:
        stack.enter_context(shelter())
        if scheduler is None:
            threads.at_start()  # what workers take over from here
            os.environ["NUMBA_NUM_THREADS"] = "1"
            at: Any = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    # Any free port: of its own, where another program has that, it would warn.
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                )
            )
        else:
            at = scheduler
        try:
            client = stack.enter_context(Client(at, timeout=ANSWERS))
        except (OSError, ValueError) as error:
            raise UsageError(f"--scheduler {scheduler}: nothing answers there ({error})") from None
        if scheduler is not None:
            _check_workers(client, scheduler)
        yield _Apart(client.get_executor(pure=False))


def _check_workers(client: Any, scheduler: str) -> None:
    """Raises UsageError where a scheduler has no workers, or one that cannot do what a process here does."""
    found = client.run(_version)
    if not found:
        raise UsageError(
            f"--scheduler {scheduler}: it has no workers: start one with `dask worker {scheduler}`"
        )
    if many := [worker for worker, n in client.nthreads().items() if n > 1]:
        raise UsageError(
            f"--scheduler {scheduler}: the worker {many[0]} has several threads, and a job needs a process: start "
            f"it with `dask worker {scheduler} --nthreads 1`"
        )
    for worker, version in found.items():
        if version != __version__:
            raise UsageError(
                f"--scheduler {scheduler}: the worker {worker} has growth-forecast {version}, and this is {__version__}"
            )


def _version() -> str:
    """The version of the package in a worker."""
    return __version__


def finished(path: Path, settings: Mapping[str, Any], shape: Any = object) -> dict[str, Record]:
    """The records already in the results file `path`, by key; none where there is no file.

    Raises DataError where the file was made with other settings, or a line of it was damaged or changed, or has not the
    `shape` of a record (`saved.amiss`). A last line that was cut off is left out.
    """
    if not path.is_file():
        return {}
    remedy = "move the file away, and what it holds is made again"
    try:
        if path.stat().st_size > MOST_JSON:
            raise SpoiltError(message("it is larger than {n:whole} bytes", n=MOST_JSON))
        lines = path.read_bytes().splitlines(keepends=True)
    except SpoiltError as error:
        raise spoilt(path, error, remedy) from None
    except OSError as error:
        said = "{path}: cannot be read ({why}); {remedy}."
        told = {"path": path.as_posix(), "why": error.strerror or str(error)}
        raise DataError(message(said, remedy=remedy, **told)) from error
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and not line.endswith(b"\n"):
            break
        try:
            if number == 1:
                _check_settings(path, line, settings)
                continue
            record = unsealed(line, ORIGINS, {"key": str})
            wrong = amiss({name: value for name, value in record.items() if name != "key"}, shape)
            if wrong:
                raise SpoiltError(wrong)
        except SpoiltError as error:
            said = "{path}:{number}: not a line of results: {what}; {remedy}."
            where = message(said, path=path.as_posix(), number=number, what=error.said, remedy=remedy)
            raise DataError(where) from error
        del record["schema"]
        records[record.pop("key")] = record
    return records


def _check_settings(path: Path, line: bytes, settings: Mapping[str, Any]) -> None:
    """Raise DataError where a file was made with other settings, SpoiltError where its first line tells none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SpoiltError(message("it is cut off or damaged: {error}", error=str(error))) from None
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise SpoiltError("it does not begin with its settings")
    if found != {"settings": dict(settings)}:
        other = f"made with other settings ({found['settings']}, now {dict(settings)})"
        raise DataError([f"{path}: {other}; move it away, or name another file"])


def run_jobs(
    function: Job,
    jobs: Mapping[str, Any],
    *,
    executor: Executor | None = None,
    results: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    done: Callable[[str, Record], None] | None = None,
    shape: Any = object,
    failed: Callable[[BaseException], Record] = failure,
) -> dict[str, Record]:
    """`function(argument)` for each job (key -> argument); the records by key, in the order of `jobs`.

    With `results`, every record is appended to that file (JSON lines, the settings first) as soon as it is there, and
    keys that it holds already are not run again. A job that raises becomes a record {"error": "..."}, or what `failed`
    makes of its error: it is returned, not written, so that the next call tries it again. `done` is called with every
    new record. Lines carry a checksum; records that are read again must have the `shape` (`saved.amiss`).

    Raises DataError for a results file of other settings or that was damaged, UsageError where it cannot be written.
    """
    known = {} if results is None else finished(results, settings or {}, shape)
    records = {key: known[key] for key in jobs if key in known}
    runner = executor or InPlace()
    waiting: dict[Future[Any], str] = {}

    def collect(future: Future[Any], key: str) -> None:
        error = future.exception()
        record: Record = failed(error) if error else future.result()
        records[key] = record
        if results is not None and error is None:
            _append(results, sealed({"key": key, **record}, ORIGINS), settings or {})
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


def saved_lines(path: Path, records: Mapping[str, Record], settings: Mapping[str, Any]) -> None:
    """Write a file of results anew, with these records alone. Raises UsageError where it cannot be written."""
    lines = [{"settings": dict(settings)}]
    lines += [sealed({"key": key, **record}, ORIGINS) for key, record in records.items()]
    try:
        save(path, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    except OSError as error:
        raise UsageError(f"{path}: results cannot be written ({error.strerror or error})") from error


def _append(path: Path, record: Record, settings: Mapping[str, Any]) -> None:
    def lines(last: bytes) -> list[str]:
        return [*([] if last else [json.dumps({"settings": dict(settings)})]), json.dumps(record)]

    try:
        append(path, lines)
    except OSError as error:
        raise UsageError(f"{path}: results cannot be written ({error.strerror or error})") from error
