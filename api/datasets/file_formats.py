"""What an upload is, by its first bytes and never by its name. Nothing is opened: some formats run code then."""

import json
import re
from typing import Literal

from api.http.problems import HttpProblem

Format = Literal["csv", "parquet"]

# So much of the beginning tells every format below.
HEAD_BYTES = 4096
_PARQUET = b"PAR1"
_REFUSED_FORMATS = {
    b"PARE": "an encrypted Parquet file",
    b"PK\x03\x04": "a zip, xlsx, npz or keras file",
    b"PK\x05\x06": "an empty zip file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "gzip data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"\x04\x22\x4d\x18": "lz4 data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x93NUMPY": "a NumPy file",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"ARROW1": "an Arrow file",
    b"FEA1": "a Feather file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite file",
    b"RDX": "an R data file",
    b"MATLAB 5.0": "a MATLAB file",
    b"<stata_dta>": "a Stata file",
    b"$FL2": "an SPSS file",
    b"{\\rtf": "an RTF document",
    b"version https://git-lfs": "the pointer of a Git LFS file, not the file itself",
    b"%PDF": "a PDF file",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x7fELF": "a program",
    **{bytes([0x80, protocol]): "a pickle" for protocol in range(2, 6)},
}
_TAR = (257, b"ustar")
_TEXT_FORMATS = {
    r"<!doctype html|<html": "an HTML page",
    r"<\?xml": "an XML file",
    r"(?:%[^\n]*\n\s*)*@relation\s": "an ARFF file",
}
_JSON = re.compile(r"""\{\s*["'][^"'\n]*["']\s*:|\[\s*[\[{]|[\[{]\s*$""")


def format_of(head: bytes) -> Format:
    """What begins with `head`: Parquet by its magic number, CSV else. Raises HttpProblem 415 for other files."""
    if head.startswith(_PARQUET):
        return "parquet"
    name = _name_binary(head) or _name_text(head)
    if name:
        raise HttpProblem(415, "unsupported_format", f"this is {name}; send CSV or Parquet, not packed")
    return "csv"


def _name_binary(head: bytes) -> str | None:
    if head[_TAR[0] :].startswith(_TAR[1]):
        return "a tar archive"
    return next((name for magic, name in _REFUSED_FORMATS.items() if head.startswith(magic)), None)


def _name_text(head: bytes) -> str | None:
    text = head[:HEAD_BYTES].decode("utf-8-sig", errors="replace").lstrip()
    for pattern, name in _TEXT_FORMATS.items():
        if re.match(pattern, text, re.IGNORECASE):
            return name
    return "JSON" if _is_json(text) else None


def _is_json(text: str) -> bool:
    """Whether a document or the first of JSON Lines stands there; a header may well begin with a bracket."""
    if not text.startswith(("{", "[")):
        return False
    line = text.splitlines()[0]
    try:
        return isinstance(json.loads(line), dict | list)
    except ValueError:
        return _JSON.match(line) is not None
