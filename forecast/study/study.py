"""The study: what was asked, read from one TOML file into frozen types.

Everything that is wrong in the file is reported at once, as `file:line: key: expected, came, did you mean`.
Data paths in a study are relative to the folder that the study lies in. A study never holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from forecast import periods
from forecast.errors import StudyError
from forecast.showing import Card, Shows
from forecast.speech import ENGLISH, check_language, check_locale
from forecast.study.crm import PRESETS
from forecast.study.file import (
    Label,
    Name,
    NonNegative,
    Positive,
    Problem,
    Rate,
    Source,
    Table,
    as_days,
    drop_unknown,
    explain,
    is_amount,
    nearest,
    not_one,
    one_of,
    read_source,
    refuse,
    repeated,
    window_problems,
)
from forecast.study.known import EventSpec, ShiftSpec, known_problems
from forecast.study.market import KINDS
from forecast.study.money import BudgetSpec, EconomicsSpec
from forecast.study.options import (
    MOST_WEEKS,
    BacktestSpec,
    LiftTestSpec,
    MarginalSpread,
    NurturingSpec,
    OutputsSpec,
    ScoringSpec,
    SegmentsSpec,
)
from forecast.study.reading import ReadsSpec
from forecast.study.scenarios import GoalSpec, ScenarioSpec, scenario_problems
from forecast.words import Message, message, together

RESERVED = frozenset(
    {
        "period",
        "channel",
        "spend",
        "revenue",
        "refunds",
        "recurring",
        "lead_id",
        "created",
        "lost",
        "amount",
        "total",
    }
    | {"outcome", "closed", "currency", "pipeline", "scheduled"}
    | {"plan", "n", "amounts", "bad"}  # of tables of our own, in which a stage is a column
)
LEAD_COLUMNS = (
    *(
        "lead_id",
        "channel",
        "created",
        "lost",
        "returned",
        "scheduled",
        "amount",
        "currency",
        "outcome",
        "closed",
        "pipeline",
    ),
    *("period", "spend", "refunds", "recurring"),
)
LEADS_ONLY = ("activity", "preset", "deals", "pipelines", "won_values", "lost_values")
LAST_YEAR = "last year"
UNATTRIBUTED = "base"  # the channel of sales that none is credited with
SPEND_WORDS = ("current", LAST_YEAR)  # of plan.spend; any other text names a file
MOST_AHEAD = 24  # months or quarters of a horizon; of weeks MOST_WEEKS
MOST_DELAY = (
    731.0  # days: two years, of which the five that a delay is kept for hold all but about a twentieth
)
COUNT_COLUMNS = ("period", "channel", "spend", "revenue", "refunds", "recurring", "currency")


class HistorySpec(Table):
    """Where the history comes from and how it counts.

    Exactly one of `counts` and `leads` is given. `from_` ("from" in the file) and `through` are periods, both
    included. `columns` maps our column names to those in the file; `preset` does the same for the export of a CRM.

    `read`: how files are to be read where they do not say it. `deals`: a second file, joined to the leads on `lead_id`.
    `exchange`: what one unit of a currency is worth in the study's. `pipelines`: those that are read (None: all).
    `won_values`, `lost_values`: what the column of outcomes says of deals that are won and lost. `blank`: what an
    empty cell of a counted column means. `bad_rows`: what becomes of a row that contradicts itself. `fractions`: of
    counts that were shared out. `net_revenue`: revenue is what deals bring less what is paid back: a column `refunds`
    is read, and money below 0 is meant (refunds, credit notes).
    `spend_columns`: of sales that are counted in total alone, the column of spend of each channel.
    `order` "any": a stage may have been reached before the one before it; it is counted with it then.
    """

    counts: str | None = None
    leads: str | None = None
    activity: str | None = None
    counting: Literal["calendar", "cohort"] = "calendar"
    period: Literal["month", "week", "quarter"] = "month"
    from_: Annotated[Label | None, Field(alias="from")] = None
    through: Label | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    preset: Annotated[str, one_of(tuple(PRESETS))] | None = None
    read: ReadsSpec = ReadsSpec()
    deals: str | None = None
    exchange: dict[str, Positive] = Field(default_factory=dict)
    pipelines: tuple[Name, ...] | None = None
    won_values: tuple[Name, ...] | None = None
    lost_values: tuple[Name, ...] | None = None
    blank: Literal["zero", "unknown"] | None = None
    bad_rows: Literal["refuse", "leave out"] = "refuse"
    fractions: Literal["refuse", "round"] = "refuse"
    net_revenue: bool = False
    spend_columns: dict[str, str] = Field(default_factory=dict)
    order: Literal["strict", "any"] = "strict"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources, found = ("counts", "leads"), []
        if wrong := not_one(sources, self.given(sources)):
            found.append(Problem("", wrong))
        if self.leads is None:
            text = "belongs to leads, and this history has none: remove it, or give leads"
            found += [Problem(key, text) for key in self.given(LEADS_ONLY)]
            found += [Problem("order", text)] * (self.order == "any")
        elif self.counting == "cohort":
            found.append(Problem("counting", "belongs to counts (leads carry their dates): remove it"))
        if self.spend_columns and (self.leads is not None or self.counting == "cohort"):
            text = "belongs to counts by period, of sales in total alone: remove it"
            found.append(Problem("spend_columns", text))
        if UNATTRIBUTED in self.spend_columns:
            text = f'"{UNATTRIBUTED}" is what the sales that no channel brings are called: call the channel otherwise'
            found.append(Problem("spend_columns", text))
        if repeated(list(self.spend_columns.values())):
            found.append(Problem("spend_columns", "expected another column for each channel"))
        found += window_problems(self.period, ("from", self.from_), ("through", self.through))
        refuse(found)
        return self

    def window(self) -> tuple[np.datetime64 | None, np.datetime64 | None]:
        """First days of the first and last period asked for; None where the study leaves it open."""
        first = None if self.from_ is None else periods.parse_period(self.from_, self.period)
        last = None if self.through is None else periods.parse_period(self.through, self.period)
        return first, last


class FunnelSpec(Table):
    """The chain of stages, and what is known of it before the data: rates, delays, a deal value.

    `delay` holds days by destination stage (0: no delay); `rate` the central half of the rate into a stage, in [0, 1];
    `value` an assumed deal value for histories without revenue.
    """

    stages: tuple[str, ...] = ("visitors", "leads", "qualified", "won")
    market: Literal["b2b", "b2c", "none"] = "none"
    delay: dict[str, Annotated[NonNegative, BeforeValidator(as_days)]] = Field(default_factory=dict)
    rate: dict[str, tuple[float, float]] = Field(default_factory=dict)
    value: Positive | None = None

    @field_validator("stages")
    @classmethod
    def _chain(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        if not stages or repeated(stages):
            found.append(
                Problem("", f"expected one or more different stages; came {', '.join(stages) or 'none'}")
            )
        if stages and stages[-1] != "won":
            found.append(Problem("", f'expected the last stage to be "won"; came "{stages[-1]}"'))
        for stage in stages:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", stage):
                text = f'expected a name of small letters, digits and _, not starting with a digit; came "{stage}"'
                found.append(Problem("", text))
            elif stage in RESERVED:
                found.append(
                    Problem(
                        "",
                        f'"{stage}" is the name of another column: call the stage otherwise ("{stage}_stage")',
                    )
                )
        refuse(found)
        return stages

    @field_validator("delay")
    @classmethod
    def _short_enough(cls, delay: dict[str, float]) -> dict[str, float]:
        said = (
            "expected at most {most:exact} days (two years; a delay is kept for five, and of a longer one too much "
            "would be cut off); came {days:given} days: put a stage in between, or start the funnel at a later one"
        )
        refuse(
            Problem(stage, message(said, most=MOST_DELAY, days=days))
            for stage, days in delay.items()
            if days > MOST_DELAY
        )
        return delay

    @field_validator("rate")
    @classmethod
    def _in_range(cls, rate: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        said = "expected [low, high] with 0 < low <= high < 1; came [{low:given}, {high:given}]"
        refuse(
            Problem(stage, message(said + " (3~% is written 0.03)" * (high >= 1), low=low, high=high))
            for stage, (low, high) in rate.items()
            if not 0 < low <= high < 1
        )
        return rate

    @model_validator(mode="after")
    def _destinations(self) -> Self:
        refuse(
            Problem(f"{table}.{stage}", self.not_a_destination(stage))
            for table in ("delay", "rate")
            for stage in getattr(self, table)
            if stage not in self.stages[1:]
        )
        return self

    def not_a_destination(self, stage: str) -> str:
        """What is wrong with a stage that nothing leads into."""
        if stage == self.stages[0]:
            return f'"{stage}" is the first stage, and nothing leads into it: remove the key'
        return f"expected a stage of funnel.stages after the first ({', '.join(self.stages[1:])})" + nearest(
            stage, self.stages[1:]
        )


def _range(pair: tuple[float, float]) -> tuple[float, float]:
    low, high = pair
    if not 0 < low <= high < 1:
        said = "expected [low, high] with 0 < low <= high < 1; came [{low:given}, {high:given}]"
        raise ValueError(message(said + " (3~% is written 0.03)" * (high >= 1), low=low, high=high))
    return pair


Between = Annotated[tuple[float, float], AfterValidator(_range)]  # as `priors.range_reads_as` has it


class ChannelSpec(Table):
    """What kind a channel is (it sets priors, nothing else), and whether its spend is kept as it is.

    What is known of this channel itself, each a range as of `funnel.rate`: `elasticity`, `base` and `carry_over` (of a
    month) of its response to spend, in place of what its kind says; `rate` by destination stage, beside what the other
    channels tell of it.
    """

    kind: Annotated[str, one_of(KINDS)] = "other"
    locked: bool = False
    elasticity: Between | None = None
    base: Between | None = None
    carry_over: Between | None = None
    rate: dict[str, Between] = Field(default_factory=dict)

    def response(self) -> dict[str, tuple[float, float]]:
        """What is known of its response to spend, by parameter."""
        return {name: getattr(self, name) for name in self.given(("elasticity", "base", "carry_over"))}

    def told(self) -> dict[str, tuple[float, float]]:
        """All that is known of it, by key."""
        return self.response() | {f"rate.{stage}": pair for stage, pair in sorted(self.rate.items())}


class TargetSpec(Table):
    """What the horizon should reach: revenue (currency) or won (customers), one of them."""

    revenue: Positive | None = None
    won: Positive | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.revenue is None) == (self.won is None):
            raise ValueError("expected exactly one of revenue and won: { revenue = 240_000 } or { won = 45 }")
        return self

    @property
    def measure(self) -> str:
        """ "revenue" or "won"."""
        return "won" if self.revenue is None else "revenue"

    @property
    def amount(self) -> float:
        """The number to reach, in the unit of `measure`."""
        return self.revenue or self.won or 0.0  # one of them is set and above 0


def _spend_plan(value: object) -> object:
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, dict) or not value:
        raise ValueError(
            'expected "current", "last year", the name of a CSV (period, channel, spend), '
            "or { channel = spend a period }"
        )
    for channel, amount in value.items():
        if not is_amount(amount):
            raise ValueError(f'"{channel}": expected an amount a period, 0 or more; came {amount!r}')
    return {channel: float(amount) for channel, amount in value.items()}


class PlanSpec(Table):
    """The horizon, the spend planned over it, and the target.

    `spend` is "current" (mean of the last three periods), "last year" (the same periods a year before, scaled to the
    recent level), a CSV, or an amount per channel and period.
    """

    periods: Annotated[int, Field(ge=1, le=MOST_WEEKS)] = 3
    spend: Annotated[str | dict[str, float], BeforeValidator(_spend_plan)] = "current"
    target: TargetSpec | None = None


class PriorsSpec(Table):
    """How prior knowledge is read: the share a benchmark range covers, and how far marginal returns differ (log sd).

    `season` "none": traffic has no season, as of data that were adjusted for it; else it is learnt where the history is
    long enough.
    """

    range_reads_as: Rate = 0.5
    marginal_return_sd: MarginalSpread = 0.2
    season: Literal["learnt", "none"] = "learnt"


class Study(Shows, Table):
    """One forecasting question: history, funnel, channels, economics, plan, budget, priors, lift tests, backtest.

    `folder` is where the study lies; paths of data in it are relative to that. `path` is None for a study made in code.
    """

    name: str
    currency: Annotated[str, Field(min_length=1, max_length=8)] = "EUR"
    language: Annotated[str, AfterValidator(check_language)] = ENGLISH
    locale: Annotated[str, AfterValidator(check_locale)] = ""
    history: HistorySpec
    funnel: FunnelSpec = FunnelSpec()
    channels: dict[str, ChannelSpec] = Field(default_factory=dict)
    economics: EconomicsSpec = EconomicsSpec()
    plan: PlanSpec = PlanSpec()
    budget: BudgetSpec = BudgetSpec()
    priors: PriorsSpec = PriorsSpec()
    lift_tests: tuple[LiftTestSpec, ...] = Field(default=(), alias="lift_test")
    backtest: BacktestSpec = BacktestSpec()
    outputs: OutputsSpec = OutputsSpec()
    scoring: ScoringSpec | None = None
    segments: SegmentsSpec | None = None
    nurturing: NurturingSpec | None = None
    scenarios: tuple[ScenarioSpec, ...] = Field(default=(), alias="scenario")
    goals: tuple[GoalSpec, ...] = Field(default=(), alias="goal")
    events: tuple[EventSpec, ...] = Field(default=(), alias="event")
    changes: tuple[ShiftSpec, ...] = Field(default=(), alias="change")
    folder: Path = Path()
    path: Path | None = None
    _source: Source | None = PrivateAttr(default=None)

    @field_validator("name")
    @classmethod
    def _fit_for_a_file(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w .\-]*", name) or name.endswith((".", " ")):
            raise ValueError(
                f'expected letters, digits, blanks, ".", "_" or "-" (it names files); came "{name}"'
            )
        return name

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        own = COUNT_COLUMNS if self.history.leads is None else LEAD_COLUMNS
        known = [*own, *(stage for stage in self.funnel.stages if stage not in own)]
        found = [
            Problem(
                f"history.columns.{column}",
                f"expected one of our columns ({', '.join(known)})" + nearest(column, known),
            )
            for column in self.history.columns
            if column not in known
        ]
        if self.history.leads is not None and "leads" not in self.funnel.stages:
            found.append(
                Problem(
                    "funnel.stages", 'expected the stage "leads" among them, because the history is leads'
                )
            )
        found += [
            Problem(f"channels.{name}.rate.{stage}", self.funnel.not_a_destination(stage))
            for name, spec in self.channels.items()
            for stage in spec.rate
            if stage not in self.funnel.stages[1:]
        ]
        if self.segments is not None and self.history.spend_columns:
            found.append(Problem("segments", "sales in total alone have no segments: remove the table"))
        for number, test in enumerate(self.lift_tests, start=1):
            place = f"lift_test.{number}"
            ends = (f"{place}.from", test.from_), (f"{place}.to", test.to or None)
            found += window_problems(self.history.period, *ends)
        ahead = {"plan.periods": self.plan.periods, "backtest.horizon": self.backtest.horizon or 1}
        text = "expected at most {most} {kind}s ahead; came {came}"
        found += [
            Problem(key, message(text, most=MOST_AHEAD, kind=self.history.period, came=came))
            for key, came in ahead.items()
            if self.history.period != "week" and came > MOST_AHEAD
        ]
        found += scenario_problems(self.scenarios, self.goals, self.funnel.stages, self.history.period)
        found += known_problems(self.events, self.changes, self.funnel.stages, self.history.period)
        refuse(found)
        return self

    def fit_key(self, last: np.datetime64 | None = None) -> dict[str, Any]:
        """What the fit depends on besides the content of the data: ready for JSON, to be hashed.

        Holds how the history is read, funnel, channel kinds, priors, gross margin, lift tests, events and changes; not
        plan, budget, name, currency, language, locks, nor file names (`History.fingerprint` stands for the data).
        `last`: of the history, after which a change is none of the fit's.
        """
        history = self.history.model_dump(
            mode="json", include={"counting", "period", "from_", "through", "columns", "preset"}
        )
        if self.history.spend_columns:
            history["spend_columns"] = self.history.spend_columns
        kinds = {name: spec.kind for name, spec in sorted(self.channels.items()) if spec.kind != "other"}
        own = {name: known for name, spec in sorted(self.channels.items()) if (known := spec.told())}
        tests = [test.model_dump(mode="json", exclude={"note"}) for test in self.lift_tests]
        events = [event.model_dump(mode="json", exclude={"name", "note"}) for event in self.events]
        changes = [
            change.model_dump(mode="json", exclude={"name", "note"})
            for change in self.changes
            if last is None or periods.parse_period(change.from_, self.history.period) <= last
        ]
        return {
            "history": history,
            "funnel": self.funnel.model_dump(mode="json"),
            "kinds": kinds,
            **({"channels": own} if own else {}),
            "priors": self.priors.model_dump(mode="json"),
            "gross_margin": self.economics.gross_margin,
            **({"lift_tests": tests} if tests else {}),
            **({"events": events} if events else {}),
            **({"changes": changes} if changes else {}),
        }

    def kind_of(self, channel: str) -> str:
        """The kind of a channel; "other" where the study does not name it."""
        return self.channels.get(channel, ChannelSpec()).kind

    def rates_of(self, stage: str) -> dict[str, tuple[float, float]]:
        """What is known of the rate into a stage of single channels."""
        return {name: spec.rate[stage] for name, spec in self.channels.items() if stage in spec.rate}

    @property
    def inputs(self) -> list[Path]:
        """The study file, and every file that it names."""
        history, spend = self.history, self.plan.spend
        planned = spend if isinstance(spend, str) and spend not in SPEND_WORDS else None
        table = self.economics.retention_table
        named = (history.counts, history.leads, history.deals, history.activity, planned, table)
        return [
            *([] if self.path is None else [self.path]),
            *(self.folder / name for name in named if name is not None),
        ]

    @property
    def overrides(self) -> tuple[str, ...]:
        """What was set beside the file, as `key=value` texts: with them `load_study` reads this study again."""
        return () if self._source is None else self._source.overrides

    def was_set(self, key: str) -> bool:
        """Whether a key was set beside the file."""
        return self._source is not None and key in self._source.overridden

    def replace(self, changes: Mapping[str, Any] = MappingProxyType({}), /, **tables: Any) -> Study:
        """Another study with other values, checked as the file is; this one stays as it is.

        changes: dotted keys as in the study file, with values as TOML would give them: `{"plan.periods": 6,
        "channels.ppc.kind": "ppc", "funnel.rate.won": [0.2, 0.3]}`; a table or a list is replaced as a whole. tables:
        the same by keyword, for keys without a dot: `lift_test=[...]`, `plan={"periods": 6}`.

        What was replaced is part of `overrides`, and so of what a run records. Raises StudyError with every problem,
        which names the key.
        """
        names = {name: info.alias or name for name, info in type(self).model_fields.items()}
        asked = {**changes, **tables}
        return _built(
            self._as_written().changed({names.get(key, key): v for key, v in asked.items()}), self.folder
        )

    def with_lift_test(
        self,
        channel: str,
        *,
        from_: str,
        to: str | None = None,
        without: float,
        with_: float,
        lift: float,
        se: float,
        note: str = "",
    ) -> Study:
        """Another study with one experiment more, as a [[lift_test]] of the file: see `LiftTestSpec`.

        Raises StudyError where it is none; whether channel and periods are those of the data, `read_history` says.
        """
        test = {
            "channel": channel,
            "from": from_,
            "to": to,
            "without": without,
            "with": with_,
            "lift": lift,
            "se": se,
        }
        test |= {"note": note or None}
        told = {key: value for key, value in test.items() if value is not None}
        return self.replace({"lift_test": (*self._as_written().values.get("lift_test", ()), told)})

    def _as_written(self) -> Source:
        """The values as the file has them; of a study made in code, those that were given."""
        if self._source is not None:
            return self._source
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude={"folder", "path"})
        return Source(self.path, given)

    def _card(self, *, whole: bool) -> Card:  # noqa: ARG002 - a study is read already
        plan, target = self.plan, self.plan.target
        goal = (
            None
            if target is None
            else message("{x:exact} {measure}", x=target.amount, measure=target.measure)
        )
        spend = plan.spend if isinstance(plan.spend, str) else "amounts by channel"
        return Card(
            f"Study {self.name} ({self.currency})",
            {
                "file": None if self.path is None else self.path.name,
                "history": self.history.counts or self.history.leads,
                "funnel": " > ".join(self.funnel.stages),
                "channels": sorted(self.channels),
                "plan": f"{plan.periods} {self.history.period}s, spend {spend}",
                "target": goal,
                "changed": list(self.overrides),
            },
        )

    def place(self, key: str) -> str:
        """Where a key stands, as `study.toml:12: key`, for messages about the study's content."""
        return key if self._source is None else self._source.place(key)


