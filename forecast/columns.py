"""Every table of the outputs: the sheet that it fills, and its columns with their units, in their order.

    unit_of               the unit of a measure; by_measure, by_unit: as it follows from a row
    TABLES                by name
    origins               columns of a backtest by origin, whose unit follows from its headline

Workbook, files and pages take headings and formats from here. A column that is not declared is nobody's to show.
"""

from __future__ import annotations

import math

from forecast.tables import (
    AMOUNT,
    CHANCE,
    COUNT,
    CURRENCY,
    DAYS,
    EXACT,
    LABEL,
    MONTHS,
    PERIOD,
    PRICE,
    RATIO,
    RHAT,
    SHARE,
    TEXT,
    WHOLE,
    YES_NO,
    Column,
    Record,
    Unit,
    Units,
)

Declared = (
    Column | str | tuple[Units, str] | tuple[Units, str, str]
)  # a name alone holds text; names, space between

_MONEYS = ("spend", "revenue", "refunds", "recurring", "contribution")
_PRICES = frozenset(
    ("cpl", "cost_per_qualified", "worth_of_lead", "worth_of_qualified", "break_even_cpl", "marginal_cpl")
)
_BY_UNIT = {
    "ratio": RATIO,
    "probability": CHANCE,
    "share": SHARE,
    "months": MONTHS,
    "periods": DAYS,
    "wins": COUNT,
}


def unit_of(measure: str) -> Unit:
    """What a measure is counted in: money, or a number of units. Spend is planned, so every unit of it counts."""
    if measure == "spend":
        return AMOUNT
    return CURRENCY if measure.startswith(_MONEYS) else COUNT


def by_measure(row: Record) -> Unit:
    """The unit of a row that names its measure."""
    return unit_of(str(row["measure"]))


def by_unit(row: Record) -> Unit:
    """The unit of a row that says it; money is a price where it is that of one lead."""
    return _BY_UNIT.get(str(row["unit"]), PRICE if row["measure"] in _PRICES else CURRENCY)


def by_total(row: Record) -> Unit:
    """The unit of a total that is exact: to the unit, or to the cent where it has some."""
    total = float(row["total"])
    return EXACT if math.isfinite(total) and abs(total - round(total)) >= 0.005 else WHOLE


def _by_target(row: Record) -> Unit:
    return unit_of(str(row["target_measure"] or "won"))


def _by_lever(row: Record) -> Unit:
    return SHARE if row["lever"] == "rate" else CURRENCY


def _columns(*declared: Declared) -> tuple[Column, ...]:
    """Columns from what is declared: (unit, names) stands for several of one unit, (unit, name, heading) for one."""
    made: list[Column] = []
    for each in declared:
        if isinstance(each, Column):
            made.append(each)
        elif isinstance(each, str):
            made += [Column(name, TEXT) for name in each.split()]
        elif len(each) == 3:
            made.append(Column(each[1], each[0], each[2]))
        else:
            made += [Column(name, each[0], _level(name)) for name in each[1].split()]
    return tuple(made)


def _level(name: str) -> str:
    """The heading of a quantile: its level; of a mean what it is; of anything else its name."""
    if name == "mean":
        return "expected"
    if name == "q50":
        return "median"
    return f"{int(name[1:])} %" if name[0] == "q" and name[1:].isdigit() else ""


def _banded(*names: str) -> str:
    return " ".join(f"{name}_{q}" for name in names for q in ("mean", "q10", "q90"))


def _gain(measure: str) -> str:
    return " ".join(f"{measure}{end}{q}" for end in ("", "_eventual") for q in ("", "_q10", "_q90"))


BAND = "mean q10 q50 q90"
EVERY = "q05 q10 q25 q50 q75 q90 q95"
TOTAL = ("total",)  # what stands in a row that sums up others
_CHANNEL = Column("channel", sums=TOTAL)
_FORECAST = _columns(
    Column("period", PERIOD, sums=TOTAL), _CHANNEL, "measure", (by_measure, f"mean sd {EVERY}")
)
_BELOW = Column("p_below", SHARE, "P(below benchmark)")
_LEARNT = Column("learnt", SHARE, "learnt from the data (share)")
_MARGINAL = Column("marginal", RATIO, "next unit of money brings")
_CHANGE = Column("change", SHARE, "change (share)")

