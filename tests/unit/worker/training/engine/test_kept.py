"""The kept programs of a training process: which ones XLA finds, and which ones later processes find."""

import os
from pathlib import Path

import pytest

from worker.ipc.kept_programs import STORE_VARIABLE, VARIABLE, KeptPrograms
from worker.training.engine import kept
from worker.training.engine.kept import store_compiled_programs, use_kept_programs


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptPrograms:
    """The kept programs of a worker, with this process as one of its training processes."""
    found = KeptPrograms(tmp_path / "cache", "compiler", tmp_path)
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kept, "_folder", None)
    monkeypatch.setattr(kept, "_restored", frozenset())
    return found


def begin(monkeypatch: pytest.MonkeyPatch, threads: int = 2, **flags: str) -> tuple[Path, str]:
    """Return the folder and the prefix of names that XLA gets."""
    for name, value in {"TF_XLA_FLAGS": "", **flags}.items():
        monkeypatch.setenv(name, value)
    use_kept_programs(threads)
    folder, prefix = os.environ["TF_XLA_FLAGS"].split()
    return Path(folder.partition("=")[2]), prefix.partition("=")[2]


def compile_one(monkeypatch: pytest.MonkeyPatch, name: str = "1__XLA_CPU_JIT.pb") -> None:
    """Act as a process in which XLA compiles a program."""
    folder, prefix = begin(monkeypatch)
    (folder / f"{prefix}__{name}").write_bytes(b"machine code")
    store_compiled_programs()


def test_what_one_process_compiles_the_next_one_finds_in_a_folder_of_its_own(monkeypatch):
    compile_one(monkeypatch)
    first = kept._folder
    folder, prefix = begin(monkeypatch)
    assert folder != first
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        f"{prefix}__1__XLA_CPU_JIT.pb": b"machine code"
    }


@pytest.mark.parametrize("flag", ["XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "CUDA_VISIBLE_DEVICES", "threads"])
def test_with_other_flags_on_another_card_or_with_other_threads_it_finds_none(monkeypatch, flag):
    compile_one(monkeypatch)
    folder, _ = begin(monkeypatch, threads=4) if flag == "threads" else begin(monkeypatch, **{flag: "7"})
    assert list(folder.iterdir()) == []


def test_a_process_that_finds_all_of_its_programs_stores_none(monkeypatch):
    compile_one(monkeypatch)
    begin(monkeypatch)
    monkeypatch.setattr(kept, "put", None)
    store_compiled_programs()


def test_a_store_or_a_folder_that_cannot_be_used_keeps_no_job_from_its_work(monkeypatch, tmp_path, caplog):
    folder, _ = begin(monkeypatch)
    (folder / "threads-2__1").touch()
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path / "missing"))
    store_compiled_programs()
    assert "compiled programs are not stored" in caplog.text
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    use_kept_programs(2)
    assert "the programs of earlier jobs are not used" in caplog.text


def test_without_a_worker_nothing_is_kept(monkeypatch):
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    use_kept_programs(2)
    store_compiled_programs()
    assert os.environ["TF_XLA_FLAGS"] == ""
