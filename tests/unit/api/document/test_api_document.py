"""The API's document: every route is in it, it is OpenAPI 3.1, its examples work, and real answers have its shapes."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.document.openapi import document, job_schema, routes
from api.http.operation import operation_of
from api.jobs.post import README_JOB
from shared.events import Event, EventWriter
from shared.job import AttemptEnd, Ending, JobError, Stop
from shared.manifest import Checkpoint, Manifest, write_manifest
from shared.open_job import OpenJob
from shared.times import time_in, utc_now
from shared.worker_card import RunningAttempt, WorkerCard
from tests.support.jobs import claim, small_spec

README = Path(__file__).parents[4] / "README.md"


@pytest.fixture
def api(app):
    return document(app)


def test_every_route_is_in_the_document_and_nothing_else(app, api):
    served = {(method, rule) for method, rule, _ in routes(app)}
    names = [operation_of(app.view_functions[endpoint]).name for *_, endpoint in routes(app)]
    shown = {
        (method.upper(), re.sub(r"{(\w+)}", r"<\1>", path).replace("<path>", "<path:path>"))
        for path, methods in api["paths"].items()
        for method in set(methods) - {"parameters"}
    }
    assert shown == served
    assert len(set(names)) == len(names) == len(served)


def test_the_document_is_openapi_3_1(client, api):
    OpenAPIV31SpecValidator(api).validate()
    served = client.get("/openapi.json")
    assert (served.status_code, served.json) == (200, json.loads(json.dumps(api)))


def test_every_operation_tells_its_errors_its_scope_and_what_it_does(api):
    for path, methods in api["paths"].items():
        for method in set(methods) - {"parameters"}:
            one = methods[method]
            assert one["description"], (method, path)
            assert {"405", "422", "429", "500", "503"} <= set(one["responses"])
            assert bool(one["security"]) == (one["x-scope"] != "public")
            # A log-in sends the key in the body.
            assert ("401" in one["responses"]) == (bool(one["security"]) or one["operationId"] == "signIn")
            if "{" in path and method != "put":
                assert "404" in one["responses"]


def test_the_schema_of_a_job_has_defaults_descriptions_and_limits(client):
    served = client.get("/schema/job.json").json
    jsonschema.Draft202012Validator.check_schema(served)
    assert served["$id"] == "/schema/job.json"
    parts = served["$defs"]
    assert parts["Hyperparameters"]["properties"]["epochs"]["default"] == 1000
    assert parts["TableSpec"]["properties"]["missing"]["enum"] == ["drop", "impute"]
    for name, part in parts.items():
        assert part.get("description"), name
        for field, inner in part["properties"].items():
            assert inner.get("description"), f"{name}.{field}"


def test_what_the_schema_refuses_the_api_refuses_and_the_other_way_about(client, grades):
    schema = jsonschema.Draft202012Validator(job_schema())
    good = small_spec()
    bad = [
        small_spec(model={"layers": [0]}),
        small_spec(model={"layers": []}),
        small_spec(hyperparameters={"optimizer": "ftrl"}),
        small_spec(hyperparameters={"epochs": "4"}),
        small_spec(epochs=4),
        {"dataset": {"kind": "table", "id": "grades"}},
        small_spec(priority=10),
        small_spec(metadata={"k": 1}),
    ]
    assert schema.is_valid(good)
    assert client.post("/jobs?dry_run=true", json=good).status_code == 200
    for spec in bad:
        assert not schema.is_valid(spec), spec
        assert client.post("/jobs?dry_run=true", json=spec).status_code == 422


def test_the_example_is_the_readmes_and_works(client, api):
    [shown] = re.findall(r"/jobs -H 'Content-Type: application/json'.*?-d '(\{.*?\n\})'", README.read_text(), re.DOTALL)
    assert json.loads(shown) == README_JOB
    assert api["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["example"] == README_JOB
    put = api["paths"]["/datasets/{dataset_id}"]["put"]["requestBody"]["content"]["text/csv"]["example"]
    assert client.put("/datasets/example", data=put).status_code == 201
    client.put("/datasets/wine-quality", data="quality,x\n" + "".join(f"{n % 7},{n}\n" for n in range(40)))
    assert client.post("/jobs?dry_run=true", json=README_JOB).status_code == 200


def answers(client, path):
    answer = client.get(path, buffered=True)
    assert answer.status_code in {200, 404} or path == "/readyz", answer.json
    return answer


def test_real_answers_have_the_shapes_of_the_document(client, volume, api, new_job):
    """A job in every state, with everything that a job can have; each answer is checked strictly against its schema."""
    waiting, running, lost, over, failed = (new_job() for _ in range(5))
    claim(running)
    best = {"epoch": 1, "monitor": "val_loss", "value": 0.5}
    patience = {
        "monitor": "val_loss",
        "wait": 1,
        "patience": 3,
        "stops_at_epoch": 4,
        "last_improvement": {"epoch": 1, "value": 0.5, "min_delta": 0.001},
    }
    shape = {
        "epoch": 1, "epochs": 4, "metrics": {"loss": None}, "learning_rate": 0.1, "seconds": 0.5, "best": best,
        "early_stopping": patience, "reduce_lr": {"wait": 0, "patience": 2},
    }  # fmt: skip
    with EventWriter(running.attempts()[0].events_file) as writer:
        writer.write([Event("epoch", "epoch 1", shape)])
    error = JobError(code="worker_lost", message="gone")
    claim(lost).close(
        AttemptEnd(outcome="lost", ended_at=utc_now(), error=error, is_failure=True, retry_at=time_in(60))
    )
    attempt = claim(over)
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / "m.keras").write_bytes(b"model")
    kept = Checkpoint(name="m.keras", epoch=1, bytes=5, sha256="0" * 64, saved_at=utc_now(), metrics={"loss": None})
    write_manifest(attempt.manifest_file, Manifest(best="m.keras", checkpoints=(kept,)))
    over.settle(Ending(status="succeeded", stop=Stop(reason="early_stopping", monitor="val_loss")), attempt=1)
    failed.settle(Ending(status="failed", error=error), attempt=None)
    volume.close_job(OpenJob(5, failed.id))
    volume.show_worker(
        WorkerCard(
            worker="w", host="h", pid=1, device="CPU", slots=1, child_start="spawn", ready=False, draining=False,
            running=(RunningAttempt(job=running.id, attempt=1, slot=0),), started_at=utc_now(), seen_at=utc_now(),
        )
    )  # fmt: skip
    client.post("/keys", json={"name": "one", "scope": "read", "expires_in_days": 1})
    asked = {"address": "https://example.com", "events": ["job.failed"], "metadata": {"team": "a"}}
    webhook = client.post("/webhooks", json=asked).json["id"]
    client.post(f"/webhooks/{webhook}/test")
    jobs = [waiting, running, lost, over, failed]
    names = {"{dataset_id}": "grades", "{name}": "m.keras", "{webhook_id}": webhook}
    told = 0
    for path, methods in api["paths"].items():
        if "get" not in methods:
            continue
        places = [path.replace("{job_id}", job.id) for job in jobs] if "{job_id}" in path else [path]
        for place in places:
            answer = answers(client, re.sub(r"{\w+}", lambda found: names.get(found[0], "none"), place))
            if answer.mimetype in {"application/json", "application/problem+json"} and path != "/openapi.json":
                check(api, methods["get"], answer)
                told += 1
    assert told > 40
    for answer, path in (
        (client.post("/jobs", json=small_spec()), "/jobs"),
        (client.post("/jobs?dry_run=true", json=small_spec()), "/jobs"),
        (client.post("/jobs", json={}), "/jobs"),
        (client.post(f"/jobs/{waiting.id}/cancel"), "/jobs/{job_id}/cancel"),
        (client.post(f"/jobs/{running.id}/replay", json={"patience": 1}), "/jobs/{job_id}/replay"),
        (client.post(f"/jobs/{over.id}/replay", json={"patience": 1}), "/jobs/{job_id}/replay"),
        (client.get("/usage?by=dataset"), "/usage"),
        (client.get("/usage?by=worker"), "/usage"),
        (client.post(f"/jobs/{failed.id}/retry"), "/jobs/{job_id}/retry"),
        (client.post(f"/jobs/{over.id}/retry"), "/jobs/{job_id}/retry"),
        (client.post("/keys", json={"name": "two"}), "/keys"),
        (client.post("/webhooks", json={"address": "https://example.com", "events": ["job.failed"]}), "/webhooks"),
        (client.post(f"/webhooks/{webhook}/test"), "/webhooks/{webhook_id}/test"),
    ):
        check(api, api["paths"][path]["get" if path == "/usage" else "post"], answer)


def check(api, operation, answer):
    response = operation["responses"][str(answer.status_code)]
    response = api["components"]["responses"][response["$ref"].rpartition("/")[2]] if "$ref" in response else response
    schema = {**response["content"][answer.mimetype]["schema"], "components": api["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json)


def test_the_page_shows_every_route_and_fetches_nothing(app, client):
    answer = client.get("/docs")
    page = answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for method, rule, _ in routes(app):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
        assert f'<span class="method">{method}</span><code>{path}</code>' in page
    assert not re.search(r"(?:src|href|action|url\()\s*=?\s*[\"']?http", page)
    assert "<script" not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_no_view_makes_an_answer_without_its_shape():
    """`json_response` takes a model, so that a field of an answer is defined in one place."""
    views = (Path(__file__).parents[4] / "api").rglob("*.py")
    assert [str(file) for file in views if "jsonify" in file.read_text()] == []
