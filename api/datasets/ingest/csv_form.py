"""How a CSV file is written: its encoding, its header and its separator; what Excel, DOS and blanks add is removed.

UTF-8 with or without a BOM, a header, and the separator (`,` `;` tab `|`) that a line `sep=;` before it names, or that
occurs most in it. Blanks after a separator are no part of a cell.
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
# Small enough for the pieces of NumPy's answers to stay in the cache.
_PIECE_BYTES = 128 * 1024
_END_OF_FILE = 0x1A
_SEP_LINE = re.compile(r'"?sep=(.)"?[,;\t|]*(\r\n|\r|\n)', re.IGNORECASE)
# Before a cell stands one of these, or the beginning of the file.
_BEFORE_A_CELL = np.isin(np.arange(256), list(b',;\t|\n\r" '))


@dataclass(frozen=True)
class Form:
    """How the file is written: the cells of its header, what stands between two cells, and the lines before the header.

    `header` is as pyarrow reads it, with the blanks that stand before a name; `names` are the columns' names as the
    dataset keeps them. `may_hold_codes` is false where no cell can begin as `007`, `0x1F` or `+1` do.
    """

    header: list[str]
    names: list[str]
    separator: str
    lines_before: int
    may_hold_codes: bool


def read_form(path: Path) -> Form:
    """The file's form; changes the file where its form is one that pyarrow does not read. Raises Refused."""
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
    """Cut off DOS's end of file, U+001A, with the blanks around it."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _HEADER_BYTES))
        end = file.read()
        rest = end.rstrip(b"\x1a \r\n")
        if _END_OF_FILE in end[len(rest) :]:
            file.truncate(size - len(end) + len(rest))


def _check_text(path: Path) -> bool:
    """UTF-8 without NUL, all of it. Whether a cell may begin as a code does."""
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
    """Whether a cell begins with a plus, or with 0 and then a digit or x."""
    found = np.frombuffer(window, np.uint8)
    before, zero, after = found[:-2], found[1:-1], found[2:]
    # Bytes wrap around: 0 to 9, and no point, slash or digit before.
    leads = (zero == ord("0")) & ((after - ord("0") < 10) | (after | 0x20 == ord("x"))) & (before - ord(".") >= 12)
    zeros = np.flatnonzero(leads) + 1
    begins = np.concatenate([zeros, np.flatnonzero(found[1:] == ord("+")) + 1])
    before = found[begins - 1]
    minus = begins[(before == ord("-")) & (begins > 1)] - 1
    return bool(_BEFORE_A_CELL[before].any() or _BEFORE_A_CELL[found[minus - 1]].any())


def _start(path: Path) -> tuple[str, bool]:
    """The beginning of the text, where a header stands, and whether there is more."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    return codecs.getincrementaldecoder("utf-8-sig")().decode(start), len(start) == _HEADER_BYTES


def _read_sep_line(text: str) -> tuple[str | None, int, str]:
    """The separator that Excel's line `sep=;` names, the lines up to it, and the text after it."""
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
    """All before the first line break that stands outside quotes."""
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
    """Whether `a, "b, c"` stands in the file: to pyarrow a quote after a blank is no quote."""
    lines = [line for line in text[:_PIECE_BYTES].splitlines()[:5] if separator in line]
    if not any(line.count(separator) == line.count(f"{separator} ") for line in lines):
        return False
    with path.open("rb") as file:
        pieces = iter(lambda: file.read(_PIECE_BYTES), b"")
        return any(re.search(re.escape(separator).encode() + b' +"', piece) for piece in pieces)


def _remove_blanks(path: Path, separator: str, lines_before: int) -> None:
    """Write the file as it would be without blanks after its separators."""
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
    """The refusal of a row that no block holds."""
    detail = f"has a row of more than {BLOCK_BYTES} bytes; perhaps a quote is never closed"
    return refusal("#", detail, "row_too_long")
