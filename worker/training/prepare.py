"""Turn the raw rows of a table into the matrix that the model reads, in training, in validation and in prediction.

A standalone program that imports nothing from Fitstop: the training process uses it and saves a copy next to the model,
so that a bundle predicts with the same code that trained it. Next to it are

    schema.json            the input columns, with the type and the encoding of each
    preprocessing.skops    the fitted scikit-learn steps: fill, encode, scale

Later versions of predict.py call `load`, `read`, `is_complete` and `transform`: keep their meaning.
"""

import csv
import io
import json
import math
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler, TargetEncoder

Matrix = npt.NDArray[np.float32]

# The only foreign types in the fitted steps. A file is loaded with this list, never with the types that the file names.
TRUSTED_TYPES = ["numpy.dtype", "sklearn.model_selection._split.KFold"]

# Missing values in a CSV file, for schemas from before they listed their own.
MISSING_VALUES = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)

NEWEST_VERSION = 2
DATE_FEATURES = ("year", "month", "day", "day_of_week", "hour", "minute", "age")

_SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}
_TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*(\r\n|\r|\n)', re.IGNORECASE)


@dataclass(frozen=True)
class Input:
    """One input column.

    `kind`: the type of its values: boolean, integer, float, text or datetime. `encoding`: what the model reads: number
    (the value itself), one_hot, hashing (`hash_columns` columns), target (the mean of the target) or date (its parts
    and its age). `datetime_format`: its format in a CSV file, as for strptime; None for ISO 8601. `newest` and
    `varying` are fitted: the newest moment of the training part, and the features that vary in it; the others are 0.
    """

    name: str
    kind: str
    encoding: str
    hash_columns: int = 0
    datetime_format: str | None = None
    newest: str | None = None
    varying: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The input columns and the settings for all of them.

    `text_marks`, `number_marks`: cells of a CSV file that stand for a missing value, in text columns and in all others.
    `version` 1 is for jobs that began before schemas existed: a missing boolean is a category of its own, and a column
    without a value in the training part makes no feature.
    """

    inputs: tuple[Input, ...]
    missing: str = "drop"
    scaling: str = "standard"
    task: str = "regression"
    seed: int = 0
    text_marks: tuple[str, ...] = MISSING_VALUES
    number_marks: tuple[str, ...] = MISSING_VALUES
    version: int = NEWEST_VERSION

    def to_json(self) -> bytes:
        """The schema as the bytes of its file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"

    @staticmethod
    def from_json(content: bytes) -> "Schema":
        """The schema that `to_json` wrote."""
        facts = _with_tuples(json.loads(content))
        return Schema(**{**facts, "inputs": tuple(Input(**_with_tuples(one)) for one in facts["inputs"])})


def _with_tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}


