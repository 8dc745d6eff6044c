"""The table of bad inputs, line by line, against the API with its default limits.

A line whose case needs a real connection names the test that covers it.
"""

import gzip
import io
import json
import pickle
import re
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api import create_app
from api.state.service import Service
from shared.job import AttemptEnd, Ending
from shared.settings import Settings
from shared.times import utc_now
from tests.support.jobs import claim, learnable_frame, put_dataset
from tests.support.keys import ADMIN_KEY, authorized

ROOT = Path(__file__).parents[3]
TABLE = ROOT.parent / "shared" / "BAD_INPUTS.md"
JSON = "application/json"
PROBLEM = "application/problem+json"
CSV = b"type,ph,quality\nred,3.1,5\nwhite,2.9,6\nred,3.3,6\n"
GOOD = {"dataset": {"id": "grades", "target": "grade", "positive": {"at_least": 3}}}
INTEGRATION = "tests/integration/api/test_api_server.py"
ARCHIVES = "tests/unit/api/archive/test_api_archives.py"
IMAGES = "tests/unit/api/datasets/test_api_images.py"
ARRAYS = "tests/unit/api/datasets/test_api_arrays.py"

CASES = {}
ELSEWHERE = {
    "names with `..`, absolute, drive letters, backslashes, NUL, 5,000 characters, differing by case or Unicode form": (
        ARCHIVES,
        "test_a_name_that_leads_elsewhere_or_cannot_be_shown_is_refused",
    ),
    "links, devices, FIFOs, encrypted entries, an archive in the archive, two entries of one name, a central directory that lies": (  # noqa: E501  as in the table
        ARCHIVES,
        "test_all_entries_that_are_refused_are_named_at_once",
    ),
    "a zip of 40 kB that opens to 10 GB, a PNG of 60,000 \N{MULTIPLICATION SIGN} 60,000 in 5 kB, an animated GIF of 10,000 frames": (  # noqa: E501  as in the table
        IMAGES,
        "test_a_bomb_of_pixels_is_told_from_its_header",
    ),
    "a million entries; one class; a class of one image; folders three deep; `__MACOSX`, `Thumbs.db`, dotfiles": (
        IMAGES,
        "test_too_many_images_and_too_many_bytes_are_refused",
    ),
    "a text file called `.jpg`; a JPEG cut in half; CMYK, 16-bit, palette, alpha, EXIF rotation, grey beside colour, HEIC, SVG": (  # noqa: E501  as in the table
        IMAGES,
        "test_every_broken_image_is_named_at_once",
    ),
    "`metadata.csv` that names a file that is not there, or leaves one out, or two labels for one": (
        IMAGES,
        "test_a_table_is_compared_with_the_files_row_by_row",
    ),
    "the same picture in train and in validation": (
        IMAGES,
        "test_the_same_picture_in_train_and_in_validation_is_a_warning_with_the_count",
    ),
    "`.npz` with pickles, object arrays, Fortran order, big-endian, float16/64, complex, 0 rows, x and y of different lengths, NaN": (  # noqa: E501  as in the table
        ARRAYS,
        "test_what_is_no_array_of_numbers_is_refused_by_a_sentence_of_its_own",
    ),
    "a column of mixed cells, codes, marks of missing values, blanks after commas, `sep=`, JSON Lines": (
        "tests/unit/api/datasets/test_api_dataset_cases.py",
        "test_ticket_numbers_of_which_some_have_letters_are_text_and_the_answer_says_why",
    ),
    "model JSON whose `module` is `os`, `builtins`, `keras.src…`, or whose class is Lambda, TFSMLayer, a layer that reads a file": (  # noqa: E501  as in the table
        "tests/unit/shared/resolve/test_resolve_kinds.py",
        "test_a_hostile_model_is_refused_when_it_is_posted",
    ),
    "10,000 layers, a cycle, shapes that do not fit the data, `units` of 2e9, a dtype that nobody has, 50 levels of nesting": (  # noqa: E501  as in the table
        "tests/unit/shared/test_keras_config.py",
        "test_a_hostile_configuration_is_refused_with_a_sentence",
    ),
    "weights of another network, of other shapes, a pickle called `.h5`, external links inside HDF5": (
        "tests/unit/worker/training/test_weights.py",
        "test_a_hostile_file_is_refused_by_a_sentence",
    ),
    "a script that never calls `fit`, calls it 100 times, forks, catches every exception, prints 10 GB, deletes its folder, sets its own signal handlers, calls `os._exit`, ends before its last write": (  # noqa: E501  as in the table
        "tests/integration/worker/test_bad_scripts.py",
        "test_a_script_that_is_only_strange_succeeds",
    ),
    "requirements that conflict, do not exist, replace keras, run code while building": (
        "tests/unit/worker/training/program/test_requirements.py",
        "test_a_conflict_with_the_workers_versions_names_both",
    ),
    "the client goes away in mid-upload": (INTEGRATION, "test_a_client_that_goes_away_in_mid_upload_leaves_nothing"),
    "1,000 open event streams, clients that send 1 byte in 10 s": (
        "tests/integration/api/test_api_many_clients.py",
        "test_beside_two_hundred_streams_and_fifty_slow_clients_others_are_served",
    ),
    "CR LF in any header or field that reaches a log": (
        "tests/unit/api/http/test_api_problems.py",
        "test_each_request_is_one_line_of_the_log",
    ),
}


