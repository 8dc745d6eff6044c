"""The facts of a job's data that are certain, for all kinds of data."""

from dataclasses import dataclass, field

from shared.findings import Findings
from shared.spec import DatasetSpec, JobSpec, TableSpec
from shared.task import TaskKind, task_of_loss

Class = int | float | bool | str


@dataclass(frozen=True)
class JudgedData:
    """The facts of the data that are certain; None if another fault makes them uncertain.

    `spec` is the dataset's spec without "auto". `inputs` maps each input to the shape of one row. `outputs` is the
    number of the model's outputs, `features` the number of values in one row. `classes` are the target's classes in the
    order of the outputs; None for a regression, with `positive`, or if there are too many to list.
    """

    spec: DatasetSpec
    kind: TaskKind | None
    classes: tuple[Class, ...] | None = None
    outputs: int | None = None
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    features: int | None = None
    training_rows: int | None = None

    @property
    def only_input(self) -> tuple[int, ...] | None:
        """The shape of one row if there is one input; None if there are several, or none is known."""
        return next(iter(self.inputs.values())) if len(self.inputs) == 1 else None


def asked_kind(asked: JobSpec, found: Findings) -> TaskKind | None:
    """The task if the spec alone decides it; None if the target decides, or a fault makes it uncertain."""
    if isinstance(asked.dataset, TableSpec) and asked.dataset.positive is not None:
        return "binary"
    is_sure = found.is_sure("dataset/positive", "hyperparameters/loss")
    return task_of_loss(asked.hyperparameters.loss_name) if is_sure else None
