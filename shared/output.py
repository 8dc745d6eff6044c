"""The output of an attempt's training process: bounded files, read by position, without control characters.

    output.log              the beginning
    output-<start>.log      the output from byte `<start>` on: the newest two of these files

Of a long output, only the beginning and the end are kept; the middle is removed (`worker.ipc.bounded_output`). A
position counts every byte that was printed, so it stays the same when the middle is removed.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.events import Cursor
from shared.job_folder import AttemptFolder
from shared.plain_files import open_plain

SEGMENT_BYTES = 1024**2

_Decoder = getincrementaldecoder("utf-8")
_NAME = re.compile(r"output-([0-9]{1,18})\.log")
# C0 and C1 without tab and line feed; marks that reorder text; separators that some programs read as line ends.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_LINE_ENDS = re.compile(r"\r\n?")


def segment_name(start: int) -> str:
    """The name of the file that holds what was printed from the byte `start` on."""
    return f"output-{start}.log" if start else "output.log"


@dataclass(frozen=True)
class Piece:
    """Consecutive bytes of one attempt. `skipped_bytes` before them are not kept. `after` is the place after them."""

    attempt: AttemptFolder
    content: bytes
    skipped_bytes: int
    after: Cursor

    @property
    def text(self) -> str:
        """The bytes as text without control characters."""
        return printable(self.content)


def printable(content: bytes) -> str:
    r"""UTF-8 as text: line ends are \n; control characters and invalid UTF-8 become escapes (\x1b)."""
    text = _LINE_ENDS.sub("\n", content.decode("utf-8", "backslashreplace"))
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def read_output(attempts: Sequence[AttemptFolder], after: Cursor, most_bytes: int) -> Iterator[Piece]:
    """The output of the attempts after a place, oldest first, in pieces of at most `most_bytes`.

    A character or a line end that is not complete yet is left for the next call while the attempt may print more.
    Raises UnusableDocument, OSError.
    """
    for attempt in attempts:
        if attempt.number >= after.attempt:
            place = after.offset if attempt.number == after.attempt else 0
            yield from _read_attempt(attempt, place, most_bytes)


def last_bytes(attempt: AttemptFolder, most_bytes: int) -> Iterator[Piece]:
    """The last `most_bytes` of one attempt's output, in pieces."""
    yield from _read_attempt(attempt, max(0, output_bytes(attempt) - most_bytes), most_bytes)


def output_bytes(attempt: AttemptFolder) -> int:
    """The number of bytes that the attempt has printed, including those that are not kept."""
    return max((segment.end for segment in _segments(attempt)), default=0)


@dataclass(frozen=True)
class _Segment:
    path: Path
    start: int
    end: int

    def read(self, place: int, size: int) -> bytes:
        with open_plain(self.path) as file:
            file.seek(place - self.start)
            return file.read(min(size, self.end - place))


def _segments(attempt: AttemptFolder) -> list[_Segment]:
    """The files that are not empty, in the order of their start."""
    try:
        names = [path.name for path in attempt.path.iterdir()]
    except FileNotFoundError:
        return []
    starts = [0, *(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))]
    segments = [_segment(attempt.path / segment_name(start), start) for start in sorted(starts)]
    return [segment for segment in segments if segment.end > segment.start]


def _segment(path: Path, start: int) -> _Segment:
    try:
        with open_plain(path) as file:
            return _Segment(path, start, start + file.seek(0, 2))
    except FileNotFoundError:  # removed meanwhile, or nothing was printed
        return _Segment(path, start, start)


def _read_attempt(attempt: AttemptFolder, place: int, most_bytes: int) -> Iterator[Piece]:
    # Checked before the files are read: nothing is printed after the end.
    is_over = attempt.end_file.exists()
    segments, read_until = _segments(attempt), place
    for segment in segments:
        place = max(place, segment.start)
        while place < segment.end:
            content = _next(segment, place, most_bytes)
            if not content:  # removed meanwhile
                break
            is_last = segment is segments[-1] and place + len(content) == segment.end
            content = _whole(content) if not (is_last and is_over) else content
            if not content:
                return
            place += len(content)
            yield Piece(attempt, content, place - len(content) - read_until, Cursor(attempt.number, place))
            read_until = place


def _next(segment: _Segment, place: int, most_bytes: int) -> bytes:
    try:
        content = segment.read(place, most_bytes)
    except FileNotFoundError:
        return b""
    if place + len(content) == segment.end:
        return content
    return content[: content.rfind(b"\n") + 1] or _whole(content)


def _whole(content: bytes) -> bytes:
    r"""`content` without an incomplete character and a `\r` at the end, which may be half of a line end."""
    decoder = _Decoder("backslashreplace")
    decoder.decode(content[-4:])
    incomplete, _ = decoder.getstate()
    return content[: len(content) - len(incomplete)].removesuffix(b"\r")