def line(words):
    """Register the test of one line of the table, which is named by its first cell."""

    def keep(test):
        CASES[words] = test
        return test

    return keep


@pytest.fixture
def app(tmp_path):
    return create_app(Settings(volume=tmp_path / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY))


class Api:
    """A client with the checks that the lines share."""

    def __init__(self, app):
        self.app = app
        self.client = authorized(app)
        self.volume = Service.of(app).volume

    def post(self, body, content_type=JSON, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        return self.client.post("/jobs", data=content, content_type=content_type, headers=headers)

    def refuses(self, status, *bodies, content_type=JSON):
        """Check that each body is refused with that status, as a problem, and that nothing is stored."""
        for body in bodies:
            answer = self.post(body, content_type)
            assert (answer.status_code, answer.mimetype) == (status, PROBLEM), (str(body)[:80], answer.text[:300])
            assert "Traceback" not in answer.text
            assert str(self.volume.root) not in answer.text
        assert self.volume.job_ids() == []
        assert list(self.volume.open.iterdir()) == []

    def refuses_values(self, path, *values):
        self.refuses(422, *(changed(path, value) for value in values))

    def takes(self, body):
        answer = self.post(body)
        assert answer.status_code == 202, answer.text
        return answer.json

    def refuses_data(self, statuses, *contents):
        for content in contents:
            began = time.monotonic()
            answer = self.client.put("/datasets/bad", data=content)
            assert answer.status_code in statuses, (content[:40], answer.text[:300])
            assert answer.mimetype == PROBLEM
            assert time.monotonic() - began < 60
            assert self.client.get("/datasets/bad").status_code == 404
        assert [entry.name for entry in self.volume.datasets.iterdir()] == ["grades"]
        return answer


@pytest.fixture
def api(app):
    found = Api(app)
    put_dataset(found.volume, learnable_frame())
    return found


def changed(path, value):
    """Return a good spec with the value at one place replaced."""
    document = json.loads(json.dumps(GOOD))
    here = document
    *above, last = path.split("/")
    for part in above:
        here = here.setdefault(part, {})
    here[last] = value
    return document


# POST /jobs


@line("empty body, `{} {}`, comments, single quotes")
def _(api):
    api.refuses(400, b"", b"{} {}", b"{/* */}", b'{"a": 1 // b\n}', b"{'a': 1}", b"# a\n{}")


@line('`null`, `[]`, `"x"`, `5`')
def _(api):
    api.refuses(422, b"null", b"[]", b'"x"', b"5")


@line("very deep nesting")
def _(api):
    api.refuses(400, b"[" * 100_000, b'{"a":' * 50_000, b'{"a":' * 33 + b"1" + b"}" * 33)


@line("20 MB string, chunked without a length")
def _(api):
    body = b'{"name": "' + b"x" * 20_000_000 + b'"}'
    api.refuses(413, body)
    stream = io.BytesIO(body)
    answer = api.client.post(
        "/jobs", input_stream=stream, content_type=JSON, environ_overrides={"wsgi.input_terminated": True}
    )
    assert (answer.status_code, answer.mimetype) == (413, PROBLEM)
    assert stream.tell() < 1_000_000, "it reads no further than to the cap"


@line("`NaN`, `-Infinity`, `1e400`")
def _(api):
    for value in (b"NaN", b"-Infinity", b"Infinity", b"1e400", b"-1e400"):
        api.refuses(400, b'{"hyperparameters": {"learning_rate": ' + value + b"}}")


@line("the same key twice")
def _(api):
    api.refuses(400, b'{"name": "a", "name": "b"}', b'{"model": {"layers": [1], "layers": [2]}}')


@line("`text/plain`, a form, no content type")
def _(api):
    good = json.dumps(GOOD).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        api.refuses(415, good, content_type=content_type)


@line("control characters, NUL, ESC, U+202E, a lone surrogate in a name")
def _(api):
    api.refuses_values("name", "a\nb", "a\x00", "\x1b[2J", "a\u202eb", "\u200b", "\u2028", "\ufeffa")
    api.refuses(422, b'{"name": "\\ud800", "dataset": {"id": "grades", "target": "grade"}}')


@line("name `<img src=x onerror=alert(1)>`, `{0.__class__}`, `%s%n`, `{{7*7}}`")
def _(api):
    for name in ("<img src=x onerror=alert(1)>", "{0.__class__}", "%s%n", "{{7*7}}"):
        shown = api.takes(changed("name", name))
        assert shown["name"] == name
        assert api.client.get(shown["urls"]["self"]).json["name"] == name


@line('unknown field `"epoch": 5`')
def _(api):
    document = changed("hyperparameters/epoch", 5)
    api.refuses(422, document)
    [problem] = api.post(document).json["errors"]
    assert problem["pointer"] == "#/hyperparameters/epoch"
    assert 'Did you mean "epochs"?' in problem["detail"]


@line("`id`, `status`, `created_at` in the body")
def _(api):
    for field in ("id", "status", "created_at"):
        api.refuses_values(field, "x")


@line('epochs 0, -5, 10**9, `true`, `"5"`, 1.5')
def _(api):
    api.refuses_values("hyperparameters/epochs", 0, -5, 10**9, True, "5", 1.5)


@line("batch_size 0, -1")
def _(api):
    api.refuses_values("hyperparameters/batch_size", 0, -1)


@line("batch_size above the rows")
def _(api):
    shown = api.takes(changed("hyperparameters/batch_size", 65_536))
    assert shown["spec"]["hyperparameters"]["batch_size"] == 192


@line("layers of 10**9, or each legal and the product huge")
def _(api):
    api.refuses_values("model/layers", [10**9], [65_536, 65_536], [8000] * 3)


@line("layers `[]`, `[true]`, `[2.5]`, 100,000 of them")
def _(api):
    api.refuses_values("model/layers", [], [True], [2.5], [1] * 100_000)


@line('activation `os.system`, a `{"class_name": …}` where a name belongs')
def _(api):
    named = {"class_name": "Lambda", "config": {}}
    api.refuses_values("model/activation", "os.system", named)
    api.refuses_values("hyperparameters/optimizer", "os.system", named)
    api.refuses_values("hyperparameters/loss", "os.system", named)


@line('learning_rate 0, -1, `"1e-3"`')
def _(api):
    api.refuses_values("hyperparameters/learning_rate", 0, -1, "1e-3")


@line("dropout 1.0, -0.1")
def _(api):
    api.refuses_values("model/dropout", 1.0, -0.1)


@line("metrics or loss that do not fit the target")
def _(api):
    api.refuses_values("hyperparameters/loss", "mean_squared_error", "cosine_similarity")
    api.refuses_values("hyperparameters/metrics", ["mae"], ["nothing"])


@line("a `monitor` that the run will not have (`val_acuracy`)")
def _(api):
    document = changed("callbacks/early_stopping", {"monitor": "val_acuracy"})
    api.refuses(422, document)
    [problem] = api.post(document).json["errors"]
    assert all(name in problem["detail"] for name in ("val_accuracy", "val_loss"))


@line("mode `min` on an accuracy")
def _(api):
    api.refuses_values("callbacks/early_stopping", {"monitor": "val_accuracy", "mode": "min"})


@line("reduce_lr patience ≥ early_stopping patience")
def _(api):
    same = {"early_stopping": {"monitor": "val_loss", "patience": 10}, "reduce_lr_on_plateau": {"patience": 10}}
    later = {"early_stopping": {"patience": 10}, "reduce_lr_on_plateau": {"patience": 11}}
    for callbacks in (same, later):
        shown = api.takes({**GOOD, "callbacks": callbacks})
        assert any("reduce_lr_on_plateau" in warning for warning in shown["warnings"])


@line("filename `{epoch.__class__}`, `{epoch:0200000000d}`, `o/../../x`, an absolute path")
def _(api):
    for name in ("{epoch.__class__}", "{epoch:0200000000d}", "o/../../x", "/etc/x", "..", "a\\b", "{epoch!r}"):
        api.refuses_values("callbacks/model_checkpoint", {"filename": name})


@line("dataset id unknown")
def _(api):
    api.refuses(404, changed("dataset/id", "nowhere"))


@line("dataset id `../../etc/passwd`, `%2e%2e`, 10 KB")
def _(api):
    api.refuses_values("dataset/id", "../../etc/passwd", "%2e%2e", "x" * 10_000)


@line("target missing in the data, constant, or with one class left")
def _(api):
    document = changed("dataset/target", "quality")
    api.refuses(422, document)
    detail = api.post(document).json["errors"][0]["detail"]
    assert all(name in detail for name in ("kind", "a", "b", "c", "grade"))
    api.refuses_values("dataset/positive", {"at_least": 99})
    api.client.put("/datasets/constant", data=b"a,b\n1,7\n2,7\n3,7\n")
    api.refuses(422, {"dataset": {"id": "constant", "target": "b"}})


@line("validation_fraction 0, 1, 0.999 of 40 rows")
def _(api):
    rows = b"".join(b"%d,%d\n" % (n, n % 2) for n in range(40))
    api.client.put("/datasets/forty", data=b"a,b\n" + rows)
    for fraction in (0, 1, 0.999):
        api.refuses(422, {"dataset": {"id": "forty", "target": "b", "validation_fraction": fraction}})


@line("the same Idempotency-Key, 100 at once")
def _(api):
    clients = [authorized(api.app) for _ in range(100)]
    with ThreadPoolExecutor(20) as pool:
        headers = {"Idempotency-Key": "same"}
        answers = list(pool.map(lambda one: one.post("/jobs", json=GOOD, headers=headers), clients))
    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json == answers[0].json for answer in answers)
    assert len(api.volume.job_ids()) == 1


