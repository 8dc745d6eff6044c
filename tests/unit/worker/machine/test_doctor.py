"""How a GPU, its driver's libraries and TensorFlow's code are judged by what they report."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worker.machine.doctor import Card, code_finding, gpu_finding, library_findings, sandbox_finding
from worker.machine.libraries import Libraries, check_libraries, missing_from
from worker.machine.sandbox_trial import SandboxTrial, try_sandbox
from worker.machine.trial import try_training
from worker.supervisor import programs

L4 = Card("NVIDIA L4", (8, 9), "570.86.15", 23 * 10**9, 24 * 10**9)
# The architectures that the wheel of TensorFlow 2.21 reports.
CARRIED = ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"]


@pytest.mark.parametrize(
    ("parts", "status", "says"),
    [
        ({}, "ok", ""),
        ({"driver": "470.57.02"}, "problem", "525 or newer"),
        ({"name": "NVIDIA GeForce RTX 5090", "capability": (12, 0)}, "warning", "up to compute capability 9.0"),
        ({"free_bytes": 10**9}, "warning", "nvidia-smi"),
    ],
)
def test_a_card_is_judged_by_its_driver_its_kind_and_its_free_memory(parts, status, says):
    found = gpu_finding(replace(L4, **parts))
    assert found["status"] == status
    assert says in found["fix"]


@pytest.mark.parametrize(
    ("capability", "status", "says"),
    [
        ((8, 9), "ok", "with code for 8.9"),
        ((8, 6), "ok", "with code for 8.6"),
        ((9, 0), "ok", "with code for 9.0"),
        ((12, 0), "ok", "the driver compiles it for 12.0"),
        ((5, 2), "problem", "without code for 5.2"),
    ],
)
def test_tensorflows_code_fits_the_card_is_compiled_for_it_or_is_not_there(capability, status, says):
    found = code_finding("2.21.0", CARRIED, replace(L4, capability=capability))
    assert found["status"] == status
    assert says in found["detail"]


@pytest.mark.parametrize(
    ("missing", "card", "status", "says"),
    [
        ({}, L4, "ok", ""),
        ({"libcuda.so.1": "libcudnn.so.9"}, None, "ok", "all are found except the driver's libcuda.so.1"),
        ({"libcuda.so.1": "libcudnn.so.9"}, L4, "problem", "NVIDIA_DRIVER_CAPABILITIES"),
        ({"libcublas.so.12": "libcudnn.so.9", "libcuda.so.1": "x"}, L4, "problem", "fitstop[gpu]"),
    ],
)
def test_a_library_that_is_missing_is_a_problem_unless_it_is_the_drivers_and_there_is_no_gpu(
    missing, card, status, says
):
    (found,) = library_findings(Libraries(40, 4 * 10**9, missing), card)
    assert found["status"] == status
    assert says in found["detail"] + found["fix"]


def test_where_nvidia_has_no_wheels_nothing_is_said_of_libraries():
    assert library_findings(check_libraries(), None) == []


def test_a_library_that_lies_without_those_beside_it_is_told_with_what_it_misses(tmp_path):
    (ours,) = Path(np.__file__).parent.glob("_core/_multiarray_umath*.so")
    assert missing_from([ours]) == {}
    alone = Path(shutil.copy(ours, tmp_path))
    (name,) = missing_from([alone])
    assert "openblas" in name


def test_a_trial_that_fails_says_why():
    trial = try_training("GPU")
    assert trial.report == {}
    assert "the CPU build of TensorFlow" in trial.failure


def test_the_doctor_says_what_the_kernel_gives_of_the_sandbox_and_what_it_lacks():
    closed = sandbox_finding(SandboxTrial(("files (Landlock 7)",), ("own user: this process is not root",)))
    assert closed["status"] == "ok"
    assert closed["detail"] == "closed: files (Landlock 7); missing: own user: this process is not root"
    opened = sandbox_finding(SandboxTrial((), (), "files: the kernel has no Landlock"))
    assert (opened["status"], opened["detail"]) == ("warning", "open: files: the kernel has no Landlock")
    assert "FITSTOP_ALLOW_CODE=unboxed" in opened["fix"]


def test_a_trial_of_the_sandbox_reports_the_layers_of_another_process():
    before = set(Path(tempfile.gettempdir()).glob("fitstop-sandbox-*"))
    trial = try_sandbox()
    assert trial.layers or trial.openings
    assert set(Path(tempfile.gettempdir()).glob("fitstop-sandbox-*")) <= before
    assert os.environ.get("HOME"), "this process is in no sandbox"


def test_a_worker_takes_programs_by_its_setting_and_by_its_kernel(monkeypatch):
    monkeypatch.setattr(programs, "try_sandbox", lambda: SandboxTrial(openings="files: no Landlock"))
    assert programs.explain_no_programs("no") == "FITSTOP_ALLOW_CODE=no"
    assert programs.explain_no_programs("boxed") == "scripts cannot be confined on this machine: files: no Landlock"
    assert programs.explain_no_programs("unboxed") == ""
    monkeypatch.setattr(programs, "try_sandbox", SandboxTrial)
    assert programs.explain_no_programs("boxed") == ""
