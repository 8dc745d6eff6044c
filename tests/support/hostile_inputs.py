"""A catalogue of hostile uploads and model configurations, each as the request that sends it."""

import io
import json
import pickle
import stat
import struct
import sys
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tests.support.archives import class_folders, npz_of, picture, tar_of, zip_of
from tests.support.keras_configs import HOSTILE

X, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 0, 1, 0, 1])
_FILES = [*class_folders(3).items()]


@dataclass(frozen=True)
class HostileInput:
    """One request that must be refused. `body` is called when it is sent."""

    name: str
    method: str
    path: str
    body: Callable[[], bytes]


def catalogue(arrays_id: str) -> Iterator[HostileInput]:
    """Yield all hostile inputs. The models are posted for the dataset `arrays_id`."""
    for kind, some in (("archive", _archives()), ("images", _images()), ("arrays", _arrays()), ("file", _files())):
        for name, body in some.items():
            yield HostileInput(f"{kind}: {name}", "PUT", "/datasets/hostile", body)
    for name, body in _weights().items():
        yield HostileInput(f"weights: {name}", "PUT", "/models/hostile", body)
    for name, config in HOSTILE.items():
        spec = {"dataset": {"kind": "arrays", "id": arrays_id}, "model": {"kind": "keras", "config": config}}
        yield HostileInput(f"model: {name}", "POST", "/jobs", partial(_as_json, spec))


