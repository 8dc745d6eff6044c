"""An upload of a program in progress: received and read in a hidden folder, then published as a version or removed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.state.incoming import incoming_folder, receive_pieces
from api.state.parser import parse_upload
from shared.problems import Problem, Refused
from shared.settings import Settings

DEFAULT_SCRIPT = "main.py"


@dataclass(frozen=True)
class ProgramUpload:
    """The received program: `version_folder` contains only `program.zip`. `facts` are those of `take_program`."""

    version_folder: Path
    bytes: int
    facts: dict[str, Any]


@contextmanager
def receive(beside: Path, settings: Settings, script_name: str | None) -> Iterator[ProgramUpload]:
    """A context manager with the request's body, packed as a version. On exit, everything unpublished is removed.

    `script_name` is the name of a body that is a single `.py` file. Raises Refused for an empty body, and the errors of
    `receive_pieces` and `parse_upload`.
    """
    with incoming_folder(beside) as folder:
        size = _store(folder / "upload", settings)
        order = {
            "script_name": script_name or DEFAULT_SCRIPT,
            "max_files": settings.max_program_files,
            "max_bytes": settings.max_program_bytes,
        }
        facts = parse_upload("api.programs.ingest", folder, size, order)
        yield ProgramUpload(folder / "version", size, facts)


def _store(upload: Path, settings: Settings) -> int:
    size = 0
    with upload.open("xb") as file:
        for piece in receive_pieces(upload.parent, settings.max_program_bytes, settings.volume_reserve_bytes):
            size += len(piece)
            file.write(piece)
    if not size:
        raise Refused([Problem("#", "the body is empty, expected a .py file, or a zip or tar of a folder", "empty")])
    return size
