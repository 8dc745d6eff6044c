"""The whole spec of a job."""

from typing import Annotated

from pydantic import Field

from shared.spec.base import Strict, Text
from shared.spec.budget import Budget
from shared.spec.callbacks import Callbacks
from shared.spec.dataset import DatasetSpec
from shared.spec.dense import DenseSpec
from shared.spec.hyperparameters import Hyperparameters
from shared.spec.model import ModelSpec


class JobSpec(Strict):
    """Specification of a job."""

    name: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
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
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
    """Names and values to find the job by."""
