"""Every command against a real HTTP server: its requests, its output and its exit status."""

import hashlib
import io
import json
import tarfile

import pytest


@pytest.fixture
def listed(canned, make_job, make_page):
    """A service with three jobs."""
    jobs = [make_job(3, "queued", name="[red]x\x1b[2J"), make_job(2), make_job(1, "succeeded")]

    def answer(asked):
        wanted = asked.query.get("status")
        return 200, make_page(*(one for one in jobs if wanted in {None, one["status"]}))

    canned.on("GET", "/jobs", answer)
    for one in jobs:
        canned.on("GET", f"/jobs/{one['id']}", one)
    return jobs


def test_ps_shows_names_literally(fitstop, listed):
    result = fitstop("ps")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATUS", "EPOCH", "BEST", "AGE"]
    assert r"[red]x\x1b[2J" in lines[1]
    assert [line.split()[0] for line in lines[1:]] == [one["id"] for one in listed]
    assert "\x1b" not in result.stdout


def test_ps_quietly_gives_ids_and_json_gives_the_documents(fitstop, listed):
    assert fitstop("ps", "-q", "--status", "queued").stdout.split() == [listed[0]["id"]]
    assert fitstop("ps", "-q", "-n", 2).stdout.split() == [one["id"] for one in listed[:2]]
    assert json.loads(fitstop("ps", "-o", "json").stdout)["data"] == listed


def test_ps_leaves_trials_out_and_says_what_runs(fitstop, canned, make_job, make_page):
    sweep_id = f"sweep_{7:026}"
    by_sweep = {"none": make_job(3), None: make_job(2), sweep_id: make_job(1)}
    canned.on("GET", "/jobs", lambda asked: (200, make_page(by_sweep[asked.query.get("sweep")])))
    canned.on("GET", "/sweeps", make_page({"id": sweep_id, "name": "cancer", "status": "running"}))

    def ids(*options):
        return fitstop("ps", "-q", *options).stdout.split()

    assert ids() == [by_sweep["none"]["id"]]
    assert ids("--trials") == [by_sweep[None]["id"]]
    assert ids("--sweep", "cancer") == [by_sweep[sweep_id]["id"]]
    assert "1 sweep runs." in fitstop("ps").stderr
    assert "sweep" not in fitstop("ps", "--trials").stderr
    canned.on("GET", "/jobs", make_page())
    assert "No jobs except trials of sweeps" in fitstop("ps").stderr


def test_ps_for_all_goes_through_every_page(fitstop, canned, make_job, make_page):
    jobs = [make_job(number, "succeeded") for number in (9, 8, 7)]
    pages = {None: make_page(*jobs[:2], has_more=True), jobs[1]["id"]: make_page(jobs[2])}
    canned.on("GET", "/jobs", lambda asked: (200, pages[asked.query.get("after")]))
    assert fitstop("ps", "-a", "-q").stdout.split() == [one["id"] for one in jobs]


def best(value):
    return {"epoch": 3, "epochs": 9, "best": {"epoch": 2, "monitor": "val_accuracy", "value": value}}


def test_ps_shows_what_the_best_value_is_of(fitstop, canned, make_job, make_page):
    canned.on("GET", "/jobs", make_page(make_job(1, "succeeded", progress=best(0.9))))
    assert "val_accuracy 0.9000" in fitstop("ps", "-a").stdout


@pytest.mark.parametrize(
    ("options", "order"),
    [
        (["age"], None), (["age", "-r"], "created"), (["name"], "name"), (["best"], "-best"), (["best", "-r"], "best"),
        (["metadata.lr"], "metadata.lr"), (["metadata.lr", "--reverse"], "-metadata.lr"),
    ],
)  # fmt: skip
def test_ps_has_all_jobs_sorted_by_the_service_page_by_page(fitstop, canned, make_job, make_page, options, order):
    jobs = [make_job(number, "succeeded") for number in (7, 9, 8)]
    pages = {None: make_page(*jobs[:2], has_more=True, next="behind-9"), "behind-9": make_page(jobs[2])}
    canned.on("GET", "/jobs", lambda asked: (200, pages[asked.query.get("after")]))
    assert fitstop("ps", "-q", "--sort", *options).stdout.split() == [one["id"] for one in jobs]
    assert {one.query.get("sort") for one in canned.asked} == {order}