def _as_json(spec: dict[str, Any]) -> bytes:
    """Encode a spec as JSON, also with numbers of thousands of digits."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(spec).encode()
    finally:
        sys.set_int_max_str_digits(limit)


def _with(*more: tuple[object, bytes]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zip_of([*_FILES, *more])


def _zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def _tar_entry(kind: bytes, link: str = "") -> bytes:
    info = tarfile.TarInfo("cat/other.png")
    info.type, info.linkname = kind, link
    return tar_of([*_FILES, (info, b"")], format=tarfile.GNU_FORMAT)


def _archives() -> dict[str, Callable[[], bytes]]:
    image = picture(7)
    names = {
        "a name with ..": "../a.png",
        "a name with .. inside": "cat/../../a.png",
        "an absolute name": "/etc/passwd",
        "a drive letter": "C:/a.png",
        "a backslash": "cat\\a.png",
        "control characters": "cat/a\x1b[2J.png",
        "a name from right to left": "cat/\u202egnp.a",
        "a name of 5,000 characters": "cat/" + "c" * 5000 + ".png",
        "names that differ by case": "cat/0.PNG",
        "a name twice": "./cat//0.png",
    }
    by_name: dict[str, Callable[[], bytes]] = {
        name: lambda entry=entry: _with((entry, image))  # type: ignore[misc]
        for name, entry in names.items()
    }
    return by_name | {
        "a NUL in a name": lambda: _with(("cat/a.png_.exe", image)).replace(b"a.png_.exe", b"a.png\0.exe"),
        "a link": lambda: _with((_zip_entry("cat/l.png", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        "a FIFO": lambda: _with((_zip_entry("cat/l.png", stat.S_IFIFO), b"")),
        "a device": lambda: _with((_zip_entry("cat/l.png", stat.S_IFBLK), b"")),
        "an encrypted entry": _encrypted,
        "an unusual compression": lambda: zip_of(_FILES, zipfile.ZIP_LZMA),
        "entries that share their bytes": _overlapping,
        "a zip that is cut": lambda: zip_of(_FILES)[:-30],
        "a directory that lies": lambda: zip_of(_FILES).replace(b"cat/0.png", b"cat/9.png", 1),
        "a wrong checksum": lambda: zip_of([*_FILES, ("cat/z.png", b"\x89PNG" + b"z" * 99)]).replace(b"zzz", b"zzy", 1),
        "an archive inside": lambda: _with(("cat/more.zip", zip_of({"a.png": image}))),
        "a compressed archive inside": lambda: _with(("cat/more.tar.gz", tar_of(_FILES, "w:gz"))),
        "a link in a tar": lambda: _tar_entry(tarfile.SYMTYPE, "/etc/passwd"),
        "a hard link in a tar": lambda: _tar_entry(tarfile.LNKTYPE, "cat/0.png"),
        "a FIFO in a tar": lambda: _tar_entry(tarfile.FIFOTYPE),
        "a device in a tar": lambda: _tar_entry(tarfile.CHRTYPE),
        "a sparse file in a tar": lambda: _tar_entry(tarfile.GNUTYPE_SPARSE),
        "a tar that is cut": lambda: tar_of(_FILES, "w:gz")[:-60],
        "headers of a tar without end": _endless_headers,
        "gigabytes of zeros in kilobytes": lambda: zip_of(
            {f"cat/{n}.png": bytes(120_000_000) for n in range(3)}, zipfile.ZIP_DEFLATED
        ),
    }


def _encrypted() -> bytes:
    content = bytearray(zip_of(_FILES))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    return bytes(content)


def _overlapping() -> bytes:
    """A zip whose directory names the same compressed bytes twice. A zip bomb names them many times."""
    content = bytearray(zip_of({"cat/a.png": bytes(10**6), "dog/b.png": bytes(10**6)}, zipfile.ZIP_DEFLATED))
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    content[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(content)


def _endless_headers() -> bytes:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 0
    return header.tobuf(tarfile.USTAR_FORMAT) * 3000 + bytes(1024)


def _images() -> dict[str, Callable[[], bytes]]:
    table = b"file_name,label\n"
    return {
        "a text with the name of an image": lambda: _with(("cat/text.jpg", b"only text")),
        "half a JPEG": lambda: _with(("cat/half.jpg", picture(3, (64, 64), "JPEG")[:700])),
        "60,000 x 60,000 pixels in a header": lambda: _with(("cat/large.png", _png_of(60_000, 60_000))),
        "pixels that are not there": lambda: _with(("cat/empty.png", _png_of(50, 50))),
        "SVG": lambda: _with(("cat/a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
        "HEIC": lambda: _with(("cat/a.heic", b"\0\0\0\x18ftypheic" + bytes(40))),
        "one class": lambda: zip_of(class_folders(4, names=("cat",))),
        "images without folders": lambda: zip_of({f"{n}.png": picture(n) for n in range(4)}),
        "no image": lambda: zip_of({"cat/": b"", "dog/": b""}),
        "a table of a file that is not there": lambda: zip_of({"metadata.csv": table + b"a.png,1\n", **dict(_FILES)}),
        "a table with two labels for one file": lambda: zip_of(
            {"metadata.csv": table + b"a.png,1\na.png,2\nb.png,1\n", "a.png": picture(1), "b.png": picture(2)}
        ),
        "a table that is no table": lambda: zip_of({"metadata.csv": b'"' + bytes(5000), **dict(_FILES)}),
    }


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims this size, without the pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _npy(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def _arrays() -> dict[str, Callable[[], bytes]]:
    objects = np.array([print] * 6, dtype=object)
    damaged = {
        "a pickle": _npy(objects),
        "a pickle that calls itself numbers": _npy(objects).replace(b"'|O'", b"'u1'"),
        "a header without end": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535,
        "a thousand million rows in a header": _npy(X).replace(b"(6, 4), ", b"(10**9,"),
        "rows below zero": _npy(X).replace(b"(6, 4)", b"(6,-4)"),
        "rows that are not there": _npy(X).replace(b"(6, 4)", b"(9, 4)"),
        "a cut array": _npy(X)[:-1],
        "texts": _npy(np.array(["a"] * 6)),
        "dates": _npy(np.zeros(6, "M8[s]")),
        "complex numbers": _npy(np.zeros(6, "c8")),
        "records": _npy(np.zeros(6, "f4, f4")),
        "no rows": _npy(np.zeros((0, 4))),
        "a single number": _npy(np.array(5)),
    }
    by_x: dict[str, Callable[[], bytes]] = {
        name: lambda content=content: zip_of({"x.npy": content, "y.npy": _npy(Y)})  # type: ignore[misc]
        for name, content in damaged.items()
    }
    return by_x | {
        "no target": lambda: npz_of(x=X),
        "rows of different numbers": lambda: npz_of(x=X, y=Y[:4]),
        "a target that is not finite": lambda: npz_of(x=X, y=np.full(6, np.nan)),
        "a validation part of another shape": lambda: npz_of(x=X, y=Y, x_validation=X[:, :3], y_validation=Y),
        "a program among the arrays": lambda: zip_of({"x.npy": _npy(X), "y.npy": _npy(Y), "run.py": b"1"}),
        "a name that is a path": lambda: npz_of(**{"x": X, "y": Y, "a/b": X}),
        "names that differ by case": lambda: npz_of(x=X, y=Y, X=X),
    }


def _files() -> dict[str, Callable[[], bytes]]:
    return {
        "a pickle": lambda: pickle.dumps({"a": 1}),
        "an HDF5 file": lambda: b"\x89HDF\r\n\x1a\n" + bytes(200),
        "a Keras model": lambda: zip_of({"metadata.json": b"{}", "config.json": b"{}"}),
        "an Office file": lambda: zip_of({"[Content_Types].xml": b""}),
        "a PyTorch file": lambda: zip_of({"archive/data.pkl": pickle.dumps(1)}),
        "a program": lambda: b"\x7fELF" + bytes(200),
        "nothing": lambda: b"",
    }


def _weights() -> dict[str, Callable[[], bytes]]:
    return {
        "a pickle": lambda: pickle.dumps([np.ones(3)]),
        "a zip without weights": lambda: zip_of({"config.json": b"{}"}),
        "a zip of another model's code": lambda: zip_of({"archive/data.pkl": pickle.dumps(1)}),
        "nothing": lambda: b"",
    }
