"""Named checks and the verdict that they add up to: nouns that every floor hands up, and words that pages show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from forecast.words import Text, clean, filed, text

MOST_SHOWN = 580  # signs of a verdict at a prompt
PASS, REVIEW, FAIL = "PASS", "REVIEW", "FAIL"


@dataclass(frozen=True)
class Check:
    """One named question, what was found, what was expected, and what to do; status PASS, REVIEW, FAIL or UNKNOWN.

    plain: what was found in the words of who decides, where it did not pass; for a front page.
    """

    name: Text
    status: str
    value: Text
    advice: Text = ""
    threshold: Text = ""
    plain: Text = ""

    @property
    def expected(self) -> Text:
        """The threshold, where it says more than that the check passes."""
        return "" if self.threshold == PASS else self.threshold

    def told(self) -> dict[str, str]:
        """The check as plain text, for files."""
        names = ("name", "value", "threshold", "status", "advice")
        return {name: filed(getattr(self, name)) for name in names}


@dataclass(frozen=True, repr=False)
class Verdict:
    """What checks add up to, PASS, REVIEW or FAIL, in a sentence and one by one."""

    status: str = PASS
    sentence: Text = ""
    checks: Sequence[Check] = ()

    @property
    def failing(self) -> list[Check]:
        """The checks that did not pass, FAIL before REVIEW."""
        return sorted((c for c in self.checks if c.status in (FAIL, REVIEW)), key=lambda c: c.status != FAIL)

    def __repr__(self) -> str:
        return f"{self.status}: {filed(self.sentence)}"[:MOST_SHOWN]

    def _repr_html_(self) -> str:
        found = [f"{c.status} {text(c.name)}: {text(c.value)}. {text(c.advice)}" for c in self.failing]
        points = "".join(f"<li>{escape(clean(said))}</li>" for said in found)
        return f"<p><b>{self.status}</b>: {escape(clean(text(self.sentence)))}</p><ul>{points}</ul>"

    def told(self) -> dict[str, Any]:
        """The verdict as plain text, for files."""
        checks = [check.told() for check in self.checks]
        return {"status": self.status, "sentence": filed(self.sentence), "checks": checks}


def worst(statuses: Iterable[str]) -> str:
    """What checks add up to: FAIL where one failed, REVIEW where one is to be looked at, else PASS."""
    found = set(statuses)
    return next((status for status in (FAIL, REVIEW) if status in found), PASS)
