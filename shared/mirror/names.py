"""The names of a volume's files in a bucket: which belong to it, and which are looked at together."""

from shared.durable import TEMPORARY_SUFFIX

# A hint for each unit that has changed lately: `changed/<unit>`, with a new content each time.
CHANGED = "changed"
OPEN = "open"
# Who uploads a dataset, a program or weights of this name; what makes it exist comes last.
RESERVED = "reserved"
_DOCUMENTS = {
    "datasets": "dataset.json",
    "programs": "latest.json",
    "models": "model.json",
    "sweeps": "sweep.json",
    "jobs": "spec.json",
}
_CONTENT = frozenset({"datasets", "programs", "models"})
# Units that are one folder; the others have a folder for each job, sweep and so on.
_WHOLE = frozenset({"turns", "annotated", "workers", "deleted", "spent", "past_jobs", "idempotency"})
# Those of which nobody waits for a change, or that are looked at each time.
UNHINTED = frozenset({"workers", "deleted", "spent", "past_jobs", "idempotency"})
_DEPTHS = {"jobs": 3, "sweeps": 2, "datasets": 2, "programs": 2, "models": 2}
# Files of a job that are created once, by an attempt, and stand for all that come after it.
DECIDED_ONCE = ("plan.json", "requirements.lock")
# What a reader takes as the sign that the rest is there, by its place in the order.
_LAST = ("manifest.json", "claim.json", "end.json", "result.json", "program.json", *_DOCUMENTS.values())


def is_of_volume(name: str) -> bool:
    """Whether a file of the folder is one of the volume's. Drafts and unfinished uploads belong to this machine."""
    first, *rest = name.split("/")
    if first == "deleted":
        # The names of what was deleted. A folder in it is on its way out, or a probe.
        return len(rest) == 1 and not rest[0].startswith("probe")
    if first in _DEPTHS or first in _WHOLE or first == OPEN:
        depth = _DEPTHS.get(first, 1)
        # A script may give its files names that begin with a dot. A file in the place of a folder is a stranger's.
        return len(rest) >= depth and not any(part.startswith(".") for part in rest[:depth])
    return name == "fitstop-volume.json"


def is_temporary_name(name: str) -> bool:
    """Whether it is a write that has not come to its end."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(TEMPORARY_SUFFIX)


def unit_of(name: str) -> str | None:
    """What the file is looked at together with: a job, a sweep, a dataset, or a whole folder. None for a marker."""
    parts = name.split("/")
    if parts[0] in _WHOLE:
        return parts[0]
    depth = _DEPTHS.get(parts[0])
    return "/".join(parts[:depth]) if depth and len(parts) > depth else None


def is_decided_once(name: str) -> bool:
    """Whether the file is one of DECIDED_ONCE, of a job."""
    unit, _, last = name.rpartition("/")
    return last in DECIDED_ONCE and unit == unit_of(name)


def is_content(unit: str) -> bool:
    """Whether the unit is a dataset, a program or weights."""
    return unit.partition("/")[0] in _CONTENT


def is_reservation(name: str) -> bool:
    """Whether the file only says who uploads what is beside it."""
    parts = name.split("/")
    return parts[0] in _DOCUMENTS and len(parts) == 3 and parts[2].startswith(RESERVED)


def document_of(unit: str) -> str | None:
    """The file that makes a job, a sweep, a dataset, a program or weights exist; None for another unit."""
    document = _DOCUMENTS.get(unit.partition("/")[0])
    return document and f"{unit}/{document}"


def order_of(name: str) -> tuple[bool, int, bool, int, str]:
    """In which order files are put into the folder, so that a reader never sees a sign before what it stands for."""
    unit = unit_of(name) or ""
    inner = name[len(unit) + 1 :]
    folders, last = inner.split("/")[:-1], name.rpartition("/")[2]
    attempt = int(folders[1]) if len(folders) > 1 and folders[0] == "attempts" and folders[1].isdecimal() else 0
    return not folders, attempt, len(folders) < 3, 1 + _LAST.index(last) if last in _LAST else 0, name
