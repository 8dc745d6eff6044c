"""The demo's data: the article's wine data from UCI, or, without internet, data that comes with scikit-learn."""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import httpx2

from fitstop.local.digits import DIGITS_ID, write_digits

UCI_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality"
WINE_ID = "wine-quality"
# The ids of the sample datasets.
SAMPLES = ("breast-cancer", DIGITS_ID, WINE_ID)
_TIMEOUT = httpx2.Timeout(10)


class NoWine(Exception):
    """The wine data cannot be downloaded: no answer, or not the published file."""


@dataclass(frozen=True)
class Published:
    """A published file: its name, the kind of wine, its length and its SHA-256."""

    name: str
    kind: str
    bytes: int
    sha256: str


# White first, as in the common copy, because the split depends on the order of the rows.
WINES = (
    Published(
        "winequality-white.csv", "white", 264_426, "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836"
    ),
    Published("winequality-red.csv", "red", 84_199, "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"),
)


def fetch_wine(folder: Path, base_url: str = UCI_URL, files: tuple[Published, ...] = WINES) -> Path:
    """Both kinds of wine as one CSV in `folder`: a `type` column, then the published columns. Downloaded only once.

    Raises NoWine if a file cannot be downloaded or has another SHA-256; such a file is not kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = [(one.kind, _content(folder / one.name, f"{base_url.rstrip('/')}/{one.name}", one)) for one in files]
    joined = folder / "wine-quality.csv"
    _put(joined, join_wine(contents))
    return joined


def _content(cached: Path, url: str, file: Published) -> bytes:
    try:
        content = cached.read_bytes()
    except OSError:
        content = b""
    if _is(content, file):
        return content
    content = _fetch(url, file.bytes)
    if not _is(content, file):
        digest = hashlib.sha256(content).hexdigest()
        raise NoWine(f"{url} holds {len(content)} bytes with sha256 {digest}, expected {file.bytes} with {file.sha256}")
    _put(cached, content)
    return content


def _fetch(url: str, most: int) -> bytes:
    """Download the content; stop after the expected length, because a wrong answer may be long."""
    content = b""
    try:
        with httpx2.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as response:
            response.raise_for_status()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > most:
                    break
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NoWine(f"{url}: {error or type(error).__name__}") from error
    return content


def _is(content: bytes, file: Published) -> bool:
    return len(content) == file.bytes and hashlib.sha256(content).hexdigest() == file.sha256


def join_wine(contents: list[tuple[str, bytes]]) -> bytes:
    """Join the files, which have `;` between cells, into one CSV with the kind as the first column, `type`.

    Raises NoWine if their columns differ.
    """
    joined = io.StringIO()
    writer = csv.writer(joined, lineterminator="\n")
    columns: list[str] = []
    for kind, content in contents:
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";")
        header = next(rows, [])
        if not columns:
            columns = header
            writer.writerow(["type", *columns])
        if header != columns:
            raise NoWine(f"the columns of the {kind} wine are {header}, those of the other {columns}")
        writer.writerows([kind, *row] for row in rows if row)
    return joined.getvalue().encode()


def sample(name: str, folder: Path, url: str = UCI_URL) -> Path:
    """The file or folder of one of SAMPLES, in `folder`. Raises NoWine, or ImportError without scikit-learn."""
    if name == DIGITS_ID:
        return write_digits(folder)
    return fetch_wine(folder, url) if name == WINE_ID else write_breast_cancer(folder)


def write_breast_cancer(folder: Path) -> Path:
    """The breast-cancer data that scikit-learn ships, as a CSV in `folder` with a text target `diagnosis`, last."""
    from sklearn.datasets import load_breast_cancer

    folder.mkdir(parents=True, exist_ok=True)
    data = load_breast_cancer()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*data.feature_names, "diagnosis"])
    for values, target in zip(data.data.tolist(), data.target.tolist(), strict=True):
        writer.writerow([*values, data.target_names[target]])
    path = folder / "breast-cancer.csv"
    _put(path, text.getvalue().encode())
    return path


def _put(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)
