"""Chooses the files of a script's folder that `fitstop run` sends: no ignored files, and never secrets."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pathspec import GitIgnoreSpec

from fitstop.errors import Unsendable
from fitstop.upload import Upload, pack_files

REQUIREMENTS = "requirements.txt"
IGNORE_FILES = (".gitignore", ".fitstopignore")
# More files than any program has. Such a folder contains data, or is a home folder.
_MOST_FILES = 20_000
# A folder with one of these is a virtual environment, a conda environment or the data of a service.
_MARKS = frozenset({"pyvenv.cfg", "conda-meta", "fitstop-volume.json", "admin_key"})
_GENERATED = frozenset({"__pycache__", "node_modules", "__macosx", "thumbs.db", "desktop.ini"})
# Never sent, even if .fitstopignore includes them.
_SECRETS = GitIgnoreSpec.from_lines(
    [
        *("*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_ecdsa*", "id_ed25519*"),
        *("credentials.json", "kaggle.json", "secrets.json", "secrets.toml", "secrets.yaml", "secrets.yml"),
    ]
)


@dataclass(frozen=True)
class PackedFile:
    """A file to send: its path in the program with `/` between folders, its path here, and its size in bytes."""

    name: str
    path: Path
    size: int


@dataclass(frozen=True)
class Pack:
    """The files of a program, sorted by name. `entry`: the script that was named; None if a folder was named.

    `left_out`: the paths that are not sent, by the reason. A folder stands for everything in it.
    """

    folder: Path
    entry: str | None
    files: tuple[PackedFile, ...]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size for file in self.files)

    @cached_property
    def version(self) -> str:
        """The version that a service gives these files. Raises Unsendable if a file cannot be read."""
        sums = sorted((file.name, _sha256(file.path)) for file in self.files)
        lines = "".join(f"{digest}  {name}\n" for name, digest in sums)
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()

    def upload(self) -> Upload:
        """The files as a tar that is packed while it is sent."""
        return pack_files(f"{self.folder.name or 'program'}.tar", [(one.path, one.name) for one in self.files])


def pack(target: Path, requirements: Path | None = None, *, alone: bool = False) -> Pack:
    """The program of `target`: a folder, or a script with its folder (with `alone`, without it).

    `requirements` becomes the program's `requirements.txt`. Raises Unsendable for a home folder, and for a folder with
    too many files or none.
    """
    folder = target if target.is_dir() else target.parent
    found = _Found()
    if alone and not target.is_dir():
        found.take(target.name, target)
    else:
        _refuse_home(folder)
        _walk(folder, "", _rules_above(folder), found)
    if not target.is_dir():
        # The script itself is sent even if it is ignored.
        found.take(target.name, target)
    if requirements is not None:
        found.take(REQUIREMENTS, requirements)
    files = tuple(PackedFile(name, path, path.stat().st_size) for name, path in sorted(found.files.items()))
    if not files:
        raise Unsendable(f"{folder} holds no files to send; expected a Python script")
    return Pack(folder, None if target.is_dir() else target.name, files, found.left_out)


@dataclass
class _Found:
    files: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def take(self, name: str, path: Path) -> None:
        self.files[name] = path
        if len(self.files) > _MOST_FILES:
            detail = "name data folders in .fitstopignore, or run the script with --alone"
            raise Unsendable(f"the folder holds more than {_MOST_FILES} files; {detail}")

    def leave(self, why: str, name: str) -> None:
        self.left_out.setdefault(why, []).append(name)


@dataclass(frozen=True)
class _Rules:
    """The patterns of one ignore file.

    It is in a folder `depth` levels below the packed one, or in one above, from which `prefix` leads to the packed one.
    """

    spec: GitIgnoreSpec
    name: str
    depth: int = 0
    prefix: str = ""

    def judge(self, path: str) -> bool | None:
        """Whether a path below the packed folder is ignored; None if no pattern matches it."""
        return self.spec.check_file(self.prefix + path.split("/", self.depth)[-1]).include


def _walk(folder: Path, place: str, rules: list[_Rules], found: _Found) -> None:
    """Sort everything below `folder` into sent and left out. `place`: its path in the program, with a final `/`."""
    own = [*rules, *_rules_of(folder, depth=place.count("/"))]
    for entry in sorted(_scan(folder), key=lambda entry: entry.name):
        name = place + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        why = _why_never(entry) or _why_ignored(f"{name}/" if is_folder else name, own)
        if why:
            found.leave(why, f"{name}/" if is_folder else name)
        elif is_folder:
            _walk(folder / entry.name, f"{name}/", own, found)
        else:
            found.take(name, folder / entry.name)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise Unsendable(f"{error.filename} cannot be read: {error.strerror}") from error


def _why_never(entry: os.DirEntry[str]) -> str | None:
    """Why something is never sent, even if the ignore files include it; None if it may be sent."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.lower() in _GENERATED:
        return "generated"
    if entry.is_symlink():
        return "links"
    if entry.is_dir():
        return "environments and data folders" if _is_marked(entry.path) else None
    if not entry.is_file():
        return "no files"
    return "secrets" if _SECRETS.match_file(entry.name) else None


def _is_marked(folder: str) -> bool:
    return any(os.path.lexists(f"{folder}/{mark}") for mark in _MARKS)


def _why_ignored(path: str, rules: list[_Rules]) -> str | None:
    """The reason if the last matching pattern ignores the path; else None."""
    for one in reversed(rules):
        is_ignored = one.judge(path)
        if is_ignored is not None:
            return f"in {one.name}" if is_ignored else None
    return None


def _rules_of(folder: Path, depth: int = 0, prefix: str = "") -> Iterator[_Rules]:
    for name in IGNORE_FILES:
        try:
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unsendable(f"{folder / name} cannot be read: {error.strerror}") from error
        yield _Rules(GitIgnoreSpec.from_lines(lines), name, depth, prefix)


def _rules_above(folder: Path) -> list[_Rules]:
    """The patterns of the folders above, up to that of the git repository; none outside of one."""
    above: list[_Rules] = []
    here, prefix = folder.resolve(), ""
    while not (here / ".git").exists():
        if here == here.parent:
            return []
        here, prefix = here.parent, f"{here.name}/{prefix}"
        above = [*_rules_of(here, prefix=prefix), *above]
    return above


def _refuse_home(folder: Path) -> None:
    whole = folder.resolve()
    if whole in {Path.home(), Path(whole.anchor)}:
        detail = "move the script to a folder of its own, or run it with --alone"
        raise Unsendable(f"{whole} cannot be a program as a whole; {detail}")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unsendable(f"{path} cannot be read: {error.strerror}") from error
