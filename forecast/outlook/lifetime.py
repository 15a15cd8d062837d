"""How long customers stay and what one is worth: retention assumed, or learnt from a table of customers.

A customer pays the deal value when won and again at every renewal that it makes. With S(t) the chance to make the first
t renewals, w_t = 1 (a part for the last, where `lifetime` is no whole number of renewals), n renewals a year and the
discount rate d a year, a customer is worth

    sum over t of w_t S(t) (1 + d)^(-t / n)        times the margin of its first deal

    retention known, r                S(t) = r^t
    assumed, r ~ Beta(a, b)           S(t) = r^t, one r a draw: of all customers, it is only not known
    learnt from `retention_table`     churn of a customer at each renewal ~ Beta(A, B) over customers, so that
                                      P(T = t) = B(A + 1, B + t - 1) / B(A, B),  S(t) = B(A, B + t) / B(A, B)

The last is the shifted beta-geometric law (Fader & Hardie 2007): who leaves easily leaves first, so retention rises
with tenure. Customers that are still there count as S(their tenure). Its posterior stands on a grid of mean churn
mu = A / (A + B) and polarisation phi = 1 / (A + B + 1), with logit mu ~ Normal(logit m, s) and phi ~ Beta(2, 6); m is
a churn of 15 % a year, s 0.6 for yearly renewals and 1 for shorter ones (the first renewals of such may differ more).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, betaln, expit, log_expit, logit

from forecast.bounds import MOST_TENURE
from forecast.errors import DataError
from forecast.read import (
    Ask,
    FileRead,
    Grid,
    Wanted,
    cells_problem,
    file_read,
    find_columns,
    number_form,
    read_grid,
    rows_text,
    to_numbers,
)
from forecast.study import Z80, EconomicsSpec, ReadsSpec, RetentionSpec, Study
from forecast.words import Text, message

Array = NDArray[np.float64]

RENEWALS = {"year": 1, "quarter": 4, "month": 12}  # a year
YEARLY_CHURN, CHURN_SD, SHORTER_SD = 0.15, 0.6, 1.0
COARSE, FINE, STEPS = 48, 80, 1000
BELOW_PEAK = 14.0  # log density under the peak at which the grid ends
KEY = "economics.retention_table"


@dataclass(frozen=True, eq=False)
class Tenures:
    """What became of customers: `lost[t]` left at their renewal t (t >= 1), `kept[t]` are there after t renewals.

    read: how their file was read.
    """

    lost: Array
    kept: Array
    read: FileRead | None = None


@dataclass(frozen=True, eq=False)
class Lifetime:
    """What is known of how long customers stay: survival curves (curve, payment) and the weight of each.

    pays (payment,): what a payment counts where it is made, with the discount; steps: years between payments.
    """

    survival: Array
    weight: Array
    pays: Array
    step: float
    learnt_from: float = 0.0  # customers in the table
    read: FileRead | None = None  # how the table was read

    @property
    def expected(self) -> float:
        """Expected worth of a customer over the margin of its first deal."""
        return float(self.weight @ (self.survival @ self.pays))

    def draws(self, n: int, rng: np.random.Generator) -> Array:
        """Discounted payments as they come, (draw, payment): their sum is a draw of a customer's worth."""
        if len(self.weight) == 1:
            return np.repeat(self.survival * self.pays, n, axis=0)
        return self.survival[rng.choice(len(self.weight), size=n, p=self.weight)] * self.pays


def lifetime_of(study: Study) -> Lifetime:
    """How long the customers of a study stay, by its keys. Raises DataError for what is wrong in its table."""
    spec = study.economics
    if spec.retention_table is None:
        return assumed(spec)
    path = study.folder / spec.retention_table
    tenures = read_tenures(path, spec.retention_table, study.history.read)
    return replace(_learnt(tenures.lost.tobytes(), tenures.kept.tobytes(), spec), read=tenures.read)


def table_hash(study: Study) -> dict[str, str]:
    """The sha256 of the table of customers by its name; empty without one."""
    file = study.economics.retention_table
    return {} if file is None else {file: hashlib.sha256((study.folder / file).read_bytes()).hexdigest()}


# ----------------------------------------------------------------------------------------------------- what is assumed


