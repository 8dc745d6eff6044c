"""System metrics in a terminal: the last value, the median and the maximum of each."""

from collections.abc import Callable, Sequence

from rich.text import Text

from fitstop.client import Json
from fitstop.terminal.output import duration, literal, show_rows, size, table

_Write = Callable[[float], str]


def _speed(value: float) -> str:
    return f"{size(value)}/s"


_ROWS: tuple[tuple[str, str, _Write], ...] = (
    ("GPU utilization", "gpu_percent", "{:.0f} %".format),
    ("GPU memory", "gpu_memory_bytes", size),
    ("GPU power", "gpu_watts", "{:.0f} W".format),
    ("GPU temperature", "gpu_celsius", "{:.0f} °C".format),
    ("CPU cores", "cpu_cores", "{:.2f}".format),
    ("memory", "memory_bytes", size),
    ("disk read", "disk_read", _speed),
    ("disk written", "disk_written", _speed),
)


def print_system(document: Json) -> None:
    """Print the machines, a row for each known metric, and the finding, such as what the training waited for."""
    samples = document["data"]
    for one in document["attempts"]:
        show_rows(literal(f"attempt {one['attempt']}: {_machine_words(one)}"))
    grid = table("", "LAST", "MEDIAN", "MAXIMUM", right=("LAST", "MEDIAN", "MAXIMUM"))
    for label, name, write in _ROWS:
        if _is_known(samples, name):
            grid.add_row(label, *_figures(samples, name, write))
    show_rows(grid)
    show_rows(literal(f"over {duration(sum(sample['seconds'] for sample in samples))}", "dim"))
    if document["finding"]:
        show_rows(literal(document["finding"]["text"], "bold"))


def system_words(document: Json, *, is_running: bool) -> Text:
    """The last values of a running job, or the medians of another job; and the finding."""
    samples, finding = document["data"], document["finding"]
    shown = samples[-1:] if is_running else samples
    rows = [(label, _figures(shown, name, write)[1]) for label, name, write in _ROWS if _is_known(shown, name)]
    words = ("now: " if is_running else "medians: ") + ", ".join(f"{label} {value}" for label, value in rows)
    return Text("\n").join([literal(words), *([literal(finding["text"])] if finding else [])])


def _machine_words(machine: Json) -> str:
    cores, memory, gpu = machine["cores"], machine["memory_bytes"], machine["gpu"]
    words = [f"{cores:g} CPU cores"] if cores else []
    words += [f"{size(memory)} of memory"] if memory else []
    words += [f"{gpu} with {size(machine['gpu_memory_bytes'])}"] if gpu else []
    return ", ".join(words) or "unknown machine"


def _is_known(samples: Sequence[Json], name: str) -> bool:
    return any(sample[name] is not None for sample in samples)


def _figures(samples: Sequence[Json], name: str, write: _Write) -> list[str]:
    known = [(sample[name], sample["seconds"]) for sample in samples if sample[name] is not None]
    last = samples[-1][name]
    return [write(last) if last is not None else "-", write(_median(known)), write(max(value for value, _ in known))]


def _median(known: Sequence[tuple[float, float]]) -> float:
    """The median weighted by time: a longer sample counts more."""
    half, passed = sum(seconds for _, seconds in known) / 2, 0.0
    for value, seconds in sorted(known):
        passed += seconds
        if passed >= half:
            return value
    return 0.0