@dataclass(frozen=True)
class Preparation:
    """A fitted preparation."""

    schema: Schema
    steps: Pipeline

    def read(self, path: Path) -> pd.DataFrame:
        """The rows of a CSV or Parquet file: one column for each input, missing values as NaN or NaT.

        Raises ValueError, which says what is wrong and where.
        """
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        cells = _read_parquet(path) if is_parquet else _read_csv(path, keep_blanks=self.schema.version == 1)
        return _type_columns(cells, self.schema, with_marks=True)

    def is_complete(self, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """For each row of `read`, whether the model can predict it: no value is missing, or they are imputed."""
        whole: npt.NDArray[np.bool_] = rows.notna().all(axis=1).to_numpy()
        return whole | (self.schema.missing == "impute")

    def transform(self, rows: pd.DataFrame) -> Matrix:
        """The model's input for the rows, of shape (rows, features)."""
        return _to_float32(self.steps.transform(_expand_columns(_type_columns(rows, self.schema), self.schema)))


def fit(rows: pd.DataFrame, target: npt.NDArray[Any], schema: Schema) -> tuple[Preparation, Matrix]:
    """Fit a preparation on the training part, and return it with the training part's matrix.

    With the encoding `target` this matrix differs from `transform` of the same rows: each row is encoded with means of
    other rows (cross fitting), so that a row's own target does not leak into it.
    """
    typed = _type_columns(rows, schema)
    inputs = tuple(_fit_date(one, typed[one.name]) if one.encoding == "date" else one for one in schema.inputs)
    schema = replace(schema, inputs=inputs)
    steps = _steps(schema, target)
    matrix = _to_float32(steps.fit_transform(_expand_columns(typed, schema), target))
    return Preparation(schema, steps), matrix


def load(folder: Path) -> Preparation:
    """The preparation whose files are in `folder`."""
    steps = skops.io.load(folder / "preprocessing.skops", trusted=TRUSTED_TYPES)
    file = folder / "schema.json"
    schema = Schema.from_json(file.read_bytes()) if file.exists() else _schema_before_schemas(folder, steps)
    return Preparation(schema, steps)


def _steps(schema: Schema, target: npt.NDArray[Any]) -> Pipeline:
    """The steps before the model, not yet fitted; the target is that of the training part."""
    numbers: Any = "passthrough"
    # Two categories make one column.
    categories: Any = OneHotEncoder(drop="if_binary", handle_unknown="ignore", sparse_output=False)
    if schema.missing == "impute":
        keep = schema.version > 1
        numbers = SimpleImputer(strategy="median", keep_empty_features=keep)
        fill = SimpleImputer(strategy="most_frequent", keep_empty_features=keep)
        categories = Pipeline([("fill", fill), ("encode", categories)])
    groups = [
        ("numbers", numbers, _columns(schema, "number", "date")),
        ("categories", categories, _columns(schema, "one_hot")),
        ("hashes", "passthrough", _columns(schema, "hashing")),
    ]
    if means := _columns(schema, "target"):
        classes = "multiclass" if len(np.unique(target)) > 2 else "binary"
        target_type = "continuous" if schema.task == "regression" else classes
        folds = KFold(max(2, min(5, len(target))), shuffle=True, random_state=schema.seed)
        groups.append(("means", TargetEncoder(target_type=target_type, cv=folds), means))
    scale = _SCALERS[schema.scaling]() if schema.scaling != "none" else "passthrough"
    return Pipeline([("columns", ColumnTransformer(groups)), ("scale", scale)])


def _columns(schema: Schema, *encodings: str) -> list[str]:
    """The expanded columns of the inputs that are encoded in one of these ways."""
    return [name for one in schema.inputs if one.encoding in encodings for name in _column_names(one)]


def _column_names(one: Input) -> list[str]:
    """The columns that an input is expanded to. Names of a dataset's columns never contain the control character."""
    if one.encoding == "date":
        return [f"{one.name}\x1f{part}" for part in DATE_FEATURES]
    if one.encoding == "hashing":
        return [f"{one.name}\x1f{number}" for number in range(one.hash_columns)]
    return [one.name]


def _expand_columns(typed: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Expand the typed columns to those that the steps read."""
    columns: dict[str, Any] = {}
    for one in schema.inputs:
        columns |= dict(zip(_column_names(one), _expand_input(one, typed[one.name], schema), strict=True))
    return pd.DataFrame(columns, index=typed.index, copy=False)


def _expand_input(one: Input, cells: "pd.Series[Any]", schema: Schema) -> Iterable[Any]:
    if one.encoding == "number":
        return [cells]
    if one.encoding == "date":
        return [_compute_date_feature(one, cells, part) for part in DATE_FEATURES]
    if one.kind == "datetime":
        texts = pd.Series(np.datetime_as_string(cells.to_numpy()), index=cells.index, dtype=object)
        cells = texts.where(cells.notna(), np.nan)
    categories = cells.astype(object)
    if one.encoding == "hashing":
        return _hash_categories(categories, one.hash_columns).T
    if schema.version == 1 and one.kind == "boolean":
        categories = categories.where(categories.notna(), None)
    return [categories]


def _hash_categories(categories: "pd.Series[Any]", columns: int) -> Matrix:
    """Hashed one-hot columns: in each row the column of the category's hash is 1; none for a missing value."""
    codes, found = pd.factorize(categories)
    hashes = [int.from_bytes(sha256(str(one).encode()).digest()[:8], "big") % columns for one in found]
    matrix = np.zeros((len(categories), columns), np.float32)
    present = np.flatnonzero(codes >= 0)
    matrix[present, np.array(hashes, int)[codes[present]]] = 1
    return matrix


def _fit_date(one: Input, moments: "pd.Series[Any]") -> Input:
    if moments.isna().all():
        return one
    one = replace(one, newest=moments.max().isoformat(), varying=DATE_FEATURES)
    features = {name: _compute_date_feature(one, moments, name) for name in one.varying}
    varying = tuple(name for name, values in features.items() if np.nanmin(values) < np.nanmax(values))
    return replace(one, varying=varying)


def _compute_date_feature(one: Input, moments: "pd.Series[Any]", name: str) -> npt.NDArray[np.float64]:
    """A part of each moment, or its age in days at the newest moment of the training part."""
    if name not in one.varying:
        return np.zeros(len(moments))
    if name == "age":
        return np.asarray((pd.Timestamp(one.newest) - moments) / pd.Timedelta(days=1), np.float64)
    return np.asarray(getattr(moments.dt, name), np.float64)


def _to_float32(matrix: npt.NDArray[Any]) -> Matrix:
    """Convert to float32. Numbers that are too large become infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, dtype=np.float32)


def _type_columns(rows: pd.DataFrame, schema: Schema, *, with_marks: bool = False) -> pd.DataFrame:
    """One column for each input: float64, datetime64[us], or object for texts. A typed frame does not change.

    `with_marks`: the schema's marks count as missing values.
    """
    places = defaultdict(list)
    for place, name in enumerate(rows.columns):
        places[_plain(str(name))].append(place)
    columns = {}
    for one in schema.inputs:
        found = places[_plain(one.name)]
        if len(found) != 1:
            has = "has two columns of the name" if found else "has no column"
            raise ValueError(f'{has} "{one.name}"; it has {", ".join(map(str, rows.columns))}')
        cells = rows.iloc[:, found[0]]
        if with_marks and not _is_typed(cells):
            marks = schema.text_marks if one.kind == "text" else schema.number_marks
            cells = cells.mask(cells.astype(object).map(_bare).isin(marks), np.nan)
        columns[one.name] = _type_cells(one, cells, schema)
    return pd.DataFrame(columns, index=rows.index, copy=False)


def _plain(name: str) -> str:
    """The normalized name: without surrounding blanks, in one Unicode form."""
    return unicodedata.normalize("NFC", name).strip()


def _bare(cell: Any) -> Any:
    return cell.strip() if isinstance(cell, str) else cell


def _is_typed(cells: "pd.Series[Any]") -> bool:
    """Whether the cells are numbers, booleans or moments, not texts or objects."""
    return pd.api.types.is_numeric_dtype(cells.dtype) or pd.api.types.is_datetime64_any_dtype(cells.dtype)


def _type_cells(one: Input, cells: "pd.Series[Any]", schema: Schema) -> "pd.Series[Any]":
    if one.kind == "text":
        # As at upload, blanks around a text are not part of it.
        return _parse_cells(one, cells if schema.version == 1 else cells.astype(object).map(_bare), _text)
    if one.kind == "datetime":
        return _parse_moments(one, cells)
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return pd.Series(cells.to_numpy(np.float64, na_value=np.nan), index=cells.index)
    return _parse_cells(one, cells, _truth if one.kind == "boolean" else _number).astype(np.float64)


def _parse_cells(one: Input, cells: "pd.Series[Any]", parse: Callable[[Any], Any]) -> "pd.Series[Any]":
    """Parse each cell, equal ones once; `parse` returns None for invalid ones."""
    codes, found = pd.factorize(cells.astype(object))
    values = [parse(cell) for cell in found]
    wrong = [number for number, value in enumerate(values) if value is None]
    if wrong:
        raise _wrong_cell(one, cells, codes == wrong[0])
    # The code of a missing value is -1, which selects the last entry.
    table = np.array([*values, np.nan], dtype=object)
    return pd.Series(table[codes], index=cells.index, dtype=object)


def _text(cell: Any) -> str | None:
    """A text as it is; whole numbers and booleans as text, as an upload writes them; None for other values."""
    if isinstance(cell, bool | np.bool_ | int | np.integer):
        return str(cell).lower()
    return cell if isinstance(cell, str) else None


def _truth(cell: Any) -> float | None:
    value = _number(cell)
    return value if value in {0.0, 1.0} else None


def _number(cell: Any) -> float | None:
    word = str(cell).strip()
    if word.lower() in _TRUTH:
        return _TRUTH[word.lower()]
    number = float(word) if _NUMBER.fullmatch(word) else math.inf
    return number if math.isfinite(number) else None


def _parse_moments(one: Input, cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Convert cells to moments in UTC without a zone."""
    if not pd.api.types.is_datetime64_any_dtype(cells.dtype):
        words = cells.astype(object).map(lambda cell: str(cell).strip(), na_action="ignore")
        moments = pd.to_datetime(words, format=one.datetime_format or "ISO8601", errors="coerce", utc=True)
        wrong = (moments.isna() & cells.notna()).to_numpy()
        if wrong.any():
            raise _wrong_cell(one, cells, wrong)
        cells = moments
    if cells.dt.tz is not None:
        cells = cells.dt.tz_convert("UTC").dt.tz_localize(None)
    return cells.astype("datetime64[us]")


def _wrong_cell(one: Input, cells: "pd.Series[Any]", wrong: npt.NDArray[np.bool_]) -> ValueError:
    row = int(np.flatnonzero(wrong)[0])
    expected = {
        "text": "a text",
        "boolean": "true or false",
        "datetime": f"a date or time written as {one.datetime_format or '2027-01-31T06:00:00'}",
    }.get(one.kind, "a number")
    return ValueError(f'row {row + 1}, column "{one.name}": {cells.iloc[row]!r} is not {expected}')


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read the columns. An index with a name becomes a column."""
    frame = pd.read_parquet(path)
    return frame.reset_index(drop=frame.index.names == [None])


def _read_csv(path: Path, *, keep_blanks: bool) -> pd.DataFrame:
    """Read the cells. The separator is that of a line `sep=`, else the most frequent one of , ; tab | in the header."""
    text = path.read_bytes().decode("utf-8-sig").rstrip("\x1a \r\n").lstrip("\r\n")
    named = _SEPARATOR_LINE.match(text)
    text = text[named.end() :].lstrip("\r\n") if named else text
    header = re.sub(r'"[^"]*"', "", re.split("[\r\n]", text, maxsplit=1)[0])
    separator = named[1] if named else max(",;\t|", key=header.count)
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=not keep_blanks, strict=True)
    try:
        lines = [line for line in rows if line]
    except csv.Error as error:
        raise ValueError(f"is not a CSV file: {error}") from None
    if not lines:
        raise ValueError("has no header: expected the columns' names in the first line")
    for row, line in enumerate(lines[1:], 1):
        if len(line) != len(lines[0]):
            raise ValueError(f"row {row} holds {len(line)} cells, expected {len(lines[0])}")
    return pd.DataFrame(lines[1:], columns=lines[0], dtype=object)


def _schema_before_schemas(folder: Path, steps: Pipeline) -> Schema:
    """The schema of an old bundle without `schema.json`, from its fitted steps."""
    inputs: list[Input] = []
    for group, transformer, names in steps.named_steps["columns"].transformers_:
        if group == "numbers":
            inputs += [Input(name, "float", "number") for name in names]
        elif group == "categories" and len(names):
            encoder = transformer[-1] if isinstance(transformer, Pipeline) else transformer
            known = zip(names, encoder.categories_, strict=True)
            inputs += [Input(name, _kind_of(values.tolist()), "one_hot") for name, values in known]
    dataset = json.loads((folder / "job.json").read_bytes())["spec"]["dataset"]
    return Schema(tuple(inputs), missing=dataset["missing"], scaling=dataset["scaling"], version=1)


def _kind_of(categories: list[Any]) -> str:
    kinds = set(map(type, categories))
    return "boolean" if bool in kinds else "text" if str in kinds else "float"
