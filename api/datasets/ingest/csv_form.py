"""The form of a CSV file: its encoding, its header and its separator. Additions of Excel and DOS are removed.

The file is UTF-8 with or without a BOM, and has a header. The separator is `,` `;` tab or `|`: the one that a line such
as `sep=;` before the header names, or the most frequent one in the header. Spaces after a separator are not part of a
cell.
"""

import codecs
import csv
import io
import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from api.datasets.ingest.limits import refusal
from shared.column_names import clean_name
from shared.problems import Refused

SEPARATORS = ",;\t|"
# One row must fit into one block.
BLOCK_BYTES = 4 * 1024 * 1024
_HEADER_BYTES = 1024 * 1024
# Small enough for NumPy's intermediate arrays to stay in the CPU's cache.
_PIECE_BYTES = 128 * 1024
_END_OF_FILE = 0x1A
_SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t|]*(\r\n|\r|\n)', re.IGNORECASE)
# The bytes that can come before a cell.
_BEFORE_A_CELL = np.isin(np.arange(256), list(b',;\t|\n\r" '))


@dataclass(frozen=True)
class Form:
    """The form of the file: its header, its separator, and the number of lines before the header.

    `header` is as pyarrow reads it, with spaces before names; `names` are the columns' names in the dataset.
    `may_hold_codes` is false if no cell can begin like `007`, `0x1F` or `+1`.
    """

    header: list[str]
    names: list[str]
    separator: str
    lines_before: int
    may_hold_codes: bool


def read_form(path: Path) -> Form:
    """Find the file's form. Rewrites the file if pyarrow cannot read its form. Raises Refused."""
    _remove_end_mark(path)
    may_hold_codes = _check_text(path)
    text, is_cut = _start(path)
    separator, lines_before, text = _read_sep_line(text)
    line = _header_line(text, is_cut=is_cut)
    separator = separator or _guess_separator(line)
    bare = _header_cells(line, separator, keep_blanks=False)
    header = _header_cells(line, separator, keep_blanks=True)
    if _has_blanks_before_quotes(path, text, separator) or len(header) != len(bare):
        _remove_blanks(path, separator, lines_before)
        header, lines_before = bare, 0
    return Form(header, [clean_name(name) for name in bare], separator, lines_before, may_hold_codes)


def _header_cells(line: str, separator: str, *, keep_blanks: bool) -> list[str]:
    rows = csv.reader(io.StringIO(line, newline=""), delimiter=separator, skipinitialspace=not keep_blanks, strict=True)
    try:
        return next(rows)
    except (csv.Error, StopIteration):
        raise refusal("#", "has a header that cannot be read", "unreadable") from None


def _remove_end_mark(path: Path) -> None:
    """Remove the end-of-file character of DOS, U+001A, and the spaces and line breaks around it."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _HEADER_BYTES))
        end = file.read()
        rest = end.rstrip(b"\x1a \r\n")
        if _END_OF_FILE in end[len(rest) :]:
            file.truncate(size - len(end) + len(rest))


def _check_text(path: Path) -> bool:
    """Raise Refused unless the whole file is UTF-8 without NUL. Return whether a cell may begin like a code."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, may_hold_codes, before = 1, False, b"\n"
    with path.open("rb") as file:
        if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            raise refusal("#", "is UTF-16, expected UTF-8; save it as UTF-8", "not_utf8")
        file.seek(0)
        for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
            _check_piece(piece, decoder, line)
            may_hold_codes = may_hold_codes or _may_hold_codes(before + piece)
            before = piece[-3:]
            line += piece.count(b"\n")
        _check_piece(b"", decoder, line, final=True)
    return may_hold_codes


def _check_piece(piece: bytes, decoder: codecs.IncrementalDecoder, line: int, *, final: bool = False) -> None:
    if b"\0" in piece:
        line += piece[: piece.index(b"\0")].count(b"\n")
        hint = "; save it as UTF-8" if piece.count(b"\0") * 3 > len(piece) else ""
        raise refusal("#", f"holds a NUL byte in line {line}, expected text{hint}", "nul_byte")
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        line += bytes(error.object[: error.start]).count(b"\n")
        raise refusal("#", f"is not UTF-8 in line {line}; save it as UTF-8", "not_utf8") from None


