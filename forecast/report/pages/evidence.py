"""What the numbers rest on: delays, response to spend, checks, sampling, audit, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forecast.report import sentences
from forecast.report.document import (
    Page,
    Part,
    Shown,
    band,
    bar,
    checklist,
    checks_of,
    listing,
    said,
    text,
    value,
)
from forecast.report.pages.largest import left_out, on_paper, only
from forecast.report.pages.reading import SHEETS as READING
from forecast.report.pages.reading import reading_evidence, reading_parts
from forecast.tables import DAYS, RATIO, RHAT, WHOLE, Record, records
from forecast.verdict import part_word
from forecast.words import MISSING, Name, Text, known, message, short_names, together

if TYPE_CHECKING:
    import pandas as pd

    from forecast.history import DataRead
    from forecast.results import Results

_COUNTING = {
    "calendar": message("calendar"),
    "cohort": message("cohort"),
    "leads": message("leads"),
}
SHEETS = ("delays", "evidence", "checks", "sampling", "audit", *READING, "made_from")


def evidence_page(made: Results) -> Page:
    """Every table that a doubt may ask for; those without rows are left out."""
    parts = [
        _delays(made.delays),
        _elasticities(made),
        Part("Checks behind the verdict", listings=[checklist(made.verdict.checks)]),
        _sampling(made.sampling),
        *([] if made.read is None else reading_evidence(made.read, [made.table(name) for name in READING])),
        _audit(made.audit, "Audit of the data"),
        _provenance(made),
    ]
    filled = [part for part in parts if part.listings[0].rows]
    return Page("Evidence", filled, [made.table(name) for name in SHEETS if made.read or name not in READING])


def audit_page(audit: pd.DataFrame, mistakes: pd.DataFrame, read: DataRead | None = None) -> Page:
    """What the data alone say: what was read, the audit, and the common mistakes that show without a fit."""
    asked = checklist(checks_of(records(mistakes), "mistake"), head="Mistake", answer="Evidence")
    title = "Common mistakes, as far as they show without a fit:"
    parts = [] if read is None else reading_parts(read)
    audited = _audit(audit, "Audit of the data:" if parts else "")
    return Page(parts=[*parts, audited, Part(title, listings=[asked])])


def _audit(audit: pd.DataFrame, title: str = "") -> Part:
    asked = checks_of(records(audit), "check")
    return Part(title, listings=[checklist(asked, answer="Evidence", widths="2a333")])


def _delays(delays: pd.DataFrame) -> Part:
    columns = [
        said("Days in the step", lambda row: message("into {stage:stage}", **row), "l", "a"),
        value("mean_days", "Mean", DAYS),
        band(message("80~% band"), DAYS),
        value("prior_days", "Assumed before", DAYS),
        bar("learnt", "Learnt from the data"),
    ]
    return Part("Delays", listings=[listing(records(delays), columns)])


def _elasticities(made: Results) -> Part:
    every: list[str] = list(made.evidence["channel"]) if len(made.evidence) else []
    shown = on_paper(made, every)
    columns = [
        said("Channel", lambda row: Name(short_names([str(row["channel"])])[str(row["channel"])]), "l", "a"),
        value("elasticity_mean", "Elasticity", RATIO, "a"),
        band(message("80~% band"), RATIO, "a"),
        bar("evidence", "Evidence", "a", "l"),
        text("sentence", "What that means", "1"),
    ]
    rows = listing(records(only(made.evidence, shown)), columns)
    note = together(left_out(every, shown), sentences.ELASTICITY_NOTE)
    return Part("Response to spend", listings=[rows], note=note)


def _sampling(sampling: pd.DataFrame) -> Part:
    """How each part was sampled; seconds are left out: they differ from run to run, and the report must not."""

    def bfmi(row: Record) -> Text:
        return RATIO.said(row["min_bfmi"]) if known(row.get("min_bfmi")) else ""

    columns: list[Shown] = [
        said("Part of the model", lambda row: part_word(str(row["part"])), "l", "a"),
        value("max_rhat", "Largest R-hat", RHAT),
        value("min_ess_bulk", "Smallest bulk ESS", WHOLE),
        value("min_ess_tail", "Smallest tail ESS", WHOLE),
        value("divergences", "Divergences", WHOLE),
        said("Smallest E-BFMI", bfmi),
        value("k_hat", "Pareto k-hat", RATIO),
        value("ess_scales", "Effective size, scales", WHOLE),
        value("ess_effects", "Effective size, the rest", WHOLE),
        value("settled", "Last step of hazards", RATIO),
        value("normal_k_hat", "Pareto k-hat, hazards", RATIO),
        value("draws", "Draws", WHOLE),
    ]
    rows = listing(records(sampling), columns, filled=True)
    return Part("Sampling", listings=[rows], note=sentences.SAMPLING_NOTE)


def _provenance(made: Results) -> Part:
    """What it takes to make this report again."""
    told, study = made.provenance, made.study
    margin = message("{x:percent.3}", x=study.gross_margin) if known(study.gross_margin) else ""
    versions = [message("{name}~{v}", name=k, v=v) for k, v in sorted(told.get("versions", {}).items())]
    pairs: list[tuple[Text, Text]] = [
        ("Run", told.get("run_id", "")),
        ("Command", Name(told.get("command", ""))),
        ("Seed", message("{seed}", seed=told["seed"]) if "seed" in told else ""),
        ("Simulated futures", message("{n:whole}", n=study.draws) if study.draws else ""),
        ("Counting", _COUNTING.get(study.counting, study.counting)),
        ("Gross margin", margin),
        ("Study", told.get("study_sha256", "")),
        *(
            (message("Data: {name}", name=short_names([name], 26)[name]), digest)
            for name, digest in told.get("data_sha256", {}).items()
        ),
        ("Versions", message("{versions}", versions=versions) if versions else ""),
    ]
    rows = [{"what": key, "value": said_of} for key, said_of in pairs if said_of not in ("", MISSING)]
    return Part(
        "Provenance",
        listings=[listing(rows, [text("what", "What"), text("value", "Value", "1")])],
        note=sentences.PROVENANCE_NOTE,
    )