def test_ps_sorts_by_status_with_a_request_for_each(fitstop, listed):
    assert fitstop("ps", "-q", "--sort", "status").stdout.split() == [one["id"] for one in listed]
    assert fitstop("ps", "-q", "--sort", "status", "-r").stdout.split() == [one["id"] for one in listed[::-1]]
    assert fitstop("ps", "-q", "--sort", "status", "--status", "running").stdout.split() == [listed[1]["id"]]


def test_ps_says_which_orders_there_are(fitstop, listed):
    wrong = fitstop("ps", "--sort", "size")
    assert (wrong.exit_code, 'received "size", expected age, name' in wrong.stderr) == (2, True)
    assert fitstop("ps", "-r").exit_code == 2


def test_ps_asks_for_a_part_of_a_name_and_for_metadata(fitstop, canned, listed):
    assert fitstop("ps", "--name", "wine", "--metadata", "team=a=b", "--metadata", "run=3").exit_code == 0
    asked = next(one.query for one in canned.asked if one.path == "/jobs")
    assert asked == {"limit": "100", "sweep": "none", "search": "wine", "metadata.team": "a=b", "metadata.run": "3"}
    wrong = fitstop("ps", "--metadata", "team")
    assert (wrong.exit_code, 'received "team", expected NAME=VALUE' in wrong.stderr) == (2, True)


def test_a_job_is_named_by_its_name_where_one_job_has_it(fitstop, canned, listed, make_job, make_page):
    assert fitstop("show", "[red]x\x1b[2J").exit_code == 0
    several = fitstop("show", "wine")
    assert several.exit_code == 2
    assert '"wine" matches 2 jobs' in several.stderr


def test_an_empty_list_says_what_to_do_on_stderr(fitstop, canned, make_page):
    canned.on("GET", "/jobs", make_page())
    canned.on("GET", "/datasets", make_page())
    canned.on("GET", "/workers", make_page())
    for command in (["ps"], ["datasets", "ls"], ["workers"]):
        result = fitstop(*command)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "fitstop " in result.stderr


def test_show_takes_a_part_of_an_id(fitstop, listed):
    result = fitstop("show", listed[1]["id"][-3:])
    assert result.exit_code == 0
    assert listed[1]["id"] in result.stdout
    assert json.loads(fitstop("show", listed[0]["id"], "-o", "json").stdout) == listed[0]


def test_a_part_that_names_no_job_or_several_is_refused(fitstop, listed):
    assert fitstop("show", "ZZZ").exit_code == 3
    several = fitstop("show", "01K8")
    assert several.exit_code == 2
    assert "3 jobs" in several.stderr


def test_submit_posts_the_file_with_what_was_set_and_prints_the_id(fitstop, canned, make_job, tmp_path):
    canned.on("POST", "/jobs", make_job(5, "queued", warnings=["beware"]), 202)
    (tmp_path / "job.json").write_text('{"dataset": {"id": "wine"}}')
    result = fitstop("submit", "job.json", "--set", "dataset.target=quality", "--set", "hyperparameters.epochs=5")
    assert result.exit_code == 0
    assert result.stdout == make_job(5)["id"] + "\n"
    assert "beware" in result.stderr
    posted = json.loads(canned.asked[-1].body)
    assert posted == {"dataset": {"id": "wine", "target": "quality"}, "hyperparameters": {"epochs": 5}}


def test_submit_reads_stdin_or_needs_no_file_at_all(fitstop, canned, make_job):
    canned.on("POST", "/jobs", make_job(5, "queued"), 202)
    assert fitstop("submit", "-", stdin='{"a": 1}').exit_code == 0
    assert json.loads(canned.asked[-1].body) == {"a": 1}
    assert fitstop("submit", "--set", "a=2").exit_code == 0
    assert json.loads(canned.asked[-1].body) == {"a": 2}


