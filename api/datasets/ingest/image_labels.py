"""The class and the part of each image in an archive, by its folders or by tables of labels."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from api.archive.entries import show
from shared.problems import Problem, list_names, pointer
from shared.spec import Column as ClassName

Split = Literal["", "train", "validation", "test"]
SPLITS: dict[str, Split] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}

_CLASS_NAME: TypeAdapter[str] = TypeAdapter(ClassName)
_FILE, _LABEL = "file_name", "label"


@dataclass(frozen=True)
class Label:
    """The class of one image, and its part in the upload, or "" if it has none."""

    name: str
    split: Split


@dataclass
class Labels:
    """The label of each image by the name of its file, and the problems of the other files."""

    of: dict[str, Label] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, name: str, detail: str, code: str) -> None:
        """Add a problem of one file."""
        self.problems.append(Problem(pointer("files", show(name)), detail, code))

    def put(self, file: str, name: str, split: Split) -> None:
        """Set the label of an image. An invalid class name is added to the problems."""
        try:
            self.of[file] = Label(_CLASS_NAME.validate_python(name), split)
        except ValidationError:
            detail = "has a class whose name is empty, longer than 256 characters or holds a control character"
            self.refuse(file, detail, "invalid_name")


def label_images(images: Iterable[str], tables: Mapping[str, bytes]) -> Labels:
    """The labels of the images with these names. `tables` are the files `metadata.csv`, by their names."""
    names = list(images)
    top = _common_top([*names, *tables], is_table=bool(tables))
    labels = Labels()
    if tables:
        _read_tables(names, tables, top, labels)
    else:
        _read_folders(names, top, labels)
    return labels


def _common_top(names: list[str], *, is_table: bool) -> int:
    """The number of common folders at the top that are neither class nor part, such as `pets` in `pets/cat/1.png`."""
    paths = [name.split("/") for name in names]
    above = 1 if is_table else 2
    top = 0
    while paths and all(len(path) > top + above and path[top] == paths[0][top] for path in paths):
        if paths[0][top].lower() in SPLITS:
            break
        top += 1
    return top


def _read_folders(names: list[str], top: int, labels: Labels) -> None:
    if names and all(len(name.split("/")) == top + 1 for name in names):
        detail = "has no folder for each class and no metadata.csv with file_name and label"
        labels.problems.append(Problem("#", detail, "no_labels"))
        return
    for name in names:
        path = name.split("/")[top:]
        # `train/1.png` has the class "train"; `train/cat/1.png` has the class "cat" in the part "train".
        split = _split_of(path[:-2])
        folders = path[1 if split else 0 : -1]
        if not folders:
            labels.refuse(name, "is not in a class folder", "no_label")
        elif not split and any(folder.lower() in SPLITS for folder in folders[1:]):
            detail = f"has its part inside the class folder, expected train/{show(folders[0])}"
            labels.refuse(name, detail, "split_inside_class")
        else:
            labels.put(name, folders[0], split)


def _read_tables(names: list[str], tables: Mapping[str, bytes], top: int, labels: Labels) -> None:
    unnamed = set(names)
    for table in sorted(tables):
        folder = table.rpartition("/")[0]
        for line, file_name, label in _rows(table, tables[table], labels):
            file = _join(folder, file_name)
            if file in labels.of:
                other = "again" if labels.of[file].name == label else f'as "{show(labels.of[file].name)}" before'
                labels.refuse(table, f'line {line} names "{show(file_name)}" {other}', "duplicate_row")
            elif file not in unnamed:
                labels.refuse(
                    table,
                    f'line {line} names "{show(file_name)}", which is not an image of this archive',
                    "missing_file",
                )
            else:
                unnamed.discard(file)
                labels.put(file, label, _split_of(file.split("/")[top:-1]))
    for name in names:
        if name in unnamed:
            labels.refuse(name, "is not listed in any metadata.csv", "no_label")


def _split_of(folders: list[str]) -> Split:
    return SPLITS.get(folders[0].lower(), "") if folders else ""


def _rows(table: str, content: bytes, labels: Labels) -> Iterator[tuple[int, str, str]]:
    """The line number, file name and label of each valid line. The other lines are added to the problems."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = list(reader.fieldnames or ())
        if wanted := [name for name in (_FILE, _LABEL) if columns.count(name) != 1]:
            detail = f"expected one column {' and one '.join(wanted)}, found {show(list_names(columns)) or 'nothing'}"
            labels.refuse(table, detail, "missing_column")
            return
        if others := [name for name in columns if name not in {_FILE, _LABEL}]:
            labels.warnings.append(f"{show(table)}: left out the columns {show(list_names(others))}")
        for row in reader:
            if None in row or None in row.values():
                labels.refuse(table, f"line {reader.line_num} does not have as many cells as the header", "ragged_row")
            elif not row[_LABEL].strip():
                labels.refuse(table, f"line {reader.line_num} has no label", "no_label")
            else:
                yield reader.line_num, row[_FILE], row[_LABEL].strip()
    except UnicodeDecodeError:
        labels.refuse(table, "is not UTF-8", "not_utf8")
    except csv.Error as error:
        labels.refuse(table, f"cannot be read as CSV: {error}", "unreadable")


def _join(folder: str, file_name: str) -> str:
    parts = [part for part in file_name.strip().split("/") if part not in {"", "."}]
    return "/".join([*([folder] if folder else []), *parts])
