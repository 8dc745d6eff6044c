"""A bundle reads a CSV file as the upload of that file was read: the same cells, of the same kinds, missing alike."""

import random

import pandas as pd
import pytest

from shared.dataset import NUMBER_MARKS, TEXT_MARKS
from tests.support.api_process import ApiProcess
from worker.training.prepare import Input, Preparation, Schema

CELLS = {
    "whole": lambda pick: str(pick.randint(-(10**18), 10**18)),
    "number": lambda pick: pick.choice([repr(pick.uniform(-1e3, 1e3)), f"{pick.random():.3e}", ".5", "5.", "-0.0"]),
    "truth": lambda pick: pick.choice(["true", "false"]),
    "Truth": lambda pick: pick.choice(["True", "False", "TRUE", "FALSE"]),
    "text": lambda pick: pick.choice(["red", "a b", "\u00e9", "e\u0301", 'say "x"', "a,b", "x;y", "None", "?", "007"]),
    "day": lambda pick: f"{pick.randint(1900, 2100)}-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}",
    "moment": lambda pick: f"2024-02-{pick.randint(1, 29):02}T{pick.randint(0, 23):02}:30:15.{pick.randint(1, 10**6)}",
    "zone": lambda pick: f"2024-02-{pick.randint(1, 29):02}T12:30{pick.choice(['Z', '+02:00', '-05:30'])}",
    "german": lambda pick: f"{pick.randint(13, 28)}.{pick.randint(1, 12)}.2024",
    "month": lambda pick: f"{pick.choice(['January', 'May'])} {pick.randint(1, 28)}, 2024",
}


def write_csv(pick):
    """A file of a few columns, as a person, a spreadsheet or a program would have written it."""
    separator, line_break = pick.choice(",;\t|"), pick.choice(["\n", "\r\n"])
    rows, kinds = pick.randint(3, 40), pick.sample(sorted(CELLS), 5)
    columns = [write_cells(kind, rows, pick) for kind in kinds]
    lines = [separator.join(quote(cell, separator, pick) for cell in row) for row in zip(*columns, strict=True)]
    header = separator.join(f"{kind} \u00e9" for kind in kinds)
    start = pick.choice(["", "", f"sep={separator}{line_break}"])
    return pick.choice(["", "\ufeff"]) + start + line_break.join([header, *lines]) + pick.choice(["", "\r\n\x1a"])


def write_cells(kind, rows, pick):
    marks = [one for one in TEXT_MARKS if pick.random() < 0.5] or [""]
    gaps = pick.choice([0, 0.2])
    return [pick.choice(marks) if pick.random() < gaps else CELLS[kind](pick) for _ in range(rows)]


def quote(cell, separator, pick):
    if separator in cell or '"' in cell or pick.random() < 0.1:
        return '"' + cell.replace('"', '""') + '"'
    return cell + pick.choice(["", "", "", " "])


@pytest.fixture
def api(volume, tmp_path):
    api = ApiProcess(volume, "redis://127.0.0.1:1/0", tmp_path / "api.log")
    api.start()
    yield api
    api.stop()


def test_a_csv_file_holds_the_same_cells_at_upload_and_in_predict(api, volume, tmp_path):
    taken = 0
    for seed in range(14):
        content = write_csv(random.Random(seed))
        if api.ask("PUT", f"/datasets/d{seed}", content.encode()).status != 201:
            continue
        taken += 1
        info = volume.dataset(f"d{seed}")
        inputs = (Input(one.name, one.kind, "number", datetime_format=one.datetime_format) for one in info.columns)
        schema = Schema(tuple(inputs), text_marks=TEXT_MARKS, number_marks=NUMBER_MARKS)
        (tmp_path / "rows.csv").write_bytes(content.encode())
        preparation = Preparation(schema, steps=None)
        found, kept = preparation.read(tmp_path / "rows.csv"), preparation.read(volume.data_file(f"d{seed}"))
        pd.testing.assert_frame_equal(found, kept, check_exact=True, obj=f"d{seed}")
    assert taken > 2, "most of the files are refused"