def test_submit_from_a_job_names_it_by_a_part_of_its_id_and_keeps_what_is_trained(fitstop, canned, listed, tmp_path):
    canned.on("POST", "/jobs", listed[0], 202)
    (tmp_path / "job.json").write_text('{"dataset": {"id": "pets"}, "model": {"kind": "cnn", "filters": [8]}}')
    asked = ("submit", "job.json", "--from", listed[1]["id"][-3:])
    assert fitstop(*asked).exit_code == 0
    expected = {"kind": "job", "job": listed[1]["id"]}
    assert json.loads(canned.asked[-1].body) == {"dataset": {"id": "pets"}, "model": expected}
    assert fitstop(*asked, "--set", "model.trainable=3").exit_code == 0
    assert json.loads(canned.asked[-1].body)["model"] == {**expected, "trainable": 3}


def test_submit_takes_a_file_in_yaml_and_names_each_key_that_appears_twice(fitstop, canned, make_job, tmp_path):
    canned.on("POST", "/jobs", make_job(1, "queued"), 202)
    text = "dataset: {id: wine}  # the red ones\nhyperparameters:\n  learning_rate: 1e-3\n"
    (tmp_path / "job.yaml").write_text(text)
    assert fitstop("submit", "job.yaml", "--set", "hyperparameters.epochs=5").exit_code == 0
    spec = {"dataset": {"id": "wine"}, "hyperparameters": {"learning_rate": 0.001, "epochs": 5}}
    assert json.loads(canned.asked[-1].body) == spec
    (tmp_path / "job.yaml").write_text(text + "  learning_rate: 1\n")
    refused = fitstop("submit", "job.yaml")
    assert refused.exit_code == 2
    assert 'job.yaml: line 4: hyperparameters: the key "learning_rate" appears twice' in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["-"], ["--set", "a"], ["nowhere.json"]])
def test_what_is_no_spec_is_a_usage_error(fitstop, canned, arguments):
    assert fitstop("submit", *arguments, stdin="[1]").exit_code == 2
    assert canned.asked == []


def test_a_refused_spec_is_told_one_line_for_each_problem(fitstop, canned):
    errors = [
        {"pointer": "#/hyperparameters/batch_size", "detail": "received 0, expected 1 to 65536", "code": "a"},
        {"pointer": "#/dataset/target", "detail": "no such column\x1b[2J", "code": "b"},
    ]
    canned.problem("POST", "/jobs", 422, title="Refused", detail="2 problems", errors=errors)
    result = fitstop("submit", "--set", "a=1")
    assert (result.exit_code, result.stdout) == (6, "")
    assert result.stderr.splitlines() == [
        "fitstop: 2 problems",
        "  hyperparameters.batch_size: received 0, expected 1 to 65536",
        r"  dataset.target: no such column\x1b[2J",
    ]


@pytest.mark.parametrize(("status", "code"), [(404, 3), (401, 4), (403, 4), (409, 6), (429, 6), (500, 7), (503, 7)])
def test_each_answer_has_its_exit_status(fitstop, canned, status, code):
    canned.problem("GET", "/datasets", status, title="No", detail="because", request_id="r1")
    result = fitstop("datasets", "ls")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "because" in result.stderr


def test_nobody_there_and_a_hang_up_are_unreachable(fitstop, canned):
    result = fitstop("ps", url="http://127.0.0.1:1")
    assert result.exit_code == 5
    assert "fitstop up" in result.stderr
    canned.on("GET", "/workers", lambda asked: (None, None))
    assert fitstop("workers").exit_code == 5


def test_another_kind_of_server_is_a_server_error_and_a_bad_address_a_usage_error(fitstop, canned):
    canned.on("GET", "/jobs", b"<html>")
    result = fitstop("ps")
    assert result.exit_code == 7
    assert "not a Fitstop service" in result.stderr
    assert fitstop("ps", url="gpu.example").exit_code == 2