def _may_hold_codes(window: bytes) -> bool:
    """Whether a cell begins with a plus, or with 0 and then a digit or x, also after a minus."""
    found = np.frombuffer(window, np.uint8)
    before, zero, after = found[:-2], found[1:-1], found[2:]
    # Unsigned bytes wrap around, so one comparison finds 0 to 9, and another excludes a point, slash or digit before.
    leads = (zero == ord("0")) & ((after - ord("0") < 10) | (after | 0x20 == ord("x"))) & (before - ord(".") >= 12)
    zeros = np.flatnonzero(leads) + 1
    begins = np.concatenate([zeros, np.flatnonzero(found[1:] == ord("+")) + 1])
    before = found[begins - 1]
    minus = begins[(before == ord("-")) & (begins > 1)] - 1
    return bool(_BEFORE_A_CELL[before].any() or _BEFORE_A_CELL[found[minus - 1]].any())


def _start(path: Path) -> tuple[str, bool]:
    """The beginning of the text, up to _HEADER_BYTES, and whether the file may be longer."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    return codecs.getincrementaldecoder("utf-8-sig")().decode(start), len(start) == _HEADER_BYTES


def _read_sep_line(text: str) -> tuple[str | None, int, str]:
    """The separator in Excel's line `sep=;`, the number of lines up to it, and the text after it."""
    bare = text.lstrip("\r\n")
    found = _SEP_LINE.match(bare)
    if found is None:
        return None, 0, bare
    if found.group(1) not in SEPARATORS:
        detail = f'its first line names the separator "{found.group(1)}", expected one of , ; tab |'
        raise refusal("#", detail, "unknown_separator")
    lines = len(text[: len(text) - len(bare)].splitlines()) + 1
    return found.group(1), lines, bare[found.end() :].lstrip("\r\n")


def _header_line(text: str, *, is_cut: bool) -> str:
    """The text before the first line break outside of quotes. Raises Refused if it is not a header."""
    found = re.match(r'(?:[^"\r\n]|"[^"]*")*', text)
    line = found.group() if found else ""
    if not line.strip() and not text.startswith('"'):
        raise refusal("#", "has no header; expected column names in the first line", "no_header")
    if line == text and is_cut:
        raise refusal("#", f"has a header of more than {_HEADER_BYTES} bytes", "header_too_long")
    if text[len(line) : len(line) + 1] == '"':
        raise refusal("#", "has a quote in its header that is never closed", "unclosed_quote")
    return line


def _guess_separator(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    return max(SEPARATORS, key=bare.count)


def _has_blanks_before_quotes(path: Path, text: str, separator: str) -> bool:
    """Whether the file has cells such as `a, "b, c"`: pyarrow does not recognize a quote after a space."""
    lines = [line for line in text[:_PIECE_BYTES].splitlines()[:5] if separator in line]
    if not any(line.count(separator) == line.count(f"{separator} ") for line in lines):
        return False
    with path.open("rb") as file:
        pieces = iter(lambda: file.read(_PIECE_BYTES), b"")
        return any(re.search(re.escape(separator).encode() + b' +"', piece) for piece in pieces)


def _remove_blanks(path: Path, separator: str, lines_before: int) -> None:
    """Rewrite the file without spaces after its separators."""
    csv.field_size_limit(BLOCK_BYTES)
    other = path.with_name("upload.bare")
    with path.open(encoding="utf-8-sig", newline="") as file, other.open("w", encoding="utf-8", newline="") as bare:
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
        try:
            csv.writer(bare, delimiter=separator).writerows(islice(rows, lines_before, None))
        except csv.Error:
            raise row_too_long() from None
    other.replace(path)


def row_too_long() -> Refused:
    """The refusal of a row that is larger than a block."""
    detail = f"has a row of more than {BLOCK_BYTES} bytes; perhaps a quote is never closed"
    return refusal("#", detail, "row_too_long")
