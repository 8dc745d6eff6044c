"""Uploads what an attempt writes into the folder, in order, while its process continues to train.

A resume point and a manifest are signs: they say that other files exist. So they are taken first, by a link beside the
folder, and uploaded last. The bucket then holds what a process killed at that moment would have left. Growing files are
uploaded whole, large ones less often. What the process has removed is removed last of all.
"""

import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shared.document import UnusableDocument, read_document
from shared.job_folder import AttemptFolder
from shared.mirror.known import Known
from shared.mirror.late import LateRequests
from shared.mirror.local_folder import is_log
from shared.mirror.mirror import Mirror, pieces_of
from shared.mirror.names import DECIDED_ONCE, is_temporary_name
from shared.problems import FitstopError
from shared.program import DOCUMENT, ProgramInfo, ProgramStore
from shared.spec import ProgramJobSpec
from shared.stamps import Stamp, file_stamp
from shared.store.interface import BadName

# Maximum average upload rate of a file that changes all the time, since it is uploaded whole each time.
_BYTES_PER_SECOND = 1024**2
_MOST_LINE_BYTES = 1024**2
_STAGED = ".upload-"
# Number of tries for signs that the process is replacing.
_TRIES = 3
# The supervisor writes these through to the bucket.
_THROUGH = frozenset({"claim.json", "heartbeat.json", "end.json"})
_SIGNS = ("/resume/", "/manifest.json", "/conclusion.json")

log = logging.getLogger(__name__)


class OtherDecision(FitstopError):
    """An earlier attempt, which did not know yet that it had ended, has decided differently how the job is computed."""

    code = "other_decision"


class Taken(NamedTuple):
    """A file as it was at one moment, and its stamp from then or before."""

    path: Path
    stamp: Stamp