def test_a_worker_that_takes_no_jobs_is_listed_with_the_reason(fitstop, canned, make_page):
    card = {"host": "gpu-1", "status": "unfit", "slots": 1, "running": [], "seen_at": "2026-01-01T00:00:00Z",
            "device": "NVIDIA H200", "unfit": "its GPU does not train"}  # fmt: skip
    canned.on("GET", "/workers", make_page(card))
    result = fitstop("workers")
    assert "unfit" in result.stdout
    assert "gpu-1 takes no jobs: its GPU does not train" in result.stderr


def test_a_worker_that_cannot_confine_programs_is_listed_with_the_reason(fitstop, canned, make_page):
    from worker.supervisor.programs import NO_CODE

    card = {"host": "gpu-1", "status": "ready", "slots": 1, "running": [], "seen_at": "2026-01-01T00:00:00Z",
            "device": "CPU"}  # fmt: skip
    reason = "scripts cannot be confined on this machine: files: no Landlock"
    canned.on("GET", "/workers", make_page({**card, "no_programs": reason}, {**card, "no_programs": NO_CODE}))
    assert fitstop("workers").stderr.splitlines() == [f"gpu-1 runs no programs: {reason}"]


def test_the_key_goes_along(fitstop, canned, make_page, monkeypatch):
    monkeypatch.setenv("FITSTOP_API_KEY", "secret-1")
    canned.on("GET", "/workers", make_page())
    fitstop("workers")
    assert canned.asked[-1].headers["Authorization"] == "Bearer secret-1"
    config = fitstop("config")
    assert config.exit_code == 0
    assert "secret-1" not in config.stdout


def test_config_lists_every_variable_that_somebody_reads(fitstop, monkeypatch):
    from shared.settings import known_variables

    monkeypatch.setenv("FITSTOP_SLOTS", "3")
    monkeypatch.setenv("FITSTOP_REDIS_URL", "redis://:secret-2@127.0.0.1/0")
    document = json.loads(fitstop("config", "-o", "json").stdout)
    assert set(document) == set(known_variables())
    assert document["FITSTOP_SLOTS"]["value"] == "3"
    assert all(one["description"] for one in document.values())
    assert "secret-2" not in fitstop("config").stdout + json.dumps(document)
    monkeypatch.setenv("FITSTOP_SLOT", "3")
    wrong = fitstop("config")
    assert wrong.exit_code == 2
    assert "FITSTOP_SLOT=3" in wrong.stderr


@pytest.mark.parametrize(("content", "kind"), [(b"a,b\n1,2\n", "text/csv"), (b"PAR1xxxx", "parquet")])
def test_datasets_put_sends_the_bytes_and_the_name(fitstop, canned, tmp_path, content, kind):
    (tmp_path / "Wein Ä.csv").write_bytes(content)
    canned.on("PUT", "/datasets/wine", {"id": "wine", "rows": 1, "columns": [{}, {}]}, 201)
    result = fitstop("datasets", "put", "wine", "Wein Ä.csv")
    assert (result.exit_code, result.stdout) == (0, "wine\n")
    asked = canned.asked[-1]
    assert (asked.body, asked.query["name"]) == (content, "Wein Ä.csv")
    assert kind in asked.headers["Content-Type"]