@line("the same Idempotency-Key with another body")
def _(api):
    assert api.post(GOOD, **{"Idempotency-Key": "same"}).status_code == 202
    answer = api.post(changed("name", "other"), **{"Idempotency-Key": "same"})
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    assert len(api.volume.job_ids()) == 1


# Datasets


@line("0 bytes, header only, one column")
def _(api):
    api.refuses_data({422}, b"", b"a,b\n", b"a,b", b"a\n1\n2\n")


@line("larger than the limit, with or without a length")
def _(api):
    small = Api(create_app(Service.of(api.app).settings.model_copy(update={"max_dataset_bytes": 50_000})))
    small.refuses_data({413}, b"1,2\n" * 20_000)
    stream = io.BytesIO(b"1,2\n" * 1_000_000)
    environ = {"wsgi.input_terminated": True}
    answer = small.client.put("/datasets/bad", input_stream=stream, environ_overrides=environ)
    assert (answer.status_code, answer.mimetype) == (413, PROBLEM)
    assert stream.tell() < 200_000
    assert [entry.name for entry in small.volume.datasets.iterdir()] == ["grades"]


@line("390 kB of gzip that opens to 200 million cells")
def _(api):
    api.refuses_data({415}, gzip.compress(b"1,1\n" * 1_000_000))


