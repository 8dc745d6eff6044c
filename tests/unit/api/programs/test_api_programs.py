"""PUT /programs/{id}: versions by content, every problem of a program at once, and who may do it."""

import importlib.metadata
import re
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api import create_app
from api.programs.ingest.module_names import RESERVED
from api.state.service import Service
from shared.program import unpack
from tests.support.archives import tar_of, zip_of
from tests.support.keys import authorized
from tests.support.programs import put_program
from tests.support.two_projects import two_projects

SCRIPT = b"import keras\nfrom lib import layers\n"
FILES = {"train.py": SCRIPT, "lib/layers.py": b"x = 1\n", "requirements.txt": b"polars\n", "notes/read.me": b"hi"}


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"max_program_bytes": 20_000, "max_program_files": 10})


def problems_of(answer):
    assert answer.status_code == 422, answer.json
    return {one["pointer"]: one["detail"] for one in answer.json["errors"]}


def leaves_nothing(volume):
    return not volume.programs.ids() and list(volume.datasets.iterdir()) == []


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda files: tar_of(files, "w:gz")], ids=["zip", "tar", "tar.gz"])
def test_a_folder_becomes_a_version_that_is_named_by_its_files(client, volume, tmp_path, pack):
    answer = client.put("/programs/mine", data=pack(FILES))
    assert (answer.status_code, answer.headers["Location"]) == (201, "/programs/mine")
    shown = answer.json
    assert [one["path"] for one in shown["files"]] == sorted(FILES)
    assert (shown["bytes"], shown["file_count"]) == (sum(map(len, FILES.values())), 4)
    assert (shown["default_entry"], shown["has_requirements"], shown["broken"]) == ("train.py", True, {})
    assert shown["versions"] == [shown["version"]]
    assert shown["version"] == put_program(volume, "other", FILES).version
    unpack(volume.programs.version_folder("mine", shown["version"]), tmp_path / "into")
    assert (tmp_path / "into" / "lib" / "layers.py").read_bytes() == FILES["lib/layers.py"]
    assert client.get("/programs/mine").json == shown
    assert list(volume.datasets.iterdir()) == []


def test_a_script_alone_is_a_program(client):
    named = client.put("/programs/one?name=fit_cats.py", data=SCRIPT).json
    assert ([one["path"] for one in named["files"]], named["default_entry"]) == (["fit_cats.py"], "fit_cats.py")
    assert client.put("/programs/two", data=SCRIPT).json["default_entry"] == "main.py"


@pytest.mark.both_stores
def test_the_same_files_are_known_and_others_are_a_new_version(client, volume):
    first = client.put("/programs/mine", data=zip_of(FILES)).json["version"]
    again = client.put("/programs/mine", data=tar_of(dict(reversed(FILES.items()))))
    assert (again.status_code, again.json["version"]) == (200, first)
    second = client.put("/programs/mine", data=zip_of({**FILES, "train.py": b"changed = 1\n"}))
    assert (second.status_code, second.json["versions"]) == (201, [second.json["version"], first])
    assert client.get("/programs/mine").json["version"] == second.json["version"]
    old = client.get(f"/programs/mine?version={first}")
    assert (old.status_code, old.json["version"]) == (200, first)
    assert client.put("/programs/mine", data=zip_of(FILES)).status_code == 200
    assert client.get("/programs/mine").json["version"] == first, "the last upload is the latest version"
    assert client.get(f"/programs/mine?version={'0' * 64}").status_code == 404
    assert client.get("/programs/mine?version=latest").status_code == 422


@pytest.mark.both_stores
def test_lists_tell_the_latest_versions_without_their_files(client, volume):
    for number in range(3):
        put_program(volume, f"p{number}")
    page = client.get("/programs?limit=2").json
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (["p0", "p1"], True)
    assert "files" not in page["data"][0]
    assert page["data"][0]["file_count"] == 1
    assert [one["id"] for one in client.get("/programs?after=p1").json["data"]] == ["p2"]


