"""Text on paper: what reads as one sign is one shape or one box, in figures too."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from forecast.report import pdf
from forecast.report.figures import figure_svg, house
from forecast.report.paper import BOX, boxed, clusters, in_figure, on_paper
from tests.tables_fixture import CLUSTERS, STEERING

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("said", "pieces"),
    [
        ("abc", ["a", "b", "c"]),
        (f"a{FAMILY}b", ["a", FAMILY, "b"]),
        ("\U0001f44d\U0001f3fd!", ["\U0001f44d\U0001f3fd", "!"]),
        ("\U0001f1eb\U0001f1ee\U0001f1f8\U0001f1ea", ["\U0001f1eb\U0001f1ee", "\U0001f1f8\U0001f1ea"]),
        ("\u0915\u094d\u0937\u093f\u0915", ["\u0915\u094d\u0937\u093f", "\u0915"]),
        ("e\u0301\u0302", ["e\u0301\u0302"]),
        ("\u1112\u1161\u11ab", ["\u1112\u1161\u11ab"]),
    ],
)
def test_what_reads_as_one_sign_is_one_piece(said, pieces):
    """Families, tones, flags, syllables and letters with several marks; and no sign is lost."""
    assert clusters(said) == pieces


def test_a_cluster_without_a_shape_is_one_box():
    """One box for a family of three, one for a syllable; what has a shape stays, and selectors leave no trace."""
    shapes = set(map(ord, "ab \n")) | {ord("\u2764")}
    assert boxed({"x": [f"a {FAMILY} b", 1]}, shapes) == {"x": [f"a {BOX} b", 1]}
    assert boxed("\u0915\u094d\u0937\u093f\u0915", shapes) == 2 * BOX
    assert on_paper("\u2764\ufe0f \u200fa\u0308") == "\u2764 \u00e4"


def test_in_a_figure_every_sign_stands_alone():
    """Composed where it can be, pointed letters without their points, else a box; plain text is as it was."""
    assert in_figure("<svg>caf\u00e9 e\u0301</svg>") == "<svg>caf\u00e9 \u00e9</svg>"
    assert in_figure("\u05e9\u05c1\u05b8\u05dc") == "\u05e9\u05dc"
    assert in_figure(f"q\u0301 {FAMILY}") == f"{BOX} {BOX}"


@house
def drawn(names) -> Figure:
    """A figure whose ticks are names."""
    figure = Figure(figsize=(6, 8))
    figure.subplots().set_yticks(range(len(names)), names)
    return figure


def test_signs_that_are_no_xml_are_written_out_in_a_figure():
    """An SVG can be parsed whatever a name holds."""
    svg = figure_svg(drawn(STEERING))
    ET.fromstring(svg)  # noqa: S314 - our own file
    assert "\\u001b]0;PWNED\\u0007" in svg


def test_any_cluster_makes_a_document(monkeypatch):
    """Emoji sequences, scripts from right to left and syllables of India in text and figures are a PDF/A."""
    part = dict.fromkeys(("title", "lead", "text", "note"), "")
    part |= {"verdict": None, "tiles": [], "tables": [], "points": [pdf._said(name) for name in CLUSTERS]}
    part |= {"beside": 0.0, "signing": [], "contents": False}
    part["figure"] = {"svg": in_figure(figure_svg(drawn(CLUSTERS))), "alt": "names"}
    told = {
        "language": "en", "title": "t", "status": "PASS", "colours": ["#0072B2", "#D55E00", "#222222"],
        "words": dict.fromkeys(("as_of", "kicker", "footer", "fail_mark", "fail_line"), "x") | {"page": "{} {}"},
        "pages": [{"title": "P", "parts": [part], "alone": False}],
    }  # fmt: skip
    monkeypatch.setattr(pdf, "spoken_document", lambda made: made)
    assert pdf.report_pdf(told, timestamp=0).startswith(b"%PDF")  # type: ignore[arg-type]
