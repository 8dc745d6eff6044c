"""The model that a job trains."""

from typing import Annotated

from pydantic import Discriminator, Tag

from shared.spec.application import ApplicationSpec
from shared.spec.base import ByKind, kind_of
from shared.spec.cnn import CnnSpec
from shared.spec.dense import DenseSpec
from shared.spec.earlier_job import EarlierJobSpec
from shared.spec.keras_model import KerasSpec

MODEL_KINDS = ("dense", "cnn", "application", "keras", "job")

ModelSpec = Annotated[
    Annotated[DenseSpec, Tag("dense")]
    | Annotated[CnnSpec, Tag("cnn")]
    | Annotated[ApplicationSpec, Tag("application")]
    | Annotated[KerasSpec, Tag("keras")]
    | Annotated[EarlierJobSpec, Tag("job")],
    Discriminator(kind_of(MODEL_KINDS)),
    ByKind(),
]
