"""POST /jobs with invalid jobs: refused early, every problem named, nothing stored."""

import gzip
import json
from typing import Any

import pytest

from shared.ids import is_job_id
from tests.support.jobs import small_spec

GOOD: dict[str, Any] = {"dataset": {"id": "grades", "target": "grade", "positive": {"at_least": 3}}}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return a good spec with the value at one place replaced."""
    document = json.loads(json.dumps(GOOD))
    here = document
    *above, last = path.split("/")
    for part in above:
        here = here.setdefault(part, {})
    here[last] = value
    return document


REFUSED = [
    ("epoch", 5),
    ("id", "job_x"),
    ("status", "succeeded"),
    ("created_at", "2026-01-01T00:00:00Z"),
    *[("hyperparameters/epochs", value) for value in (0, -5, 10**9, True, "5", 1.5, None)],
    *[("hyperparameters/batch_size", value) for value in (0, -1, 65_537, "auto")],
    *[("hyperparameters/learning_rate", value) for value in (0, -1, "1e-3", 101)],
    ("hyperparameters/optimizer", {"class_name": "adam"}),
    ("hyperparameters/loss", "mean_squared_error"),
    ("hyperparameters/metrics", ["mae"]),
    *[("model/layers", value) for value in ([], [True], [2.5], [10**9], [8] * 65, [65_536, 65_536], "8")],
    ("model/activation", "os.system"),
    ("model/activation", {"class_name": "relu"}),
    *[("model/dropout", value) for value in (1.0, -0.1)],
    *[("callbacks/early_stopping", {"monitor": name}) for name in ("val_acuracy", "", "val_auc")],
    ("callbacks/early_stopping", {"monitor": "val_accuracy", "mode": "min"}),
    *[
        ("callbacks/model_checkpoint", {"filename": name})
        for name in ("{epoch.__class__}", "{epoch:0200000000d}", "o/../../x", "/etc/x", "{", "{0}", "a{val_f1}", "..")
    ],
    *[("name", value) for value in ("", "a\x00b", "a\x1bb", "a\u202eb", "a\nb", "x" * 129, 5)],
    *[("dataset/id", value) for value in ("../../etc/passwd", "%2e%2e", "x" * 2000, "", ".hidden", "A", 5)],
    *[("dataset/target", value) for value in ("quality", "", None, "grade\n")],
    *[("dataset/validation_fraction", value) for value in (0, 1, 0.999, -1, "0.2")],
    ("dataset/positive", {"at_least": 99}),
    ("dataset/positive", {}),
    ("dataset/positive", {"at_least": 1, "at_most": 2}),
    ("dataset/drop_columns", ["nothing"]),
    ("dataset/drop_columns", ["grade"]),
    ("dataset/drop_columns", ["kind", "a", "b", "c"]),
    ("metadata", {"a": "\u200b"}),
    ("priority", 10),
]


@pytest.mark.parametrize(("path", "value"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_value_that_cannot_run_is_422_with_a_pointer(client, volume, grades, path, value):
    answer = client.post("/jobs", json=changed(path, value))
    assert answer.status_code == 422, answer.text
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "refused"
    assert all(problem["pointer"].startswith("#") and problem["detail"] for problem in answer.json["errors"])
    assert any(problem["pointer"].split("/")[1] == path.split("/")[0] for problem in answer.json["errors"])
    assert volume.job_ids() == []
    assert list(volume.open.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{} {}", "application/json", 400),
        (b"null", "application/json", 422),
        (b"[" * 3000, "application/json", 400),
        (b'{"name": "' + b"x" * 5000 + b'"}', "application/json", 413),
        (b'{"name": 1e400}', "application/json", 400),
        (b'{"name": "a", "name": "b"}', "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
    ],
)
def test_a_body_that_is_not_strict_json_gets_a_problem_of_its_kind(client, volume, body, content_type, status):
    answer = client.post("/jobs", data=body, content_type=content_type)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.json["status"] == status
    assert volume.job_ids() == []


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "identity, gzip"])
def test_a_compressed_job_is_415_and_says_what_is_taken(client, volume, encoding):
    headers = {"Content-Encoding": encoding}
    answer = client.post("/jobs", data=gzip.compress(b"{}"), content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (415, "encoded")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert volume.job_ids() == []


@pytest.mark.parametrize("number", ["3.0", "3e0", "0.3e1"])
def test_a_whole_number_may_be_written_with_a_fraction_as_the_schema_says(client, grades, number):
    body = json.dumps(small_spec(hyperparameters={"epochs": "N"})).replace('"N"', number)
    answer = client.post("/jobs", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["spec"]["hyperparameters"]["epochs"]) == (202, 3)


def test_every_problem_is_named_at_once(client, grades):
    document = {**changed("hyperparameters/epochs", 0), "epoch": 1, "model": {"layers": []}}
    pointers = {problem["pointer"] for problem in client.post("/jobs", json=document).json["errors"]}
    assert pointers == {"#/hyperparameters/epochs", "#/epoch", "#/model/layers"}


def test_an_unknown_dataset_is_404_and_named(client):
    answer = client.post("/jobs", json={"dataset": {"id": "nowhere", "target": "x"}})
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_dataset")
    assert "nowhere" in answer.json["detail"]


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "{0.__class__}", "%s%n", "{{7*7}}", "naïve 模型", "\U0001f600"]
)
def test_a_strange_but_printable_name_is_kept_literally(client, grades, name):
    answer = client.post("/jobs", json=changed("name", name))
    assert answer.status_code == 202
    assert client.get(answer.headers["Location"]).json["name"] == name
    assert b"<img" not in answer.data or b'"name":"<img' in answer.data


def test_a_batch_larger_than_the_data_is_taken_and_the_one_that_is_used_is_shown(client, grades):
    shown = client.post("/jobs", json=changed("hyperparameters/batch_size", 65_536)).json
    assert shown["spec"]["hyperparameters"]["batch_size"] == 192
    assert any("batch_size" in warning for warning in shown["warnings"])


@pytest.mark.parametrize(
    "query",
    [
        *("limit=1000000000", "limit=-1", "limit=0", "limit=x", "limit=", "limit=1&limit=2", "limit=٣", "limit=1.0"),
        *("filter=x", "status=done", "after=job_x", "after=", "limit=" + "9" * 400),
    ],
)
def test_a_query_that_means_nothing_is_422_at_its_parameter(client, query):
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/query/" + query.split("=")[0]


@pytest.mark.parametrize(
    "name", ["x", "job_x", "x" * 10_000, "..%2f..%2fetc%2fpasswd", "..", "%00", "job_" + "0" * 26, "job_%e2%80%ae"]
)
@pytest.mark.parametrize("rest", ["", "/events", "/epochs", "/training_log.csv", "/checkpoints", "/model"])
def test_an_id_that_is_no_jobs_is_404(client, name, rest):
    answer = client.get(f"/jobs/{name}{rest}")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/jobs", "/datasets", "/workers", "/healthz"])
def test_another_verb_is_405_with_what_is_allowed(client, path):
    answer = client.patch(path)
    assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
    assert "GET" in answer.headers["Allow"]


def test_ids_made_by_the_service_are_ids_of_jobs(client, grades):
    assert is_job_id(client.post("/jobs", json=GOOD).json["id"])