# By name: the sheet of the workbook, and the columns.
TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "forecast": ("Forecast", _FORECAST),
    "forecast_recommended": ("Forecast recommended", _FORECAST),
    "known": ("Taken as known", _columns("name moves channels when", (RATIO, "q10 q50 q90"), "source")),
    "bridge": (
        "Bridge",
        _columns(
            Column("item", LABEL, sums=("revenue inside the horizon",)), (COUNT, "won_mean", "wins, expected"),
            (CURRENCY, BAND),
        ),
    ),
    "windows": ("Past windows", _columns((PERIOD, "first last"), "measure", (by_measure, "value"))),
    "comparison": (
        "Against the past",
        _columns(
            "against",
            (PERIOD, "first last"),
            "measure",
            Column("item", LABEL, sums=("forecast",)),
            (by_measure, "amount"),
        ),
    ),
    "history": ("History", _columns((PERIOD, "period"), "measure", (by_measure, "value"))),
    "funnel": (
        "Funnel",
        _columns(
            _CHANNEL, "stage", (SHARE, BAND), (SHARE, "history", "seen in the data"),
            (SHARE, "benchmark_low benchmark_high"), _BELOW,
        ),
    ),
    "economics": ("Unit economics", _columns(_CHANNEL, "measure unit", (by_unit, BAND))),
    "allocation": (
        "Budget",
        _columns(
            "channel", Column("current", AMOUNT, total=True), Column("recommended", AMOUNT, total=True),
            (AMOUNT, "low", "nearly as good, from"), (AMOUNT, "high", "nearly as good, to"), _CHANGE,
            Column("expected_contribution_current", CURRENCY, total=True),
            Column("expected_contribution_recommended", CURRENCY, total=True), _MARGINAL,
            (SHARE, "extrapolated", "beyond spend seen (share)"), Column("locked", YES_NO, in_files=False),
            (AMOUNT, "optimum_low optimum_high highest_seen"), (CURRENCY, "gain_if_saturating"),
            Column("best", AMOUNT, "best split", total=True),
        ),
    ),
    "response": (
        "Response curves",
        _columns(
            "channel", (AMOUNT, "spend"), (CURRENCY, "mean q10 q90"), (AMOUNT, "observed_max current recommended")
        ),
    ),
    "benchmarks": (
        "Against the market",
        _columns(
            _CHANNEL, "stage", (SHARE, BAND), (SHARE, "benchmark_low benchmark_high"), _BELOW,
            (SHARE, "p_above", "P(above benchmark)"), "position aim", (SHARE, "aim_rate"), (COUNT, _gain("won")),
            (CURRENCY, _gain("revenue")), "source",
        ),
    ),
    "mistakes": ("Common mistakes", _columns("mistake status evidence advice")),
    "delays": (
        "Delays",
        _columns(
            "stage", (DAYS, "mean_days q10 q90 prior_days"), _LEARNT, (RATIO, "cv prior_cv cv_apart")
        ),
    ),
    "evidence": (
        "Elasticities",
        _columns(
            "channel", (RATIO, "elasticity_mean", "elasticity, expected"), (RATIO, "q10", "elasticity, 10 %"),
            (RATIO, "q90", "elasticity, 90 %"), (SHARE, "evidence", "elasticity learnt (share)"),
            (YES_NO, "assumed"), "sentence",
        ),
    ),
    "optimum": ("Best budget by draw", _columns("channel", (AMOUNT, "q10 q50 q90"))),
    "tests": (
        "Worth of tests",
        _columns(
            "channel", (CURRENCY, "worth_of_knowing error"), (WHOLE, "periods"), (SHARE, "swing"),
            (SHARE, "learnt", "a test teaches (share)"),
            (CURRENCY, "worth cost"), (YES_NO, "advised"),
        ),
    ),
    "ledger": (
        "Beyond spend seen",
        _columns(
            "channel", (AMOUNT, "highest_seen peak"), (SHARE, "beyond"),
            (CURRENCY, "gain gain_beyond gain_if_saturating"),
        ),
    ),
    "budget_frontier": (
        "Budget frontier",
        _columns((AMOUNT, "budget spent"), (CURRENCY, "contribution q10 q90"), _MARGINAL, (YES_NO, "pays")),
    ),
    "risk_frontier": (
        "Risk frontier",
        _columns("plan", (RATIO, "mix"), (CURRENCY, "contribution cvar"), (CHANCE, "p_loss")),
    ),
    "sensitivity": (
        "Sensitivity",
        _columns("lever stage", (LABEL, "change"), _CHANNEL, "measure", (by_measure, BAND), (RATIO, "elasticity")),
    ),
    "variance": (
        "Variance",
        _columns(
            Column("source", sums=("total", "forecast")), (WHOLE, "variance"), (SHARE, "share error")
        ),
    ),
    "scenarios": ("Scenarios", _columns("scenario measure unit", (by_unit, BAND))),
    "goals": (
        "Goals",
        _columns(
            "goal measure", (PERIOD, "from by"), (by_measure, f"amount so_far {BAND}"),
            (CHANCE, "chance", "chance asked"), (CHANCE, "p"),
            (by_measure, "gap_50 gap_chance"),
        ),
    ),
    "ways": (
        "Ways to the goals",
        _columns(
            "goal lever stage", (YES_NO, "reached"), _CHANGE, (_by_lever, "value_now value"), (CHANCE, "p")
        ),
    ),
    "rates": (
        "Segment rates",
        _columns("segment", _CHANNEL, "stage", (WHOLE, "entered moved"), (SHARE, BAND)),
    ),
    "worth": (
        "Segments",
        _columns(
            "segment", (WHOLE, "leads"), (SHARE, "share"), (SHARE, _banded("p_win")), (CURRENCY, "deal_value"),
            (CURRENCY, _banded("worth")),
        ),
    ),
    "mix": ("Segment mix", _columns((PERIOD, "period"), "segment", (WHOLE, "leads"), (SHARE, "share q10 q90"))),
    "shift": (
        "Segment shifts",
        _columns("segment", (WHOLE, "leads_moved"), (RATIO, _banded("won")), (CURRENCY, _banded("revenue"))),
    ),
    "flow": ("Flowing back", _columns(_CHANNEL, (COUNT, _banded("coming_back", "moving_on")))),
    "checks": ("Checks", _columns("name value threshold status advice")),
    # Seconds are left out: they differ from run to run, and the outputs must not.
    "sampling": (
        "Diagnostics",
        _columns(
            "part", (RATIO, "k_hat k_scales k_effects k_joint"), (WHOLE, "ess_scales ess_effects points"),
            (RATIO, "settled normal_k_hat"), (WHOLE, "normal_ess"),
            (RHAT, "max_rhat"), "worst", (WHOLE, "min_ess_bulk min_ess_tail"), "least", (WHOLE, "divergences"),
            (RATIO, "min_bfmi"), (SHARE, "at_depth"), (WHOLE, "steps gradients draws asked attempts"),
        ),
    ),
    "audit": ("Audit", _columns("check status evidence advice")),
    "data_read": ("Data read", _columns("file role what name value", (WHOLE, "rows"))),
    "data_totals": (
        "Data totals",
        _columns("file role by name measure", (by_total, "total"), (WHOLE, "blank", "blank cells")),
    ),
    "made_from": ("Provenance", _columns("what value")),
    "methods": (
        "Backtest methods",
        _columns(
            "measure method", (WHOLE, "outcomes"), (by_measure, "crps"), (SHARE, "relative"), (by_measure, "wis"),
            (SHARE, "bias bias_se inside50 inside80 inside90 skill skill_se"),
        ),
    ),
}  # fmt: skip

