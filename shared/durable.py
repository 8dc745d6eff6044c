"""Files that are whole or absent, also after a power cut.

A file is written beside its place, flushed, fsynced, moved into place, and then the folder is fsynced: without that
last step ext4 and xfs bring the old content back after a power cut. This module uses no locks and never compares the
clocks of two machines, so it works on network filesystems too.
"""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.mirror.attached import WriteThrough, mirror_at, mirror_of
from shared.plain_files import read_plain
from shared.storage import at_path

TEMPORARY_SUFFIX = ".tmp"
_MOST_NAME_BYTES = 230
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def replace_file(path: Path, *content: bytes | memoryview) -> None:
    """Replace the file at `path` with `content`, atomically.

    Only the file's single writer may call this. Parts are written one after another, without joining them in memory.
    """
    replace_from(path, content)


def replace_from(path: Path, pieces: Iterable[bytes | memoryview], modified_ns: int | None = None) -> None:
    """`replace_file` for generated pieces. `modified_ns`: modification time of the file."""
    mirror = mirror_of(path)
    if mirror is not None:
        pieces = [mirror.replace(path, pieces)]
    beside = _write_beside(path, pieces)
    try:
        if modified_ns is not None:
            os.utime(beside, ns=(modified_ns, modified_ns))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_file(path: Path, content: bytes, *resting_on: Path, draft: Path | None = None) -> bool:
    """Create `path` atomically unless it exists; among concurrent callers exactly one gets True.

    The content is written to a file beside `path`, or to `draft` if that does not exist yet; `draft` then stays as
    another name of the file. The folders `resting_on` are synced before `path` exists. Syncing them after the content
    costs little: what was written for the content includes them already.

    The volume must support hard links: `link` is the only exclusive create that also puts whole content in place. For a
    volume in a bucket, the bucket decides.
    """
    mirror = mirror_of(path)
    if mirror is not None:
        return _create_through(mirror, path, content)
    written = _write_draft(draft, content) or _write_beside(path, [content])
    try:
        for folder in resting_on:
            sync_folder(folder)
        os.link(written, path)
    except FileExistsError:
        # A network filesystem may repeat a link whose answer was lost and then report the first one's success as
        # "exists" (nfs(5)); two links on our own file mean that it was ours.
        created = written.stat().st_nlink == 2
    except OSError as error:
        # Some filesystems link only within one folder.
        if written != draft or error.errno != errno.EXDEV:
            raise
        return create_file(path, content)
    else:
        created = True
    finally:
        if written != draft:
            written.unlink(missing_ok=True)
    sync_folder(path.parent)
    return created


def _create_through(mirror: WriteThrough, path: Path, content: bytes) -> bool:
    has_won = mirror.create(path, content)
    if has_won:
        _write_beside(path, [content]).replace(path)
    return has_won


def link_file(source: Path, target: Path) -> None:
    """Link `source` to the name `target`, or copy it if the filesystem has no links; an existing `target` stays.

    Only for files that no longer change. The name is durable after the caller has synced `target`'s folder.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:
        _copy(source, target)


def check_links(folder: Path) -> None:
    """Raise OSError if the filesystem of `folder` has no hard links: every exclusive create needs one.

    A volume that is full or unavailable cannot be checked, and does not prevent a start.
    """
    beside = folder / f".links.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    link = beside.with_name(f"{beside.name}{TEMPORARY_SUFFIX}")
    try:
        beside.touch()
        os.link(beside, link)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            return
        reason = (
            "this filesystem has no hard links, which Fitstop needs (FAT and exFAT have none; ext4, xfs and NFS do)"
        )
        raise OSError(error.errno, reason, str(folder)) from error
    finally:
        for path in (link, beside):
            with suppress(OSError):
                path.unlink()


def make_folder(path: Path, *, within: Path | None = None) -> None:
    """Create `path` and the missing folders above it, each of them durably.

    Raises FileNotFoundError if `within` does not exist: the volume may be unavailable, and nothing may be created in
    its empty mount point.
    """
    if path.is_dir():
        return
    if path == within:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    make_folder(path.parent, within=within)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Flush the content of `path` to the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Flush the names in `path` to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def remove_tree(folder: Path) -> None:
    """Remove a folder with its content, at any depth; what cannot be removed stays.

    `shutil.rmtree` fails if folders are nested deeper than Python's recursion limit or the maximum length of a path,
    and a user's script can nest them so.
    """
    pending, number = [folder], 0
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as entries:
                found = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
            for path, is_folder in found:
                if not is_folder:
                    path.unlink()
                    continue
                # Move it beside the folder, so that paths stay short.
                number += 1
                pending.append(path.rename(folder.with_name(f"{folder.name}.{number}")))
            here.rmdir()
        except OSError:
            continue


def publish_folder(root: Path, prepared: Path, place: Path, find: Callable[[], object]) -> bool:
    """Move a prepared folder to `place` in one step, both on the volume at `root`; `prepared` is gone on return.

    Its files must be fsynced already. False if the name is taken; then `find` returns what has it.
    """
    sync_folder(prepared)
    try:
        if (mirror := mirror_at(root)) is not None:
            is_new = mirror.publish(prepared, place)
        else:
            prepared.rename(place)
            is_new = True
    except OSError:
        if mirror is not None or find() is None:
            raise
        is_new = False
    if is_new:
        sync_folder(place.parent)
    else:
        shutil.rmtree(prepared, ignore_errors=True)
    return is_new


def remove_file(path: Path) -> None:
    """Remove `path` durably; does nothing if it does not exist."""
    remove_name(path)
    sync_folder(path.parent)


def add_name(path: Path) -> bool:
    """Create an empty marker file, which a power failure may lose; False if it exists."""
    mirror = mirror_of(path)
    if mirror is not None and not mirror.create(path, b""):
        return False
    try:
        path.touch(exist_ok=mirror is not None)
    except FileExistsError:
        return False
    return True


def remove_name(path: Path) -> None:
    """`remove_file`, but a power failure may restore the file."""
    mirror = mirror_of(path)
    if mirror is not None:
        mirror.remove(path)
    path.unlink(missing_ok=True)


def encode(document: Mapping[str, Any]) -> bytes:
    """Encode a JSON document as the bytes of its file: UTF-8, no NaN, one newline at the end."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_bytes(path: Path) -> bytes | None:
    """The content of the file; None if it does not exist. Raises UnusableDocument unless it is small and regular."""
    return read_plain(path)


def is_temporary(path: Path) -> bool:
    """Whether `path` is left over from an unfinished write."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)


def _write_beside(path: Path, pieces: Iterable[bytes | memoryview]) -> Path:
    # A script may give its files names of 255 bytes, the maximum.
    name = os.fsdecode(os.fsencode(path.name)[:_MOST_NAME_BYTES])
    beside = path.with_name(f".{name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        _write_new(beside, pieces)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _write_draft(draft: Path | None, content: bytes) -> Path | None:
    """Write `draft` and return it; None if it is None or exists already."""
    try:
        if draft is not None:
            _write_new(draft, [content])
    except FileExistsError:
        return None
    return draft


def _write_new(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with at_path(path):
        try:
            for part in pieces:
                _write(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(descriptor: int, content: bytes | memoryview) -> None:
    """Write all of `content`: one system call may write only a part."""
    left = memoryview(content).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def _copy(source: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        with at_path(beside):
            shutil.copyfile(source, beside)
        sync_file(beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    with at_path(path):
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
