"""Damage of every kind, drawn from a `random.Random`: the same seed, the same damage.

Bytes and lines of any file; cells of tables; keys and values of a study; parts of a zipped workbook; values and layout
of saved draws and JSON, with their checksum made to fit as often as not.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

CELLS = (
    "", " ", "NaN", "inf", "-inf", "1e308", "-1e308", "1e15", "-1e15", "1e-400", "9" * 40, "9" * 5000, "0x10", "-0",
    "#REF!", "#N/A", "=1+1", "'", '"', '""', "1.234.567", "1,2,3", "1.200", "1,200", "12%", "€5", "5 €", "kr 5", "(5)",
    "--5", "½", "Ⅻ", "１２", "٣", "1200¹", "2026-13", "0000-00", "0000-01", "9999-12", "1025-01", "1899-12", "2201-01",
    "2026-W60", "2026-W01", "2026Q5", "31.4.2026", "1/2/3", "01/02/03", "2026-02-30", "2026-1-5", "20260132", "45000",
    "1e5", "2026-01-01T25:61", "2026-01-01T10:00Z", "maaliskuu 2026", "total", "Total", "Yhteensä", "plan", "n", "draw",
    "won", "None", "null", "true", "\u202ex", "😀" * 30, "\x1b[31m", "\x00", "\ufeff", "\u2028", "a" * 3000, "a;b",
    "a\tb", "a|b", "\\", "%s", "{x}", "{", "}", "~", "-", ".", ",", "e5", "1 000 000", "1'000", "1_000",
)  # fmt: skip
VALUES = (
    '""', '"x"', "0", "-1", "1e308", "-1e308", "nan", "inf", "-inf", "1e15", "1e14", "9" * 30, "9" * 5000, "true", "[]",
    "{}", "[[]]", "[1, 'a']", "2026-01-01", "2026-01-01T00:00:00Z", '"2026-13"', '"2026-01"', '"9999-12"', '"0001-01"',
    '"2026-W01"', "0.5", "120.000", '"all"', '"' + "x" * 400 + '.csv"', '"../../etc/passwd"', '"/dev/zero"', '"."',
    '"a\\u0000b"', '"\\u202e"', "{a = {b = {c = 1}}}", "'''\n[# x]\n'''", '"small.csv"', '["ppc", "seo"]', "1e-300",
    '"last year"', '"14 days"', '"1e9 years"', "60", "1000000", "{revenue = 1}", "[{}]", "[{name = 'x'}]", "12:00:00",
    "[" * 30 + "]" * 30, "[" * 700 + "]" * 700, '"\\ud800"', "07", "0x7fffffffffffffff",
)  # fmt: skip
NUMBERS = re.compile(rb'(?<==")\d+(?=")|(?<=>)\d+(?=<)|(?<=[A-Z])\d+(?=")')
LARGE = (
    b"0",
    b"-1",
    b"1",
    b"255",
    b"16384",
    b"65536",
    b"1048576",
    b"2147483648",
    b"99999999999999",
    b"1e308",
)


def damaged(how: str, content: bytes, rng: Random) -> bytes:
    """A file with one to three things wrong."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(HOW[how])(content, rng)[: 4 << 20]
    return content


# ------------------------------------------------------------------------------------------------------ bytes, lines


def flip(content: bytes, rng: Random) -> bytes:
    """Bits of some bytes."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if made else 0):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def cut(content: bytes, rng: Random) -> bytes:
    """The first part alone."""
    return content[: rng.randrange(len(content) + 1)]


def drop(content: bytes, rng: Random) -> bytes:
    """A piece taken out."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 16, 200, 5000)) :]


def twice(content: bytes, rng: Random) -> bytes:
    """A piece that stands there again and again."""
    start = rng.randrange(len(content) + 1)
    piece = content[start : start + rng.choice((1, 10, 100, 1000))]
    return content[:start] + piece * rng.choice((2, 3, 50)) + content[start:]


