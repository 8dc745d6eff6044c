"""The best model of an earlier job."""

from typing import Literal

from shared.ids import JobId
from shared.spec.application import Trainable
from shared.spec.base import Strict


class EarlierJobSpec(Strict):
    """Best model of an earlier job, trained on new data (fine-tuning).

    Its output layer is kept where the target and its classes are the same, and replaced by a new one where they differ.
    The preprocessing of the earlier job is used for the new data, too.
    """

    kind: Literal["job"]
    """Architecture of the model."""
    job: JobId
    """Id of the earlier job. Its best model is copied when the job is posted."""
    trainable: Trainable = "all"
    """Layers that are trained: all, none but the head, or the last ones before the head by their number."""
