"""Saved draws as netCDF: written with a checksum of their content, and read again only where it fits.

A file that is read may be anyone's. What it says of itself is looked at before any of it is taken: how many groups and
variables, of which kinds (numbers, days and texts; nothing that could be run or points elsewhere), how many bytes. The
checksum is over names, dimensions, kinds and values as they are read back, so it holds whatever lays the file out. It
finds what was damaged or changed by hand, not who changed it.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forecast.bounds import MOST_OBJECTS, MOST_SAVED, MOST_STRINGS
from forecast.saved import CHANGED, SCHEMA, SEAL, UNSEALED, SpoiltError
from forecast.words import message

PACKED = (
    300  # times the bytes of a file that its values may take: draws are compressed, and counts are often zero
)
SMALL = 64_000_000  # bytes that they may take in any case
SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP, HEAD = (
    b"GCOL\x01",
    16,
)  # of HDF5: how a heap of texts begins, and bytes before it and before each of its pieces
WIDTHS = b"\x08\x08"  # of HDF5: bytes of an address and of a length
FILTERS = {1, 2, 3}  # of HDF5: deflate, shuffle, checksum
DEPTH = 3
COORDINATES, DIMID = (
    "_Netcdf4Coordinates",
    "_Netcdf4Dimid",
)  # numbers of a variable's dimensions; of a dimension
LAYOUT = {  # of netCDF-4: attributes that say how a variable stands in the file
    *("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS"),
    *(DIMID, COORDINATES, "_nc3_strict", "_NCProperties"),
}
NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def netcdf(
    data: xr.Dataset | xr.DataTree, packed: Mapping[str, tuple[int, ...]] = MappingProxyType({})
) -> bytes:
    """A dataset, or a tree whose nodes inherit no coordinates, as the bytes of a netCDF file with its checksum.

    Laid out by h5py as h5netcdf does it, in less than half of its time. In memory: HDF5 that runs out of disk half-way
    brings the process down, where plain bytes raise OSError. packed: variables that are compressed, with the shape of
    the pieces that each is cut into.
    """
    if isinstance(data, xr.DataTree):
        nodes = {node.path: node.to_dataset(inherit=False) for node in data.subtree}
    else:
        nodes = {"/": data}
    nodes["/"] = nodes["/"].assign_attrs({SEAL: content_hash(data)})
    return _file_of(nodes, packed)


def _file_of(nodes: Mapping[str, xr.Dataset], packed: Mapping[str, tuple[int, ...]]) -> bytes:
    """Datasets by their group, the root first, as the bytes of a file."""
    import h5py

    first = 0
    with h5py.File("draws", "w", driver="core", backing_store=False, track_order=True) as file:
        for path, data in nodes.items():
            group = file if path == "/" else file.create_group(path, track_order=True)
            _fill(group, data, packed, first)
            first += len(data.sizes)
        file.flush()
        return bytes(file.id.get_file_image())


def _fill(group: Any, data: xr.Dataset, packed: Mapping[str, tuple[int, ...]], first: int) -> None:
    """Lay a dataset out in a group; its dimensions are numbered from `first` on, as numbers hold for a whole file."""
    variables, attrs = xr.conventions.cf_encoder(data.variables, data.attrs)
    _tell(group, attrs)
    numbers = {dim: np.int32(number) for number, dim in enumerate(data.sizes, start=first)}
    for dim, size in data.sizes.items():
        if dim in variables:
            scale = _laid_out(group, str(dim), variables[dim])
            scale.make_scale(str(dim))
            scale.attrs[COORDINATES] = np.array([numbers[dim]])
        else:
            scale = group.create_dataset(str(dim), (size,), ">f4", track_order=True)
            scale.make_scale(f"{NO_VARIABLE.decode()}.{str(size).rjust(10)}")
        scale.attrs[DIMID] = numbers[dim]
    for name, variable in variables.items():
        if name in data.sizes:
            continue
        made = _laid_out(group, str(name), variable, packed.get(str(name)))
        for at, dim in enumerate(variable.dims):
            made.dims[at].attach_scale(group[str(dim)])
        if variable.dims:
            made.attrs[COORDINATES] = np.array([numbers[dim] for dim in variable.dims])
            made.attrs[DIMID] = numbers[variable.dims[0]]


def _laid_out(file: Any, name: str, variable: xr.Variable, pieces: tuple[int, ...] | None = None) -> Any:
    """A variable with its attributes, in a file of HDF5."""
    import h5py

    values = np.asarray(variable.values)
    text = values.dtype.kind in "UOT"
    how = {} if pieces is None else {"chunks": pieces, "compression": 1, "shuffle": True}
    missing = variable.attrs.get("_FillValue")
    made = file.create_dataset(
        name,
        data=values.astype(object) if text else values,
        dtype=h5py.string_dtype() if text else values.dtype,
        fillvalue=None if missing is None else values.dtype.type(missing),
        track_order=True,
        **how,
    )
    _tell(
        made,
        {
            key: values.dtype.type(value) if key == "_FillValue" else value
            for key, value in variable.attrs.items()
        },
    )
    return made


def _tell(place: Any, attrs: Mapping[Any, Any]) -> None:
    for key, value in attrs.items():
        place.attrs[str(key)] = value if isinstance(value, str) else np.atleast_1d(value)


def read_netcdf(path: Path, schema: int) -> xr.DataTree:
    """What `netcdf` wrote, in memory and without the checksum.

    Raises SpoiltError, saying what is wrong: no netCDF, of another schema, changed, or more than is read.
    """
    try:
        with _looked_at(path) as file:
            attrs = _attributes(file, file.attrs)
            if SCHEMA in attrs and attrs[SCHEMA] != schema:
                said = "it was written by another version (schema {came}, expected {schema})"
                raise SpoiltError(message(said, came=str(attrs[SCHEMA])[:20], schema=schema))
            if SEAL not in attrs or SCHEMA not in attrs:
                raise SpoiltError(UNSEALED)
            tree = xr.DataTree.from_dict(dict(_groups(file)))
        seal = tree.attrs.pop(SEAL)
        if content_hash(tree) != seal:
            raise SpoiltError(CHANGED)
    except SpoiltError:
        raise
    except Exception as error:
        why = "cut off" if "truncated" in str(error) else "damaged, or made by something else"
        raise SpoiltError(message("it is no netCDF file of ours ({why})", why=why)) from error
    return tree


def _groups(group: Any, path: str = "/") -> Iterator[tuple[str, xr.Dataset]]:
    """A group and those in it as datasets, by path; as xarray opens them, in a third of its time.

    What netCDF lays out above HDF5: a variable's dimensions are references, or its own name, and names of dimensions
    without values are no variables. `content_hash` would tell a difference.
    """
    import h5py

    variables, held = {}, {}
    for name, found in group.items():
        if isinstance(found, h5py.Group):
            yield from _groups(found, f"{path}{name}/")
        else:
            held[name] = found, tuple(found.attrs)
    scales = {
        int(found.attrs[DIMID]): name
        for name, (found, told) in held.items()
        if "CLASS" in told and DIMID in told
    }
    for name, (found, told) in held.items():
        if "NAME" in told and bytes(found.attrs["NAME"]).startswith(NO_VARIABLE):
            continue
        text = h5py.check_string_dtype(found.dtype) is not None
        values = np.asarray(found.asstr()[()], dtype=str) if text else found[()]
        own = _dimensions(found, told, scales) or [name] * found.ndim
        variables[name] = xr.Variable(own, np.asarray(values), _attributes(found, told))
    attrs = _attributes(group, group.attrs)
    yield path.rstrip("/") or "/", xr.decode_cf(xr.Dataset(variables, attrs=attrs)).load()


def _dimensions(found: Any, told: Container[str], scales: Mapping[int, str]) -> list[str]:
    """Names of a variable's dimensions: by their numbers, which are quick to read, else by references."""
    import h5py

    if COORDINATES in told:
        numbers = np.atleast_1d(found.attrs[COORDINATES]).tolist()
        if scales.keys() >= set(numbers):
            return [scales[number] for number in numbers]
    listed = found.attrs["DIMENSION_LIST"] if "DIMENSION_LIST" in told else ()
    return [h5py.h5r.get_name(refs[0], found.file.id).decode().rpartition("/")[2] for refs in listed]


