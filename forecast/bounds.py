"""How much is read at most: beyond these bounds a file or a value is refused with the bound, before it takes memory.

They lie far beyond what companies have, and stand here once: the study (`study.file`), tables (`read`), saved fits and
runs (`saved`, `fit.hdf5`) ask them. docs/data.md lists them for users.
"""

from __future__ import annotations

from pathlib import Path

# values
MOST = 1e15  # money and counts lie below: what does not is an id, or two cells run together
FIRST_YEAR, LAST_YEAR = 1900, 2200

# tables
MOST_CELLS = 6_000_000  # of a sheet, and of a file that is read whole into memory: rows times columns
SPARSE_CELLS = 4_000_000  # of a sheet; above,
WIDE, WIDE_CELLS = (
    2_000,
    1_000_000,
)  # the same from fewer cells on where it has more columns: each costs a query
SPARSE = 50  # no more than so many times the cells that hold something
MOST_COLUMNS = 16_384  # as many as a sheet has
MOST_TITLE = 1_000  # characters of a title
MOST_NAME = 500  # characters of the name of a channel
MOST_CELL = 1 << 20  # characters of one cell
MOST_CHANNELS = 5_000
MOST_GRID = 3_000_000  # cells of a history: periods times channels
MOST_TRIANGLE = 30_000_000  # of dated leads: periods times ages times channels
MOST_UNZIPPED = 600_000_000  # bytes of a workbook, unzipped
MOST_SHARED = 200_000_000  # characters of the texts of a sheet, each as often as it stands there
MOST_TEXT = 200_000_000  # bytes of a text file that is read whole into memory
MOST_TENURE = 1_200  # renewals: a hundred years of months

# the study
MOST_STUDY = 1_000_000  # bytes
MOST_DEPTH = 20  # tables and lists inside each other

# what was saved
MOST_SAVED = 4_000_000_000  # bytes that a saved fit or outlook says it holds
MOST_JSON = 200_000_000  # bytes
MOST_OBJECTS = 2_000  # groups and variables of a netCDF file
MOST_STRINGS = 20_000  # texts in one variable of it


def no_path(path: Path) -> str:
    """Why a path is none that any file could have, "" where it may be one: too long, or with a byte of zero."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError:
        return "it holds a sign of zero"
    return ""
