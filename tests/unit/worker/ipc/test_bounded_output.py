"""The output of a training process is kept in a few files, and read back by position."""

import os
import subprocess
import sys

import pytest

from shared.events import Cursor
from shared.job_folder import AttemptFolder
from shared.output import output_bytes, read_output, segment_name
from worker.ipc.bounded_output import BoundedOutput

SEGMENT = 1000


@pytest.fixture
def attempt(tmp_path):
    folder = AttemptFolder(tmp_path / "attempts" / "1", 1)
    folder.path.mkdir(parents=True)
    return folder


@pytest.fixture
def printed(attempt):
    """Print lines into the attempt's output, like a process with `stream` as its standard output."""
    stream = os.open(os.devnull, os.O_WRONLY)
    output = BoundedOutput(attempt.path, SEGMENT, (stream,))

    def print_lines(first, last):
        for number in range(first, last):
            os.write(stream, b"line %05d\n" % number)
            output.look()

    yield print_lines
    os.close(stream)


def whole(attempt, after=None):
    return list(read_output([attempt], after or Cursor(), 300))


def test_a_little_output_is_one_file(attempt, printed):
    printed(0, 50)
    assert [path.name for path in attempt.path.iterdir()] == ["output.log"]
    assert "".join(piece.text for piece in whole(attempt)) == "".join(f"line {number:05d}\n" for number in range(50))


def test_of_much_output_the_beginning_and_the_end_are_kept_and_the_middle_is_counted(attempt, printed):
    printed(0, 2000)
    sizes = [path.stat().st_size for path in attempt.path.iterdir()]
    assert len(sizes) <= 4
    assert sum(sizes) <= 4 * (SEGMENT + 11)
    pieces = whole(attempt)
    lines = "".join(piece.text for piece in pieces).splitlines()
    assert (lines[0], lines[-1]) == ("line 00000", "line 01999")
    (skipped,) = [piece.skipped_bytes for piece in pieces if piece.skipped_bytes]
    assert skipped + sum(len(piece.content) for piece in pieces) == 2000 * 11 == output_bytes(attempt)


def test_the_end_of_what_is_printed_within_one_look_is_kept_also_where_the_process_goes_on(attempt, printed):
    stream = os.open(attempt.path / "output.log", os.O_WRONLY | os.O_APPEND)
    os.write(stream, b"first\n" + b"x" * 9 * SEGMENT + b"\nan error\n")
    os.close(stream)
    printed(0, 1)
    text = "".join(piece.text for piece in whole(attempt))
    assert (text[:6], text[-20:]) == ("first\n", "an error\nline 00000\n")
    (skipped,) = [piece.skipped_bytes for piece in whole(attempt) if piece.skipped_bytes]
    assert skipped + len(text) == output_bytes(attempt) == 9 * SEGMENT + 27
    assert sum(path.stat().st_size for path in attempt.path.iterdir()) < 3 * SEGMENT


def test_a_reader_that_follows_gets_each_line_once_while_files_come_and_go(attempt, printed):
    after, lines = Cursor(), []
    for first in range(0, 1000, 20):
        printed(first, first + 20)
        for piece in read_output([attempt], after, 100):
            after = piece.after
            lines += piece.text.splitlines()
    assert lines == [f"line {number:05d}" for number in range(1000)]


def test_what_is_incomplete_waits_for_its_rest(attempt):
    file = attempt.output_file
    file.write_bytes("50 % ä".encode()[:-1])
    (piece,) = whole(attempt)
    assert piece.text == "50 % "
    file.write_bytes("50 % ä\r".encode())
    assert "".join(one.text for one in whole(attempt, piece.after)) == "ä"
    attempt.end_file.touch()
    assert "".join(one.text for one in whole(attempt, piece.after)) == "ä\n"


def test_control_characters_and_what_is_no_text_become_escapes(attempt):
    attempt.output_file.write_bytes(b"\x1b[2J\x1b]0;title\x07 ok\ttab\r\n" + "\u202eright\x85".encode() + b"\xff\n")
    attempt.end_file.touch()
    assert "".join(piece.text for piece in whole(attempt)) == (
        "\\x1b[2J\\x1b]0;title\\x07 ok\ttab\n\\u202eright\\x85\\xff\n"
    )


def test_a_link_in_the_place_of_the_output_is_not_followed(attempt, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of another machine")
    attempt.output_file.symlink_to(secret)
    with pytest.raises(ValueError, match="not a regular file"):
        whole(attempt)


def test_a_process_that_is_killed_leaves_its_last_words_and_no_more_than_its_limit(attempt):
    program = """
import os, signal, sys
from pathlib import Path
from worker.ipc.bounded_output import BoundedOutput
output = BoundedOutput(Path(sys.argv[1]), 1000)
for number in range(5000):
    print(f"line {number:05d}", flush=True)
    output.look()
print("last words", file=sys.stderr, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, str(attempt.path)], check=False)
    attempt.end_file.touch()
    text = "".join(piece.text for piece in whole(attempt))
    assert text.startswith("line 00000\n")
    assert text.endswith("line 04999\nlast words\n")
    assert sum(path.stat().st_size for path in attempt.path.iterdir()) < 5000
    assert (attempt.path / segment_name(0)).exists()
