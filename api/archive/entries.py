"""The checks of an archive's entries, for all formats: the accepted names, and the problems of the others."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from shared.problems import Problem, Refused, pointer
from shared.spec import Text

# The number of first bytes that show the type of a file.
HEAD_BYTES = 512
_MOST_NAME = 1024
_SHOWN_NAME = 120
_TEXT: TypeAdapter[str] = TypeAdapter(Text)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class ArchiveLimits:
    """The maximum number of entries, and of bytes of all unpacked files together."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """One file of an archive. `name` is its path with `/` between the folders; `head` its first bytes, if requested."""

    name: str
    size: int
    head: bytes = b""


@dataclass(frozen=True)
class Content:
    """One file of an archive that can be read now. `read(size)` reads as from a file; Refused if it is damaged."""

    name: str
    size: int
    read: Callable[[int], bytes]


@dataclass
class Survey:
    """The facts of an archive so far: its size, and its problems."""

    limits: ArchiveLimits
    problems: list[Problem] = field(default_factory=list)
    entries: int = 0
    bytes: int = 0
    _names: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)
    _forms: dict[str, str] = field(default_factory=dict)

    def count(self, size: int) -> None:
        """Count an entry of `size` unpacked bytes. Raises Refused above a limit, before further entries are read."""
        self.entries += 1
        if self.entries > self.limits.entries:
            detail = f"holds more than {self.limits.entries} entries, the maximum"
            raise Refused([Problem("#", detail, "too_many_entries")])
        self.count_bytes(size)

    def count_bytes(self, size: int) -> None:
        """Count `size` unpacked bytes. Raises Refused above the limit."""
        self.bytes += size
        if self.bytes > self.limits.bytes:
            detail = f"unpacks to more than {self.limits.bytes} bytes, the maximum"
            raise Refused([Problem("#", detail, "too_many_bytes")])

    def check(self, raw_name: str, fault: str | None, *, is_folder: bool = False) -> str | None:
        """Return the clean name of an entry. None if it has a `fault` or a bad name, which is added to the problems."""
        name = clean_name(raw_name)
        fault = _name_fault(raw_name) or fault
        if fault is None and not is_folder:
            fault = self._find_duplicate(name) or self._find_lookalike(name)
        if fault is not None:
            self.refuse(raw_name, fault)
            return None
        return name or None

    def refuse(self, name: str, fault: str) -> None:
        """Add a problem of one entry."""
        self.problems.append(Problem(pointer("files", show(name)), fault, "bad_entry"))

    def _find_duplicate(self, name: str) -> str | None:
        if name in self._names:
            return "is in the archive twice"
        self._names.add(name)
        return None

    def _find_lookalike(self, name: str) -> str | None:
        """The problem of a name, or of one of its folders, that differs from another only by case or form."""
        for end in [at for at, letter in enumerate(name) if letter == "/"]:
            folder = name[:end]
            if folder not in self._folders:
                self._folders.add(folder)
                if fault := self._form_fault(folder):
                    return fault
        return self._form_fault(name)

    def _form_fault(self, name: str) -> str | None:
        other = self._forms.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other == name:
            return None
        return f'differs from "{show(other)}" only by upper and lower case or by the form of its accents'


def clean_name(name: str) -> str:
    """The path without empty parts and dots: `./cat//1.png` is `cat/1.png`."""
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def show(name: str) -> str:
    """A name for a person: shortened, and with escapes for characters that cannot be printed."""
    cut = name if len(name) <= _SHOWN_NAME else name[:_SHOWN_NAME] + "…"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)


def damage_refusal(why: str, name: str | None = None) -> Refused:
    """The refusal of an archive, or of one of its entries, that cannot be read to its end."""
    place = "#" if name is None else pointer("files", show(name))
    return Refused([Problem(place, f"is damaged or cut short: {why}", "damaged_archive")])


def _name_fault(name: str) -> str | None:
    if len(name) > _MOST_NAME:
        return f"has a name of {len(name)} characters, expected at most {_MOST_NAME}"
    faults = {
        "has a backslash in its name; write it with / between folders": "\\" in name,
        "has a control character in its name": not _is_text(name),
        "has an absolute name; expected a relative one": name.startswith("/"),
        "has a drive letter in its name": _DRIVE.match(name) is not None,
        "has .. in its name; expected a path inside the archive": ".." in name.split("/"),
    }
    return next((fault for fault, is_so in faults.items() if is_so), None)


def _is_text(name: str) -> bool:
    try:
        _TEXT.validate_python(name)
    except ValidationError:
        return False
    return True