def test_datasets_put_sends_how_to_read_the_file_and_shows_warnings(fitstop, canned, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n")
    canned.on("PUT", "/datasets/a", {"id": "a", "rows": 1, "columns": [{}, {}], "warnings": ["column b is text"]}, 201)
    result = fitstop("datasets", "put", "a", "a.csv", "--missing-values", "NA,?", "--column-kind", "b:text")
    assert (result.exit_code, "warning: column b is text" in result.stderr) == (0, True)
    asked = canned.asked[-1]
    assert (asked.query["missing_values"], asked.query["column_kinds"]) == ("NA,?", "b:text")


def test_datasets_put_packs_a_folder_on_the_way(fitstop, canned, tmp_path):
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "1.png").write_bytes(b"x" * 700)
    images = {"classes": [{"name": "cat"}, {"name": "dog"}]}
    canned.on("PUT", "/datasets/pets", {"id": "pets", "rows": 2, "columns": [], "images": images}, 201)
    result = fitstop("datasets", "put", "pets", "./pets")
    assert (result.exit_code, result.stdout) == (0, "pets\n")
    assert "2 images, 2 classes" in result.stderr
    asked = canned.asked[-1]
    assert (asked.headers["Content-Type"], asked.query["name"]) == ("application/x-tar", "pets.tar")
    with tarfile.open(fileobj=io.BytesIO(asked.body)) as archive:
        assert archive.getnames() == ["cat/1.png"]
    (tmp_path / "pets" / "cat" / "1.png").unlink()
    empty = fitstop("datasets", "put", "pets", "pets")
    assert (empty.exit_code, "holds no files" in empty.stderr) == (9, True)


def test_datasets_ls_says_what_each_kind_holds(fitstop, canned, make_page):
    table = {"id": "wine", "kind": "table", "rows": 3, "columns": [{}, {}], "bytes": 10, "created_at": None}
    arrays = {
        "id": "a",
        "kind": "arrays",
        "rows": 6,
        "columns": [],
        "arrays": [{}, {}],
        "bytes": 10,
        "created_at": None,
    }
    canned.on("GET", "/datasets", make_page(table, arrays))
    lines = fitstop("datasets", "ls").stdout.splitlines()
    assert "table   3 rows, 2 columns" in lines[1]
    assert "arrays  6 rows, 2 arrays" in lines[2]


def test_cancel_goes_on_after_a_failure_and_ends_with_its_status(fitstop, canned, make_job):
    ids = [make_job(number)["id"] for number in (1, 2, 3)]
    canned.on("POST", f"/jobs/{ids[0]}/cancel", make_job(1))
    canned.on("POST", f"/jobs/{ids[2]}/cancel", make_job(3, "cancelled"))
    result = fitstop("cancel", *ids)
    assert result.exit_code == 3
    assert "cancel requested" in result.stderr
    assert "cancelled: before its first epoch" in result.stderr


def test_log_is_the_csv_byte_for_byte(fitstop, canned, make_job):
    path = f"/jobs/{make_job(1)['id']}/training_log.csv"
    canned.on("GET", path, b"epoch,loss\n0,0.5\n")
    assert fitstop("log", make_job(1)["id"]).stdout_bytes == b"epoch,loss\n0,0.5\n"
    del canned.answers["GET", path]
    assert fitstop("log", make_job(1)["id"]).exit_code == 3


