"""How far the forecast of the next quarter moved while a quarter came, beside how far it was said to be likely to move.

Made companies (`forecast.lab.demo_world`) at five ends of a quarter each: forecast the quarter after the next, say how
far that forecast is likely to move (`forecast.backtest.revision`), let the next quarter come, forecast again. Previews;
spend is told to both forecasts alike, so that a change is what came and was learnt, and no other plan. Told, for wins
and revenue: how many changes lay in their 80 % band, root mean square of the change over its stated sd, and the mean of
the stated share of the variance that a quarter settles.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from command import parser_of

import forecast
from forecast.backtest import look_ahead, revision
from forecast.fit import preview
from forecast.history import History, read_history
from forecast.lab import demo_world, generate, write
from forecast.study import Study, load_study

STUDY = Path(forecast.__file__).parent / "bundled" / "demo.toml"
ENDS = (18, 21, 24, 27, 30)  # months known
QUARTER = 3
MEASURES = ("won", "revenue")


def made_company(seed: int, folder: Path) -> tuple[Study, History]:
    """The study of a company, and its history."""
    write(generate(demo_world(), np.random.default_rng(seed)), folder, seed=seed)
    shutil.copy(STUDY, folder / "demo.toml")
    study = load_study(folder / "demo.toml")
    return study, read_history(study)


def changes(seed: int) -> Iterator[tuple[str, bool, float, float]]:
    """Of each end and measure: whether the change lay in its band, over its sd, and the stated share."""
    with tempfile.TemporaryDirectory() as place:
        study, whole = made_company(seed, Path(place))
        for known in ENDS:
            past, now = (whole.as_of(whole.periods[n - 1]) for n in (known, known + QUARTER))
            if past.channels != now.channels:
                continue
            at = [whole.channels.index(name) for name in past.channels]
            spend = whole.spend[known : known + 2 * QUARTER][:, at]
            then, later = (
                look_ahead(study, each, preview(study, each, seed=1, draws=1000), plan, len(plan), seed=1)
                for each, plan in ((past, spend), (now, spend[QUARTER:]))
            )
            for measure in MEASURES:
                said = revision(then, QUARTER, slice(QUARTER, 2 * QUARTER), measure)
                change = float(later.total(measure, slice(0, QUARTER)).mean()) - said["mean"]
                yield measure, said["q10"] <= change <= said["q90"], change / said["sd"], said["share"]


def main(argv: Sequence[str] | None = None) -> None:
    """Print a row for each measure."""
    parser = parser_of(__doc__)
    parser.add_argument("--companies", type=int, default=6)
    options = parser.parse_args(argv)
    rows = [row for seed in range(1, options.companies + 1) for row in changes(seed)]
    for measure in MEASURES:
        inside, apart, share = np.array([row[1:] for row in rows if row[0] == measure], dtype=float).T
        print(
            f"{measure:>8}  {int(inside.sum())} of {len(inside)} in their 80 % band, "
            f"change over sd {np.sqrt((apart**2).mean()):.2f}, settled {share.mean():.0%}"
        )


if __name__ == "__main__":
    main()
