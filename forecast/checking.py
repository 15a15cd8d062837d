"""What can be asked of a study before anything is fitted: `forecast check`, and what other jobs ask first; `init`.

Apart from `workflow`, so that these answer at once: nothing here loads figures, documents, sheets or a solver.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from forecast.checks import worst
from forecast.errors import StudyError
from forecast.history import (
    History,
    audit_history,
    check_moves,
    common_mistakes,
    read_history,
    read_plan,
    what_was_read,
)
from forecast.outlook import lifetime_of
from forecast.periods import period_label, period_range, shift
from forecast.speech import ENGLISH
from forecast.study import Study, load_study
from forecast.tables import check_table
from forecast.written import place


@dataclass(frozen=True, eq=False)
class Done:
    """What a job made: what `--json` says, where its files lie, what its page is made from, and how that is spoken.

    spoken: language and locale of the study.
    """

    summary: dict[str, Any]
    place: Path | None
    made: Any
    spoken: tuple[str, str] = (ENGLISH, "")


def read_asked(
    study: Path, overrides: Sequence[str], today: date | None, *, budget_too: bool = False
) -> tuple[Study, History, xr.DataArray]:
    """Study, history and plan (of `read_plan`), with what else comes out after a fit asked at once: target, limits.

    Raises StudyError, DataError or UsageError.
    """
    loaded = load_study(study, overrides)
    history = read_history(loaded, today=today)
    read = read_plan(loaded, history)
    plan = np.asarray(read.values, dtype=float)
    target = loaded.plan.target
    valued = history.valued or loaded.funnel.value is not None
    if target is not None and target.measure == "revenue" and not valued:
        raise StudyError(
            f"{loaded.place('plan.target')}: asks for revenue, and the data have none: add the column revenue, give an "
            "assumed deal value (funnel.value), or set the target in customers: { won = 45 }"
        )
    if budget_too and valued:
        from forecast.budget import limits_of

        limits_of(loaded, history, plan)
    lifetime_of(loaded)
    check_levers(loaded, history, len(plan))
    return loaded, history, read


def check(study: Path, *, overrides: Sequence[str] = (), today: date | None = None) -> Done:
    """Read and validate study and data; say what was read, and audit it."""
    loaded, history, plan = read_asked(study, overrides, today, budget_too=True)
    lifetime = lifetime_of(loaded)
    read = what_was_read(history, loaded, plan=plan, others=[lifetime.read] if lifetime.read else [])
    asked = audit_history(history, loaded)
    found = check_table(common_mistakes(history, loaded, asked, lifetime=lifetime.expected), "mistake")
    audit = check_table(asked)
    summary = {
        "name": loaded.name,
        "periods": [
            period_label(history.periods[0], history.period),
            period_label(history.last, history.period),
        ],
        "channels": history.channels,
        "stages": list(history.stages),
        "counting": history.counting,
        "read": read.told(),
        "status": worst(audit["status"]),
        "audit": audit.to_dict("records"),
        "mistakes": found.to_dict("records"),
    }
    return Done(summary, None, (audit, found, read), spoken_by(loaded))


def spoken_by(study: Study) -> tuple[str, str]:
    """Language and locale of a study."""
    return study.language, study.locale


def check_levers(study: Study, history: History, periods: int) -> None:
    """Events, changes, scenarios and goals against the history, before a fit. Raises StudyError."""
    first, last = (shift(history.last, n, history.period) for n in (1, periods))
    horizon = period_range(first, last, history.period)
    check_moves(study, history, horizon)
    if study.scenarios:
        from forecast.outlook import check_scenarios

        check_scenarios(study, history, horizon)
    if study.goals:
        from forecast.budget import check_goals

        check_goals(study, history, horizon)


BOOKS = {
    "plan": "the next quarter: check, fit, forecast, divide the budget, write",
    "review": "the last quarter: what was planned, what came, why, what to change",
    "diagnose": "the model: did it sample, does it fit, what would another term change",
    "decide": "a test: what it would be worth, and the plan once its result is in",
}  # the notebooks that come along, each a script of its name


def bundled(name: str) -> Path:
    """A file that comes with the package; the notebooks lie at the top of a checkout."""
    inside = Path(__file__).parent / "bundled" / name
    return inside if inside.exists() else Path(__file__).parents[1] / "notebooks" / name


def init(folder: Path) -> list[Path]:
    """Make a planning folder: models/ (study and sample data), notebooks/, reports/. Overwrites nothing.

    Raises UsageError, with nothing left behind, where a file is there already or the disk says no.
    """
    wanted = {
        "models/demo.toml": "demo.toml",
        "models/demo.csv": "demo.csv",
        **{f"notebooks/{name}.py": f"{name}.py" for name in BOOKS},
        "notebooks/README.md": "notebooks.md",
    }
    place(
        folder,
        {name: partial(shutil.copyfile, bundled(source)) for name, source in wanted.items()},
        empty=("reports",),
    )
    return [folder / name for name in wanted]