def _attributes(found: Any, told: Iterable[str]) -> dict[str, Any]:
    """Of the attributes `told` those that are not of the layout."""
    own = {name: found.attrs[name] for name in told if name not in LAYOUT}
    return {name: value[0] if np.shape(value) == (1,) else value for name, value in own.items()}


def content_hash(data: xr.Dataset | xr.DataTree) -> str:
    """sha256 over groups, variables and attributes: names, dimensions, kinds, values; not the checksum itself."""
    groups = (
        {"/": data}
        if isinstance(data, xr.Dataset)
        else {node.path: node.to_dataset() for node in data.subtree}
    )
    digest = hashlib.sha256()
    for place in sorted(groups):
        group = groups[place]
        own = {str(key): _plain(value) for key, value in group.attrs.items() if key != SEAL}
        digest.update(json.dumps([place, own], sort_keys=True).encode())
        for name in sorted(group.variables, key=str):
            array = group.variables[name]
            values = _bytes(array.values)
            kind, shape = values.dtype.str, list(array.shape)
            told = [str(name), [str(dim) for dim in array.dims], kind, shape, name in group.coords]
            digest.update(json.dumps(told).encode())
            digest.update(values.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return value if isinstance(value, str | int | float | list | None) else str(value)


def _bytes(values: NDArray[Any]) -> NDArray[Any]:
    """Values in one spelling, whatever file or library they come from: days, texts as JSON, little-endian numbers."""
    if values.dtype.kind == "M":
        values = values.astype("datetime64[D]").astype(np.int64)
    elif values.dtype.kind in "USOT":
        values = np.frombuffer(
            json.dumps([str(each) for each in values.reshape(-1)]).encode(), dtype=np.uint8
        )
    elif values.dtype.kind in "iu":
        values = values.astype(np.int64)
    elif values.dtype.kind == "b":
        values = values.astype(np.uint8)
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))


