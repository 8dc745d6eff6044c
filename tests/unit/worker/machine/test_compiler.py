"""The compiler's identity: it changes with everything that XLA's machine code depends on; None in case of doubt."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker.machine import compiler
from worker.machine.compiler import identify_compiler


class Nvml(SimpleNamespace):
    """NVIDIA's library on a machine with one GPU."""

    class NVMLError(Exception):
        pass

    NVMLError_LibraryNotFound = NVMLError_DriverNotLoaded = NVMLError_NotFound = type("None_", (NVMLError,), {})

    def __init__(self, driver: str, card: str) -> None:
        super().__init__(
            nvmlInit=lambda: None,
            nvmlShutdown=lambda: None,
            nvmlSystemGetDriverVersion=lambda: driver,
            nvmlDeviceGetCount=lambda: 1,
            nvmlDeviceGetHandleByIndex=lambda index: index,
            nvmlDeviceGetName=lambda _: card,
            nvmlDeviceGetCudaComputeCapability=lambda _: (9, 0),
        )


def install(folder: Path, name: str, record: str | None) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if record is not None:
        (info / "RECORD").write_text(record)
    importlib.invalidate_caches()


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package folder of a machine without a GPU."""
    install(tmp_path, "tensorflow_cpu", "xla.so,sha256=1,1\n")
    install(tmp_path, "flask", None)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(compiler, "_CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Zen\ncpu MHz\t\t: 2100\nflags\t\t: sse avx2\n\n" * 2
    )
    return tmp_path


def test_it_is_the_same_for_every_process_of_a_machine_whatever_the_cpus_clock_does(machine: Path) -> None:
    before = identify_compiler()
    cpu = machine / "cpuinfo"
    cpu.write_text(cpu.read_text().replace("2100", "3500"))
    install(machine, "flask", "another")
    assert before == identify_compiler() is not None


def test_another_build_of_tensorflow_of_the_same_version_is_another_compiler(machine: Path) -> None:
    before = identify_compiler()
    install(machine, "tensorflow_cpu", "xla.so,sha256=2,1\n")
    assert identify_compiler() not in {before, None}


@pytest.mark.parametrize("package", ["keras", "jaxlib", "nvidia-cudnn-cu12", "tensorflow"])
def test_so_is_one_with_another_package_of_those_that_compile(machine: Path, package: str) -> None:
    before = identify_compiler()
    install(machine, package, "-")
    assert identify_compiler() not in {before, None}


def test_so_is_a_cpu_with_other_features(machine: Path) -> None:
    before = identify_compiler()
    cpu = machine / "cpuinfo"
    cpu.write_text(cpu.read_text().replace("avx2", "avx2 avx512f"))
    assert identify_compiler() not in {before, None}


def test_so_are_another_driver_and_another_card(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, "nvidia-cudnn-cu12", "-")
    found = {identify_compiler()}
    for driver, card in (("570.1", "H100"), ("570.2", "H100"), ("570.2", "H200")):
        monkeypatch.setitem(sys.modules, "pynvml", Nvml(driver, card))
        found.add(identify_compiler())
    assert len(found - {None}) == 4


def test_it_is_unknown_where_cudas_libraries_are_not_those_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml("570.1", "H100"))
    assert identify_compiler() is None


@pytest.mark.parametrize(
    "what", ["no list of files", "no package", "no CPU", "a CPU without features", "a sick driver"]
)
def test_it_is_unknown_with(machine: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "no list of files":
        install(machine, "keras", None)
    elif what == "no package":
        monkeypatch.setattr(sys, "path", [])
    elif what == "no CPU":
        (machine / "cpuinfo").unlink()
    elif what == "a CPU without features":
        (machine / "cpuinfo").write_text("processor\t: 0\nmodel\t: 1\n")
    else:
        nvml = Nvml("570.1", "H100")
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        monkeypatch.setattr(nvml, "nvmlInit", lambda: (_ for _ in ()).throw(Nvml.NVMLError()))
    assert identify_compiler() is None