@line("912 kB of Parquet with 200 million rows")
def _(api):
    content = io.BytesIO()
    zeros = pa.array(np.zeros(1_000_000, dtype=np.int8))
    with pq.ParquetWriter(content, pa.schema([("a", pa.int8()), ("b", pa.int8())]), compression="zstd") as writer:
        for _group in range(30):
            writer.write_table(pa.table({"a": zeros, "b": zeros}))
    assert len(content.getvalue()) < 1_000_000
    answer = api.refuses_data({422}, content.getvalue())
    assert answer.json["errors"][0]["code"] == "too_many_cells"


@line("300,000 columns, one line of 2 GB, an unclosed quote")
def _(api):
    wide = b",".join(b"c%d" % number for number in range(300_000)) + b"\n"
    api.refuses_data({422}, wide, b"a,b\n1," + b"x" * 20_000_000, b'a,b\n1,"x\n' + b"3,4\n" * 100_000)


@line("ragged rows, two columns of one name, an empty name")
def _(api):
    answer = api.refuses_data({422}, b"a,b\n1,2,3\n", b"a,a\n1,2\n", b"a,\n1,2\n", b"a,b\n1,2\n3\n")
    assert answer.json["errors"][0]["pointer"] == "#/rows/2"


@line("`nan`, `inf`, `1e999`, `1,5` in a number column")
def _(api):
    answer = api.refuses_data({422}, b"a,b\n1,inf\n2,3\n", b"a,b\n1,1e999\n2,3\n", b"a;b\n1;1,5\n2;2,5\n")
    assert answer.json["errors"][0]["pointer"] == "#/columns/b"
    made = api.client.put("/datasets/missing", data=b"a,b\n1,nan\n2,3\n4,5\n").json
    assert [column["missing"] for column in made["columns"]] == [0, 1]