def payments(spec: EconomicsSpec) -> tuple[Array, float]:
    """What each payment counts, the first one with 1: its discount, in part for the last; and years between them."""
    a_year = RENEWALS[spec.renewal]
    due = spec.lifetime * a_year
    whole = int(due + 1e-9)
    shares = np.append(np.ones(whole), due - whole) if due - whole > 1e-9 else np.ones(whole)
    return shares * (1.0 + spec.discount_rate) ** (-np.arange(len(shares)) / a_year), 1.0 / a_year


def assumed(spec: EconomicsSpec) -> Lifetime:
    """Survival from `retention` as it is given; without it the first deal is all."""
    pays, step = payments(spec)
    if spec.retention is None:
        return Lifetime(np.ones((1, 1)), np.ones(1), np.ones(1), step)
    if isinstance(spec.retention, RetentionSpec):
        a, b = beta_of(spec.retention)
        rates = betaincinv(a, b, (np.arange(STEPS) + 0.5) / STEPS)
    else:
        rates = np.array([spec.retention])
    survival = rates[:, None] ** np.arange(len(pays))
    return Lifetime(survival, np.full(len(rates), 1.0 / len(rates)), pays, step)


def beta_of(given: RetentionSpec) -> tuple[float, float]:
    """Beta(a, b) of a mean and sd, or with `low` to `high` as its central 80 %.

    >>> a, b = beta_of(RetentionSpec(mean=0.8, sd=0.1))
    >>> round(a, 6), round(b, 6)
    (12.0, 3.0)
    """
    if given.mean is not None and given.sd is not None:
        size = given.mean * (1 - given.mean) / given.sd**2 - 1
        return given.mean * size, (1 - given.mean) * size
    from scipy.optimize import least_squares

    ends = np.array([given.low, given.high], dtype=float)
    spread = (ends[1] - ends[0]) / (2 * Z80)
    start = np.array([logit(ends.mean()), np.log(max(ends.mean() * (1 - ends.mean()) / spread**2 - 1, 0.5))])

    def miss(x: Array) -> Array:
        mean, size = expit(x[0]), np.exp(x[1])
        found = np.clip(betaincinv(mean * size, (1 - mean) * size, np.array([0.1, 0.9])), 1e-12, 1 - 1e-12)
        return np.asarray(logit(found) - logit(ends))

    x = least_squares(miss, start, xtol=1e-12, ftol=1e-12).x
    mean, size = float(expit(x[0])), float(np.exp(x[1]))
    return mean * size, (1 - mean) * size


# -------------------------------------------------------------------------------------------- learnt from customers


def log_likelihood(a: Array, b: Array, tenures: Tenures) -> Array:
    """Log likelihood of the shifted beta-geometric at arrays of A and B, of what became of customers."""
    total = np.zeros(np.broadcast(a, b).shape)
    base = betaln(a, b)
    for t in np.flatnonzero(tenures.lost):
        total += tenures.lost[t] * (betaln(a + 1, b + t - 1) - base)
    for t in np.flatnonzero(tenures.kept):
        total += tenures.kept[t] * (betaln(a, b + t) - base) if t else 0.0
    return total


def survival(a: Array, b: Array, last: int) -> Array:
    """S(0) to S(last) for each pair of A and B, (pair, renewal): S(t) = S(t - 1) (B + t - 1) / (A + B + t - 1)."""
    t = np.arange(1, last + 1)
    stay = (b[:, None] + t - 1) / (a[:, None] + b[:, None] + t - 1)
    return np.concatenate([np.ones((len(a), 1)), np.cumprod(stay, axis=1)], axis=1)