def test_events_f_prints_each_event_until_the_job_has_finished(fitstop, canned, make_job):
    job_id = make_job(1)["id"]
    jobs = iter(["running", "running", "succeeded"])
    canned.on("GET", f"/jobs/{job_id}", lambda _: (200, make_job(1, next(jobs))))

    def answer(asked):
        place = int(asked.query.get("after", "1:0")[2:])
        event = {"id": f"1:{place + 1}", "type": "epoch", "message": f"epoch {place}", "time": None, "level": "info"}
        return 200, {"object": "list", "data": [event], "has_more": False, "next": f"1:{place + 1}"}

    canned.on("GET", f"/jobs/{job_id}/events", answer)
    lines = fitstop("events", job_id, "-f", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["epoch 0", "epoch 1", "epoch 2"]


def test_datasets_show_prints_what_is_in_one(fitstop, canned):
    columns = [{"name": "a\x1b", "kind": "float", "missing": 2, "distinct": 5, "minimum": 0.5, "maximum": 3.0}]
    classes = [{"name": "cat", "unsplit": 7, "train": 0, "validation": 0, "test": 3}]
    arrays = [{"name": "x", "role": "input", "part": "training", "shape": [5, 3], "dtype": "float32"}]
    first = {"object": "dataset", "rows": 10, "bytes": 2000, "created_at": None, "sha256": "ab", "columns": []}
    shown = {
        "table": ({"columns": columns}, [r"a\x1b", "float", "2", "5", "0.5000", "to", "3.0000"]),
        "images": ({"images": {"classes": classes}}, ["cat", "7", "0", "0", "3"]),
        "arrays": ({"arrays": arrays}, ["x", "input", "training", "5", "x", "3", "float32"]),
    }
    for kind, (content, cells) in shown.items():
        document = {**first, "id": kind, "kind": kind, **content}
        canned.on("GET", f"/datasets/{kind}", document)
        assert cells in [line.split() for line in fitstop("datasets", "show", kind).stdout.splitlines()]
        assert json.loads(fitstop("datasets", "show", kind, "-o", "json").stdout) == document


def test_events_are_lines_or_json_lines(fitstop, canned, make_job, make_page):
    event = {"id": "1:9", "attempt": 1, "time": "2026-11-23T19:12:00Z", "type": "stop", "level": "info", "data": {}}
    path = f"/jobs/{make_job(1)['id']}/events"
    pages = {
        None: make_page({**event, "message": "one [b]"}, has_more=True, next="1:9"),
        "1:9": make_page({**event, "message": "two"}, next="1:20"),
    }
    canned.on("GET", path, lambda asked: (200, pages[asked.query.get("after")]))
    lines = fitstop("events", make_job(1)["id"]).stdout.splitlines()
    assert [line[10:] for line in lines] == ["one [b]", "two"]
    lines = fitstop("events", make_job(1)["id"], "-o", "json").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["one [b]", "two"]


@pytest.fixture
def saved(canned, make_job, make_page):
    """A job with two checkpoints."""
    job_id = make_job(1)["id"]
    contents = {"model-01-0.70.keras": b"first", "model-09-0.78.keras": b"best" * 50_000}
    rows = [
        {
            "name": name,
            "epoch": 1,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "is_best": "09" in name,
        }
        for name, content in contents.items()
    ]
    canned.on("GET", f"/jobs/{job_id}/checkpoints", make_page(*rows))
    for name, content in contents.items():
        canned.on("GET", f"/jobs/{job_id}/checkpoints/{name}", content)
    return job_id, contents


def test_download_takes_the_best_or_the_named_one_to_where_it_should(fitstop, saved, tmp_path):
    job_id, contents = saved
    assert fitstop("download", job_id).stdout == "model-09-0.78.keras\n"
    assert (tmp_path / "model-09-0.78.keras").read_bytes() == contents["model-09-0.78.keras"]
    (tmp_path / "models").mkdir()
    assert fitstop("download", job_id, "--checkpoint", "model-01-0.70.keras", "-o", "models").exit_code == 0
    assert (tmp_path / "models" / "model-01-0.70.keras").read_bytes() == b"first"
    assert fitstop("download", job_id, "-o", "new/folder/").stdout == "new/folder/model-09-0.78.keras\n"
    assert fitstop("download", job_id, "-o", "mine.keras").stdout == "mine.keras\n"
    assert fitstop("download", job_id, "-o", "nowhere/mine.keras").exit_code == 2
    unknown = fitstop("download", job_id, "--checkpoint", "x")
    assert unknown.exit_code == 3
    assert "model-01-0.70.keras" in unknown.stderr


def test_a_file_that_exists_is_replaced_only_by_force(fitstop, saved, canned, tmp_path):
    job_id, contents = saved
    canned.on("GET", f"/jobs/{job_id}/bundle.zip", b"a bundle")
    (tmp_path / "model-09-0.78.keras").write_bytes(b"mine")
    (tmp_path / f"{job_id}.zip").write_bytes(b"mine")
    for command in ("download", "bundle"):
        result = fitstop(command, job_id)
        assert result.exit_code == 2
        assert "exists already; --force replaces it" in result.stderr
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"mine"}
    assert fitstop("download", job_id, "--force").exit_code == 0
    assert (tmp_path / "model-09-0.78.keras").read_bytes() == contents["model-09-0.78.keras"]