@line("UTF-16, Latin-1, NUL bytes")
def _(api):
    text = "a,b\n1,é\n2,ü\n"
    api.refuses_data({422}, text.encode("utf-16"), text.encode("latin-1"), b"a,b\n1,\x00\n")
    assert api.client.put("/datasets/fine", data=b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n")).status_code == 201


@line("pickle, `.h5`, `.keras`, xlsx")
def _(api):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("config.json", "{}")
    pickles = [pickle.dumps([1], protocol) for protocol in range(2, 6)]
    api.refuses_data({415}, *pickles, b"\x89HDF\r\n\x1a\n" + b"\0" * 100, packed.getvalue())


@line("the same id again, same bytes / other bytes")
def _(api):
    statuses = [api.client.put("/datasets/wine", data=data).status_code for data in (CSV, CSV, CSV + b"red,1,2\n")]
    assert statuses == [201, 200, 409]


# The rest


@line("unknown, malformed, 10 KB, `..%2f..%2fetc%2fpasswd` as an id")
def _(api):
    for name in ("job_" + "0" * 26, "x", "x" * 10_000, "..%2f..%2fetc%2fpasswd", "%00"):
        for path in (f"/jobs/{name}", f"/jobs/{name}/events", f"/jobs/{name}/model", f"/datasets/{name}"):
            answer = api.client.get(path)
            assert (answer.status_code, answer.mimetype) == (404, PROBLEM)


@line("`limit=10**9`, `limit=-1`, an unknown filter")
def _(api):
    for query in ("limit=1000000000", "limit=-1", "nothing=1", "limit=1%00"):
        for path in ("/jobs", "/datasets"):
            assert api.client.get(f"{path}?{query}").status_code == 422


@line("a checkpoint name `..`, absolute, a symlink")
def _(api):
    job_id = api.takes(GOOD)["id"]
    attempt = claim(api.volume.job(job_id))
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / "link.keras").symlink_to("/etc/passwd")
    for name in ("..", "%2e%2e", "%2fetc%2fpasswd", "link.keras", "manifest.json", "..%2fclaim.json"):
        assert api.client.get(f"/jobs/{job_id}/checkpoints/{name}").status_code == 404


