"""Numbers as people type them: an amount with any marks, a rate as percent or as a share.

What can be read in one way only is read; what can be read in two ("120.000": 120, or 120 thousand) is refused with
both of them written so that no doubt is left. A study is TOML, where a number takes a point and no other mark:
`mended` says how a value that is none would be written.
"""

from __future__ import annotations

import re

SPACES = " \u00a0\u202f\u2009\u2007"
QUOTES = "'\u2019"
_SPACED = re.compile(rf"\d{{1,3}}([{SPACES}]\d{{3}}|[{QUOTES}]\d{{3}})+([.,]\d+)?")
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+\.\d+|\d{1,3}(\.\d{3})+,\d+|\d{1,3}((,\d{3}){2,}|(\.\d{3}){2,})")
_PLAIN = re.compile(r"\d+([.,]\d*)?|[.,]\d+|\d+(_\d+)+([.,]\d+)?|\d+(\.\d+)?[eE][+-]?\d{1,2}")
_TWO_WAYS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
RATE_FORMS = "write it as 3% or as 0.03"


def number_of(text: str) -> float | None:
    """The number that a text can only mean; None where it is none, or could be one of two.

    >>> number_of("120 000"), number_of("1.200,50"), number_of("0,6"), number_of("120.000")
    (120000.0, 1200.5, 0.6, None)
    """
    written = text.strip()
    sign = -1.0 if written[:1] in ("-", "\N{MINUS SIGN}") else 1.0
    digits = written.lstrip("+-\N{MINUS SIGN}")
    if _TWO_WAYS.fullmatch(digits):
        return None
    if _SPACED.fullmatch(digits):
        return sign * float(re.sub(rf"[{SPACES}{QUOTES}]", "", digits).replace(",", "."))
    if _GROUPED.fullmatch(digits):
        last = max(digits.rfind("."), digits.rfind(","))
        whole = len({mark for mark in digits if mark in ".,"}) == 1
        head, tail = (digits, "") if whole else (digits[:last], digits[last + 1 :])
        return sign * float(f"{re.sub('[.,]', '', head)}.{tail or 0}")
    if _PLAIN.fullmatch(digits):
        return sign * float(digits.replace(",", ".").replace("_", ""))
    return None


def two_ways(text: str) -> tuple[str, str] | None:
    """Both ways to write what a text may mean, thousands first: "120.000" is 120000 or 120.0; else None."""
    written = text.strip()
    if not _TWO_WAYS.fullmatch(written.lstrip("+-")):
        return None
    whole, _, rest = written.replace(",", ".").partition(".")
    return whole + rest, f"{whole}.{rest.rstrip('0') or '0'}" if rest.endswith("0") else f"{whole}.{rest}0"


def parse_number(text: str, *, option: str = "", thousands: bool = True) -> float:
    """A number as people type it: 120000, 120 000, 1.200,50 or 1,200.50; `option` is named in what to write instead.

    thousands: whether thousands may be meant; a return of 1.125 is no amount, and has no second reading.
    Raises ValueError with a plain message.

    >>> parse_number("120 000"), parse_number("1.200,50"), parse_number("99,5")
    (120000.0, 1200.5, 99.5)
    """
    shown = f"{option} " if option else ""
    both = two_ways(text)
    if both is not None and thousands:
        raise ValueError(f"{text} can be read in two ways: write {shown}{both[0]} or {shown}{both[1]}.")
    number = float(text.strip().replace(",", ".")) if both is not None else number_of(text)
    if number is None:
        like = "120000 or 120000.50" if thousands else "1.5"
        raise ValueError(f"{text} is not a number: write digits alone, such as {shown}{like}.")
    return number


def parse_share(text: str) -> float:
    """A share in [0, 1] from what people type: 3%, 3 %, 2,5% or 0.03.

    A bare number of 1 or more is refused, as nobody can know whether 3 meant 3 %.
    Raises ValueError with a plain message.

    >>> parse_share("3%"), parse_share("0.03"), parse_share("2,5 %")
    (0.03, 0.03, 0.025)
    """
    written = text.strip()
    number = written.removesuffix("%").strip()
    try:
        share = float(number.replace(",", ".", 1))
    except ValueError:
        raise ValueError(f'"{text}" is not a rate: {RATE_FORMS}') from None
    if written.endswith("%"):
        share /= 100
    elif share >= 1:
        raise ValueError(f"{written} is no share of 1: did you mean {number}%?")
    if not 0 <= share <= 1:
        raise ValueError(f"{written} is not between 0% and 100%")
    return share


def mended(text: str) -> str:
    """How a number that TOML cannot read is written there; empty where the text is no number.

    >>> mended("0,6"), mended("60 %"), mended("120 000"), mended("120,000"), mended("demo")
    ('0.6', '0.6', '120000', '120000 or 120.0', '')
    """
    written = text.strip().strip("\"'")
    if written.endswith("%"):
        number = number_of(written[:-1])
        return "" if number is None else _digits(round(number / 100, 12))
    both = two_ways(written)
    if both is not None:
        return " or ".join(both)
    number = number_of(written)
    return "" if number is None else _digits(number)


def _digits(number: float) -> str:
    """A number in signs that TOML reads."""
    return str(number).removesuffix(".0")
