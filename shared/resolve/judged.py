"""What is certain about the data of a job, whatever its kind."""

from dataclasses import dataclass, field

from shared.findings import Findings
from shared.spec import DatasetSpec, JobSpec, TableSpec
from shared.task import TaskKind, task_of_loss

Class = int | float | bool | str


@dataclass(frozen=True)
class JudgedData:
    """What is certain; None where another fault leaves it open.

    `spec` is the dataset's spec with nothing left open. `inputs` gives for each input the shape of one row. `outputs`
    is the number of the model's outputs, `features` that of the numbers in one row. `classes` are the target's classes
    in the order of the outputs, None for a regression, for `positive`, and where there are too many to list.
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
        """The shape of one row where there is one input; None where there are several, or it is open."""
        return next(iter(self.inputs.values())) if len(self.inputs) == 1 else None


def asked_kind(asked: JobSpec, found: Findings) -> TaskKind | None:
    """The task that the spec decides by itself; None where the target does, or where that is open."""
    if isinstance(asked.dataset, TableSpec) and asked.dataset.positive is not None:
        return "binary"
    is_sure = found.is_sure("dataset/positive", "hyperparameters/loss")
    return task_of_loss(asked.hyperparameters.loss_name) if is_sure else None
