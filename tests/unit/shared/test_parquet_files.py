"""An untrusted Parquet file on the volume: refused by its footer, or read at bounded cost."""

import errno
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared import parquet_files
from shared.parquet_files import open_parquet
from shared.plain_files import UnusableDocument
from shared.rows import Columns


def written(folder, **columns):
    pq.write_table(pa.table(columns), folder / "data.parquet")
    return folder / "data.parquet"


def every_reading(path, rows=None):
    columns = Columns(path, rows)
    return [columns.is_missing, columns.numbers, columns.codes]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet" * 100, b"PAR1" + b"\xff" * 500 + b"PAR1"])
def test_what_is_no_parquet_is_a_damaged_record(tmp_path, content):
    (tmp_path / "data.parquet").write_bytes(content)
    for read in every_reading(tmp_path / "data.parquet"):
        with pytest.raises(UnusableDocument, match=r"data\.parquet"):
            read("a")


def test_a_torn_file_and_one_with_damaged_pages_are_damaged_records(tmp_path):
    path = written(tmp_path, a=np.arange(100_000))
    content = bytearray(path.read_bytes())
    content[2000:60_000] = bytes(58_000)
    path.write_bytes(content)
    with pytest.raises(UnusableDocument):
        Columns(path).numbers("a")
    path.write_bytes(content[:-100])
    with pytest.raises(UnusableDocument):
        Columns(path).numbers("a")


def test_a_file_with_other_rows_or_other_columns_than_the_dataset_is_a_damaged_record(tmp_path):
    path = written(tmp_path, a=[1, 2, 3])
    for read in every_reading(path, rows=4):
        with pytest.raises(UnusableDocument, match="has 3 rows, expected 4"):
            read("a")
    for read in every_reading(path, rows=3):
        with pytest.raises(UnusableDocument):
            read("b")


@pytest.mark.parametrize("values", [[[1], [2]], [{"x": 1}, {"x": 2}], ["1", "2"], [[[[1]]], [[[2]]]]])
def test_a_column_of_another_kind_is_a_damaged_record(tmp_path, values):
    with pytest.raises(UnusableDocument):
        Columns(written(tmp_path, a=values), 2).numbers("a")


def test_more_rows_or_bytes_than_any_dataset_are_refused_by_the_footer(tmp_path, monkeypatch):
    path = written(tmp_path, a=np.arange(1000))
    with pytest.raises(UnusableDocument, match="at most 999"), open_parquet(path, most_rows=999):
        pass
    monkeypatch.setattr(parquet_files, "MOST_COLUMN_BYTES", 1000)
    with pytest.raises(UnusableDocument, match="1000 bytes"), open_parquet(path):
        pass


def test_an_error_of_the_volume_stays_one(tmp_path):
    with pytest.raises(FileNotFoundError), open_parquet(tmp_path / "data.parquet"):
        pass
    with pytest.raises(OSError, match="disk") as raised, open_parquet(written(tmp_path, a=[1])):
        raise OSError(errno.EIO, "disk")
    assert raised.value.errno == errno.EIO


def test_a_long_text_that_is_repeated_in_every_row_is_held_once(tmp_path):
    """500 GB if each row held a copy."""
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(500_000, np.int32)), pa.array(["x" * 1_000_000]))
    path = written(tmp_path, a=long)
    assert path.stat().st_size < 3_000_000
    program = f"""
import resource
from pathlib import Path
from shared.rows import Columns
resource.setrlimit(resource.RLIMIT_AS, (4 * 1024**3, 4 * 1024**3))
columns = Columns(Path({str(path)!r}))
codes = columns.codes("a")
print(len(codes.values), len(codes.numbers), columns.is_missing("a").sum())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "500000", "0"]
