"""Uploads what an attempt writes into the folder, behind the training process and in order.

A resume point and a manifest say that other files are there. So they are taken first, by a link beside the folder, and
uploaded last: the bucket then holds what a process that was killed at that moment would have left. Files that grow are
uploaded whole, a large one more rarely. What the process has removed is removed last of all.
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from shared.document import UnusableDocument, read_document
from shared.job_folder import AttemptFolder
from shared.mirror.known import Known
from shared.mirror.local_folder import is_log
from shared.mirror.mirror import Mirror
from shared.mirror.names import is_temporary_name
from shared.program import DOCUMENT, ProgramInfo, ProgramStore
from shared.spec import ProgramJobSpec
from shared.stamps import Stamp, file_stamp

# A file that changes all the time is uploaded whole each time: so many bytes of it in a second, at most.
_BYTES_PER_SECOND = 1024**2
_MOST_LINE_BYTES = 1024**2
_STAGED = ".upload-"
# Written through by the supervisor.
_THROUGH = frozenset({"claim.json", "heartbeat.json", "end.json"})
# Decided once for all attempts, by the first that comes to it.
_OF_JOB = ("plan.json", "requirements.lock")
_SIGNS = ("/resume/", "/manifest.json", "/conclusion.json")


class AttemptPush:
    """The uploads of one attempt, by one thread at a time. What the folder holds at first has been brought."""

    def __init__(self, mirror: Mirror, attempt: AttemptFolder) -> None:
        self._mirror = mirror
        self._attempt = attempt
        self._job = attempt.job.path
        # A script's folder begins with the files of its program, which the next attempt unpacks by itself.
        self._of_program = f"attempts/{attempt.number}/files/", _time_of_program(attempt)
        self._uploaded: dict[str, Stamp] = {name: stamp for name, stamp in self._look() if not self._is_ours(name)}
        self._next: dict[str, float] = {}

    def push(self, *, is_last: bool = False) -> bool:
        """Upload what has changed since the last call; True where something had. Raises OSError, StoreError.

        `is_last`: large logs and files of a script too, whenever they were uploaded last.
        """
        found = dict(self._look())
        changed = {name: stamp for name, stamp in found.items() if self._has_changed(name, stamp)}
        signs = [name for name in changed if _is_sign(name)]
        if not is_last:
            # A resume point counts on the log's rows.
            has_point, now = any("/resume/" in name for name in signs), time.monotonic()
            waiting = {name for name in changed if now < self._next.get(name, 0) and not (has_point and is_log(name))}
            changed = {name: stamp for name, stamp in changed.items() if name not in waiting}
        if changed:
            self._upload(changed, signs)
        self._remove_gone(found)
        return bool(changed)

    def finish(self) -> None:
        """Say what the bucket has now, so that no look brings it back."""
        mirror, folder = self._mirror, self._mirror.name_of(self._job)
        sizes = {self._mirror.name_of(self._job / name): stamp[2] for name, stamp in self._uploaded.items()}
        mirror.known.put(
            (entry.name, Known(entry.size, entry.version, is_here=True))
            for entry in mirror.store.list(folder)
            if sizes.get(entry.name) == entry.size
        )

    def _upload(self, changed: dict[str, Stamp], signs: list[str]) -> None:
        staged = self._job.with_name(f"{_STAGED}{self._job.name}")
        shutil.rmtree(staged, ignore_errors=True)
        try:
            staged.mkdir()
            taken_signs = list(_take(self._job, staged, signs))
            self._mirror.upload(self._named(_take(self._job, staged, changed.keys() - set(signs))))
            # The manifest names what a point refers to, too, and a conclusion is the last word.
            for sign in sorted(taken_signs, key=lambda one: _rank(one[1])):
                self._mirror.upload(self._named([sign]))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        now = time.monotonic()
        # As they were before they were taken: what was written meanwhile is uploaded again.
        self._uploaded.update(changed)
        self._next.update(
            (name, now + stamp[2] / _BYTES_PER_SECOND) for name, stamp in changed.items() if _is_rewritten(name)
        )
        self._mirror.hint(self._mirror.name_of(self._job / "attempts"))

    def _named(self, taken: Iterable[tuple[Path, str]]) -> list[tuple[Path, str]]:
        return [(path, self._mirror.name_of(self._job / name)) for path, name in taken]

    def _remove_gone(self, found: dict[str, Stamp]) -> None:
        gone = [name for name in self._uploaded if name not in found]
        for name in gone:
            self._mirror.store.remove(self._mirror.name_of(self._job / name))
            del self._uploaded[name]

    def _has_changed(self, name: str, stamp: Stamp) -> bool:
        return self._is_ours(name) and self._uploaded.get(name) != stamp

    def _is_ours(self, name: str) -> bool:
        """Whether the attempt writes it. Earlier attempts' files only ever go."""
        number = self._attempt.number
        return name.startswith(f"attempts/{number}/") or name in {f"system/{number}.jsonl", *_OF_JOB}

    def _look(self) -> Iterator[tuple[str, Stamp]]:
        pending = ["attempts", "system"]
        for name in _OF_JOB:
            yield from self._stamp(name)
        while pending:
            here = pending.pop()
            with suppress(FileNotFoundError), os.scandir(self._job / here) as entries:
                for entry in entries:
                    name = f"{here}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in {".partial", ".tmp"}:
                            pending.append(name)
                    elif entry.is_file(follow_symlinks=False) and not _is_passed_over(name):
                        yield from self._stamp(name)

    def _stamp(self, name: str) -> Iterator[tuple[str, Stamp]]:
        stamp = file_stamp(self._job / name)
        folder, unpacked_at = self._of_program
        if stamp is not None and not (name.startswith(folder) and stamp[3] == unpacked_at):
            yield name, stamp


def _time_of_program(attempt: AttemptFolder) -> int | None:
    """The time of the files that the attempt's script began with; None for other jobs, and where it is not known."""
    record = attempt.job.record()
    if record is None or not isinstance(record.spec, ProgramJobSpec):
        return None
    with suppress(UnusableDocument):
        version = ProgramStore(attempt.volume_root).version_folder(record.spec.program.id, record.program_version or "")
        info = read_document(version / DOCUMENT, ProgramInfo)
        return None if info is None else info.uploaded_at
    return None


def _take(job: Path, staged: Path, names: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """The files as they are at this moment; what has gone since the look is passed over."""
    for name in sorted(names):
        path = staged / name.replace("/", "%")
        with suppress(FileNotFoundError):
            if is_log(name):
                _copy_lines(job / name, path)
            elif "/files/" in name:
                # Written in place: a link would go on growing.
                shutil.copyfile(job / name, path)
            else:
                path.hardlink_to(job / name)
            yield path, name


def _copy_lines(log: Path, into: Path) -> None:
    """Copy the whole lines: the last one may be half written, and is cut off by who continues after a kill."""
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
    return any(sign in name for sign in _SIGNS) and "/files/" not in name


def _rank(name: str) -> int:
    return next(number for number, sign in enumerate(_SIGNS) if sign in name)