# ------------------------------------------------------------------------------------ what a file says of itself


@contextmanager
def _looked_at(path: Path) -> Iterator[Any]:
    """The file, open. Raises SpoiltError where it holds more, or other things, than draws have."""
    import h5py

    check_heaps(path)
    size = path.stat().st_size
    most = min(MOST_SAVED, max(SMALL, PACKED * size))
    held = 0
    with h5py.File(path, "r") as file:
        for count, found in enumerate(_all(file, 0), start=1):
            if count > MOST_OBJECTS:
                raise SpoiltError(message("it holds more than {n:whole} variables", n=MOST_OBJECTS))
            _check_attributes(found)
            if isinstance(found, h5py.Dataset):
                held += _held(found)
            if held > most:
                raise SpoiltError(message("it says that it holds more than {n:whole} bytes", n=most))
        yield file


def check_heaps(path: Path) -> None:
    """Raise SpoiltError where HDF5 would walk through a heap of texts without end: a step there that leads nowhere.

    HDF5 (2.0 too) goes from piece to piece by the sizes that stand in the file; a free piece of size 0 holds it for
    ever, in a place where no bound of time reaches it. ValueError where the file is none of HDF5.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        widths = held[13:15] if held[8:9] < b"\x02" else held[9:11]
        if held[:8] != SIGNATURE or widths != WIDTHS:
            raise ValueError("not laid out as ours")
        for found in re.finditer(re.escape(HEAP), held):
            at = found.start()
            end = at + int.from_bytes(held[at + 8 : at + HEAD], "little")
            at += HEAD
            while at + HEAD <= end <= len(held):
                number, size = (
                    int.from_bytes(held[at + low : at + high], "little") for low, high in ((0, 2), (8, 16))
                )
                step = size if number == 0 else HEAD + (size + 7) // 8 * 8
                if not 0 < step < 1 << 63:
                    raise SpoiltError("its texts lead nowhere")
                at += step


def _all(group: Any, depth: int) -> Iterator[Any]:
    """A group, and all groups and variables in it. Raises SpoiltError for what is neither."""
    import h5py

    yield group
    if depth > DEPTH:
        raise SpoiltError("its groups are nested too deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise SpoiltError("it points into another place")
        found = group[name]
        if isinstance(found, h5py.Group):
            yield from _all(found, depth + 1)
        elif isinstance(found, h5py.Dataset):
            yield found
        else:
            raise SpoiltError("it holds something that is no variable")


def _check_attributes(found: Any) -> None:
    """Raise SpoiltError for attributes that are no plain texts or numbers, or very many of them."""
    import h5py

    if len(found.attrs) > MOST_OBJECTS:
        raise SpoiltError(message("it holds more than {n:whole} attributes", n=MOST_OBJECTS))
    for at in range(len(found.attrs)):
        held = h5py.h5a.open(found.id, index=at)
        if math.prod(held.shape) > MOST_STRINGS:
            raise SpoiltError("one of its attributes is too long")


def _held(variable: Any) -> int:
    """Bytes of a variable. Raises SpoiltError where it is none of numbers, days or texts, or lies in another file."""
    import h5py

    made = variable.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
        raise SpoiltError("it points into another place")
    if not {made.get_filter(n)[0] for n in range(made.get_nfilters())} <= FILTERS:
        raise SpoiltError("it is packed in a way that is not ours")
    kind, size = variable.dtype, float(variable.dtype.itemsize)
    total = float(np.prod(variable.shape or (), dtype=float)) * size
    if kind.kind not in "fiub" and (kind.kind == "S" or h5py.check_string_dtype(kind) is not None):
        if total / size > MOST_STRINGS:
            raise SpoiltError(message("it holds more than {n:whole} texts", n=MOST_STRINGS))
        return int(total if kind.kind == "S" else sum(len(text) for text in variable[()].reshape(-1)) + total)
    # names of dimensions without values, and yes or no, are kinds of their own in netCDF
    enum = h5py.check_enum_dtype(kind)
    if kind.kind not in "fiub" or kind.hasobject or not (enum is None or set(enum) <= {"FALSE", "TRUE"}):
        raise SpoiltError("it holds something other than numbers and texts")
    return int(total)