class AttemptPush:
    """Uploads one attempt, in one thread at a time. What the folder holds at first was downloaded."""

    def __init__(self, mirror: Mirror, attempt: AttemptFolder) -> None:
        self._mirror = mirror
        self._attempt = attempt
        self._job = attempt.job.path
        # A script's folder begins with the files of its program, which the next attempt unpacks itself.
        self._of_program = f"attempts/{attempt.number}/files/", _time_of_program(attempt)
        self._uploaded: dict[str, Stamp] = {name: stamp for name, stamp in self._look() if not self._is_ours(name)}
        self._next: dict[str, float] = {}
        self._store = mirror.store.once()
        self._late = LateRequests(self._uploaded)

    def push(self, *, is_last: bool = False) -> bool:
        """Upload what has changed since the last call. True if something had.

        `is_last`: also large logs and files of a script that were uploaded recently. Raises OSError, StoreError, and
        OtherDecision, after which no resume point or conclusion of the attempt reaches the bucket.
        """
        gone = (self._uploaded.keys() | self._late.due()) - dict(self._look()).keys()
        staged = self._job.with_name(f"{_STAGED}{self._job.name}")
        try:
            signs, others, has_all = self._take_all(staged, is_last=is_last)
            self._upload(signs, others)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        if has_all:
            self._remove(gone)
        return bool(signs or others)

    def _take_all(self, staged: Path, *, is_last: bool) -> tuple[dict[str, Taken], dict[str, Taken], bool]:
        """Take the changed signs and the other changed files, and say whether no sign was left out.

        A process writes a sign before it removes what the previous sign named. So everything that a sign names exists
        if the sign is unchanged after the others were taken. A sign that was replaced meanwhile waits for the next
        call.
        """
        for _ in range(_TRIES):
            shutil.rmtree(staged, ignore_errors=True)
            signs = self._take(staged, filter(_is_sign, self._find_changed()))
            others = [name for name in self._find_changed() if not _is_sign(name)]
            if not is_last:
                # A resume point counts on the log's rows.
                has_point, now = any("/resume/" in name for name in signs), time.monotonic()
                others = [one for one in others if now >= self._next.get(one, 0) or (has_point and is_log(one))]
            taken = self._take(staged, others)
            standing = {name: one for name, one in signs.items() if file_stamp(self._job / name) == one.stamp}
            if len(standing) == len(signs):
                return signs, taken, True
        return standing, taken, False

    def is_settled(self) -> bool:
        """Whether the bucket keeps what was uploaded: no late request can change it back."""
        return not self._late.find_unsettled()

    def finish(self) -> None:
        """Record what the bucket has now, so that no look downloads it again."""
        mirror, folder = self._mirror, self._mirror.name_of(self._job)
        sizes = {self._mirror.name_of(self._job / name): stamp[2] for name, stamp in self._uploaded.items()}
        mirror.known.put(
            (entry.name, Known(entry.size, entry.version, is_here=True))
            for entry in mirror.store.list(folder)
            if sizes.get(entry.name) == entry.size
        )

    def _upload(self, signs: Mapping[str, Taken], others: Mapping[str, Taken]) -> None:
        self._upload_taken(others)
        now = time.monotonic()
        sizes = {name: one.stamp[2] for name, one in others.items() if _is_rewritten(name)}
        self._next.update((name, now + size / _BYTES_PER_SECOND) for name, size in sizes.items())
        # In order: a manifest also names what a resume point refers to, and a conclusion comes last.
        for name in sorted(signs, key=_rank):
            self._upload_taken({name: signs[name]})
        if others or signs:
            self._mirror.hint(self._mirror.name_of(self._job / "attempts"))

    def _upload_taken(self, taken: Mapping[str, Taken]) -> None:
        list(self._mirror.pool.map(self._replace, taken.items()))
        # Stamps from before the files were taken: what was written meanwhile is uploaded again.
        self._uploaded.update((name, one.stamp) for name, one in taken.items())

    def _replace(self, one: tuple[str, Taken]) -> None:
        name, (path, stamp) = one
        file = self._mirror.name_of(self._job / name)
        if name in DECIDED_ONCE:
            self._decide(file, path.read_bytes())
            return
        try:
            with self._late.watch(name, stamp):
                self._store.replace(file, pieces_of(path))
        except BadName as error:
            log.warning("a file of a script stays on this machine: %s", error)

    def _decide(self, file: str, content: bytes) -> None:
        """Create the file. Raises OtherDecision if another attempt has decided differently, even a lost one."""
        store = self._mirror.store
        if not store.create(file, content) and store.read(file) != content:
            raise OtherDecision(f"{file}: another attempt has decided otherwise")

    def _take(self, staged: Path, names: Iterable[str]) -> dict[str, Taken]:
        """Take the files as they are now; skip those that are gone since the look."""
        taken = {}
        for name in names:
            staged.mkdir(exist_ok=True)
            # Not under its own name: a script's may be too long for one folder.
            path, stamp = staged / secrets.token_hex(8), file_stamp(self._job / name)
            with suppress(FileNotFoundError):
                if is_log(name):
                    _copy_lines(self._job / name, path)
                elif _is_of_script(name):
                    # A script writes in place: a link would continue to grow.
                    shutil.copyfile(self._job / name, path)
                else:
                    path.hardlink_to(self._job / name)
                if stamp is not None:
                    taken[name] = Taken(path, stamp)
        return taken

    def _remove(self, gone: Iterable[str]) -> None:
        """Remove from the bucket what the process removed, but not what a look or a removal of the folder took away."""
        # The patrol gives up an attempt whose end takes too long while its uploads still run.
        if not (self._mirror.owns(self._attempt.path) and self._attempt.claim_file.exists()):
            return
        for name in sorted(gone):
            file = self._mirror.name_of(self._job / name)
            known = self._mirror.known.find(file)
            if self._is_ours(name) or (known is not None and known.is_here):
                with suppress(BadName), self._late.watch(name, None):
                    self._store.remove(file)
            self._uploaded.pop(name, None)

    def _find_changed(self) -> list[str]:
        look, due = self._look(), self._late.due()
        changed = (name for name, stamp in look if self._uploaded.get(name) != stamp or name in due)
        return sorted(filter(self._is_ours, changed))

    def _is_ours(self, name: str) -> bool:
        """Whether this attempt writes the file. Files of earlier attempts are only removed."""
        number = self._attempt.number
        return name.startswith(f"attempts/{number}/") or name in {f"system/{number}.jsonl", *DECIDED_ONCE}

    def _look(self) -> Iterator[tuple[str, Stamp]]:
        pending = ["attempts", "system"]
        for name in DECIDED_ONCE:
            yield from self._stamp(name)
        while pending:
            here = pending.pop()
            with suppress(FileNotFoundError), os.scandir(f"{self._job}/{here}") as entries:
                for entry in entries:
                    name = f"{here}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in {".partial", ".tmp"}:
                            pending.append(name)
                    elif entry.is_file(follow_symlinks=False) and not _is_passed_over(name):
                        yield from self._stamp(name)

    def _stamp(self, name: str) -> Iterator[tuple[str, Stamp]]:
        stamp = file_stamp(f"{self._job}/{name}")
        folder, unpacked_at = self._of_program
        if stamp is not None and not (name.startswith(folder) and stamp[3] == unpacked_at):
            yield name, stamp


def _time_of_program(attempt: AttemptFolder) -> int | None:
    """The time of the files that the attempt's script began with; None for other jobs, or if it is not known."""
    record = attempt.job.record()
    if record is None or not isinstance(record.spec, ProgramJobSpec):
        return None
    with suppress(UnusableDocument):
        version = ProgramStore(attempt.volume_root).version_folder(record.spec.program.id, record.program_version or "")
        info = read_document(version / DOCUMENT, ProgramInfo)
        return None if info is None else info.uploaded_at
    return None


def _copy_lines(log: Path, into: Path) -> None:
    """Copy only whole lines, except of a `.log`. A half-written last line would be cut off by the next attempt."""
    shutil.copyfile(log, into)
    if log.suffix == ".log":
        return
    with into.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - _MOST_LINE_BYTES))
        file.truncate(start + file.read().rfind(b"\n") + 1)


def _is_rewritten(name: str) -> bool:
    """Whether a process may write to it all the time: a log, or a file of a script."""
    return is_log(name) or ("/files/" in name and "/resume/" not in name)


def _is_passed_over(name: str) -> bool:
    parts = name.split("/")
    return is_temporary_name(name) or (len(parts) == 3 and parts[2] in _THROUGH)


def _is_sign(name: str) -> bool:
    return any(sign in name for sign in _SIGNS) and not _is_of_script(name)


def _is_of_script(name: str) -> bool:
    return "/files/" in name


def _rank(name: str) -> int:
    return next(number for number, sign in enumerate(_SIGNS) if sign in name)