@line("`Range` beyond the end")
def _(api):
    from hashlib import sha256

    from shared.manifest import Checkpoint, Manifest, write_manifest

    job_id = api.takes(GOOD)["id"]
    attempt = claim(api.volume.job(job_id))
    attempt.checkpoints.mkdir()
    (attempt.checkpoints / "m.keras").write_bytes(b"0123456789")
    digest = sha256(b"0123456789").hexdigest()
    kept = Checkpoint(name="m.keras", epoch=1, bytes=10, sha256=digest, saved_at=utc_now(), metrics={})
    write_manifest(attempt.manifest_file, Manifest(best="m.keras", checkpoints=(kept,)))
    answers = [
        api.client.get(f"/jobs/{job_id}/model", headers={"Range": asked}) for asked in ("bytes=2-4", "bytes=10-")
    ]
    assert [answer.status_code for answer in answers] == [206, 416]
    assert (answers[0].data, answers[1].mimetype) == (b"234", PROBLEM)
    for answer in answers:
        answer.close()


@line("cancel twice, cancel a finished job, delete a running one")
def _(api):
    job_id = api.takes(GOOD)["id"]
    first, second = (api.client.post(f"/jobs/{job_id}/cancel") for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json == second.json
    done = api.volume.job(api.takes(GOOD)["id"])
    claim(done).close(AttemptEnd(outcome="finished", ended_at=utc_now(), ending=Ending(status="succeeded")))
    done.settle(Ending(status="succeeded"), attempt=1)
    assert api.client.post(f"/jobs/{done.id}/cancel").status_code == 409
    running = api.volume.job(api.takes(GOOD)["id"])
    claim(running)
    assert api.client.delete(f"/jobs/{running.id}").status_code in {405, 409}
    assert running.spec_file.exists()


@line("another verb")
def _(api):
    for method, path in (("PATCH", "/jobs"), ("PUT", "/jobs/x"), ("TRACE", "/healthz"), ("BREW", "/datasets")):
        answer = api.client.open(path, method=method)
        assert (answer.status_code, answer.mimetype) == (405, PROBLEM)
        assert "GET" in answer.headers["Allow"]


@line("no key, an empty key, a 10 KB key, a key in the query, non-ASCII")
def _(api):
    anonymous = api.app.test_client()
    for header in ({}, *({"Authorization": f"Bearer {key}"} for key in ("", "x" * 10_000, "schl\xfcssel"))):
        answer = anonymous.get(f"/jobs?key={ADMIN_KEY}", headers=header)
        assert (answer.status_code, answer.mimetype) == (401, PROBLEM)


@pytest.mark.parametrize("words", CASES)
def test_a_bad_input_gets_the_answer_that_the_table_gives(api, words):
    CASES[words](api)


def test_every_line_of_the_table_has_a_test():
    if not TABLE.exists():
        pytest.skip(f"the table is not beside the project: {TABLE.name}")
    table = TABLE.read_text().replace("\N{MINUS SIGN}", "-")
    rows = re.findall(r"^\| (.*?) \|.*\|$", table, re.MULTILINE)
    assert {row for row in rows if row != "input"} == {*CASES, *ELSEWHERE}


@pytest.mark.parametrize("words", ELSEWHERE)
def test_a_test_that_is_named_is_there(words):
    file, name = ELSEWHERE[words]
    assert f"def {name}(" in (ROOT / file).read_text()
