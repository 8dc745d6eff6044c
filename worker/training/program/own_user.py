"""A separate system user for each program, if this process is root, as in many containers.

The user id is derived from the process id, in a range that is rarely used and that containers have. Two programs on one
machine rarely share an id; Landlock separates them anyway.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from worker.machine.ownership import change_owner
from worker.training.program.kernel import (
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    NotGiven,
    count_capabilities_in_access,
    keep_capabilities,
    permitted_capabilities,
    prctl,
)

FIRST_USER, USERS = 52_000, 8_000

_CHOWN, _READ_EVERYTHING, _SETGID, _SETUID = (1 << bit for bit in (0, 2, 6, 7))
_NEEDED = _CHOWN | _SETGID | _SETUID


def become_own_user(write: Sequence[Path], needed: Iterable[Path], devices: Iterable[Path]) -> None:
    """Give the files below `write` to a user of this process's own, and become that user permanently.

    If the paths `needed` are in a private folder, they can still be read: this process keeps the capability to read
    everything, if it has it, and Landlock alone restricts it. Raises NotGiven and changes nothing if this process may
    not switch users, or the user could not read `needed`.
    """
    permitted = permitted_capabilities()
    if os.geteuid() != 0 or permitted & _NEEDED != _NEEDED:
        raise NotGiven("this process is not root and cannot become another user")
    user = FIRST_USER + os.getpid() % USERS
    kept = permitted & _READ_EVERYTHING
    if not kept and (hidden := _hidden_from(user, needed, write)):
        raise NotGiven(f"another user could not read {hidden[0]}")
    groups = _groups_of(devices)
    _check_number(user)
    for path in write:
        change_owner(path, user, user)
    count_capabilities_in_access()
    prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups(groups)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    keep_capabilities(kept)
    # Otherwise /proc/self belongs to root, and CUDA could not name its threads.
    prctl(PR_SET_DUMPABLE, 1)


def _check_number(user: int) -> None:
    """Check the user id: a nested container may have fewer."""
    try:
        os.seteuid(user)
    except OSError as error:
        raise NotGiven(f"this container has no user {user} ({error.strerror})") from error
    os.seteuid(0)


def _hidden_from(user: int, needed: Iterable[Path], own: Sequence[Path]) -> list[Path]:
    """The paths of `needed` that the user could not read. Those of `own` must only be reachable."""
    present = [(path.parent, os.X_OK) if path in own else (path, os.R_OK) for path in needed if path.exists()]
    try:
        os.seteuid(user)
    except OSError:
        return []  # `_check_number` reports it
    try:
        return [path for path, right in present if not os.access(path, right, effective_ids=True)]
    finally:
        os.seteuid(0)


def _groups_of(devices: Iterable[Path]) -> list[int]:
    """The groups of devices that are not open to everyone."""
    facts = [path.stat() for path in devices if path.exists()]
    return sorted({fact.st_gid for fact in facts if not fact.st_mode & 0o006 and fact.st_gid})
