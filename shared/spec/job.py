"""The whole spec of a job: of one that names its data and its model, and of one that runs a program."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from shared.spec.base import Strict, Text
from shared.spec.budget import Budget
from shared.spec.callbacks import Callbacks
from shared.spec.dataset import DatasetSpec
from shared.spec.dense import DenseSpec
from shared.spec.hyperparameters import Hyperparameters
from shared.spec.model import ModelSpec
from shared.spec.program import ProgramCallbacks, ProgramSpec

_Name = Annotated[Text, Field(min_length=1, max_length=128)]
_Metadata = Annotated[
    dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=512)]],
    Field(max_length=16),
]


class JobSpec(Strict):
    """Specification of a job."""

    name: _Name | None = None
    """Display name. Default: the dataset's id."""
    priority: int = Field(default=5, ge=0, le=9)
    """Priority in the queue, from 0 (first) to 9 (last)."""
    dataset: DatasetSpec
    """Dataset and preprocessing."""
    model: ModelSpec = DenseSpec()
    """Model to train."""
    hyperparameters: Hyperparameters = Hyperparameters()
    """Hyperparameters of the training."""
    callbacks: Callbacks = Callbacks()
    """Callbacks of the training."""
    budget: Budget | None = None
    """Limits on time and cost; null: no limit."""
    metadata: _Metadata = Field(default_factory=dict)
    """Names and values to find the job by."""

    @property
    def source_id(self) -> str:
        """The id of what the job is made from."""
        return self.dataset.id

    @property
    def dataset_ids(self) -> tuple[str, ...]:
        """The ids of the datasets that the job reads."""
        return (self.dataset.id,)

    @property
    def max_epochs(self) -> int | None:
        """The maximum number of epochs; None where only the job's script knows it."""
        return self.hyperparameters.epochs

    @property
    def devices(self) -> int:
        """The number of devices that the job trains on."""
        return self.hyperparameters.devices


class ProgramJobSpec(Strict):
    """Specification of a job that runs a program: an ordinary Keras script."""

    name: _Name | None = None
    """Display name. Default: the program's id."""
    priority: int = Field(default=5, ge=0, le=9)
    """Priority in the queue, from 0 (first) to 9 (last)."""
    program: ProgramSpec
    """Program to run."""
    callbacks: ProgramCallbacks = ProgramCallbacks()
    """Callbacks in addition to those of the script."""
    budget: Budget | None = None
    """Limits on time and cost; null: no limit."""
    metadata: _Metadata = Field(default_factory=dict)
    """Names and values to find the job by."""

    @property
    def source_id(self) -> str:
        """The id of what the job is made from."""
        return self.program.id

    @property
    def dataset_ids(self) -> tuple[str, ...]:
        """The ids of the datasets that the job may read."""
        return self.program.datasets

    @property
    def max_epochs(self) -> int | None:
        """The maximum number of epochs; None where only the job's script knows it."""
        return None

    @property
    def devices(self) -> int:
        """The number of devices that the job trains on."""
        return 1


def _branch(value: Any) -> str:
    has_program = "program" in value if isinstance(value, dict) else isinstance(value, ProgramJobSpec)
    return "program" if has_program else "data"


AnyJobSpec = Annotated[
    Annotated[JobSpec, Tag("data")] | Annotated[ProgramJobSpec, Tag("program")], Discriminator(_branch)
]