def posterior_grid(tenures: Tenures, a_year: int) -> tuple[Array, Array, Array]:
    """A, B and weight of the points that carry the posterior: a coarse grid finds where it lies, a finer one weighs."""
    churn = float(logit(1.0 - (1.0 - YEARLY_CHURN) ** (1.0 / a_year)))
    sd = CHURN_SD if a_year == 1 else SHORTER_SD
    (low_m, high_m), (low_p, high_p) = (-10.0, 4.0), (-9.0, 5.0)
    for size in (COARSE, COARSE, FINE):
        m, p = np.meshgrid(np.linspace(low_m, high_m, size), np.linspace(low_p, high_p, size), indexing="ij")
        mu, phi = expit(m), expit(p)
        whole = 1.0 / phi - 1.0  # A + B
        a, b = mu * whole, (1.0 - mu) * whole
        # the density in logits: phi ~ Beta(2, 6) has the Jacobian phi (1 - phi)
        density = -(((m - churn) / sd) ** 2) / 2 + 2.0 * log_expit(p) + 6.0 * log_expit(-p)
        density = density + log_likelihood(a, b, tenures)
        density -= density.max()
        step_m, step_p = (high_m - low_m) / (size - 1), (high_p - low_p) / (size - 1)
        near = density > -BELOW_PEAK
        low_m, high_m = float(m[near].min()) - step_m, float(m[near].max()) + step_m
        low_p, high_p = float(p[near].min()) - step_p, float(p[near].max()) + step_p
    weight = np.exp(density[near])
    return a[near], b[near], weight / weight.sum()


@lru_cache(maxsize=8)
def _learnt(lost: bytes, kept: bytes, spec: EconomicsSpec) -> Lifetime:
    tenures = Tenures(np.frombuffer(lost), np.frombuffer(kept))
    pays, step = payments(spec)
    a, b, weight = posterior_grid(tenures, RENEWALS[spec.renewal])
    customers = float(tenures.lost.sum() + tenures.kept.sum())
    return Lifetime(survival(a, b, len(pays) - 1), weight, pays, step, customers)


# ------------------------------------------------------------------------------------------------- the table


def read_tenures(path: Path, file: str, reads: ReadsSpec = ReadsSpec()) -> Tenures:  # noqa: B008 - frozen
    """Read a table of customers (tenure, churned), or of cohorts (cohort, age, customers); both count renewals.

    Raises DataError with everything that is wrong in it.
    """
    wanted = [Wanted(name, (name,)) for name in ("tenure", "churned", "cohort", "age", "customers")]
    ask = Ask(KEY, "retention", reads, wanted)
    grid = read_grid(path, file, ask)
    names = {name.strip().lower() for name in grid.header}
    if "churned" not in names and {"age", "customers"} & names:
        return _cohorts(grid, ask)
    return _customers(grid, ask)


def _numbers(
    grid: Grid, names: tuple[str, ...], ask: Ask, *, words: tuple[str, ...] = ()
) -> tuple[dict[str, Array], list[Text], FileRead]:
    """Columns of whole numbers, none empty; what is wrong with them; how they, and columns of `words`, were read."""
    wanted = [Wanted(name, (name,)) for name in (*words, *names)]
    found = find_columns(grid.header, wanted, grid.file, role=ask.role, row=grid.line)
    form = number_form(grid, [found[name] for name in names], ask)
    values: dict[str, Array] = {}
    problems: list[Text] = []
    for name in names:
        read = to_numbers(grid, found[name], name, whole=True, form=form)
        values[name] = read.values
        problems += read.problems
        cells = zip(grid.numbers, grid.column(found[name]), strict=True)
        empty = [(number, cell) for number, cell in cells if cell is None]
        if name in ("tenure", "age") and (long := values[name] > MOST_TENURE).any():
            rule = message(
                "expected at most {most:whole} renewals; write how many there were, not days or dates",
                most=MOST_TENURE,
            )
            rows = [(grid.numbers[i], values[name][i]) for i in np.flatnonzero(long)]
            problems.append(cells_problem(grid.file, name, rows, rule))
        if empty:
            text = "is empty; fill it in, or take the row out"
            problems.append(f"{grid.file}: column {name}: {rows_text(empty)}: {text}.")
    said: dict[str, Text] = {} if form.plain else {"numbers": form.said()}
    return values, problems, file_read(grid, ask, found, said)


def _rows(grid: Grid, where: NDArray[np.bool_], values: Array) -> Text:
    return rows_text([(grid.numbers[i], message("{x:given}", x=values[i])) for i in np.flatnonzero(where)])


