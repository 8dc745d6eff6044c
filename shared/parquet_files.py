"""Read a Parquet file of the volume within limits: anyone who mounts the volume may have written it.

The footer says how many rows and bytes follow; what claims too much, or something else than is expected, is not read.
A page's own size is 32 bits in the format, so that a file that lies costs a few GiB at most, and two are read at once.
"""

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.plain_files import UnusableDocument, document_name, open_plain

# A dataset has at most 50 million cells in two columns or more where nothing else is set.
MOST_ROWS = 100_000_000
MOST_COLUMN_BYTES = 4 * 1024**3
_MOST_TEXT_BYTES = 64 * 1024**2
_MOST_ITEMS = 4_000_000

# What reading a file of another kind than expected raises, beside pyarrow's own errors.
_OF_DAMAGE = (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError)

_places = threading.BoundedSemaphore(2)


@contextmanager
def open_parquet(
    path: Path, *, rows: int | None = None, most_rows: int = MOST_ROWS, dictionary: Sequence[str] = ()
) -> Iterator[Any]:
    """The file as a `pyarrow.parquet.ParquetFile`.

    Texts of the columns `dictionary` stay a dictionary: a file of a few bytes can say a long one for a million rows.

    Raises UnusableDocument for what is no Parquet file, has not `rows` rows or more than `most_rows`, has a column that
    claims more than MOST_COLUMN_BYTES in a row group, or cannot be read inside; OSError where the volume fails.
    """
    # Here and not above: a process that reads none does without it.
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
            # What pyarrow says of a damaged file is an OSError without a number; of a disk it has one.
            if error.errno not in {None, errno.EINVAL}:
                raise
            raise _unusable(name, error) from error


def _check(metadata: Any, name: str, rows: int | None, most_rows: int) -> None:
    if metadata.num_rows > most_rows or rows not in {None, metadata.num_rows}:
        expected = f"at most {most_rows}" if rows is None else str(rows)
        raise UnusableDocument(f"{name} has {metadata.num_rows} rows, expected {expected}")
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        # Of a wide file the sum says enough.
        if group.total_byte_size > MOST_COLUMN_BYTES and any(
            group.column(number).total_uncompressed_size > MOST_COLUMN_BYTES for number in range(group.num_columns)
        ):
            raise UnusableDocument(f"{name} has a column of more than {MOST_COLUMN_BYTES} bytes")


def _unusable(name: str, error: Exception) -> UnusableDocument:
    if isinstance(error, UnusableDocument):
        return error
    return UnusableDocument(f"{name} cannot be read as Parquet ({type(error).__name__})")
