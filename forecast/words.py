r"""How numbers, names and messages become text: the only place where they do, and the last moment at which they do.

A `Message` is an English template with its values; a check, a verdict, a limit or an error carries it, and `text`
renders it where it is shown. A template is also its own key in the catalogue of another language (`speech`): a further
language adds a catalogue and touches no call. So a template is a whole sentence or a whole label, never a piece of one;
where a number decides about singular and plural it is `plural(one, many, n=...)`. What a field holds is data, which no
language changes: a word of ours in it is a message itself. A field of a template is written as its spec says:

    {x}            a text as it is; a number as `number` has it; a message, rendered; a list, with commas
    {x:percent}    by a writer below: number, count, whole, exact, given, percent, exact_percent, chance, brief, signed,
                   plus, change, sentence, clean, word (of ours, in the language spoken), stage, stages, listed, list,
                   parts; of a pair (low, high): band, count_band,
                   percent_band, whole_band, between, and tight, tight_count, tight_percent for narrow columns;
                   period and through (its last day) of the label of a period
    {x:number.2}   the same to so many digits (of a list: at most so many, then "and 3 more")
    {x:,.0f}       as Python's own spec has it, with the marks of the language
    {cur}          a currency: its code, or its symbol where that language puts it behind the number; so {currency}
    ~              a space at which no line breaks: "{x:number}~{currency}", "80~% band"

Numbers come in raw (currency units, rates in [0, 1]); percent, thin spaces and rounding exist only from here on. A
band is rounded to three significant digits of the largest number in it; a missing value is written as a dash.

What people typed (names, cells, paths, notes) may hold signs that steer whatever shows them: control characters, and
those that turn the direction of writing. Every hand shows them as study files and JSON write them, \u001b, by one
rule: `clean` for a text within a line (a field of a message, a cell), `visible` for a text with lines of its own.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeGuard

from forecast.speech import ENGLISH, HOUSE, MEASURE, MINUS, NBSP, THIN, Voice, voice

DASH = "\N{EN DASH}"
SOFT = "\N{SOFT HYPHEN}"
MISSING = DASH
# Signs that act instead of being seen, or that no file of text may hold: control characters (C0, DEL, C1), those that
# turn the direction of writing and hold on to it, surrogates, and what Unicode says is no character.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]")
_STAGES = {
    "contribution": "eventual contribution",  # dated by acquisition, whenever it lands
    "revenue_gross": "revenue before refunds",
    "recurring": "recurring revenue",
}
# Names of stages and measures that are ours, as they are read: what a study calls its own stages stays.
MEASURES = (
    "visitors", "leads", "qualified", "won", "spend", "revenue", "refunds", "recurring", "contribution",
    *_STAGES.values(),
)  # fmt: skip
_CURRENCIES = ("cur", "currency")  # fields
_TYPED = str.maketrans({NBSP: " ", THIN: " ", MINUS: "-", DASH: "-", SOFT: None})
_OURS = ("word", "sentence", "stage", "stages")  # writers of words that are ours
_PYTHON_SPEC = re.compile(r"[<>^]?\+?\d*,?(\.\d+)?[dfgeG%]?")

_VOICE: ContextVar[Voice] = ContextVar("voice", default=HOUSE)


@contextmanager
def speaking(language: str = ENGLISH, locale: str = "") -> Iterator[None]:
    """Render everything inside in a language, with the marks of a locale: pages, sheets and terminal alike.

    Raises ValueError where there is no catalogue of the language, or no such locale.
    """
    with heard(voice(language, locale)):
        yield


@contextmanager
def heard(spoken: Voice) -> Iterator[None]:
    """Render everything inside in a voice."""
    token = _VOICE.set(spoken)
    try:
        yield
    finally:
        _VOICE.reset(token)


def spoken() -> str:
    """The language that is spoken now."""
    return _VOICE.get().language


def current_voice() -> Voice:
    """The voice that speaks now: kept by what is written later."""
    return _VOICE.get()


def _word(english: str) -> str:
    """A template or a word in the language that is spoken."""
    return _VOICE.get().catalogue.gettext(english) if english else ""


# ---------------------------------------------------------------------------------------------------------- messages


@dataclass(frozen=True)
class Message:
    """Something to say: an English template, and the values of its fields, as they are (see the module).

    many: the template for another number than one of `n`, where there are two.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    many: str = ""

    def __str__(self) -> str:
        return text(self)

    def __bool__(self) -> bool:
        return bool(self.template)


