"""`evaluation.json`: metrics of a job's best model on rows that it was not trained on. Computed once, at the end.

Its size is bounded: it has no confusion matrix of many classes, and only a part of long curves and of many mistakes.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.document import Document, read_document
from shared.job_folder import AttemptFolder
from shared.progress import Count
from shared.times import Time

# A script's process can write this file, and the page shows the thumbnails: nothing else is accepted as one.
Thumbnail = Annotated[str, Field(pattern="^data:image/png;base64,[A-Za-z0-9+/]+={0,2}$", max_length=100_000)]
# A class, a number, or the first numbers of a row with several outputs.
Value = int | float | bool | str | tuple[float, ...]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ClassResult(_Part):
    """Metrics of one class; null if they are undefined, because no row is predicted as the class or belongs to it."""

    name: int | float | bool | str
    support: Annotated[int, Field(ge=0, description="Number of rows of the class")]
    predicted: Annotated[int, Field(ge=0, description="Number of rows predicted as the class")]
    precision: float | None
    recall: float | None
    f1: float | None


class Confusion(_Part):
    """Number of rows of one class that were predicted as another. Classes are given by their index in `classes`."""

    true: Count
    predicted: Count
    rows: Count


class Roc(_Part):
    """ROC curve of the positive class."""

    auc: float
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


class CalibrationBin(_Part):
    """Rows whose predicted probability is in one interval: its mean, and the fraction of positive rows."""

    rows: Count
    mean_predicted: float
    fraction_positive: float


class Residuals(_Part):
    """True minus predicted value: quantiles, a histogram of `rows` between `edges`, and pairs of some rows."""

    mean: float
    std: float
    quantiles: dict[str, float]
    edges: tuple[float, ...]
    rows: tuple[int, ...]
    pairs: Annotated[tuple[tuple[float, float], ...], Field(description="True and predicted value of some rows")]


class Mistake(_Part):
    """One of the worst predictions. `row` is the index, from 0, in the dataset or in a script's validation data.

    `thumbnail` is a data URI, for images.
    """

    row: Count
    true: Value
    predicted: Value
    probability: Annotated[float | None, Field(description="Probability of the predicted class")]
    loss: float
    thumbnail: Thumbnail | None = None


class PartResult(_Part):
    """One part of the data. If `rows` is less than `of`, the rows are a random sample.

    `confusion` has a row for each true class and a column for each predicted one; null for more than 100 classes.
    """

    rows: Count
    of: Count
    metrics: dict[str, float | None]
    classes: tuple[ClassResult, ...] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    most_confused: tuple[Confusion, ...] = ()
    roc: Roc | None = None
    calibration: tuple[CalibrationBin, ...] | None = None
    residuals: Residuals | None = None
    mistakes: tuple[Mistake, ...] = ()

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        classes = len(self.classes or ())
        rows = self.confusion or ()
        if self.confusion is not None and {len(rows), *map(len, rows)} != {classes}:
            raise ValueError("confusion has another size than classes")
        if any(max(one.true, one.predicted) >= classes for one in self.most_confused):
            raise ValueError("most_confused names classes that are not there")
        return self


class Evaluation(Document):
    """Evaluation of the best model on the validation part, and on the test part if there is one.

    `checkpoint` is the model's file; null if no checkpoint was saved, for the model of the last epoch.
    """

    computed_at: Time
    seconds: Annotated[float, Field(ge=0)]
    task: Literal["binary", "multiclass", "regression"]
    checkpoint: str | None
    epoch: Count
    validation: PartResult
    test: PartResult | None = None


def read_evaluation(attempt: AttemptFolder) -> Evaluation | None:
    """The evaluation of an attempt; None if it has none. Raises UnusableDocument."""
    return read_document(attempt.evaluation_file, Evaluation)
