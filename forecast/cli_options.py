"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[
    Path, typer.Argument(metavar="STUDY", help="The study (a TOML file).", show_default=False)
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write here instead of reports/NAME/.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Seed of all random numbers.")]
Draws = Annotated[int | None, typer.Option("--draws", min=1, metavar="N", help="Number of draws.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the study: plan.periods=6. Repeatable."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
GoOn = Annotated[
    bool,
    typer.Option("--go-on", help="Exit with 0 on a FAIL too, and keep the numbers of a fit that failed."),
]
Preview = Annotated[
    bool, typer.Option("--preview", help="A closed-form approximation in place of the fit, for a first look.")
]
