"""A bundle reads a CSV file as the upload of that file was read: the same cells, of the same kinds, missing alike."""

import random

import pandas as pd

from shared.dataset import NUMBER_MARKS, TEXT_MARKS
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


FILES = 14
OWN_MARKS = ("-999", "99", "missing")


def write_csv(pick, all_marks):
    """Return a file of a few columns that a person, a spreadsheet or a program might have written."""
    separator, line_break = pick.choice(",;\t|"), pick.choice(["\n", "\r\n"])
    rows, kinds = pick.randint(3, 40), pick.sample(sorted(CELLS), 5)
    columns = [write_cells(kind, rows, pick, all_marks) for kind in kinds]
    lines = [separator.join(quote(cell, separator, pick) for cell in row) for row in zip(*columns, strict=True)]
    header = separator.join(f"{kind} \u00e9" for kind in kinds)
    start = pick.choice(["", "", f"sep={separator}{line_break}"])
    return pick.choice(["", "\ufeff"]) + start + line_break.join([header, *lines]) + pick.choice(["", "\r\n\x1a"])


def write_cells(kind, rows, pick, all_marks):
    marks = [one for one in all_marks if pick.random() < 0.5] or [""]
    gaps = pick.choice([0, 0.2])
    return [pick.choice(marks) if pick.random() < gaps else CELLS[kind](pick) for _ in range(rows)]


def quote(cell, separator, pick):
    if separator in cell or '"' in cell or pick.random() < 0.1:
        return '"' + cell.replace('"', '""') + '"'
    return pick.choice(["", "", "", " "]) + cell + pick.choice(["", "", "", " "])


def schema_of(info):
    inputs = (Input(one.name, one.kind, "number", datetime_format=one.datetime_format) for one in info.columns)
    own_marks = ("", *info.missing_values) if info.missing_values else None
    return Schema(tuple(inputs), text_marks=own_marks or TEXT_MARKS, number_marks=own_marks or NUMBER_MARKS)


def test_a_csv_file_holds_the_same_cells_at_upload_and_in_predict(api, volume, tmp_path):
    for seed in range(FILES):
        marks, query = (OWN_MARKS, f"?missing_values={','.join(OWN_MARKS)}") if seed % 3 == 0 else (TEXT_MARKS, "")
        content = write_csv(random.Random(seed), marks)
        assert api.ask("PUT", f"/datasets/d{seed}{query}", content.encode()).status == 201
        (tmp_path / "rows.csv").write_bytes(content.encode())
        preparation = Preparation(schema_of(volume.dataset(f"d{seed}")), steps=None)
        found, kept = preparation.read(tmp_path / "rows.csv"), preparation.read(volume.data_file(f"d{seed}"))
        pd.testing.assert_frame_equal(found, kept, check_exact=True, obj=f"d{seed}")
