"""Every error that is meant for a person, with the exit code that the command line gives it.

    ForecastError                1  something unexpected
     +-- UsageError              2  a wrong option, an output folder that cannot be written
     +-- StudyError              2  the study file; all its problems at once
     +-- DataError               3  the input data; all their problems at once
     +-- FitError                4  there is nothing to fit, or no chain could start
     +-- GateError               5  a gate that was asked for failed
     +-- Interrupted           130  stopped by the user

`str(error)` is the whole message: what was expected, what came, where, and what to do. It may be given as a
`words.Message`, which becomes text when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecast.words import Text

MAX_PROBLEMS_SHOWN = 20


class ForecastError(Exception):
    """An error with a message for a person and an exit code for the shell."""

    exit_code: int = 1

    def __init__(self, said: Text = "") -> None:
        self.said = said
        super().__init__(said)

    def __str__(self) -> str:
        from forecast.words import text

        return text(self.said)


class UsageError(ForecastError):
    """A command was called in a way that cannot work: an option, a folder, a file that is not there.

    argument: the one at fault, with which the message begins; on the command line it is an option.
    """

    exit_code = 2

    def __init__(self, said: Text = "", *, argument: str = "") -> None:
        from forecast.words import together

        self.argument = argument
        super().__init__(together(argument, said, between="") if argument else said)


class _ProblemsError(ForecastError):
    """An error that lists several problems, so that all of them can be mended in one go.

    `problems` holds all of them; `str(error)` shows one a line, at most `MAX_PROBLEMS_SHOWN`.
    """

    problems: list[Text]

    def __init__(self, problems: Sequence[Text] | Text) -> None:
        from forecast.words import Message, message, together

        self.problems = [problems] if isinstance(problems, str | Message) else list(problems)
        if not self.problems:
            raise ValueError(f"{type(self).__name__} needs at least one problem to report.")
        shown = self.problems[:MAX_PROBLEMS_SHOWN]
        left = len(self.problems) - len(shown)
        more = [message("... and {left} more", left=left)] if left else []
        super().__init__(together(*shown, *more, between="\n"))


class StudyError(_ProblemsError):
    """The study file is wrong; each problem reads `file:line: key: expected, came, did you mean`."""

    exit_code = 2


class DataError(_ProblemsError):
    """The input data are wrong; each problem names file, row, column, the rule and the remedy."""

    exit_code = 3


class FitError(ForecastError):
    """A fit could not be made at all; one that fails its diagnostics is made, and its verdict is FAIL."""

    exit_code = 4


class GateError(ForecastError):
    """A gate that was asked for failed."""

    exit_code = 5


class Interrupted(ForecastError):  # noqa: N818 - it is what happened, not an error of anyone
    """The user stopped the run; nothing was written."""

    exit_code = 130
