"""Progress as lines and as bars."""

from __future__ import annotations

import io

from forecast import progress as told


def test_progress_lines_come_no_more_often_than_asked(monkeypatch):
    """Without a terminal a step is a line, and its progress a line every ten seconds at most."""
    now = [0.0]
    monkeypatch.setattr(told.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = told.Lines(stream)
    lines.step("sampling")
    for second in range(25):
        now[0] = float(second)
        lines.update(second, 25, "no divergences")
    assert stream.getvalue().splitlines() == [
        "sampling",
        "  10 of 25, no divergences",
        "  20 of 25, no divergences",
    ]


def test_progress_bar_keeps_finished_steps():
    """On a terminal each finished step stays as a line; text of users is never read as markup."""
    from rich.console import Console

    stream = io.StringIO()
    with told.bars(Console(file=stream, force_terminal=True, width=80)) as bar:
        bar.step("reading [bold]x[/bold]")
        bar.step("sampling")
        bar.update(10, 20, "1 divergence")
    assert "reading [bold]x[/bold]" in stream.getvalue()
    assert stream.getvalue().count("✓") >= 2