def test_every_problem_of_a_program_is_named_at_once(client, volume):
    link = zipfile.ZipInfo("data/link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    files = [
        ("main.py", b"x = 1\n"),
        ("numpy.py", b""),
        ("shared/tools.py", b""),
        ("random.py", b""),
        ("lib", b"a file"),
        ("lib/layers.py", b""),
        ("../out.py", b""),
        (link, b"/etc/passwd"),
    ]
    found = problems_of(client.put("/programs/mine", data=zip_of(files)))
    assert set(found) == {
        "#/files/numpy.py",
        "#/files/shared~1tools.py",
        "#/files/random.py",
        "#/files/lib~1layers.py",
        "#/files/..~1out.py",
        "#/files/data~1link.csv",
    }
    assert 'hides the module "numpy"' in found["#/files/numpy.py"]
    assert "is a link" in found["#/files/data~1link.csv"]
    assert leaves_nothing(volume)


def test_a_folder_without_python_hides_no_module(client):
    files = {"train.py": SCRIPT, "shared/data.csv": b"1\n", "lib/random.py": b"", "json/a.json": b"{}"}
    assert client.put("/programs/mine", data=zip_of(files)).status_code == 201


@pytest.mark.parametrize("name", ["json.py", "keras.py", "worker.py"])
def test_a_script_alone_hides_no_module(client, name):
    assert "hides the module" in problems_of(client.put(f"/programs/mine?name={name}", data=SCRIPT))[f"#/files/{name}"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"x = 1\nif True\n    y = 2\n", "line 2: expected ':'"),
        (b"x = 1\0", "null bytes"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "does not compile"),
        (b"(" * 5000, "too many nested parentheses"),
        (b"-" * 19_000 + b"1", "nested too deeply"),
        ("x = '\u202e'; y = \u202e\n".encode(), "line 1: invalid non-printable character U+202E"),
    ],
    ids=["syntax", "NUL", "binary", "parentheses", "recursion", "direction"],
)
def test_an_entry_that_does_not_compile_is_refused_with_its_line(client, volume, source, says):
    found = problems_of(client.put("/programs/mine?name=train.py", data=source))
    assert says in found["#/files/train.py"]
    assert leaves_nothing(volume)


def test_another_file_that_does_not_compile_is_listed(client):
    answer = client.put("/programs/mine", data=zip_of({"train.py": SCRIPT, "old/broken.py": b"print 'x'\n"}))
    assert answer.status_code == 201
    assert answer.json["broken"].keys() == {"old/broken.py"}
    assert answer.json["broken"]["old/broken.py"].startswith("line 1: Missing parentheses")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the body is empty"),
        (zip_of({"data.csv": b"1"}), "holds no .py file, expected a Python script"),
        (zip_of({"a.ipynb": b"{}"}), "jupyter nbconvert --to script a.ipynb"),
        (zip_of({}), "holds no .py file"),
        (zip_of({"train.py": SCRIPT})[:-30], "is damaged or cut short"),
        (b"\x1f\x8b\x08 no tar", "is damaged or cut short"),
        (zip_of({f"f{number}.py": b"" for number in range(11)}), "holds 11 files, expected at most 10"),
        (zip_of({f"f{number}.py": b"" for number in range(21)}), "holds more than 20 entries"),
        (zip_of({"a.py": bytes(30_000)}, zipfile.ZIP_DEFLATED), "unpacks to more than 20000 bytes"),
    ],
    ids=["empty", "no script", "notebook", "empty zip", "cut", "no tar", "files", "entries", "bytes"],
)
def test_what_is_no_program_is_refused_and_leaves_nothing(client, volume, content, says):
    assert says in problems_of(client.put("/programs/mine", data=content))["#"]
    assert leaves_nothing(volume)


def test_a_body_above_the_limit_is_413_and_limits_shows_it(client):
    assert client.put("/programs/mine", data=b"#" * 20_001).status_code == 413
    assert client.get("/limits").json["program"] == {"bytes": 20_000, "files": 10}


def test_files_of_the_system_are_left_out_and_counted(client):
    files = {
        "train.py": SCRIPT,
        "__MACOSX/._train.py": b"",
        "a/.DS_Store": b"",
        "__pycache__/x.pyc": b"",
        ".git/HEAD": b"",
    }
    shown = client.put("/programs/mine", data=zip_of(files)).json
    assert [one["path"] for one in shown["files"]] == ["train.py"]
    assert shown["warnings"] == ["files of the operating system and of Python's cache left out: 4"]
    assert shown["version"] == client.put("/programs/two?name=train.py", data=SCRIPT).json["version"]


def test_nothing_of_a_program_is_run_or_imported(client, tmp_path):
    trap = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n".encode()
    files = dict.fromkeys(("train.py", "sitecustomize.py", "conftest.py", "lib/__init__.py"), trap)
    assert client.put("/programs/mine", data=zip_of(files)).status_code == 201
    assert not (tmp_path / "ran").exists()