Text = str | Message


def message(template: str, /, **values: Any) -> Message:
    r"""A message from its template and values.

    >>> str(message("{name}: {share:percent} of {n:whole}", name="ppc", share=0.25, n=1200))
    'ppc: 25\xa0% of 1\u202f200'
    """
    return Message(template, values)


def plural(one: str, many: str, /, *, n: Any, **values: Any) -> Message:
    """A message by its number: `one` where `n` is 1, else `many`; each a whole template. Further forms: the catalogue.

    >>> [str(plural("{n:whole} row", "{n:whole} rows", n=n)) for n in (1, 2)]
    ['1 row', '2 rows']
    """
    return Message(one, {"n": n, **values}, many)


class Name(str):
    """A text that someone typed, or that a machine reads: the same in every language."""

    __slots__ = ()


class Period(Name):
    """The label of a period, as readers of the language write it."""

    __slots__ = ()


def together(*parts: Text, between: str = " ") -> Message:
    """Messages one after the other; empty ones are left out.

    >>> str(together("One.", "", message("{n:whole} more.", n=2)))
    'One. 2 more.'
    """
    said = [part for part in parts if part]
    return Message(
        between.join(f"{{{i}:word}}" for i in range(len(said))), {str(i): p for i, p in enumerate(said)}
    )


def kept(said: Any) -> Any:
    """A text as data, from which `recalled` has it again in any language: a message by its template and values."""
    if isinstance(said, Message):
        values = {name: kept(value) for name, value in said.values.items()}
        return {"template": said.template, "many": said.many, "values": values}
    return [kept(item) for item in said] if isinstance(said, list | tuple) else said


def recalled(said: Any) -> Any:
    r"""A text from what was `kept` of it.

    >>> str(recalled(kept(message("{n:whole} of {all}", n=3, all=message("{n:whole}", n=1200)))))
    '3 of 1\u202f200'
    """
    if isinstance(said, Mapping):
        values = {name: recalled(value) for name, value in said["values"].items()}
        return Message(said["template"], values, said["many"])
    return [recalled(item) for item in said] if isinstance(said, list) else said


def visible(said: str) -> str:
    r"""Text in which no sign steers a terminal or a page: control characters and turns of direction are written out.

    Line breaks and tabs stay; joiners, selectors and everything that has a shape too.

    >>> print(visible("\x1b[2Jppc\u202e\nseo"))
    \u001b[2Jppc\u202e
    seo
    """
    return _STEERING.sub(lambda found: found[0] if found[0] in "\n\t" else _written_out(found), said)


