"""`system/<attempt>.jsonl`: system metrics of an attempt, one sample each second, in a file of bounded size.

The first line holds facts of the machine and the names of the columns. Each further line is one sample, a list with a
value for each column. The worker writes the file, not the training process: a script can neither forge nor stop it.

The newest samples cover a second each. When the file is full, the older ones are merged to samples of equal length, so
that it never holds more than MOST_SAMPLES of them. It stays under 200 kB, even after a week.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from math import floor, inf, log2
from typing import Any

from shared.document import Document, parse_document
from shared.durable import encode
from shared.job import as_json
from shared.job_folder import AttemptFolder
from shared.plain_files import UnusableDocument, document_name, read_plain

MOST_SAMPLES = 2000
# When the file is full, _NEWEST samples stay as they are, and the older ones are merged to at most _MOST_OLDER.
_NEWEST = 250
_MOST_OLDER = 1250
# More than twice the maximum size of a file that Fitstop writes.
_MOST_BYTES = 512 * 1024


@dataclass(frozen=True)
class Sample:
    """Use of the machine in the `seconds` before `at`, which is in seconds since the claim; None if unknown.

    `cpu_cores`, `memory_bytes` (without mapped files), `disk_read` and `disk_written` (bytes per second) cover the
    training process and all processes that it has started. The values of the GPU cover all programs that use it.
    `gpu_percent` is the share of the time in which it computed.
    """

    at: float
    seconds: float
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    disk_read: float | None = None
    disk_written: float | None = None
    gpu_percent: float | None = None
    gpu_memory_bytes: float | None = None
    gpu_watts: float | None = None
    gpu_celsius: float | None = None


COLUMNS = tuple(field.name for field in fields(Sample))
# A merged sample has the maximum of these values, and the mean over the time of all others.
_PEAKS = frozenset({"memory_bytes", "gpu_memory_bytes", "gpu_celsius"})
_DECIMALS = {"cpu_cores": 3, "at": 2, "seconds": 2, "gpu_percent": 1, "gpu_watts": 1}


class Machine(Document):
    """Facts of the machine that do not change while an attempt runs. In a container, `cores` may be a fraction."""

    columns: tuple[str, ...] = COLUMNS
    cores: float | None = None
    memory_bytes: int | None = None
    gpu: str | None = None
    gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class SystemMetrics:
    """The system metrics of one attempt, the oldest sample first."""

    attempt: int
    machine: Machine
    samples: Sequence[Sample]


def machine_line(machine: Machine) -> bytes:
    """The first line of the file."""
    return encode(as_json(machine))


def sample_line(sample: Sample) -> bytes:
    """One line of the file, under 100 bytes on any existing machine."""
    return json.dumps([*rounded(sample).values()], separators=(",", ":")).encode() + b"\n"


def rounded(sample: Sample) -> dict[str, Any]:
    """The values of a sample by column, without insignificant digits."""
    return {name: _rounded(name, getattr(sample, name)) for name in COLUMNS}


def read_system_metrics(attempt: AttemptFolder) -> SystemMetrics | None:
    """The metrics of an attempt, or None. An incomplete line or one that is not a sample is left out.

    Raises UnusableDocument, OSError.
    """
    content = read_plain(attempt.system_file, _MOST_BYTES)
    if not content:
        return None
    first, *lines = content.split(b"\n")
    machine = parse_document(first, Machine, document_name(attempt.system_file))
    found = (_parse(line, machine.columns) for line in lines[:-1])
    return SystemMetrics(attempt.number, machine, [sample for sample in found if sample is not None])


def read_system_metrics_of(attempts: Iterable[AttemptFolder]) -> Iterator[SystemMetrics]:
    """The metrics of the attempts in their order; attempts without readable ones are left out. Raises OSError."""
    for attempt in attempts:
        try:
            metrics = read_system_metrics(attempt)
        except UnusableDocument:
            continue
        if metrics is not None and metrics.samples:
            yield metrics


def thin_out(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that a full file keeps: the newest, and the older ones merged to at most 1,250 of equal length."""
    return [*merge_to(samples[:-_NEWEST], _MOST_OLDER), *samples[-_NEWEST:]]


def merge_to(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Merge neighbours to at most `most` samples of equal length; if there are no more, they stay as they are."""
    return merge_all_to([samples], most)[0]


def merge_all_to(attempts: Sequence[Sequence[Sample]], most: int) -> list[list[Sample]]:
    """Merge the samples of all attempts to one length: at most `most` in total, or one for each attempt."""
    merged = [list(samples) for samples in attempts]
    total = sum(sample.seconds for samples in attempts for sample in samples)
    # A power of two, so that samples that were merged before fit into longer ones.
    longest = 2.0 ** floor(log2(max(1.0, total / most)))
    while sum(map(len, merged)) > max(most, len(merged)):
        merged = [_merge(samples, longest) for samples in attempts]
        longest *= 2
    return merged


def _merge(samples: Sequence[Sample], longest: float) -> list[Sample]:
    groups: list[list[Sample]] = []
    length = inf
    for sample in samples:
        # A sample takes a few milliseconds more than a second.
        if length + sample.seconds > longest * 1.05:
            groups.append([])
            length = 0.0
        groups[-1].append(sample)
        length += sample.seconds
    return [_join(group) for group in groups]


def _join(group: Sequence[Sample]) -> Sample:
    if len(group) == 1:
        return group[0]
    values = {name: _joined(group, name) for name in COLUMNS[2:]}
    return Sample(group[-1].at, sum(one.seconds for one in group), **values)


def _joined(group: Sequence[Sample], name: str) -> float | None:
    known = [(value, one.seconds) for one in group if (value := getattr(one, name)) is not None]
    if not known:
        return None
    if name in _PEAKS:
        return float(max(value for value, _ in known))
    return float(sum(value * seconds for value, seconds in known) / sum(seconds for _, seconds in known))


def _rounded(name: str, value: float | None) -> float | int | None:
    if value is None:
        return None
    decimals = _DECIMALS.get(name)
    return round(value) if decimals is None else round(value, decimals)


def _parse(line: bytes, columns: Sequence[str]) -> Sample | None:
    """The sample in a line; None if the line is not a sample."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, list) or not all(map(_is_value, row)):
        return None
    values: dict[str, Any] = {name: value for name, value in zip(columns, row, strict=False) if name in COLUMNS}
    if values.get("at") is None or not values.get("seconds"):
        return None
    return Sample(**values)


def _is_value(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and 0 <= value < 1e18)  # type: ignore[operator]