def test_the_names_of_the_libraries_are_those_of_the_locked_requirements():
    def plain(name):
        return re.sub(r"[-_.]+", "-", name.lower())

    locked = {
        plain(name) for name in re.findall(r"^([\w.-]+)==", Path("requirements/worker.txt").read_text(), re.MULTILINE)
    }
    modules = importlib.metadata.packages_distributions()
    used = {module for module, found in modules.items() if locked & set(map(plain, found))}
    # A stray folder of a wheel, and a package of type stubs.
    assert used - RESERVED <= {"example", "wrapt-stubs"}


@pytest.mark.parametrize("name", [".hidden", "A", "a" * 65])
def test_an_id_is_one_of_those_of_datasets(client, name):
    assert problems_of(client.put(f"/programs/{name}", data=SCRIPT)).keys() == {"#/id"}


@pytest.mark.parametrize("name", ["../x.py", "x", ".py", "a b.py", "a/b.py", "x.py%0A"])
def test_the_name_of_a_script_is_a_plain_file_name(client, name):
    assert problems_of(client.put(f"/programs/mine?name={name}", data=SCRIPT)).keys() == {"#/query/name"}


def test_a_key_without_the_scope_uploads_and_deletes_nothing(app, volume):
    put_program(volume)
    for scope, status in (("read", 403), ("write", 403), ("code", 201)):
        client = authorized(app, Service.of(app).keys.create(scope, scope)[1])
        assert client.put("/programs/mine", data=SCRIPT).status_code == status
        assert client.get("/programs/mine").status_code == 200
        assert client.delete("/programs/mine").status_code == (403 if status == 403 else 204)


@pytest.mark.both_stores
def test_a_program_belongs_to_the_project_of_its_first_upload(app, volume):
    world = two_projects(app)
    taken = world.clients["red", "code"].put("/programs/blue-program", data=SCRIPT)
    assert (taken.status_code, "taken by another project" in taken.json["detail"]) == (409, True)
    by_admin = world.clients["red", "admin"].put("/programs/blue-program", data=SCRIPT)
    assert (by_admin.status_code, by_admin.json["project"]) == (201, "blue")
    assert world.clients["blue", "read"].get("/programs/blue-program").json["version"] == by_admin.json["version"]


@pytest.mark.both_stores
def test_of_two_first_uploads_at_once_one_project_has_the_id(app, volume, monkeypatch):
    world = two_projects(app)
    store = type(volume.programs)
    create = store.create

    def be_second(self, prepared, latest):
        monkeypatch.setattr(store, "create", create)
        # A thread has its own context, like each request on a server.
        with ThreadPoolExecutor(1) as thread:
            other = thread.submit(world.clients["blue", "code"].put, "/programs/new", data=SCRIPT)
        assert other.result().status_code == 201
        return create(self, prepared, latest)

    monkeypatch.setattr(store, "create", be_second)
    answer = world.clients["red", "code"].put("/programs/new", data=SCRIPT)
    assert (answer.status_code, "taken by another project" in answer.json["detail"]) == (409, True)
    assert volume.program("new").project == "blue"
    assert list(volume.datasets.glob(".incoming*")) == []


def test_the_bytes_of_programs_count_for_their_project(app, volume):
    usage = Service.of(app).usage
    before = usage.bytes("red")
    put_program(volume, "large", {"train.py": SCRIPT, "noise.bin": bytes(range(256)) * 400}, "red")
    usage.forget("red")
    assert usage.bytes("red") > before


def test_a_project_without_room_uploads_no_program(settings):
    quota = '{"*": {"bytes": 100}}'
    app = create_app(type(settings).model_validate({**dict(settings), "project_quotas": quota}))
    answer = authorized(app).put("/programs/mine", data=b"#" * 200)
    assert (answer.status_code, answer.json["code"]) == (403, "project_quota")


@pytest.mark.both_stores
def test_a_damaged_version_is_an_error_and_is_left_out_of_the_list(client, volume):
    info = put_program(volume)
    put_program(volume, "other")
    (volume.programs.version_folder("mine", info.version) / "program.json").write_text("{}")
    assert [one["id"] for one in client.get("/programs").json["data"]] == ["other"]
    assert client.get("/programs/mine").status_code == 500
