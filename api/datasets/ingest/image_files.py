"""The files of a dataset of images: the images, and thumbnails of some of them."""

import hashlib
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from api.datasets.ingest.image_decode import Decoded
from api.datasets.ingest.image_labels import Label
from shared.durable import sync_file

_GROUP_ROWS = 10_000
_MOST_THUMBNAILS, _MOST_OF_A_CLASS = 2400, 24
_NAMES = [("path", pa.string()), ("label", pa.string()), ("split", pa.string())]
_SIZES = [("width", pa.int32()), ("height", pa.int32())]


class _Rows:
    """A Parquet file that is written row by row, in row groups. The images are not compressed again."""

    schema: pa.Schema
    # Size of the images of a row group, which is in memory as a whole when it is written or read.
    group_bytes = 16 * 1024**2

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        names = [name for name in self.schema.names if name != "image"]
        self._writer = pq.ParquetWriter(
            path,
            self.schema,
            compression={**dict.fromkeys(names, "zstd"), "image": "none"},
            use_dictionary=[name for name in ("label", "split", "type") if name in names],
            # Not for the images: the statistics would contain two whole images of each row group.
            write_statistics=names,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the file and flush it to the disk, unless there was an error."""
        if error is None:
            self._flush()
        self._writer.close()
        if error is None:
            sync_file(self._path)

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self._bytes += len(row["image"])
        if self._bytes >= self.group_bytes or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def sha256(self) -> str:
        """The SHA-256 of the whole file."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self.schema))
        self._rows, self._bytes = [], 0


class ImageFile(_Rows):
    """`data.parquet`: one row for each image, with its encoded bytes as they were uploaded."""

    schema = pa.schema([*_NAMES, ("image", pa.binary()), *_SIZES])

    def add(self, path: str, label: Label, content: bytes, decoded: Decoded) -> None:
        """Write one image."""
        self.write(_row(path, label, decoded) | {"image": content})


class ThumbnailFile(_Rows):
    """`thumbnails.parquet`: thumbnails of the first images of each class."""

    schema = pa.schema([*_NAMES, ("image", pa.binary()), ("type", pa.string()), *_SIZES])
    group_bytes = 1024**2

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._of_class: Counter[str] = Counter()
        self._count = 0

    def add(self, path: str, label: Label, decoded: Decoded) -> None:
        """Write a thumbnail, unless there are enough. Each class gets at least one, and at most 24."""
        count = self._of_class[label.name]
        if count and (count >= _MOST_OF_A_CLASS or self._count >= _MOST_THUMBNAILS):
            return
        self._count += 1
        self._of_class[label.name] += 1
        content, media_type = decoded.thumbnail()
        self.write(_row(path, label, decoded) | {"image": content, "type": media_type})


def _row(path: str, label: Label, decoded: Decoded) -> dict[str, Any]:
    names = {"path": path, "label": label.name, "split": label.split}
    return {**names, "width": decoded.width, "height": decoded.height}
