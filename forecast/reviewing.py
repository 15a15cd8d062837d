"""A run beside what came, from Python: read it, score it, ask it, write it beside the run.

score    the run in a folder, scored by a history: a `Score`
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.backtest import (
    BLOCKS,
    account_of,
    check_scored,
    earlier,
    read_run,
    score_outlook,
)
from forecast.backtest import DRAWS as FEWER
from forecast.errors import UsageError
from forecast.fit import DEFAULT_SEED, preview
from forecast.history import History, read_history
from forecast.judging import to_look_at
from forecast.making import saved_backtest
from forecast.outputs import csv_form
from forecast.periods import parse_period
from forecast.progress import Progress, Silent
from forecast.report import score_points, score_tables, write_score
from forecast.showing import Card, Shows, said_band
from forecast.study import Study, load_study
from forecast.tables import Table
from forecast.words import message, speaking, text


@dataclass(frozen=True, eq=False, repr=False)
class Score(Shows):
    """A run beside what came. told: all that is told of it, as score.json has it; folder: of the run."""

    told: Mapping[str, Any]
    folder: Path
    study: Study

    @property
    def headline(self) -> Mapping[str, Any]:
        """The measure that the run is judged by: expected with its band, what came; empty where that is not known."""
        return self.told.get("headline") or {}

    @property
    def points(self) -> list[str]:
        """What to do now, a sentence or two each, in the language of the study."""
        with self.speaking():
            return [text(point) for point in score_points(self.told)]

    def speaking(self) -> AbstractContextManager[None]:
        """Texts inside are in the language of the study."""
        return speaking(self.study.language, self.study.locale)

    def _card(self, *, whole: bool) -> Card:
        told, head = self.told, self.headline
        facts: dict[str, Any] = {
            "come": f"{len(told['come'])} of {len(told['horizon'])}",
            "plan": told["plan"],
        }
        if head:
            facts["measure"] = head["measure"]
            facts["expected"] = said_band(head["plan"], head["q10"], head["q90"])
            facts["came"] = message("{x:exact}", x=head["actual"])
            facts["inside"] = "yes" if head["inside80"] else "no"
        title = f"Score of {told['name']}, as of {told['as_of']}"
        return Card(title, facts, [self.table("score"), self.table("attribution")] if whole else [])

    def table(self, name: str) -> Table:
        """One of its tables: score, attribution, blocks, ahead, checks. Raises UsageError for any other name."""
        tables = {table.name: table for table in score_tables(self.told)}
        if name not in tables:
            raise UsageError(
                message('there is no table "{name}"; there are {known:list}', name=name, known=list(tables))
            )
        return tables[name]

    def write(self, *, csv_locale: str | None = None) -> Path:
        """Write score.json, score.csv, score_totals.csv, score.xlsx and score.pdf beside the run."""
        study = self.study
        form = csv_form(study.outputs.csv_locale if csv_locale is None else csv_locale)
        spoken = study.language, study.locale
        write_score(self.folder, self.told, inputs=study.inputs, form=form, spoken=spoken)
        return self.folder


def score(
    folder: Path | str,
    study: Study | Path | str,
    history: History | None = None,
    *,
    plan: str = "given",
    blocks: int = BLOCKS,
    progress: Progress | None = None,
) -> Score:
    """Score the run in `folder`, of the command or of `Forecast.write`, by the history as it is now; writes nothing.

    Args:
        study: the study as it is now, or its file. history: read of it where it is not given.
        plan: which plan of the run was followed.
        blocks: so many horizons are shown as forecast then, the run's own among them.

    Raises DataError where `folder` holds no run, or nothing of its horizon has come yet; UsageError for another plan.
    """
    folder, teller, seed = Path(folder), progress or Silent(), DEFAULT_SEED
    outlook, made = read_run(folder)
    if plan not in outlook["plan"].values:
        raise UsageError(f'--plan: the run has {", ".join(map(str, outlook["plan"].values))}; got "{plan}"')
    study = study if isinstance(study, Study) else load_study(study)
    history = read_history(study) if history is None else history
    teller.step("comparing with what came")
    followed = outlook.sel(plan=plan)
    check_scored(history, followed, str(made["as_of"]))
    if not history.tells(parse_period(str(made["as_of"]), history.period)):
        history = history.believed  # no copy of that time was kept
    saved = saved_backtest(folder, study, history)
    now = preview(study, history, seed=seed, draws=FEWER)
    found = score_outlook(study, history, followed, str(made["as_of"]), seed=seed, posterior=now)
    told = {"run": folder.as_posix(), "run_id": str(made.get("run_id", "")), "plan": plan} | found
    teller.step("looking at what is still to come")
    told |= account_of(study, history, now, made, followed, told, seed=seed)
    teller.step("looking at earlier horizons")
    told["earlier"] = earlier(study, history, told, saved, blocks=blocks, seed=seed)
    told["checks"] = to_look_at(study, history, now, seed)
    return Score(told, folder, study)
