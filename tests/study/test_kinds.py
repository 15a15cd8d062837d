"""Kinds of channels by their names."""

from __future__ import annotations

import pytest

from forecast.study.kinds import kind_named


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Google Ads", "ppc"),
        ("paid_search", "ppc"),
        ("Mainonta", "ppc"),
        ("Hakusanamainonta", "ppc"),
        ("Facebook Ads", "social"),
        ("Paid Social", "social"),
        ("Some", "social"),
        ("LinkedIn", "social"),
        ("Organic Search", "seo"),
        ("Hakukone", "seo"),
        ("Hakukoneoptimointi", "seo"),
        ("Uutiskirje", "email"),
        ("Sähköpostimarkkinointi", "email"),
        ("EMAIL_MARKETING", "email"),
        ("Buukkaus", "outbound"),
        ("Cold calling", "outbound"),
        ("Tapahtumat ja webinaarit", "events"),
        ("Sisältömarkkinointi", "content"),
        ("Blog", "content"),
        ("Kumppanit", None),
        ("Direct traffic", None),
        ("Someone else", None),
        ("google / cpc", "ppc"),
        ("google / organic", "seo"),
        ("Adam", None),
        ("Somemainonta", "social"),
        ("Hakukonemainonta", "ppc"),
        ("E-mail", "email"),
    ],
)
def test_kinds_by_the_names_of_channels(name: str, kind: str | None):
    """As people call them, in English and Finnish; a name that tells nothing stays open."""
    assert kind_named(name) == kind
