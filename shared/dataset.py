"""The facts of a dataset: `datasets/<id>/dataset.json`, written once at its upload."""

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.document import Document
from shared.ids import DatasetId
from shared.project import DEFAULT_PROJECT, ProjectName
from shared.times import Time

# A column with more distinct values than this lists none of them.
MOST_LISTED_VALUES = 100
# A longer profile omits its longest lists, since every posted job reads it.
MOST_PROFILE_BYTES = 1024**2
# The maximum number of classes of images.
MOST_IMAGE_CLASSES = 10_000

ColumnKind = Literal["integer", "float", "boolean", "text", "datetime"]
# The kinds that an upload may ask for.
AskedKind = Literal["text", "number", "datetime"]

# Cells that are missing values in every column of a CSV file, unless the upload names its own.
TEXT_MARKS: tuple[str, ...] = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)
# Cells that are missing values only if the other cells are numbers, booleans or datetimes.
NUMBER_MARKS = (*TEXT_MARKS, "?", "-", "--", ".", "None", "none", "na", "Null", "<NA>", "NaT", "\\N")


class _Frozen(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class ValueCount(_Frozen):
    """One value of a column and its number of rows."""

    value: int | float | bool | str
    rows: int


class Column(_Frozen):
    """One column: its kind, and enough of its values to check a target.

    `missing` counts rows without a value; `distinct` counts different values among the others. `values` lists them,
    sorted, if there are at most MOST_LISTED_VALUES. `minimum`, `maximum` and `mean` are None for text and datetime.
    `missing_marks` counts the cells of a CSV file that were read as missing, by their text ("" for an empty cell).
    A datetime is stored in UTC without its zone and lists no values. `earliest` and `latest` are ISO 8601;
    `datetime_format` is the strptime format of the cells, None for ISO 8601.
    """

    name: str
    kind: ColumnKind
    missing: int
    distinct: int
    values: tuple[ValueCount, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    missing_marks: dict[str, int] = Field(default_factory=dict)
    datetime_format: str | None = None
    earliest: str | None = None
    latest: str | None = None


class ImageClass(_Frozen):
    """One class of images: its name and the number of its images in each part that the upload names.

    `unsplit` counts the images outside `train/`, `validation/` and `test/`: the job's own split divides them.
    """

    name: str
    unsplit: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0


class ImagesProfile(_Frozen):
    """The images of a dataset. Widths and heights are in pixels.

    `channels` counts the images by their number of channels ("1", "3", "4"). `duplicates` counts images with the same
    bytes as another image, `in_train_and_validation` those of them that are in both parts.
    """

    classes: tuple[ImageClass, ...]
    width: tuple[int, int]
    """Smallest and largest value."""
    height: tuple[int, int]
    """Smallest and largest value."""
    channels: dict[str, int]
    duplicates: int
    in_train_and_validation: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """The sorted names of the classes; a class's index is its number in the target."""
        return tuple(one.name for one in self.classes)


class ArrayProfile(_Frozen):
    """One array, stored as `arrays/<name>.npy`, in the validation part with `_validation` after the name.

    `shape` includes the rows. `non_finite` counts NaN and infinite numbers. `values` lists the different values of a
    target of whole numbers or booleans, sorted, if there are at most 1,000.
    """

    name: str
    role: Literal["input", "target", "sample_weight"]
    part: Literal["training", "validation"]
    shape: tuple[int, ...]
    dtype: str
    minimum: float | None = None
    maximum: float | None = None
    non_finite: int = 0
    values: tuple[ValueCount, ...] | None = None

    @property
    def file_name(self) -> str:
        """The name of its file in the dataset's folder `arrays`."""
        return f"{self.name}{'_validation' if self.part == 'validation' else ''}.npy"


class DatasetInfo(Document):
    """One dataset. `sha256` and `bytes` describe the uploaded file, `data_sha256` the stored data.

    The stored data is `data.parquet` (a table; images with path, label, split, image, width, height) or, for arrays,
    one `.npy` file each in the folder `arrays`. For arrays, `data_sha256` is the hash of the lines
    `<sha256>  <file name>`, each with its newline, sorted by file name (`hash_files`).
    `rows` counts all rows or images of all parts. `columns` describes a table. `missing_values` and `column_kinds` are
    what the upload asked for; `project` is that of the key that uploaded it; `left_out` names the columns of the file
    that are not data; `warnings` are for a person.
    """

    id: DatasetId
    project: ProjectName = DEFAULT_PROJECT
    kind: Literal["table", "images", "arrays"] = "table"
    created_at: Time
    source_name: str | None
    source_format: Literal["csv", "parquet", "zip", "tar", "npz"]
    sha256: str
    bytes: int
    data_sha256: str
    rows: int
    columns: tuple[Column, ...] = ()
    images: ImagesProfile | None = None
    arrays: tuple[ArrayProfile, ...] = ()
    missing_values: tuple[str, ...] | None = None
    column_kinds: dict[str, AskedKind] = Field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        """The column with that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def array(self, role: str, part: str = "training") -> ArrayProfile | None:
        """The first array of that role in that part, or None."""
        return next((one for one in self.arrays if one.role == role and one.part == part), None)

    @property
    def column_names(self) -> list[str]:
        """The columns' names, in the order of the data."""
        return [column.name for column in self.columns]


def hash_files(sums: Mapping[str, str]) -> str:
    """The `data_sha256` of a dataset of several files, from the SHA-256 of each by its name."""
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()
