"""Questions about how files were read: rows left out, outcomes not understood, pipelines, currencies, deals."""

from __future__ import annotations

from forecast.checks import FAIL, PASS, REVIEW, Check
from forecast.history.history import History
from forecast.read import title_key
from forecast.study import Study
from forecast.words import message, together

BAD_SHARE = 0.02  # of the rows of a file: above it, what is left is no fair part of what there was


def file_checks(history: History, study: Study) -> list[Check]:
    """A check for each that the files give reason to ask."""
    asked = [
        _bad_rows(history),
        _outcomes(history),
        _pipelines(history),
        _currency(history, study),
        _deals(history),
        _refunds(history, study),
    ]
    return [check for check in asked if check is not None]


def _bad_rows(history: History) -> Check | None:
    found, status = [], REVIEW
    for read in history.files:
        bad = [out for out in read.left_out if out.bad]
        n = sum(out.n for out in bad)
        if not n:
            continue
        total = read.rows + sum(out.n for out in read.left_out)
        share = n / total
        status = FAIL if share > BAD_SHARE else status
        reasons = [message("{reason} ({n:whole})", reason=out.reason, n=out.n) for out in bad]
        text = "{file}: {n:whole} of {all:whole} rows ({share:percent}): {reasons:list.4}"
        found.append(message(text, file=read.file, n=n, all=total, share=share, reasons=reasons))
    if not found:
        return None
    text = (
        "Correct them where they come from: with more than {share:.0%} left out, the rest tells too little."
    )
    return Check("Rows left out", status, together(*found, between="; "), message(text, share=BAD_SHARE))


def _refunds(history: History, study: Study) -> Check | None:
    """Whether refunds are in a file that is read without them."""
    told = [read for read in history.files if "refunds" in [title_key(title) for title in read.unread]]
    if study.history.net_revenue or not told:
        return None
    text = "{file}: the column refunds is not read, so revenue is before refunds"
    advice = "Set history.net_revenue = true to have the forecast net of them."
    return Check("Refunds", REVIEW, message(text, file=told[0].file), advice)


def _outcomes(history: History) -> Check | None:
    listed = [(read, outcome) for read in history.files for outcome in read.outcomes]
    if not listed:
        return None
    name, unclear = (
        "Outcomes understood",
        [outcome for _, outcome in listed if outcome.meaning == "not understood"],
    )
    if not unclear:
        text = "{n:whole} of {values:whole} values mean won or lost, the others are open"
        closed = [outcome for _, outcome in listed if outcome.meaning in {"won", "lost"}]
        return Check(name, PASS, message(text, n=len(closed), values=len(listed)))
    read = next(read for read, outcome in listed if outcome.meaning == "not understood")
    text = "{file}: neither won nor lost, though most of them closed before the newest lead came: {values:list.6}"
    values = [message('"{value}" ({n:whole})', value=outcome.value, n=outcome.n) for outcome in unclear]
    advice = "Say what they mean: history.lost_values = [...], history.won_values = [...]; else they count as open."
    return Check(name, REVIEW, message(text, file=read.file, values=values), advice)


def _pipelines(history: History) -> Check | None:
    if "pipelines" not in history.reading:
        return None
    found = message("all are read: {pipelines}", pipelines=history.reading["pipelines"])
    text = 'If they sell different things, choose: history.pipelines = ["{pipeline}"].'
    return Check("Pipelines", REVIEW, found, message(text, pipeline=history.reading["pipeline"]))


def _currency(history: History, study: Study) -> Check | None:
    if "currency" not in history.reading:
        return None
    told = {"other": history.reading["currency"], "currency": study.currency}
    found = message("the amounts are in {other}, and are read as {currency}", **told)
    text = 'Set currency = "{other}", or say what one unit is worth: history.exchange = {{ {other} = ... }}.'
    return Check("Currency of the data", REVIEW, found, message(text, **told))


def _deals(history: History) -> Check | None:
    deals = next((read for read in history.files if read.role == "deals"), None)
    if deals is None:
        return None
    lonely = sum(out.n for out in deals.left_out if not out.bad)
    told = {"file": deals.file, "n": lonely, "all": deals.rows + sum(out.n for out in deals.left_out)}
    if not lonely:
        return Check("Deals joined", PASS, message("every deal of {file} has its lead", **told))
    text = "{file}: {n:whole} of {all:whole} deals have no lead, and are left out"
    advice = "Export the leads of the same time as the deals, and of all sources."
    return Check("Deals joined", REVIEW, message(text, **told), advice)