def put(content: bytes, rng: Random) -> bytes:
    """An odd cell put in anywhere."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice(CELLS).encode("utf-8", "surrogatepass") + content[start:]


def noise(content: bytes, rng: Random) -> bytes:
    """Bytes of nothing."""
    return bytes(rng.randrange(256) for _ in range(rng.choice((1, 20, 500))))


def lines(content: bytes, rng: Random) -> bytes:
    """Lines in another order, out, twice, or one more."""
    rows = content.splitlines(keepends=True)
    if not rows:
        return content
    a, b = rng.randrange(len(rows)), rng.randrange(len(rows))
    what = rng.randrange(6)
    if what == 0:
        rows[a], rows[b] = rows[b], rows[a]
    elif what == 1:
        del rows[a]
    elif what == 2:
        rows.insert(b, rows[a])
    elif what == 3:
        rows.insert(
            a, rng.choice((b"\n", b",,,\n", b"# note\n", b"sep=;\n", b"Report of the year\n", b'"\n'))
        )
    elif what == 4:
        rng.shuffle(rows)
    else:
        rows = rows[:1] + rows[1:] * rng.choice((2, 20))
    return b"".join(rows)


# ------------------------------------------------------------------------------------------------------------ tables


def cells(content: bytes, rng: Random) -> bytes:
    """Cells of a table replaced: one, a column of them, a title."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    filled = [row for row in rows if len(row) > 1] or rows
    at = rng.randrange(max(len(filled[0]), 1))
    value = rng.choice(CELLS).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2 and (b"," in value or b'"' in value or b"\n" in value):
        value = b'"' + value.replace(b'"', b'""') + b'"'
    chosen = filled[1:] if rng.random() < 0.25 else [rng.choice(filled)]
    for row in chosen:
        if at < len(row):
            row[at] = value
    return b"\n".join(b",".join(row) for row in rows)


def columns(content: bytes, rng: Random) -> bytes:
    """A column taken out, twice there, in another place; thousands of them."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    at, to = rng.randrange(max(len(rows[0]), 1)), rng.randrange(max(len(rows[0]), 1))
    what = rng.randrange(5)
    for row in rows:
        if at >= len(row):
            continue
        if what == 0:
            del row[at]
        elif what == 1:
            row.insert(to, row[at])
        elif what == 2:
            row.insert(to, row.pop(at))
        elif what == 3 and to < len(row):
            row[at], row[to] = row[to], row[at]
        elif what == 4:
            row.extend([b"x"] * rng.choice((1, 3000)))
    return b"\n".join(b",".join(row) for row in rows)


def scaled(content: bytes, rng: Random) -> bytes:
    """Numbers, or digits of dates, multiplied or with a sign."""
    factor = rng.choice((0, 10, 1000, 10**6, 10**12, 10**18))
    share = rng.choice((0.01, 0.2, 1.0))

    def other(found: re.Match[bytes]) -> bytes:
        if rng.random() > share:
            return found[0]
        return rng.choice((str(int(found[0]) * factor).encode(), b"-" + found[0], found[0] + b".5"))

    return re.sub(rb"(?<=,)\d{1,15}(?=[,\r\n])", other, content)


def spelled(content: bytes, rng: Random) -> bytes:
    """Another encoding, delimiter or line end."""
    text = content.decode("utf-8", errors="replace")
    text = text.replace(",", rng.choice((",", ";", "\t", "|", " ")))
    text = text.replace("\n", rng.choice(("\n", "\r\n", "\r", "\n\n", "\n\r")), rng.choice((-1, 3)))
    return text.encode(
        rng.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252")), "replace"
    )


def names(content: bytes, rng: Random) -> bytes:
    """Channels by other names: one, or a new one in every row."""
    name = rng.choice(CELLS).replace(",", "").encode("utf-8", "surrogatepass")
    if rng.random() < 0.5:
        return content.replace(b"ppc", name)
    counter = iter(range(10**9))
    return re.sub(rb"ppc", lambda _: b"c%d" % next(counter), content)


# ------------------------------------------------------------------------------------------------------------- studies


def keys_of(model: Any, before: str = "") -> list[str]:
    """Dotted names of all keys that a study may have."""
    from pydantic import BaseModel

    found = []
    for name, info in model.model_fields.items():
        key = f"{before}{info.alias or name}"
        found.append(key)
        for part in (info.annotation, *getattr(info.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel) and before.count(".") < 2:
                found += keys_of(part, f"{key}.")
    return found


def _key(rng: Random) -> str:
    from forecast.study import Study

    known = keys_of(Study)
    odd = (
        "#",
        "",
        "a.b.c",
        "x" * 300,
        '"a b"',
        "plan",
        "plan.periods.x",
        "channels.ppc.kind",
        ".".join("a" * 40),
    )
    return rng.choice(known) if rng.random() < 0.85 else rng.choice(odd)


def keyed(content: bytes, rng: Random) -> bytes:
    """A key of the study with another value, or one more key, in front."""
    key, value = _key(rng), rng.choice(VALUES)
    rows = content.decode("utf-8", errors="replace").split("\n")
    last = key.rpartition(".")[2]
    at = next((i for i, row in enumerate(rows) if row.startswith(f"{last} =")), None)
    if at is not None:
        rows[at] = f"{last} = {value}"
    else:
        rows.insert(0, f"{key} = {value}")
    return "\n".join(rows).encode("utf-8", "surrogatepass")


def valued(content: bytes, rng: Random) -> bytes:
    """A value of the study replaced."""
    rows = content.decode("utf-8", errors="replace").split("\n")
    places = [i for i, row in enumerate(rows) if " = " in row]
    if places:
        at = rng.choice(places)
        rows[at] = f"{rows[at].partition(' = ')[0]} = {rng.choice(VALUES)}"
    return "\n".join(rows).encode("utf-8", "surrogatepass")


def override(rng: Random) -> tuple[str, ...]:
    """--set KEY=VALUE."""
    value = rng.choice((*VALUES, *CELLS)).replace("\0", "").encode("utf-8", "replace").decode()
    return "--set", f"{_key(rng)}{rng.choice(('=', '=', '=', ' = ', '', '=='))}{value}"


# ----------------------------------------------------------------------------------------------------------- workbooks


def parts(content: bytes, rng: Random) -> bytes:
    """A part of a zipped workbook damaged, taken out, emptied or twice there."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # damaged before
        return flip(content, rng)
    if not held:
        return content
    name = rng.choice([*held, *[n for n in held if "sheet" in n or "content" in n or "shared" in n] * 3])
    what = rng.randrange(10)
    if what == 0:
        del held[name]
    elif what == 1:
        held[name] = b""
    elif what < 6:
        numbers = list(NUMBERS.finditer(held[name]))
        for found in rng.sample(numbers, min(len(numbers), rng.choice((1, 1, 5)))):
            held[name] = held[name].replace(found[0], rng.choice(LARGE), rng.choice((1, 1, -1)))
    elif what == 6 and b"<table:table-" in held[name]:
        kind = rng.choice(("rows", "columns"))
        mark = b"<table:table-row" if kind == "rows" else b"<table:table-cell"
        times = rng.choice(LARGE)
        held[name] = held[name].replace(
            mark, mark + b' table:number-%s-repeated="%s"' % (kind.encode(), times), 1
        )
    elif what == 6 and b"<c " in held[name]:
        far = rng.choice((b"XFD1048576", b"A1048576", b"XFD1", b"ZZ5000", b"A0", b"AAAA1", b"A99999999999"))
        held[name] = re.sub(rb'r="[A-Z]+\d+"', b'r="' + far + b'"', held[name], count=rng.choice((1, 0)))
    elif what == 7:
        held[name] = held[name][:-20] + held[name][200:-20] * rng.choice((2, 60)) + held[name][-20:]
    else:
        held[name] = rng.choice((flip, cut, drop, twice, put))(held[name], rng)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
        for each, data in held.items():
            archive.writestr(each, data)
        if rng.random() < 0.02:
            archive.writestr("xl/bomb.xml", b"\0" * (64 << 20))
    return made.getvalue()