def load_study(path: Path | str, overrides: Sequence[str] = ()) -> Study:
    """Read a study file; `overrides` are `key=value` texts that replace keys of it (dotted keys, TOML values).

    Raises StudyError with every problem of the file, and UsageError for an override that is not `key=value`.
    """
    source = read_source(Path(path), overrides)
    return _built(source, Path(path).parent)


def _built(source: Source, folder: Path) -> Study:
    """The study of what was written. Raises StudyError with every problem."""
    values = dict(source.values)
    own = [key for key in ("folder", "path") if values.pop(key, None) is not None]
    problems = [Problem(key, "unknown key") for key in own]
    extra = {"folder": folder, "path": source.path}
    study = None
    try:
        study = Study.model_validate({**values, **extra})
    except ValidationError as error:
        problems += explain(error, Study)
        # An unknown key must not hide what checks across keys would find.
        if drop_unknown(error, values):
            try:
                Study.model_validate({**values, **extra})
            except ValidationError as again:
                problems += [problem for problem in explain(again, Study) if problem not in problems]
    if problems or study is None:
        raise StudyError(_in_file_order(source, problems))
    study._source = source
    return study


def _in_file_order(source: Source, problems: Iterable[Problem]) -> list[Message]:
    ordered = sorted(problems, key=lambda problem: source.line(problem.key))
    return [together(source.place(problem.key), problem.text, between=": ") for problem in ordered]
