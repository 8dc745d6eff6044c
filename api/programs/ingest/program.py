"""Makes a version from an uploaded program: checks its files, compiles them without running them, packs them again."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from api.archive import read_archive, survey_names
from api.archive.entries import ArchiveLimits, show
from api.programs.ingest.module_names import RESERVED
from shared.problems import Problem, Refused, at_most_shown, pointer
from shared.program import ARCHIVE, default_entry, hash_program, write_archive

_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"
_TAR_PLACE, _TAR = 257, b"ustar"
# Files that operating systems and tools add to a folder.
_SYSTEM_FOLDERS = frozenset({"__MACOSX", "__pycache__", ".git"})
_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_MODULE_ENDINGS = (".py", ".pyc", ".so", ".pyd")


def take_program(folder: Path, script_name: str, most_files: int, most_bytes: int) -> dict[str, Any]:
    """Write `version/program.zip` from `upload`, and return its facts. Raises Refused with every problem.

    `script_name` is the name of an upload that is a single `.py` file.
    """
    upload = folder / "upload"
    kind = _kind_of(upload)
    if kind == "script":
        files, left_out = {script_name: upload.read_bytes()}, 0
        _raise_problems(_check_names([script_name]))
    else:
        files, left_out = _unpack(upload, kind, most_files, most_bytes)
    broken = _compile(files)
    entry = default_entry(files)
    if entry in broken:
        raise Refused([Problem(pointer("files", show(entry)), f"does not compile: {broken[entry]}", "syntax_error")])
    version = folder / "version"
    version.mkdir()
    write_archive(version / ARCHIVE, ((path, io.BytesIO(files[path])) for path in sorted(files)))
    return {
        "version": hash_program((path, hashlib.sha256(content).hexdigest()) for path, content in files.items()),
        "bytes": sum(map(len, files.values())),
        "files": [{"path": path, "bytes": len(files[path])} for path in sorted(files)],
        "broken": broken,
        "warnings": [f"files of the operating system and of Python's cache left out: {left_out}"] if left_out else [],
    }


def _kind_of(upload: Path) -> Literal["script", "zip", "tar"]:
    with upload.open("rb") as file:
        head = file.read(_TAR_PLACE + len(_TAR))
    if head.startswith(_ZIPS):
        return "zip"
    return "tar" if head.startswith(_GZIP) or head[_TAR_PLACE:] == _TAR else "script"


def _unpack(
    upload: Path, kind: Literal["zip", "tar"], most_files: int, most_bytes: int
) -> tuple[dict[str, bytes], int]:
    """The content of each file by its path, and the number of files that were left out."""
    # Folders are entries, too.
    entries, problems = survey_names(upload, kind, ArchiveLimits(2 * most_files, most_bytes))
    kept = {entry.name for entry in entries if not _is_system(entry.name)}
    if len(kept) > most_files:
        detail = f"holds {len(kept)} files, expected at most {most_files}; data belongs in a dataset"
        problems.append(Problem("#", detail, "too_many_files"))
    # A refused entry may be the script, so if there are problems, a missing script is not one of them.
    _raise_problems([*problems, *_check_names(sorted(kept), is_whole=not problems)])
    files = {one.name: one.read(one.size) for one in read_archive(upload, kind, kept.__contains__)}
    return files, len(entries) - len(kept)


def _raise_problems(problems: list[Problem]) -> None:
    if problems:
        raise Refused(at_most_shown(problems))


def _check_names(paths: list[str], *, is_whole: bool = True) -> list[Problem]:
    """The problems of the files' paths. A missing script is one only if these are all files (`is_whole`)."""
    problems = [Problem(pointer("files", show(path)), detail, code) for path, detail, code in _name_faults(paths)]
    if is_whole and not any(path.endswith(".py") for path in paths):
        problems.append(Problem("#", _describe_missing_script(paths), "no_script"))
    return problems


def _describe_missing_script(paths: list[str]) -> str:
    notebook = next((path for path in paths if path.endswith(".ipynb")), None)
    if notebook is not None:
        return f"holds no .py file; convert the notebook: jupyter nbconvert --to script {show(notebook)}"
    return "holds no .py file, expected a Python script"


def _name_faults(paths: list[str]) -> Iterator[tuple[str, str, str]]:
    """The path, the description and the code of each problem."""
    known, named = set(paths), set()
    for path in paths:
        file = next((above for above in _folders_above(path) if above in known), None)
        if file is not None:
            yield path, f'is in a folder with the name of the file "{show(file)}"', "bad_entry"
        module = _module_of(path)
        if module in RESERVED and module not in named:
            named.add(module)
            yield path, f'hides the module "{module}", which a worker uses; rename it', "reserved_name"


def _folders_above(path: str) -> list[str]:
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


def _module_of(path: str) -> str | None:
    """The top-level module that a file defines or belongs to; None for a file that cannot be imported."""
    if not path.endswith(_MODULE_ENDINGS):
        return None
    return path.partition("/")[0].partition(".")[0]


def _is_system(path: str) -> bool:
    *folders, name = path.split("/")
    return name.lower() in _SYSTEM_FILES or not _SYSTEM_FOLDERS.isdisjoint(folders)


def _compile(files: dict[str, bytes]) -> dict[str, str]:
    """The reason for each `.py` file that does not compile. Nothing is run."""
    faults = {path: _syntax_fault(path, files[path]) for path in sorted(files) if path.endswith(".py")}
    return {path: fault for path, fault in faults.items() if fault is not None}


def _syntax_fault(path: str, source: bytes) -> str | None:
    try:
        compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return show(f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg))
    except ValueError as error:
        return show(str(error))
    except (RecursionError, MemoryError, OverflowError):
        return "it is nested too deeply or too large to be compiled"
    return None
