"""The format of an upload, by its first bytes and never by its name. No file is opened: some formats can run code."""

import json
import re
import zlib
from typing import Literal

from api.http.problems import HttpProblem

Format = Literal["csv", "parquet", "zip", "tar", "npz"]

# The number of first bytes that is enough for every format below.
HEAD_BYTES = 4096
_PARQUET = b"PAR1"
_REFUSED_FORMATS = {
    b"PARE": "an encrypted Parquet file",
    b"PK\x05\x06": "an empty zip file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "gzip data without a tar archive in it",
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
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_TAR = (257, b"ustar")
_TAR_BLOCK = 512
# In the first entry of a zip: the two bytes with the length of its name, and the offset of the name.
_NAME_LENGTH, _NAME_START = slice(26, 28), 30
_NPY = ".npy"
# Zips of other programs, by the name of their first entry.
_REFUSED_ZIPS = {
    r"\[Content_Types\]\.xml|_rels/": "an Office file such as xlsx",
    r"mimetype$": "an OpenDocument or EPUB file",
    r"META-INF/": "a Java archive",
    r"(metadata|config)\.json$|model\.weights\.h5$": "a Keras model",
    r"[^/]+/data\.pkl$": "a PyTorch file",
}
_TEXT_FORMATS = {
    r"<!doctype html|<html": "an HTML page",
    r"<\?xml": "an XML file",
    r"(?:%[^\n]*\n\s*)*@relation\s": "an ARFF file",
}
_JSON = re.compile(r"""\{\s*["'][^"'\n]*["']\s*:|\[\s*[\[{]|[\[{]\s*$""")


def format_of(head: bytes) -> Format:
    """The format of a file that begins with `head`: by a magic number, otherwise CSV. Raises HttpProblem 415.

    A zip whose first entry is a `.npy` file is npz.
    """
    if head.startswith(_PARQUET):
        return "parquet"
    found: Format = "csv"
    if head.startswith(_ZIP):
        first = _first_name(head)
        found, name = "npz" if first.endswith(_NPY) else "zip", _name_zip(first)
    elif _is_tar(head) or (head.startswith(_GZIP) and _is_tar(_unpack(head))):
        return "tar"
    else:
        name = _name_binary(head) or _name_text(head)
    if name:
        detail = f"this is {name}; send a table as CSV or Parquet, images as zip, tar or Parquet, arrays as npz"
        raise HttpProblem(415, "unsupported_format", detail)
    return found


def _is_tar(head: bytes) -> bool:
    return head[_TAR[0] :].startswith(_TAR[1])


def _unpack(head: bytes) -> bytes:
    """The first bytes of the unpacked data; empty if it is damaged."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, _TAR_BLOCK)
    except zlib.error:
        return b""


def _first_name(head: bytes) -> str:
    """The name of the first entry of a zip."""
    length = int.from_bytes(head[_NAME_LENGTH], "little")
    return head[_NAME_START : _NAME_START + length].decode(errors="replace")


def _name_zip(first: str) -> str | None:
    return next((name for pattern, name in _REFUSED_ZIPS.items() if re.match(pattern, first)), None)


def _name_binary(head: bytes) -> str | None:
    return next((name for magic, name in _REFUSED_FORMATS.items() if head.startswith(magic)), None)


def _name_text(head: bytes) -> str | None:
    text = head[:HEAD_BYTES].decode("utf-8-sig", errors="replace").lstrip()
    for pattern, name in _TEXT_FORMATS.items():
        if re.match(pattern, text, re.IGNORECASE):
            return name
    return "JSON" if _is_json(text) else None


def _is_json(text: str) -> bool:
    """Whether the text begins as JSON or JSON Lines. A header of CSV may begin with a bracket, too."""
    if not text.startswith(("{", "[")):
        return False
    line = text.splitlines()[0]
    try:
        return isinstance(json.loads(line), dict | list)
    except ValueError:
        return _JSON.match(line) is not None
