"""Sends arrays as an `.npz` file that is created while it is sent, without a copy in memory or on a disk."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fitstop.upload import count_sent

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_BYTES = 4 * 1024**2
# A fixed date, so that the same arrays always give the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


class ArraysUpload:
    """The upload of a dataset of arrays. The arrays are read twice, in blocks, and may be memory-mapped.

    float64 is sent as float32, with which Keras computes.
    """

    name = "arrays.npz"
    media_type = "application/zip"

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hexadecimal."""
        return self._measured[0]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the file."""
        return self.sha256

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._measured[1]

    def pieces(self, on_sent: Callable[[int, int], None] | None = None) -> Iterator[bytes]:
        """The bytes of the file. `on_sent` gets the number of bytes sent so far, and the total."""
        return count_sent(self._pieces(), self.size, on_sent)

    @cached_property
    def _measured(self) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        for piece in self._pieces():
            digest.update(piece)
            size += len(piece)
        return digest.hexdigest(), size

    def _pieces(self) -> Iterator[bytes]:
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(self._arrays):
                with archive.open(zipfile.ZipInfo(f"{name}.npy", _DATE), "w", force_zip64=True) as entry:
                    for block in _blocks(self._arrays[name]):
                        entry.write(block)
                        yield from sink.take()
        yield from sink.take()


class _Sink(io.RawIOBase):
    """The file that zipfile writes to. It cannot seek, so zipfile writes each checksum after its entry."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._written.append(bytes(content))
        return len(self._written[-1])

    def take(self) -> list[bytes]:
        """What was written since the last call."""
        written, self._written = self._written, []
        return written


def sent_dtype(array: Array) -> np.dtype[Any]:
    """The dtype that an array is sent as."""
    is_wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    return np.dtype(np.float32) if is_wide else array.dtype.newbyteorder("<")


def _blocks(array: Array) -> Iterator[bytes]:
    """Yield the bytes of a `.npy` file: the header, then the numbers in C order."""
    dtype, header = sent_dtype(array), io.BytesIO()
    described = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(header, described)
    yield header.getvalue()
    row_bytes = max(1, dtype.itemsize * int(np.prod(array.shape[1:])))
    step = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield np.ascontiguousarray(array[start : start + step], dtype).tobytes()