def typed(content: bytes, rng: Random) -> bytes:
    """A Parquet file of the same titles with a column of an odd type."""
    import tempfile

    import duckdb

    odd = (
        "[1, 2]", "{'a': 1}", "'x'::BLOB", "uuid()", "1::HUGEINT", "1.5::DECIMAL(38, 10)", "INTERVAL 1 DAY",
        "TIME '10:00'", "now()", "NULL", "true", "MAP {'a': 1}", "'NaN'::DOUBLE", "'inf'::DOUBLE", "DATE '0001-01-01'",
        "'5877642-06-25 (BC)'::DATE",
        "TIMESTAMP '290000-01-01'", "-1", "1e308", "'2026-01'", "DATE '1025-01-01'", "repeat('x', 5000)",
        "9223372036854775807",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        source, target = Path(folder) / "a.parquet", Path(folder) / "b.parquet"
        source.write_bytes(content)
        try:
            columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM '{source}'").fetchall()]
            name = rng.choice(columns)
            times = rng.choice(("", "", "", ", range(20)"))
            sql = f"SELECT * REPLACE ({rng.choice(odd)} AS \"{name}\") FROM '{source}'{times}"
            sql = sql if times == "" else sql.replace("SELECT * REPLACE", "SELECT * EXCLUDE (range) REPLACE")
            connection.execute(f"COPY ({sql}) TO '{target}'")
            return target.read_bytes()
        except duckdb.Error:
            return flip(content, rng)


# ------------------------------------------------------------------------------------------------------- saved things


def forged(content: bytes, rng: Random) -> bytes:
    """Saved draws with one thing changed, laid out anew; with a checksum that fits, or with the old one."""
    import tempfile

    import numpy as np
    import xarray as xr

    from forecast.fit import content_hash
    from forecast.saved import SEAL

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nc"
        path.write_bytes(content)
        try:
            with xr.open_datatree(path, engine="h5netcdf") as opened:
                tree = opened.load()
        except Exception:  # damaged before
            return flip(content, rng)
    groups = {node.path: node.to_dataset() for node in tree.subtree if node.path != "/" or node.data_vars}
    place = rng.choice(sorted(groups))
    data = groups[place]
    if not data.data_vars:
        return flip(content, rng)
    name = rng.choice(sorted(map(str, data.data_vars)))
    what = rng.randrange(9)
    try:
        if what == 0:
            data = data.drop_vars(name)
        elif what == 1:
            dim = rng.choice(sorted(map(str, data.dims)))
            data = data.isel({dim: slice(0, rng.choice((0, 1, 2)))})
        elif what == 2:
            dim = rng.choice(sorted(map(str, data.dims)))
            data = data.isel({dim: slice(None, None, -1)})
        elif what == 3:
            values = data[name].values.astype(float)
            values.flat[rng.randrange(max(values.size, 1))] = rng.choice(
                (np.nan, np.inf, 1e300, -1e9, 1e20, 0.0)
            )
            data = data.assign({name: (data[name].dims, values)})
        elif what == 4:
            data = data.assign({name: data[name] * rng.choice((0.0, -1.0, 1e6, 1e300))})
        elif what == 5:
            data = data.assign({name: data[name].astype(rng.choice(("int32", "float32", "bool", "str")))})
        elif what == 6:
            data = data.rename({name: rng.choice(("won", "spend", "x", "traffic", "deal_mean"))})
        elif what == 7:
            coordinate = rng.choice(sorted(map(str, data.coords)))
            values = data[coordinate].values
            data = data.assign_coords({coordinate: (data[coordinate].dims, values[::-1].copy())})
        else:
            data = data.transpose(*sorted(map(str, data.dims)))
        groups[place] = data
        made: Any = xr.DataTree.from_dict(groups) if "/" not in groups else data
        made.attrs = dict(tree.attrs)
        if rng.random() < 0.3:
            key = rng.choice(sorted(map(str, made.attrs)))
            made.attrs[key] = rng.choice(
                ("", "null", "[]", "{}", "[" * 3000, 0, 7, "x" * 70000, '{"stages": 3}')
            )
        elif rng.random() < 0.4 and (told := {"diagnostics", "provenance"} & set(made.attrs)):
            key = rng.choice(sorted(told))
            value = json.loads(made.attrs[key])
            _another(value, rng)
            made.attrs[key] = json.dumps(value)
        if rng.random() < 0.7:
            made.attrs[SEAL] = content_hash(made)
        return bytes(made.to_netcdf(engine="h5netcdf"))
    except (ValueError, KeyError, TypeError, OverflowError, NotImplementedError, OSError, RuntimeWarning):
        return flip(content, rng)


def retold(content: bytes, rng: Random) -> bytes:
    """JSON with one value replaced or taken out, its checksum made to fit as often as not."""
    from forecast.saved import sealed

    rows = content.decode("utf-8", errors="replace").splitlines()
    whole = len(rows) < 1 or not rows[0].startswith('{"')
    at = 0 if whole or len(rows) < 2 else rng.randrange(len(rows))
    try:
        value = json.loads("\n".join(rows) if whole else rows[at])
    except (ValueError, RecursionError, IndexError):
        return flip(content, rng)
    if not isinstance(value, dict):
        return flip(content, rng)
    _another(value, rng)
    if rng.random() < 0.7 and isinstance(value.get("schema"), int):
        value = sealed(value, value["schema"])
    if whole:
        return json.dumps(value, indent=2).encode()
    rows[at] = json.dumps(value)
    return ("\n".join(rows) + "\n").encode()


def _another(value: Any, rng: Random) -> None:
    """One item of a value of JSON, however deep, replaced or taken out."""
    here = value
    while isinstance(here, dict | list) and here:
        key = rng.choice(sorted(here)) if isinstance(here, dict) else rng.randrange(len(here))
        inner = here[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.4:
            odd = (None, 0, -1, 1e300, "", "x", [], {}, True, "2026-13", [None], {"a": 1}, 10**30, "total")
            if rng.random() < 0.3:
                del here[key]
            else:
                here[key] = rng.choice(odd)
            break
        here = inner


def nested(content: bytes, rng: Random) -> bytes:
    """JSON that is none, or deep."""
    return rng.choice(
        (b"null", b"3", b"[]", b"{}", b"", b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"NaN")
    )


BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (flip, cut, drop, twice, put, noise)
TABLE = (cells, cells, cells, columns, scaled, spelled, names, lines, *BYTES)
HOW: dict[str, tuple[Callable[[bytes, Random], bytes], ...]] = {
    "text": TABLE,
    "bytes": BYTES,
    "toml": (keyed, keyed, keyed, valued, valued, lines, *BYTES),
    "zip": (parts, parts, parts, parts, flip, cut, drop),
    "parquet": (typed, typed, flip, cut, drop),
    "netcdf": (forged, forged, flip, flip, cut, drop, twice, noise),
    "json": (retold, retold, retold, nested, *BYTES),
    "jsonl": (retold, retold, retold, lines, *BYTES),
}
