"""The names of a volume's files in a bucket: which belong to it, and which form one unit."""

from shared.durable import TEMPORARY_SUFFIX

# A hint for each recently changed unit: `changed/<unit>`, with new content each time.
CHANGED = "changed"
OPEN = "open"
# Says which process uploads a dataset, a program or weights of this name; the document comes last.
RESERVED = "reserved"
_DOCUMENTS = {
    "datasets": "dataset.json",
    "programs": "latest.json",
    "models": "model.json",
    "sweeps": "sweep.json",
    "jobs": "spec.json",
}
_CONTENT = frozenset({"datasets", "programs", "models"})
# Folders that are one unit; the others have a unit for each job, sweep and so on.
_WHOLE = frozenset({"turns", "annotated", "workers", "deleted", "spent", "past_jobs", "idempotency"})
# Units without hints: nobody waits for a change of them, or every look includes them.
UNHINTED = frozenset({"workers", "deleted", "spent", "past_jobs", "idempotency"})
_DEPTHS = {"jobs": 3, "sweeps": 2, "datasets": 2, "programs": 2, "models": 2}
# Files of a job that one attempt creates once, for all later attempts.
DECIDED_ONCE = ("plan.json", "requirements.lock")
# The signs: files that tell a reader that the others exist, in the order in which they are written.
_LAST = ("manifest.json", "claim.json", "end.json", "result.json", "program.json", *_DOCUMENTS.values())


def is_of_volume(name: str) -> bool:
    """Whether the file belongs to the volume. Drafts and unfinished uploads belong to this machine."""
    first, *rest = name.split("/")
    if first == "deleted":
        # The names of what was deleted. A folder in it is being removed, or is a probe.
        return len(rest) == 1 and not rest[0].startswith("probe")
    if first in _DEPTHS or first in _WHOLE or first == OPEN:
        depth = _DEPTHS.get(first, 1)
        # A script may give its files names that begin with a dot. A file in the place of a folder is foreign.
        return len(rest) >= depth and not any(part.startswith(".") for part in rest[:depth])
    return name == "fitstop-volume.json"


def is_temporary_name(name: str) -> bool:
    """Whether it is the file of an unfinished write."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(TEMPORARY_SUFFIX)


def unit_of(name: str) -> str | None:
    """The unit of a file: a job, a sweep, a dataset, or a whole folder. None for a marker."""
    parts = name.split("/")
    if parts[0] in _WHOLE:
        return parts[0]
    depth = _DEPTHS.get(parts[0])
    return "/".join(parts[:depth]) if depth and len(parts) > depth else None


def is_decided_once(name: str) -> bool:
    """Whether the file is one of a job's DECIDED_ONCE."""
    unit, _, last = name.rpartition("/")
    return last in DECIDED_ONCE and unit == unit_of(name)


def is_content(unit: str) -> bool:
    """Whether the unit is a dataset, a program or weights."""
    return unit.partition("/")[0] in _CONTENT


def is_reservation(name: str) -> bool:
    """Whether the file only says which process uploads the files beside it."""
    parts = name.split("/")
    return parts[0] in _DOCUMENTS and len(parts) == 3 and parts[2].startswith(RESERVED)


def document_of(unit: str) -> str | None:
    """The file that makes a job, a sweep, a dataset, a program or weights exist; None for another unit."""
    document = _DOCUMENTS.get(unit.partition("/")[0])
    return document and f"{unit}/{document}"


def order_of(name: str) -> tuple[bool, int, bool, int, str]:
    """The key to sort writes by, so that a reader never sees a sign before what it stands for."""
    unit = unit_of(name) or ""
    inner = name[len(unit) + 1 :]
    folders, last = inner.split("/")[:-1], name.rpartition("/")[2]
    attempt = int(folders[1]) if len(folders) > 1 and folders[0] == "attempts" and folders[1].isdecimal() else 0
    return not folders, attempt, len(folders) < 3, 1 + _LAST.index(last) if last in _LAST else 0, name
