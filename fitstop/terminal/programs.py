"""Programs in a terminal: which files of a folder are sent, and which are not."""

from collections.abc import Iterator

from rich.text import Text

from fitstop.client import Json
from fitstop.packing import Pack
from fitstop.terminal.output import literal, size

_MOST_LINES = 12
_MOST_NAMES = 4


def describe_pack(packed: Pack, program_id: str) -> Iterator[Text]:
    """Yield lines about what is sent: each top-level file or folder, the largest first, and what is left out."""
    yield literal(f"program {program_id}: {count_files(len(packed.files))}, {size(packed.bytes)}")
    tops = _sum_tops(packed)
    for name, (files, total) in list(tops.items())[:_MOST_LINES]:
        inside = f"  {count_files(files)}" if name.endswith("/") else ""
        yield literal(f"  {size(total):>9}  {name}{inside}")
    if len(tops) > _MOST_LINES:
        yield literal(f"  and {len(tops) - _MOST_LINES} more", "dim")
    for why, names in packed.left_out.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield literal(f"  left out, {why}: {', '.join(names[:_MOST_NAMES])}{more}", "dim")


def list_warnings(version: Json) -> Iterator[str]:
    """Yield the warnings about an uploaded version."""
    yield from version.get("warnings", ())
    yield from (f"{path} does not compile: {why}" for path, why in version.get("broken", {}).items())


def count_files(count: int) -> str:
    """Such as `1 file` or `12 files`."""
    return f"{count} file{'' if count == 1 else 's'}"


def _sum_tops(packed: Pack) -> dict[str, tuple[int, int]]:
    """The number of files and bytes of each top-level file or folder, the largest first."""
    tops: dict[str, tuple[int, int]] = {}
    for file in packed.files:
        first, slash, _ = file.name.partition("/")
        files, total = tops.get(first + slash, (0, 0))
        tops[first + slash] = files + 1, total + file.size
    return dict(sorted(tops.items(), key=lambda one: one[1][1], reverse=True))
