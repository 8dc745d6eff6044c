"""A training process gets the variables that its libraries read, and no secret, whatever its name."""

import ast
from pathlib import Path

import pytest

from shared.child_environment import is_for_training, leave_for_training
from shared.settings import Settings, variable

TRAINING = Path(__file__).parents[3] / "worker" / "training"


@pytest.mark.parametrize(
    "name",
    [
        *("FITSTOP_REDIS_URL", "FITSTOP_ADMIN_KEY", "FITSTOP_IDLE_HOOK", "FITSTOP_API_KEY", "FITSTOP_VOLUME"),
        *("RUNPOD_API_KEY", "CONTAINER_API_KEY", "AWS_SECRET_ACCESS_KEY", "NVIDIA_API_KEY", "HF_TOKEN", "X"),
    ],
)
def test_what_could_be_a_secret_does_not_reach_a_training_process(name):
    environment = {name: "secret"}
    leave_for_training(environment)
    assert environment == {}


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_CACHE_PATH"),
        *("XLA_FLAGS", "TF_XLA_FLAGS", "TF_FORCE_GPU_ALLOW_GROWTH", "NVIDIA_VISIBLE_DEVICES", "KERAS_BACKEND"),
        *("PYTHONPATH", "OMP_NUM_THREADS", "FITSTOP_HEARTBEAT_SECONDS", "FITSTOP_DEVICE_DATA_BYTES", "NCCL_DEBUG"),
    ],
)
def test_what_training_reads_stays(name):
    environment = {name: "1"}
    leave_for_training(environment)
    assert environment == {name: "1"}


def test_every_setting_that_training_reads_reaches_it():
    nodes = (node for file in TRAINING.rglob("*.py") for node in ast.walk(ast.parse(file.read_text())))
    read = {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("settings")
    }
    read &= set(Settings.model_fields)
    assert {"cache", "cache_bytes", "resume_seconds"} <= read
    assert [name for name in sorted(read) if not is_for_training(variable(name))] == []
