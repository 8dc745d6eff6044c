"""The dataset of a job: a table, images or arrays."""

from typing import Annotated

from pydantic import Discriminator, Tag

from shared.spec.arrays import ArraysSpec
from shared.spec.base import ByKind, kind_of
from shared.spec.images import ImagesSpec
from shared.spec.table import TableSpec

DATASET_KINDS = ("table", "images", "arrays")

DatasetSpec = Annotated[
    Annotated[TableSpec, Tag("table")] | Annotated[ImagesSpec, Tag("images")] | Annotated[ArraysSpec, Tag("arrays")],
    Discriminator(kind_of(DATASET_KINDS)),
    ByKind(),
]