def _written_out(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def text(said: Any) -> str:
    """A message (or a text, or a number) as it is read in the language that is spoken (`speaking`)."""
    if isinstance(said, Message):
        return _Template().vformat(_template(said), (), said.values)
    if isinstance(said, Name):
        return period(said) if isinstance(said, Period) else str(said)
    return _word(said) if isinstance(said, str) else _plain(said)


def _template(said: Message) -> str:
    """The template in the language that is spoken, by its number where it has two."""
    if not said.many:
        return _word(said.template)
    n = said.values["n"]
    n = int(n) if known(n) and float(n).is_integer() else 2  # 1.5 are several
    return _VOICE.get().catalogue.ngettext(said.template, said.many, n)


def typed(said: Any) -> str:
    """A text in signs that any terminal, log and paste keeps: plain spaces, a hyphen for minus and dash.

    >>> typed(message("{x:whole}~EUR, {y:band}", x=-1200, y=(-5, 12.0)))
    '-1 200 EUR, -5.0 to 12.0'
    """
    return visible(text(said)).translate(_TYPED)


def filed(said: Any) -> str:
    """The same as files have it (JSON, CSV): in English, whatever is spoken."""
    with heard(HOUSE):
        return typed(said)


class _Template(string.Formatter):
    """Python's own templates, whose fields are written by the writers of this module."""

    def parse(self, format_string: str) -> Iterable[tuple[str, str | None, str | None, str | None]]:
        """The pieces of a template, with ~ as the space that does not break."""
        for literal, name, spec, conversion in super().parse(format_string):
            yield literal.replace("~", NBSP), name, spec, conversion

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The value of a field; a currency as its readers write it."""
        value, key = super().get_field(field_name, args, kwargs)
        return (currency(value) if field_name in _CURRENCIES and isinstance(value, str) else value), key

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A field by its name; those of `together` are numbered."""
        return super().get_value(str(key), args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> str:
        """A value as its spec says."""
        if format_spec == "sentence":  # which looks at how a message begins
            return sentence(value)
        if isinstance(value, Message):
            value = Name(text(value))  # said already: no word of ours that may be looked up
        elif isinstance(value, list):
            value = [Name(text(item)) if isinstance(item, Message) else item for item in value]
        name, _, digits = format_spec.partition(".")
        if name in _WRITERS:
            return _WRITERS[name](value, int(digits)) if digits else _WRITERS[name](value)
        if not format_spec:
            return _plain(value)
        if not _PYTHON_SPEC.fullmatch(format_spec):
            raise ValueError(f"a message has no writer {format_spec!r}")
        return formatted(value, format_spec)


def _plain(value: Any) -> str:
    if isinstance(value, Message):
        return text(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value)
    return number(value) if isinstance(value, float) else clean(value)


# ----------------------------------------------------------------------------------------------------------- numbers


def known(value: Any) -> TypeGuard[float]:
    """Whether there is a finite number (None, NaN and infinity are not)."""
    return value is not None and not isinstance(value, str) and math.isfinite(float(value))


def formatted(value: Any, spec: str) -> str:
    r"""A number by Python's own spec, with this house's marks: thin spaces between thousands, a true minus.

    >>> formatted(-1234.5, ",.1f"), formatted(0.25, ".0%"), formatted(-0.0001, "+.1%")
    ('−1\u202f234.5', '25\xa0%', '+0.0\xa0%')
    """
    if not known(value):
        return MISSING
    if spec[-1:] in (
        "f",
        "%",
        "g",
    ):  # no zero with a minus; the mark for that stands behind the one for signs
        spec = f"+z{spec[1:]}" if spec[0] == "+" else f"z{spec}"
    return _marked(format(value, spec))


def _marked(said: str) -> str:
    """A number of Python's own format with the marks of the language."""
    return said.translate(_VOICE.get().marks)


def decimals(said: str) -> str:
    """A number that another hand wrote, with the decimal mark of the language."""
    return said.replace(".", _marked("."))


def spoken_marks() -> bool:
    """Whether numbers have other marks than this house's own."""
    return _VOICE.get().marks != HOUSE.marks


def _step(values: Iterable[float], digits: int) -> float:
    """Rounding step that leaves `digits` significant digits of the largest value, as it reads when rounded."""
    largest = max((abs(v) for v in values), default=0.0)
    if largest <= 1e-9:
        return 1.0
    step = 10.0 ** (math.floor(math.log10(largest)) - digits + 1)
    return (
        10.0 * step if round(largest / step) >= 10**digits else step
    )  # 0.998 to two digits is 1.0, as 1.01 is


def _written(value: float, step: float) -> str:
    """A number rounded to `step`, thousands kept apart by thin spaces."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    said = f"{abs(round(value / step) * step):,.{decimals}f}"
    return _marked(("-" if value < 0 and said.strip("0.") else "") + said)


def number(value: Any, digits: int = 3) -> str:
    """A number to `digits` significant digits: 181 000; 8.42; a dash where there is none."""
    if not known(value):
        return MISSING
    return _written(float(value), _step([float(value)], digits))


def count(value: Any) -> str:
    """An expected number of things: 7.6, 28, 131; more digits would promise too much."""
    return number(value, 2 if known(value) and abs(float(value)) < 100 else 3)


def count_band(low: Any, high: Any) -> str:
    """A band of counts: 25 to 32."""
    return band(low, high, "", 2 if known(high) and abs(float(high)) < 100 else 3)


def whole(value: Any) -> str:
    """A number that is known exactly, to the unit: 12 867."""
    return _written(float(value), 1.0) if known(value) else MISSING


def exact(value: Any) -> str:
    r"""A number as it was given: to the unit from a hundred on, two decimals below, three digits below one.

    >>> exact(15000.0), exact(12.5), exact(3), exact(0.01234)
    ('15\u202f000', '12.5', '3', '0.0123')
    """
    if not known(value):
        return MISSING
    if abs(value) >= 100:
        return whole(value)
    said = format(value, ".2f" if abs(value) >= 1 else ".3g")
    return _marked(said.rstrip("0").rstrip(".") if "." in said and "e" not in said else said)


def given(value: Any) -> str:
    r"""A number that breaks a rule, with every digit it came with: beside the rule, rounding it would hide why.

    >>> given(15000.25), given(0.12345), given(3.0)
    ('15\u202f000.25', '0.12345', '3')
    """
    return formatted(value, ",.12g")


def money(value: Any, currency: str, *, exact: bool = False) -> str:
    """An amount with its currency: 181 000 EUR; `exact` keeps every unit, for amounts that someone decides."""
    if not known(value):
        return MISSING
    return f"{whole(value) if exact else number(value)}{NBSP}{_VOICE.get().symbol(currency)}"


def currency(code: str) -> str:
    """A currency as it stands behind a number: EUR, or its symbol where the language has one there."""
    return _VOICE.get().symbol(clean(code))


def band(low: Any, high: Any, unit: str = "", digits: int = 3) -> str:
    """A band, both ends rounded alike: 166 000 to 197 000 EUR."""
    if not (known(low) and known(high)):
        return MISSING
    step = _step([float(low), float(high)], digits)
    said = _range(_written(float(low), step), _written(float(high), step))
    if unit == "%":
        return said + _marked("%")
    return f"{said}{NBSP}{currency(unit)}" if unit else said


def _range(low: str, high: str) -> str:
    """Both ends of a range: 2 to 3; a dash that stands beside a minus has room."""
    between = _between()
    return f"{low}{NBSP}{DASH} {high}" if between == DASH and MINUS in low + high else low + between + high


def _between() -> str:
    """What stands between the ends of a range."""
    said = _word(" to ")
    return f" {said} " if said.isalpha() else said


def whole_band(low: Any, high: Any) -> str:
    """A band of amounts to the unit: 12 867 to 14 200."""
    return _range(whole(low), whole(high)) if known(low) and known(high) else MISSING


def tight(spread: str) -> str:
    """A band for narrow columns: 166 000–197 000; a minus sign keeps the word, a dash beside it would mislead."""
    return spread if MINUS in spread else spread.replace(_between(), DASH)


def percent(share: Any, digits: int = 2) -> str:
    """A rate or share as percent: 3.1 %."""
    if not known(share):
        return MISSING
    return f"{number(100 * float(share), max(digits, 3) if abs(float(share)) >= 0.9995 else digits)}{_marked('%')}"


def exact_percent(share: Any) -> str:
    r"""A rate as it was given, one decimal where it needs one: 3 %, 2.4 %.

    >>> exact_percent(0.03), exact_percent(0.024)
    ('3\xa0%', '2.4\xa0%')
    """
    return _marked(f"{100 * share:.1f}".removesuffix(".0") + "%") if known(share) else MISSING


def change(share: Any) -> str:
    """A relative change with its sign: +42 %, −18 %."""
    return f"+{percent(share)}" if known(share) and float(share) > 0 else percent(share)


def percent_band(low: Any, high: Any, digits: int = 2) -> str:
    """A band of rates: 2.6 to 3.7 %."""
    if not (known(low) and known(high)):
        return MISSING
    return band(100 * float(low), 100 * float(high), "%", digits)


def chance(p: Any, *, brief: bool = False) -> str:
    """A probability for people, never a false certainty: 41 %, below 1 %, above 99 %; `brief` is for tables."""
    if not known(p):
        return MISSING
    if 0.01 <= float(p) <= 0.99:
        return _marked(f"{round(100 * float(p))}%")
    below, above = ("<", ">") if brief else (_word("below"), _word("above"))
    return f"{below}{NBSP}{_marked('1%')}" if float(p) < 0.01 else f"{above}{NBSP}{_marked('99%')}"


def signed(value: Any) -> str:
    """A change with its sign: +1 200, −800, 0."""
    said = whole(value)
    return f"+{said}" if known(value) and value >= 0.5 else said


def plus(value: Any) -> str:
    r"""A difference of forecasts with its sign, rounded as any number, to the unit at most: +26 300, −800, 0.

    >>> plus(26281.4), plus(-19464.2), plus(0.4)
    ('+26\u202f300', '−19\u202f500', '0')
    """
    if not known(value) or abs(float(value)) < 100:
        return signed(value)
    return f"+{number(value)}" if value > 0 else number(value)


# ------------------------------------------------------------------------------------------------------------- names


def sentence(said: Any) -> str:
    """A note as a sentence: `capital` first, full stop last; nothing where there is none."""
    cleaned = capital(said)
    return cleaned and cleaned + ("" if cleaned[-1] in ".!?:" else ".")


def capital(said: Any) -> str:
    """A text with a capital first, but for one that begins with a name: that is written as it is typed.

    >>> capital("rates"), capital(message("{n:whole} of {channel}", n=2, channel="ppc"))
    ('Rates', '2 of ppc')
    >>> capital(message("{channel}: no spend", channel="ppc")), capital(message("{what:word}: none", what="spend"))
    ('ppc: no spend', 'Spend: none')
    """
    cleaned = word(said).strip()
    return cleaned if _named_first(said) else cleaned[:1].upper() + cleaned[1:]


def _named_first(said: Any, writer: str = "word") -> bool:
    """Whether a text begins with a name. `writer`: of its field, which holds data but for words of ours."""
    if isinstance(said, list | tuple):
        return bool(said) and _named_first(said[0], writer)
    if isinstance(said, Message):
        literal, name, spec, _ = next(iter(_Template().parse(_template(said))), ("", None, "", ""))
        if literal or name is None:
            return False
        return _named_first(said.values[name], (spec or "").partition(".")[0])
    return isinstance(said, Name) or (isinstance(said, str) and writer not in _OURS)


def clean(said: Any) -> str:
    r"""Text within a line: line breaks and tabs become spaces, other signs that steer are written out (`visible`).

    A name must neither rearrange the line it stands in nor begin another one.

    >>> print(clean("two\nlines\x07"))
    two lines\u0007
    """
    said = str(said)
    return said if said.isascii() and said.isprintable() else visible(_BREAKS.sub(" ", said))


def word(said: Any) -> str:
    """A word or a sentence of ours in the language that is spoken; a name as it is."""
    return clean(_word(said) if isinstance(said, str) and not isinstance(said, Name) else said)


def stages(names: Sequence[str]) -> str:
    """Stages or measures in a row, with commas."""
    return ", ".join(map(stage_word, names))


def blank(said: str) -> bool:
    r"""Whether nothing of a text is seen: spaces, joiners, fillers, marks without a letter.

    >>> blank("\u200b \u3164"), blank("a")
    (True, False)
    """
    return all(
        sign in "\u115f\u1160\u2800\u3164\uffa0" or unicodedata.category(sign) in ("Cf", "Mn", "Me", "Zs")
        for sign in said
    )


def short_names(names: Iterable[str], width: int = 24) -> dict[str, str]:
    """Each name within `width` characters, cut in the middle where it is longer, and still different from the others.

    >>> short_names(["ppc", "paid search, brand terms, Finland", "paid search, brand terms, Poland"], 16)["ppc"]
    'ppc'
    """
    short: dict[str, str] = {}
    for name in names:
        said = clean(name)
        cut = said if len(said) <= width else f"{said[: width - width // 3 - 1]}…{said[-(width // 3) :]}"
        k = 2
        while cut in short.values() and name not in short:
            cut, k = f"{said[: width - len(str(k)) - 2]}…{k}", k + 1
        short.setdefault(name, cut)
    return short


def stage_word(stage: str) -> str:
    """A stage or a measure as it is read: site_visits is "site visits"; one of ours in the language that is spoken."""
    english = _STAGES.get(stage, clean(stage).replace("_", " "))
    return _VOICE.get().catalogue.pgettext(MEASURE, english)


def listed(names: Sequence[Any], most: int = 4) -> str:
    """Names in a row, with "and": a, b and c; longer lists end with "and 3 more"."""
    shown = [clean(n) for n in names[:most]]
    if len(names) > most:
        shown.append(text(message("{n}~more", n=len(names) - most)))
    if len(shown) < 2:
        return shown[0] if shown else _word("none")
    return f"{', '.join(shown[:-1])} {_word('and')} {shown[-1]}"


def some_of_many(names: Sequence[Any], most: int = 12) -> list[Any]:
    r"""The first of many names and how many more there are, for a sentence that names them all where they are few.

    >>> [str(name) for name in some_of_many(["a", "b", "c"], 2)]
    ['a', 'b', '1\xa0more']
    """
    left = len(names) - most
    return [*names[:most], message("{n}~more", n=left)] if left > 0 else list(names)


def in_a_row(names: Sequence[Any], most: int = 1_000_000, between: str = ", ") -> str:
    """Names with commas; past `most` of them "and 3 more".

    >>> in_a_row(["a", "b", "c"]), in_a_row(["a", "b", "c"], 2)
    ('a, b, c', 'a, b and 1 more')
    """
    row = between.join(map(clean, names[:most]))
    left = len(names) - most
    return text(message("{row} and {left} more", row=row, left=left)) if left > 0 else row


def in_parts(names: Sequence[Any], most: int = 1_000_000) -> str:
    """The same with semicolons, for what has commas of its own."""
    return in_a_row(names, most, "; ")


def periods(n: Any, kind: str) -> Message:
    r"""A number of periods: "1 month", "3 months".

    >>> str(periods(1, "week")), str(periods(3, "month"))
    ('1\xa0week', '3\xa0months')
    """
    if kind == "week":
        return plural("{n:whole}~week", "{n:whole}~weeks", n=n)
    if kind == "quarter":
        return plural("{n:whole}~quarter", "{n:whole}~quarters", n=n)
    return plural("{n:whole}~month", "{n:whole}~months", n=n)


def period_kind(kind: str) -> Message:
    """One period of a kind: "a month" is "a {kind}" of it."""
    return {"week": message("week"), "quarter": message("quarter")}.get(kind, message("month"))


def horizon_words(labels: Sequence[str], kind: str) -> Message:
    """The horizon: "2026-11 to 2027-01 (3 months)"."""
    n = periods(len(labels), kind)
    if len(labels) == 1:
        return message("{first:period} ({n})", first=labels[0], n=n)
    return message("{first:period} to {last:period} ({n})", first=labels[0], last=labels[-1], n=n)


_LABEL = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?|-W(?P<week>\d\d)|Q(?P<quarter>[1-4]))"
)


def period(label: Any) -> str:
    """A period or a day by its label: 2026-03, 2026-W09, 2026Q1; as readers of the language write it (3/2026, Q1/2026).

    Anything else as it is.
    """
    found = None if spoken() == ENGLISH else _LABEL.fullmatch(str(label))
    if found is None:
        return clean(label)
    if found["day"]:
        return text(day(date.fromisoformat(str(label))))
    told = {name: int(digits) for name, digits in found.groupdict().items() if digits}
    if "month" in told:
        return text(message("{year:d}-{month:02d}", **told))
    return text(message("{year:d}-W{week:02d}" if "week" in told else "{year:d}Q{quarter:d}", **told))


def through(label: Any) -> str:
    """The last day of a period: 31.3.2026; in English its label."""
    found = None if spoken() == ENGLISH else _LABEL.fullmatch(str(label))
    if found is None or found["day"]:
        return period(label)
    year = int(found["year"])
    if found["week"]:
        last = date.fromisocalendar(year, int(found["week"]), 7)
    else:
        month = int(found["month"] or 3 * int(found["quarter"]))
        last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return text(day(last))


def day(when: date) -> Message:
    """A day: 2026-03-31."""
    return message("{year:d}-{month:02d}-{day:02d}", year=when.year, month=when.month, day=when.day)


def _brief(p: Any) -> str:
    return chance(p, brief=True)


def _ends(write: Callable[..., str], *, narrow: bool = False) -> Callable[..., str]:
    """A writer of a pair from one of two ends."""

    def written(ends: tuple[Any, Any], digits: int | None = None) -> str:
        said = write(*ends) if digits is None else write(*ends, digits=digits)
        return tight(said) if narrow else said

    return written


_WRITERS: dict[str, Callable[..., str]] = {
    "number": number,
    "count": count,
    "whole": whole,
    "exact": exact,
    "given": given,
    "percent": percent,
    "exact_percent": exact_percent,
    "chance": chance,
    "brief": _brief,
    "signed": signed,
    "plus": plus,
    "change": change,
    "band": _ends(band),
    "count_band": _ends(count_band),
    "percent_band": _ends(percent_band),
    "whole_band": _ends(whole_band),
    "between": lambda ends: band(*ends).replace(_between(), f" {_word('and')} "),
    "tight": _ends(band, narrow=True),
    "tight_count": _ends(count_band, narrow=True),
    "tight_percent": _ends(percent_band, narrow=True),
    "sentence": sentence,
    "clean": clean,
    "word": word,
    "stages": stages,
    "stage": stage_word,
    "period": period,
    "through": through,
    "listed": listed,
    "list": in_a_row,
    "parts": in_parts,
}
