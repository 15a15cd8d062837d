"""What `forecast init --from` found: what each file was taken for and why, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forecast.report.document import Listing, Page, Part, Row
from forecast.words import message

MOST_LOOKED_AT = 12


def opening_page(made: Mapping[str, Any]) -> Page:
    """A study that was proposed: `made` as `proposing.Proposed.told` gives it."""
    parts = [Part(message("made {study}", study=made["study"]))]
    for file in made["files"]:
        rows = [Row([head, said]) for head, said in file["facts"].items()]
        parts.append(
            Part(
                message("{file}: {role}", **file), listings=[Listing(["", ""], rows, "ll", "a1", folds=True)]
            )
        )
    parts += [Part(message("{file}: not used", **file), text=file["why"]) for file in made["unused"]]
    if made["found"]:
        rows = [Row([head, said]) for head, said in made["found"].items()]
        parts.append(Part("Read with this study", listings=[Listing(["", ""], rows, "ll", "a1")]))
    if made["open"]:
        open_ = [message("{key}: {text}", key=each["key"], text=each["text"]) for each in made["open"]]
        parts.append(Part(message("Left open in {study}, as comments", study=made["study"]), points=open_))
    if made["problems"]:
        parts.append(Part("To be mended first", points=made["problems"]))
    if made["look"]:
        shown = made["look"][:MOST_LOOKED_AT]
        left = len(made["look"]) - len(shown)
        more = [message("... and {n:whole} more: forecast check", n=left)] if left else []
        parts.append(Part("To look at", points=[*shown, *more]))
    return Page(parts=parts)