_SCORED = _columns(
    Column("period", PERIOD, sums=TOTAL), _CHANNEL, "measure", (by_measure, "plan actual difference"),
    (SHARE, "share", "difference, share of plan"), (by_measure, EVERY), (SHARE, "pit", "futures below the actual"),
    (YES_NO, "inside80", "inside 80 %"),
)  # fmt: skip
# The tables of a run that is scored, by name: the sheet, and the columns.
SCORED: dict[str, tuple[str, tuple[Column, ...]]] = {
    "score": ("Plan and actual", _SCORED),
    "attribution": ("Where it came from", _columns(_CHANNEL, "measure block", (by_measure, "amount"))),
    "blocks": ("As planned and as it came", _columns("block stage unit", (RATIO, "then now"))),
    "ahead": (
        "Still to come",
        _columns(
            "part", (PERIOD, "first last"), "measure", (by_measure, f"so_far {BAND}"), (by_measure, "target"),
            (CHANCE, "p", "P(target)"),
        ),
    ),
    "checks": ("Checks", _columns("name status value threshold advice")),
}  # fmt: skip

_RATE = Unit("rate", "0.0#####", "given")  # of exchange, as it was given

# The tables of a group of runs, by name.
GROUPED: dict[str, tuple[str, tuple[Column, ...]]] = {
    "units": (
        "Units",
        _columns(
            Column("unit", sums=TOTAL), "status measure", (by_measure, "mean q10 q90"), (COUNT, "won_mean"),
            (_by_target, "target"), (CHANCE, "p_target", "P(target)"), (AMOUNT, "moved"), (CURRENCY, "gain_mean"),
            Column("currency", heading="own currency"), (_RATE, "rate", "worth of one in the group's currency"),
            (WHOLE, "own_mean", "expected revenue in own currency"), "look_at", (PERIOD, "as_of first last"),
            "run_id folder",
        ),
    ),
    "totals": ("Total", _columns(Column("period", PERIOD, sums=TOTAL), "measure", (by_measure, f"mean sd {EVERY}"))),
    "bands": (
        "Correlation",
        _columns((RATIO, "correlation"), (YES_NO, "used"), "measure", (by_measure, "mean sd q10 q90")),
    ),
    "pairs": ("Pairs", _columns("unit other", (RATIO, "correlation"), (WHOLE, "periods"))),
    "failed": ("Left out", _columns("name", (WHOLE, "exit_code"), "error")),
}  # fmt: skip


def origins(measure: str) -> tuple[Column, ...]:
    """The columns of a backtest by origin, whose numbers are those of its headline."""
    unit = unit_of(measure)
    return _columns(
        (PERIOD, "origin"), (unit, f"mean {EVERY} came crps"), (RATIO, "pit"),
        (WHOLE, "inside50 inside80 inside90"), (PERIOD, "first last"),
    )  # fmt: skip
