"""The header of a `.npy` file, and its numbers as a stream of blocks in C order. Pickles are refused."""

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

_BLOCK_BYTES = 16 * 1024**2
_MOST_ITEM_BYTES = 8
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "float"}

NumberArray = np.ndarray[Any, np.dtype[Any]]


class BadArray(Exception):
    """A `.npy` file that is refused. The message is the predicate of a sentence that begins with the file's name."""


@dataclass(frozen=True)
class Header:
    """The header of a `.npy` file. `shape` includes the rows; `bytes` is the length of the header."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    is_fortran: bool
    bytes: int

    @property
    def kind(self) -> str:
        """The kind of the numbers: boolean, integer or float."""
        return _KINDS[self.dtype.kind]

    @property
    def kept_dtype(self) -> np.dtype[np.generic]:
        """The dtype of the stored array, in this machine's byte order."""
        return self.dtype.newbyteorder("=")

    @property
    def data_bytes(self) -> int:
        """The size of the numbers in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class _Counted:
    """A file for NumPy's reader of headers that counts the bytes it has read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._read(size)
        self.bytes += len(piece)
        return piece


def read_header(read: Callable[[int], bytes], file_bytes: int) -> Header:
    """Read the header of a file of `file_bytes` bytes. The next `read` returns the numbers. Raises BadArray."""
    file = _Counted(read)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A file of version 3 has named fields, which are refused, too.
            read_rest = _READERS[npy.read_magic(file)]
            shape, is_fortran, dtype = read_rest(file)
    except (ValueError, TypeError, KeyError, SyntaxError, TokenError, RecursionError, OverflowError):
        raise BadArray("is not a .npy file of version 1 or 2") from None
    if dtype.hasobject:
        raise BadArray("holds Python objects (a pickle), which are never loaded; convert it to numbers")
    if dtype.kind not in _KINDS or dtype.itemsize > _MOST_ITEM_BYTES:
        raise BadArray(f"holds {str(dtype)[:60]}, expected integers, float16, float32, float64 or booleans")
    header = Header(tuple(map(int, shape)), dtype, is_fortran, file.bytes)
    _check_shape(header, file_bytes)
    return header


def _check_shape(header: Header, file_bytes: int) -> None:
    if not header.shape:
        raise BadArray("is a single number, expected one row for each example")
    if any(length < 1 for length in header.shape):
        raise BadArray(f"has the shape {header.shape}, which is empty")
    if header.bytes + header.data_bytes != file_bytes:
        held = max(file_bytes - header.bytes, 0)
        raise BadArray(f"has {held} bytes of numbers, expected {header.data_bytes} for its shape and type")


def read_blocks(read: Callable[[int], bytes], header: Header, folder: Path) -> Iterator[NumberArray]:
    """The numbers after the header in C order, in flat blocks of `kept_dtype` that need little memory.

    An array in Fortran order is first copied to a temporary file in `folder`.
    """
    blocks = _fortran_blocks(read, header, folder) if header.is_fortran else _plain_blocks(read, header)
    for block in blocks:
        yield block.astype(header.kept_dtype, copy=False)


def _plain_blocks(read: Callable[[int], bytes], header: Header) -> Iterator[NumberArray]:
    size = _BLOCK_BYTES // header.dtype.itemsize * header.dtype.itemsize
    left = header.data_bytes
    while left:
        piece = read_exactly(read, min(size, left))
        left -= len(piece)
        yield np.frombuffer(piece, header.dtype)


def _fortran_blocks(read: Callable[[int], bytes], header: Header, folder: Path) -> Iterator[NumberArray]:
    rows, tail = header.shape[0], header.shape[1:]
    columns, item = math.prod(tail), header.dtype.itemsize
    step = max(1, _BLOCK_BYTES // (columns * item))
    with TemporaryFile(dir=folder) as file:
        left = header.data_bytes
        while left:
            left -= file.write(read_exactly(read, min(_BLOCK_BYTES, left)))
        file.flush()
        for start in range(0, rows, step):
            length = min(step, rows - start)
            block = np.empty((columns, length), header.dtype)
            for column in range(columns):
                piece = os.pread(file.fileno(), length * item, (column * rows + start) * item)
                block[column] = np.frombuffer(piece, header.dtype)
            yield block.T.reshape((length, *tail), order="F").ravel(order="C")


def read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """Read exactly `size` bytes. Raises BadArray if the file ends before."""
    pieces = []
    while size:
        piece = read(size)
        if not piece:
            raise BadArray("is cut short")
        size -= len(piece)
        pieces.append(piece)
    return b"".join(pieces)


def file_header(header: Header) -> bytes:
    """The header of the stored file, which is in C order."""
    described = {"descr": npy.dtype_to_descr(header.kept_dtype), "fortran_order": False, "shape": header.shape}
    file = io.BytesIO()
    npy.write_array_header_1_0(file, described)
    return file.getvalue()
