"""Read a Parquet file of the volume within limits: anyone who mounts the volume may have written it.

A file is not read if its footer claims too many rows or bytes, or another number of rows than is expected. The format
stores the size of a page in 32 bits, so a false footer costs a few GiB at most. At most two files are read at once.
"""

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.plain_files import UnusableDocument, document_name, open_plain

# By default, a dataset has at most 50 million cells in at least two columns.
MOST_ROWS = 100_000_000
MOST_COLUMN_BYTES = 4 * 1024**3
_MOST_TEXT_BYTES = 64 * 1024**2
_MOST_ITEMS = 4_000_000

# Raised while an unexpected file is read, in addition to pyarrow's own errors.
_OF_DAMAGE = (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError)

_places = threading.BoundedSemaphore(2)


@contextmanager
def open_parquet(
    path: Path, *, rows: int | None = None, most_rows: int = MOST_ROWS, dictionary: Sequence[str] = ()
) -> Iterator[Any]:
    """Open the file as a `pyarrow.parquet.ParquetFile`.

    Text columns in `dictionary` stay dictionaries: a file of a few bytes can hold a long text for a million rows.

    Raises UnusableDocument if the file is not a Parquet file, does not have `rows` rows, has more than `most_rows`, has
    a column that claims more than MOST_COLUMN_BYTES in a row group, or cannot be read. Raises OSError if the volume
    fails.
    """
    # Imported here, so that a process that reads no Parquet file does not load pyarrow.
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    name = document_name(path)
    with _places, open_plain(path) as opened:
        try:
            with ParquetFile(
                opened,
                read_dictionary=list(dictionary),
                thrift_string_size_limit=_MOST_TEXT_BYTES,
                thrift_container_size_limit=_MOST_ITEMS,
            ) as file:
                _check(file.metadata, name, rows, most_rows)
                yield file
        except (ArrowException, *_OF_DAMAGE) as error:
            raise _unusable(name, error) from error
        except OSError as error:
            # For a damaged file, pyarrow raises an OSError without a number; an error of the disk has one.
            if error.errno not in {None, errno.EINVAL}:
                raise
            raise _unusable(name, error) from error


def _check(metadata: Any, name: str, rows: int | None, most_rows: int) -> None:
    if metadata.num_rows > most_rows or rows not in {None, metadata.num_rows}:
        expected = f"at most {most_rows}" if rows is None else str(rows)
        raise UnusableDocument(f"{name} has {metadata.num_rows} rows, expected {expected}")
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        # The sum is checked first, which is enough for most wide files.
        if group.total_byte_size > MOST_COLUMN_BYTES and any(
            group.column(number).total_uncompressed_size > MOST_COLUMN_BYTES for number in range(group.num_columns)
        ):
            raise UnusableDocument(f"{name} has a column of more than {MOST_COLUMN_BYTES} bytes")


def _unusable(name: str, error: Exception) -> UnusableDocument:
    if isinstance(error, UnusableDocument):
        return error
    return UnusableDocument(f"{name} cannot be read as Parquet ({type(error).__name__})")
