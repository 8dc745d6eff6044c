"""Uploads that failed for people elsewhere, with invented rows: what each becomes here, and what a job reports."""

from pathlib import Path

import pytest

CASES = Path(__file__).parents[3] / "data" / "cases"


@pytest.fixture
def put(client):
    def put(name, query=""):
        return client.put(f"/datasets/data{query}", data=(CASES / name).read_bytes())

    return put


@pytest.fixture
def dry_run(client):
    def dry_run(**dataset):
        return client.post("/jobs?dry_run=true", json={"dataset": {"id": "data", **dataset}})

    return dry_run


def column(answer, name):
    return next(one for one in answer.json["columns"] if one["name"] == name)


def test_ticket_numbers_of_which_some_have_letters_are_text_and_the_answer_says_why(put, dry_run):
    answer = put("d01-titanic.csv")
    assert (answer.status_code, answer.json["rows"], column(answer, "Ticket")["kind"]) == (201, 80, "text")
    [warning] = answer.json["warnings"]
    assert '"Ticket" is text: 18 of 80 cells are not numbers, such as "PC 19205" in row 4' in warning
    left_out = ["PassengerId", "Name", "Ticket", "Cabin"]
    assert dry_run(target="Survived", drop_columns=left_out, missing="impute").status_code == 200


def test_diagnosis_codes_are_categories_as_they_were_written(put, dry_run):
    answer = put("d02-diabetes.csv")
    assert column(answer, "diag_1")["kind"] == "text"
    assert {"250.83", "V27", "8"} <= {one["value"] for one in column(answer, "diag_1")["values"]}
    assert dry_run(target="readmitted").status_code == 200
    refused = put("d02-diabetes.csv", "?column_kinds=diag_1:number")
    assert refused.status_code == 409


def test_na_that_means_none_is_missing_unless_the_upload_says_otherwise(put, dry_run, client):
    answer = put("d06-houses.csv")
    assert column(answer, "PoolQC")["missing_marks"] == {"NA": 90}
    assert dry_run(target="SalePrice", missing="impute").status_code == 200
    client.delete("/datasets/data")
    answer = put("d06-houses.csv", "?missing_values=")
    assert (column(answer, "PoolQC")["missing"], answer.json["missing_values"]) == (0, [])
    assert dry_run(target="SalePrice").status_code == 200


def test_a_column_of_mostly_question_marks_is_numbers_with_missing_values(put):
    reflux = column(put("d10-colic.csv"), "reflux_ph")
    assert (reflux["kind"], reflux["missing"], reflux["missing_marks"]) == ("integer", 88, {"?": 88})


def test_blanks_after_commas_are_no_part_of_names_and_cells(put, dry_run):
    answer = put("d13-adult.csv")
    assert [one["name"] for one in answer.json["columns"]][1] == "workclass"
    assert [one["value"] for one in column(answer, "income")["values"]] == ["<=50K", ">50K"]
    for target in ("income", " income"):
        tried = dry_run(target=target, positive={"equals": ">50K"})
        assert (tried.status_code, tried.json["spec"]["dataset"]["target"]) == (200, "income")


def test_excels_line_that_names_the_separator_is_no_header(put):
    answer = put("d15-excel.csv")
    assert (answer.status_code, answer.json["rows"]) == (201, 40)
    assert [one["name"] for one in answer.json["columns"]] == ["alter", "einkommen", "kunde"]


def test_the_end_of_file_of_dos_is_no_row(put):
    assert (put("d17-dos.csv").json["rows"], put("d17-dos.csv").status_code) == (30, 200)


def test_json_lines_are_415_and_leave_nothing(put, client):
    answer = put("d20-people.jsonl")
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_format")
    assert "JSON" in answer.json["detail"]
    assert client.get("/datasets/data").status_code == 404


def test_the_index_of_a_filtered_frame_is_left_out_and_told(put):
    answer = put("d24-filtered.parquet")
    assert [one["name"] for one in answer.json["columns"]] == ["length", "width", "species"]
    assert (answer.json["left_out"], len(answer.json["warnings"])) == (["__index_level_0__"], 1)


def test_a_job_finds_a_column_in_either_unicode_form(client, dry_run):
    rows = "".join(f"{row},{row % 3},{row % 2}\n" for row in range(40))
    client.put("/datasets/data", data=f"cafe\u0301,b,ho\u0302tel\n{rows}".encode())
    tried = dry_run(target="ho\u0302tel", drop_columns=["cafe\u0301"], categorical=["b"])
    assert (tried.status_code, tried.json["spec"]["dataset"]["target"]) == (200, "h\u00f4tel")
    assert tried.json["spec"]["dataset"]["drop_columns"] == ["caf\u00e9"]
