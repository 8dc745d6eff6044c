"""The minimum memory of a job, checked before a machine that cannot hold it claims the job."""

from dataclasses import dataclass

from shared.findings import Findings
from shared.resolve.judged import JudgedData
from shared.spec import DenseSpec, JobSpec, TableSpec

_NUMBER_BYTES = 4


@dataclass(frozen=True)
class MemoryLimits:
    """Maximum bytes of a table's training rows as numbers, and of one layer's outputs for one batch."""

    table_bytes: int
    batch_bytes: int


def judge_memory(spec: JobSpec, data: JudgedData, limits: MemoryLimits, found: Findings) -> None:
    """Report a table or a batch that takes more memory than the limits, with the product and what to change.

    This is a minimum: a training process needs more. Images and arrays are read from the disk and do not count.
    """
    rows, features = data.training_rows, data.features
    if rows is None or features is None:
        return
    if isinstance(spec.dataset, TableSpec) and (size := rows * features * _NUMBER_BYTES) > limits.table_bytes:
        found.problem(
            ("dataset",),
            f"{rows} training rows x {features} features x {_NUMBER_BYTES} bytes = {size} bytes, expected at most "
            f'{limits.table_bytes}: drop columns, or use categorical_encoding "hashing" or "target"',
            "too_much_memory",
        )
    layers = spec.model.layers if isinstance(spec.model, DenseSpec) else ()
    batch, width = spec.hyperparameters.batch_size, max((features, *layers))
    if (size := batch * width * _NUMBER_BYTES) > limits.batch_bytes:
        found.problem(
            ("hyperparameters", "batch_size"),
            f"a batch of {batch} x a width of {width} x {_NUMBER_BYTES} bytes = {size} bytes, expected at most "
            f"{limits.batch_bytes}: use a smaller batch_size or narrower layers",
            "too_much_memory",
        )
