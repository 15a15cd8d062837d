"""Sales in total beside spend by channel in columns: recognised, read as the study says, and said to be weaker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from crm_fixture import study_of

from forecast.errors import DataError, StudyError
from forecast.history import BASE, History, audit_history, check_moves, read_history, what_was_read
from forecast.study import Study

ONE = {"stages": ("won",)}
WIDE = "period,orders,revenue,spend_search,TV cost\n" + "".join(
    f"2026-{m:02d},{40 + m},{4000 + 100 * m},{100 * (1 + m % 3)},{50 * (1 + m % 2)}\n" for m in range(1, 9)
)
MEDIA = {"search": "spend_search", "tv": "TV cost"}


def asked(
    folder: Path, text: str = WIDE, funnel: dict[str, object] | None = None, **history: object
) -> Study:
    """The study of such a file."""
    (folder / "c.csv").write_text(text, encoding="utf-8")
    given = {"spend_columns": MEDIA, "columns": {"won": "orders"}} | history
    return study_of(folder, counts="c.csv", funnel=funnel or ONE, **given)


def read(folder: Path, text: str = WIDE, **given: object) -> History:
    """Its history."""
    return read_history(asked(folder, text, **given))


def test_a_file_with_spend_in_columns_is_recognised(tmp_path: Path) -> None:
    """Without the key it is refused with both ways out, the key written out."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, spend_columns={})
    told = str(caught.value)
    assert 'history.spend_columns = { search = "spend_search", tv = "TV cost" }' in told
    assert "give a row for each period and channel" in told


def test_sales_stand_in_the_base_and_spend_with_its_channel(tmp_path: Path) -> None:
    """What is not known of a channel is blank; sums are those of the file."""
    history = read(tmp_path)
    base = history.channels.index(BASE)
    assert sorted(history.channels) == sorted([*MEDIA, BASE])
    assert not history.attributed
    assert history.counts["won"].values[:, base].tolist() == [41, 42, 43, 44, 45, 46, 47, 48]
    assert np.isnan(history.counts["won"].values[:, history.media]).all()
    assert np.isnan(history.counts["spend"].values[:, base]).all()
    assert history.came("revenue").sum() == 8 * 4000 + 100 * 36
    assert history.spenders == [name for name in history.channels if name != BASE]
    assert not history.stopped.any()
    assert history.files[0].rows == 8
    assert history.whole.channels == [BASE]
    assert history.whole.spend[:, 0].tolist() == history.spend.sum(axis=1).tolist()


def test_the_past_of_it_is_of_its_kind(tmp_path: Path) -> None:
    """A history as of some time, and its content, know that sales are in total."""
    history = read(tmp_path)
    past = history.as_of("2026-05")
    assert not past.attributed
    assert past.whole.counts["won"].sum() == 41 + 42 + 43 + 44 + 45
    assert past.fingerprint() == read(tmp_path, "\n".join(WIDE.splitlines()[:6])).fingerprint()


def test_the_audit_says_what_it_is_worth(tmp_path: Path) -> None:
    """A REVIEW, first of all; the other checks are of the sums, and no cell is called blank."""
    study = asked(tmp_path)
    history = read_history(study)
    first, *rest = audit_history(history, study)
    assert (first.name, first.status) == ("Attribution", "REVIEW")
    assert "counted in total alone" in str(first.value)
    told = {str(check.name): str(check.value) for check in rest}
    assert told["Blank cells"] == "every cell is filled"
    assert told["Spend without traffic"] == "wherever money was spent there are won"
    assert (what_was_read(history, study).totals(history.files[0])["blank"] == 0).all()


def test_blank_cells_stay_blank_or_become_zero_where_they_belong(tmp_path: Path) -> None:
    """An empty cell of spend is the channel's, one of sales the base's; zeros go nowhere else."""
    text = WIDE.replace("2026-03,43,4300,100,100", "2026-03,43,4300,,100").replace("2026-04,44,", "2026-04,,")
    unknown, zero = (read(tmp_path, text, blank=blank) for blank in ("unknown", "zero"))
    for history, value in ((unknown, np.nan), (zero, 0.0)):
        search, base = (history.channels.index(name) for name in ("search", BASE))
        assert history.counts["spend"].values[2, search] == pytest.approx(value, nan_ok=True)
        assert history.counts["won"].values[3, base] == pytest.approx(value, nan_ok=True)
        assert np.isnan(history.counts["won"].values[:, history.media]).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"spend_columns": {"search": "spend_serch"}},
            'no column "spend_serch".*did you mean "spend_search"',
        ),
        (
            {"text": WIDE.replace("revenue", "deals"), "funnel": {"stages": ("deals", "won")}},
            "only sales can be forecast so",
        ),
        (
            {"text": WIDE.replace("orders", "channel").replace("2026-01,41", "2026-01,x")},
            "has a column of channels",
        ),
        (
            {"text": WIDE.replace(",200,100", ",2oo,100")},
            r"column spend_search, TV cost: 2 rows, first: row 2 \(\"2oo\"\)",
        ),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, given: dict[str, object], said: str) -> None:
    """By the titles of the file."""
    with pytest.raises(DataError, match=said):
        read(tmp_path, **given)


def test_what_needs_counts_by_channel_is_refused(tmp_path: Path) -> None:
    """Segments and lift tests; a channel by the name of the base."""
    with pytest.raises(ValueError, match="call the channel otherwise"):
        asked(tmp_path, spend_columns={BASE: "spend_search"})
    test = {"channel": "search", "from": "2026-02", "without": 100.0, "with": 200.0, "lift": 5.0, "se": 2.0}
    study = Study.model_validate({**asked(tmp_path).model_dump(by_alias=True), "lift_test": (test,)})
    with pytest.raises(StudyError, match="sales are in total alone"):
        read_history(study)


def test_what_moves_sales_of_the_past_is_refused(tmp_path: Path) -> None:
    """The fit of a total has no place for it; what lies ahead may be stated, and a price of all that is sold."""
    study = asked(tmp_path)
    history = read_history(study)
    ahead = np.array(["2026-09-01", "2026-10-01"], dtype="datetime64[D]")

    def check(**table: object) -> None:
        given = {**study.model_dump(by_alias=True), "change": ({"name": "new shop", **table},)}
        check_moves(Study.model_validate(given), history, ahead)

    with pytest.raises(StudyError, match="new shop falls into the history, whose sales are in total alone"):
        check(**{"from": "2026-05", "traffic": {"times": 1.3}})
    check(**{"from": "2026-10", "traffic": {"times": 1.3}})
    check(**{"from": "2026-05", "price": {"times": 1.3}})
    with pytest.raises(StudyError, match="sales are in total alone"):
        check(**{"from": "2026-05", "channels": ("search",), "price": {"times": 1.3}})