def _customers(grid: Grid, ask: Ask) -> Tenures:
    values, problems, read = _numbers(grid, ("tenure", "churned"), ask)
    tenure, churned = values["tenure"], values["churned"]
    odd = np.isfinite(churned) & ~np.isin(churned, (0, 1))
    if odd.any():
        text = "expected 1 (left) or 0 (still there)"
        problems.append(f"{grid.file}: column churned: {_rows(grid, odd, churned)}: {text}.")
    early = (churned == 1) & (tenure == 0)
    if early.any():
        text = "left before its first renewal; write 1 for who did not renew once"
        problems.append(f"{grid.file}: column tenure: {_rows(grid, early, tenure)}: {text}.")
    if problems:
        raise DataError(problems)
    last = int(tenure.max()) + 1
    counted = [np.bincount(tenure[churned == k].astype(int), minlength=last).astype(float) for k in (1, 0)]
    return _told(grid, Tenures(counted[0], counted[1], read))


def _cohorts(grid: Grid, ask: Ask) -> Tenures:
    values, problems, read = _numbers(grid, ("age", "customers"), ask, words=("cohort",))
    at = find_columns(grid.header, [Wanted("cohort", ("cohort",))], grid.file, role=ask.role, row=grid.line)[
        "cohort"
    ]
    if problems:
        raise DataError(problems)
    by: dict[str, dict[int, tuple[float, int]]] = {}
    for i, name in enumerate(grid.column(at)):
        place = by.setdefault(str(name), {})
        age = int(values["age"][i])
        if age in place:
            text = f"cohort {name} has age {age} twice; keep one row"
            problems.append(f"{grid.file}: row {grid.numbers[i]}: {text}.")
        place[age] = (float(values["customers"][i]), grid.numbers[i])
    last = int(values["age"].max()) + 1
    lost, kept = np.zeros(last), np.zeros(last)
    for name, ages in by.items():
        absent = sorted(set(range(max(ages) + 1)) - set(ages))
        if absent:
            what = "its size is not known" if absent[0] == 0 else "who left when is not known"
            text = f"no row for age {absent[0]}, so {what}; add the row"
            problems.append(f"{grid.file}: cohort {name}: {text}.")
            continue
        alive = [ages[age][0] for age in range(max(ages) + 1)]
        for age in range(1, len(alive)):
            if alive[age] > alive[age - 1]:
                said = message(
                    "{file}: row {row}: cohort {name} grows from {before:given} to {now:given} customers at age {age}; "
                    "a cohort can only lose customers.",
                    file=grid.file, row=ages[age][1], name=name, before=alive[age - 1], now=alive[age], age=age,
                )  # fmt: skip
                problems.append(said)
            lost[age] += alive[age - 1] - alive[age]
        kept[len(alive) - 1] += alive[-1]
    if problems:
        raise DataError(problems)
    return _told(grid, Tenures(lost, kept, read))


def _told(grid: Grid, tenures: Tenures) -> Tenures:
    """The tenures, if they say anything: somebody came to a first renewal."""
    if tenures.lost.sum() + tenures.kept[1:].sum() == 0:
        raise DataError(
            f"{grid.file}: no customer has come to a first renewal yet, so nothing is known of retention; "
            "give economics.retention as { mean = ..., sd = ... } until then."
        )
    return tenures


def told(study: Study) -> Text:
    """What the lifetime of customers rests on, as the end of a sentence: "..., for at most 5 years"."""
    spec = study.economics
    if spec.retention is None and spec.retention_table is None:
        return "the first deal alone: the study gives no retention"
    if len(payments(spec)[0]) == 1:
        return "the first deal alone: the lifetime holds no renewal"
    if spec.retention_table is not None:
        known: Any = lifetime_of(study).learnt_from
        said = "retention learnt from {known:whole} customers of {retention_table}"
    elif isinstance(spec.retention, RetentionSpec):
        known = tuple(np.quantile(assumed(spec).survival[:, 1], (0.1, 0.9)))
        said = "an assumed retention of {known:percent_band} a {renewal} (80~%)"
    else:
        known, said = spec.retention, "an assumed retention of {known:exact_percent} a {renewal}"
    text = "{rests}, for at most {lifetime:exact} years, discounted at {discount_rate:exact_percent} a year"
    return message(text, rests=message(said, known=known, **dict(spec)), **dict(spec))
