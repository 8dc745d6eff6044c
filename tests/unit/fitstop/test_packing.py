"""Which files of a folder belong to a program: git's rules, and files that are never sent."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from fitstop.errors import Unsendable
from fitstop.packing import pack
from fitstop.terminal.programs import describe_pack
from shared.volume import Volume
from tests.support.programs import put_program

SECRETS = [".env", "prod.env", "server.pem", "id_rsa", "kaggle.json", ".git/config", ".aws/credentials", "lib/api.key"]


def make(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "Cats and Dogs", {"train.py": "x = 1\n", "lib/layers.py": "", "data/a.csv": "1\n"})


def names(packed):
    return [file.name for file in packed.files]


def test_a_script_is_packed_with_its_folder_under_the_version_that_the_service_gives_it(folder, tmp_path):
    packed = pack(folder / "train.py")
    assert (packed.entry, names(packed), packed.bytes) == ("train.py", ["data/a.csv", "lib/layers.py", "train.py"], 8)
    files = {file.name: file.path.read_bytes() for file in packed.files}
    assert packed.version == put_program(Volume(tmp_path / "volume"), files=files).version
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed.upload().pieces()))) as archive:
        assert {one.name: archive.extractfile(one).read() for one in archive} == files


def test_a_folder_has_no_entry_of_its_own_and_a_script_may_go_alone(folder):
    assert pack(folder).entry is None
    assert names(pack(folder / "train.py", alone=True)) == ["train.py"]


def test_a_script_in_the_working_folder_is_packed_with_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names(pack(Path("train.py"))) == ["data/a.csv", "lib/layers.py", "train.py"]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_never_sent_whatever_is_asked(folder, name):
    make(folder, {name: "secret", ".fitstopignore": f"!{name}\n!*\n"})
    packed = pack(folder)
    assert name not in names(packed)
    assert "secret" not in "".join(line.plain for line in describe_pack(packed, "x")).replace("left out, secrets", "")


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("env/pyvenv.cfg", "environments and data folders"),
        ("conda/conda-meta/history", "environments and data folders"),
        ("fitstop-data/admin_key", "environments and data folders"),
        ("store/fitstop-volume.json", "environments and data folders"),
        ("lib/__pycache__/x.pyc", "generated"),
        (".venv/x.py", "hidden"),
    ],
)
def test_what_is_no_source_is_left_out_and_named(folder, mark, why):
    make(folder, {mark: ""})
    before = pack(make(folder, {}))
    assert names(before) == ["data/a.csv", "lib/layers.py", "train.py"]
    assert why in before.left_out
    assert any(f"left out, {why}" in line.plain for line in describe_pack(before, "cats"))


def test_links_are_not_followed(folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "keys.txt").write_text("secret")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "key.txt").symlink_to(tmp_path / "outside" / "keys.txt")
    packed = pack(folder)
    assert packed.left_out["links"] == ["key.txt", "linked"]
    assert not {"key.txt", "linked/keys.txt"} & set(names(packed))


def test_fitstopignore_adds_to_gitignore_and_may_take_back_what_it_ignores(folder):
    make(folder, {".gitignore": "*.csv\nbig/\n", ".fitstopignore": "lib\n!a.csv\n", "data/b.csv": "", "big/x.py": ""})
    packed = pack(folder)
    assert names(packed) == ["data/a.csv", "train.py"]
    assert packed.left_out["in .gitignore"] == ["big/", "data/b.csv"]
    assert packed.left_out["in .fitstopignore"] == ["lib/"]


def test_a_script_that_is_named_is_sent_although_it_is_ignored(folder):
    make(folder, {".gitignore": "*.py\n"})
    assert names(pack(folder / "train.py")) == ["data/a.csv", "train.py"]


def test_requirements_of_another_name_become_the_programs(folder, tmp_path):
    make(folder, {"requirements.txt": "old\n", "gpu.txt": "new\n"})
    packed = pack(folder / "train.py", folder / "gpu.txt")
    assert {file.name: file.path for file in packed.files}["requirements.txt"] == folder / "gpu.txt"


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git")
def test_the_same_files_are_packed_as_git_would_add(tmp_path):
    repository = make(
        tmp_path / "repository",
        {
            ".gitignore": "*.log\n/build\nout/\n!keep.log\n**/cache/*\n!**/cache/kept.txt\ndoc/*.txt\n\\#x\n# no\n",
            "work/.gitignore": "!important.log\n/local\n",
            "work/deep/.gitignore": "*\n!*.py\n",
        },
    )
    tree = [
        *("a.log", "keep.log", "build/x", "src/build/x", "out/x", "src/out/x", "cache/a", "src/cache/kept.txt"),
        *("work/important.log", "work/other.log", "work/local/x", "work/src/local/x", "work/doc/a.txt", "doc/a.txt"),
        *("work/deep/a.py", "work/deep/b.csv", "work/deep/more/c.py", "work/#x", "work/train.py"),
    ]
    make(repository, dict.fromkeys(tree, ""))
    git = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(repository)]
    subprocess.run([*git, "init", "-q"], check=True)
    for place in ("", "work/", "work/deep/"):
        known = subprocess.run(
            [*git, "ls-files", "-z", "-o", "--exclude-standard", place or "."],
            check=True,
            capture_output=True,
            text=True,
        )
        expected = sorted(name.removeprefix(place) for name in known.stdout.split("\0") if name and ".git" not in name)
        assert names(pack(repository / place)) == expected, place


def test_a_home_as_a_whole_is_no_program(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(Unsendable, match="--alone"):
        pack(folder / "train.py")
    assert names(pack(folder / "train.py", alone=True)) == ["train.py"]


def test_a_folder_of_too_many_files_is_refused_before_anything_is_read(folder, monkeypatch):
    monkeypatch.setattr("fitstop.packing._MOST_FILES", 2)
    with pytest.raises(Unsendable, match="more than 2 files; name data folders in"):
        pack(folder)


def test_what_is_shown_is_the_size_of_each_top_folder_the_largest_first(folder):
    make(folder, {"lib/more.py": "#" * 5000})
    lines = [line.plain.split() for line in describe_pack(pack(folder / "train.py"), "cats")]
    assert lines[:2] == [["program", "cats:", "4", "files,", "5.0", "kB"], ["5.0", "kB", "lib/", "2", "files"]]