def test_a_damaged_download_leaves_what_was_there(fitstop, saved, canned, tmp_path):
    job_id, _contents = saved
    canned.on("GET", f"/jobs/{job_id}/checkpoints/model-09-0.78.keras", b"other bytes")
    (tmp_path / "model.keras").write_bytes(b"before")
    result = fitstop("download", job_id, "-o", "model.keras", "--force")
    assert result.exit_code == 7
    assert "expected" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (tmp_path / "model.keras").read_bytes() == b"before"


def test_a_checkpoint_name_of_the_service_never_leaves_the_folder(fitstop, canned, make_job, make_page, tmp_path):
    job_id = make_job(1)["id"]
    name = "../../evil.keras"
    row = {"name": name, "epoch": 1, "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest(), "is_best": True}
    canned.on("GET", f"/jobs/{job_id}/checkpoints", make_page(row))
    canned.on("GET", f"/jobs/{job_id}/checkpoints/..%2F..%2Fevil.keras", b"x")
    assert fitstop("download", job_id).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["evil.keras"]


def test_a_post_whose_answer_broke_off_is_repeated_under_the_same_key(fitstop, canned, make_job):
    canned.on("POST", "/jobs", lambda asked: (None, None) if len(canned.asked) == 1 else (202, make_job()))
    assert fitstop("submit", "--set", "a=1").exit_code == 0
    keys = [asked.headers["Idempotency-Key"] for asked in canned.asked]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    fitstop("submit", "--set", "a=1")
    assert canned.asked[-1].headers["Idempotency-Key"] not in keys


def output_page(*pieces, after="0:0", has_more=False):
    data = [{"attempt": one[0], "host": "gpu-1", "text": one[1], "skipped_bytes": one[2]} for one in pieces]
    return {"object": "list", "data": data, "has_more": has_more, "next": after}


def test_logs_prints_each_attempt_under_its_name_and_nothing_that_a_terminal_executes(fitstop, canned, listed):
    job_id = listed[0]["id"]
    pages = {
        None: output_page((1, "one\nto", 0), (1, "rn", 0), after="1:8", has_more=True),
        "1:8": output_page((2, "\x1b[2J\ttwo\n", 77), after="2:80"),
    }
    canned.on("GET", f"/jobs/{job_id}/output", lambda asked: (200, pages[asked.query.get("after")]))
    result = fitstop("logs", job_id)
    assert result.stdout == (
        "==> attempt 1 on gpu-1 <==\none\ntorn\n==> attempt 2 on gpu-1 <==\n"
        "[... 77 bytes were removed here ...]\n\\x1b[2J\ttwo\n"
    )
    assert canned.asked[-1].headers["Accept"] == "application/json"


def test_logs_n_asks_for_the_last_lines_alone(fitstop, canned, listed):
    job_id = listed[0]["id"]
    canned.on("GET", f"/jobs/{job_id}/output", output_page((1, "last\n", 0), after="1:5", has_more=True))
    assert fitstop("logs", job_id, "-n", 1).stdout == "==> attempt 1 on gpu-1 <==\nlast\n"
    assert [asked.query for asked in canned.asked if asked.path.endswith("/output")] == [{"lines": "1"}]


def test_logs_f_prints_until_the_job_has_finished_and_bears_a_service_that_restarts(fitstop, canned, listed):
    job_id = listed[1]["id"]
    answers = [
        (200, output_page((1, "one\n", 0), after="1:4")),
        (503, {"status": 503, "title": "Service unavailable", "detail": "it restarts"}),
        (200, output_page((1, "two\n", 0), after="1:8")),
    ]
    asked_after = []

    def answer(asked):
        asked_after.append(asked.query.get("after"))
        if len(answers) == 1:
            canned.on("GET", f"/jobs/{job_id}", {**listed[1], "status": "succeeded"})
        return answers.pop(0) if answers else (200, output_page(after=asked.query["after"]))

    canned.on("GET", f"/jobs/{job_id}/output", answer)
    result = fitstop("logs", job_id, "-f")
    assert result.exit_code == 0
    assert result.stdout == "==> attempt 1 on gpu-1 <==\none\ntwo\n"
    assert asked_after == [None, "1:4", "1:4", "1:8"]


def test_system_prints_the_figures_of_each_value_and_what_the_training_waited_for(fitstop, canned, listed):
    job_id = listed[1]["id"]
    unknown = dict.fromkeys(("disk_read", "disk_written", "gpu_celsius"))
    gpu = {"gpu_memory_bytes": 61e9, "gpu_watts": 612.5, "memory_bytes": 3.1e9}
    shares = ((12, 1.0), (90, 30.0), (20, 1.0))
    samples = [
        {"attempt": 1, "at": at, "seconds": seconds, "cpu_cores": 3.9, "gpu_percent": percent, **gpu, **unknown}
        for at, (percent, seconds) in enumerate(shares)
    ]
    machine = {"attempt": 1, "cores": 4.0, "memory_bytes": None, "gpu": "H\x1b200", "gpu_memory_bytes": 141 * 10**9}
    finding = {"code": "gpu_waited_for_data", "text": "The GPU waited for data."}
    document = {"object": "system_metrics", "attempts": [machine], "data": samples, "finding": finding}
    canned.on("GET", f"/jobs/{job_id}/system", document)
    lines = fitstop("system", job_id).stdout.splitlines()
    assert lines[0] == r"attempt 1: 4 CPU cores, H\x1b200 with 141.0 GB"
    assert ["GPU", "utilization", "20", "%", "90", "%", "90", "%"] in [line.split() for line in lines]
    assert lines[-1] == finding["text"]
    assert not any("disk" in line or "temperature" in line for line in lines)
    assert json.loads(fitstop("system", job_id, "-o", "json").stdout) == document
    shown = fitstop("show", job_id).stdout
    values = "GPU utilization 20 %, GPU memory 61.0 GB, GPU power 612 W, CPU cores 3.90, memory 3.1 GB"
    assert f"now: {values}" in shown
    assert finding["text"] in shown


def test_a_job_without_system_metrics_says_so(fitstop, canned, listed):
    document = {"object": "system_metrics", "attempts": [], "data": [], "finding": None}
    canned.on("GET", f"/jobs/{listed[1]['id']}/system", document)
    result = fitstop("system", listed[1]["id"])
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "No system metrics" in result.stderr


def test_evaluation_prints_the_matrix_the_classes_and_the_mistakes(fitstop, canned, listed):
    job_id = listed[2]["id"]
    classes = [
        {"name": "c\x1bat", "support": 3, "predicted": 2, "precision": 1.0, "recall": 0.6667, "f1": 0.8},
        {"name": "dog", "support": 1, "predicted": 2, "precision": 0.5, "recall": 1.0, "f1": 0.6667},
    ]
    mistake = {"row": 17, "true": "cat", "predicted": "dog", "probability": 0.75, "loss": 1.4}
    part = {
        "rows": 4, "of": 9, "metrics": {"accuracy": 0.75}, "classes": classes, "confusion": [[2, 1], [0, 1]],
        "most_confused": [], "residuals": None, "mistakes": [mistake],
    }  # fmt: skip
    document = {"object": "evaluation", "epoch": 3, "checkpoint": None, "validation": part, "test": None}
    canned.on("GET", f"/jobs/{job_id}/evaluation", document)
    lines = fitstop("evaluation", job_id).stdout.splitlines()
    assert lines[0] == "model of epoch 3 (not saved)"
    assert "validation: accuracy 0.7500 (4 of 9 rows)" in lines
    cells = [line.split() for line in lines]
    assert [r"c\x1bat", "3", "2", "1.0000", "0.6667", "0.8000"] in cells
    assert [r"c\x1bat", "2", "1"] in cells
    assert ["17", "cat", "dog", "0.7500", "1.4000"] in cells
    assert json.loads(fitstop("evaluation", job_id, "-o", "json").stdout) == document
    (shown,) = [line for line in fitstop("show", job_id).stdout.splitlines() if line.startswith("evaluation")]
    assert shown.split(maxsplit=1)[1] == "validation: accuracy 0.7500 (4 of 9 rows)"
