"""`fitstop demo` from an empty folder to its summary, on the real service."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fitstop.local.redis_server import find_redis_server
from tests.support.wine import article_file

pytestmark = pytest.mark.skipif(find_redis_server() is None, reason="no Redis server here")


def demo(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in `folder` to its end, with separate standard output and standard error."""
    return subprocess.run(
        [sys.executable, "-m", "fitstop.cli.main", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
    )


def learnable(rows: int = 400) -> str:
    lines = [f"{n % 17},{n % 5},{'red' if n % 2 else 'white'},{'yes' if n % 17 > 8 else 'no'}" for n in range(rows)]
    return "\n".join(["size,weight,colour,good", *lines, ""])


def numbered(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in:\n{text}"
    return [int(group) for group in found.groups()]


def test_the_demo_trains_stops_by_itself_and_sums_up(tmp_path):
    (tmp_path / "small.csv").write_text(learnable())
    run = demo(tmp_path, "--data-file", "small.csv", "--set", "callbacks.early_stopping.patience=3")
    assert run.returncode == 0, run.stdout + run.stderr

    assert 'Predicting the last column, "good".' in run.stderr
    assert "320 rows to train on, 80 to validate on, 3 features" in run.stdout
    assert re.search(r"val_accuracy improved from [\d.]+ to [\d.]+, saved model-\d+-[\d.]+\.keras", run.stdout)
    [last] = numbered(
        r"ended +succeeded: stopped early at epoch (\d+): val_accuracy had not improved for 3", run.stdout
    )
    [best] = numbered(r"best +val_accuracy [\d.]+ at epoch (\d+)", run.stdout)
    [not_run] = numbered(r"not run +(\d+) of 1000 epochs", run.stdout)
    assert not_run == 1000 - last
    assert best == last - 3
    assert re.search(r"wall time +[\d.]+ s from submission to result", run.stdout)

    [folder] = re.findall(r"^Checkpoints +(.+)$", run.stdout, re.MULTILINE)
    listed = re.findall(r"^(model-\S+\.keras) +(\d+) +[\d.]+ kB(  best)?$", run.stdout, re.MULTILINE)
    assert {path.name for path in Path(folder).glob("*.keras")} == {name for name, _, _ in listed}
    assert [(int(epoch)) for _, epoch, mark in listed if mark] == [best]

    assert f"training_log.csv  {last} rows" in run.stdout
    assert re.search(rf"^epoch +0 +1 +… +{last - 2} +{last - 1}$", run.stdout, re.MULTILINE)
    assert re.search(r"^val_loss +[\d.]+ ", run.stdout, re.MULTILINE)
    assert "fitstop download job_" in run.stderr
    assert not (tmp_path / "fitstop-data" / "cli.json").exists()


def test_the_demo_of_images_trains_a_convolutional_network_without_internet(stack, tmp_path):
    run = demo(
        tmp_path, "images", "--data", stack.data, "--set", "hyperparameters.epochs=3", "--set", "model.filters=[8]"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Dataset digits: 1797 images, 10 classes, from" in run.stderr
    assert sum(numbered(r"(\d+) rows to train on, (\d+) to validate on", run.stdout)) == 1797
    assert re.search(r"ended +succeeded: all 3 epochs completed", run.stdout)
    assert re.search(r"best +val_accuracy [\d.]+ at epoch", run.stdout)
    assert "training_log.csv  3 rows" in run.stdout
    assert "fitstop bundle job_" in run.stderr
    refused = demo(tmp_path, "images", "--data-file", __file__)
    assert (refused.returncode, "give either images or --data-file" in refused.stderr) == (2, True)


def test_the_article_by_itself_stops_between_20_and_80_epochs(stack, tmp_path):
    run = demo(tmp_path, "--data", stack.data, "--data-file", article_file(tmp_path))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "5170 rows to train on, 1293 to validate on, 12 features; 34 rows" in run.stdout
    [last] = numbered(r"ended +succeeded: stopped early at epoch (\d+)", run.stdout)
    assert 20 <= last <= 80
    best = re.search(r"best +val_accuracy ([\d.]+) at epoch", run.stdout)
    assert float(best[1]) >= 0.77
    assert re.search(r"plateaus +learning rate 0\.001 → 0\.0001", run.stdout)
    assert "Dataset wine-quality: 6497 rows, 13 columns" in run.stderr


def test_a_running_service_is_used_and_a_job_that_fails_ends_the_demo_with_1(stack, tmp_path):
    (tmp_path / "small.csv").write_text(learnable())
    run = demo(
        tmp_path,
        *("--data", stack.data, "--data-file", "small.csv"),
        *("--set", "hyperparameters.learning_rate=100", "--set", "hyperparameters.optimizer=sgd"),
        *("--set", "dataset.target=size", "--set", "dataset.scaling=none"),
        *("--set", "callbacks.early_stopping=null", "--set", "hyperparameters.epochs=50"),
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.search(r"ended +failed: diverged", run.stdout), run.stdout
    assert f"Using the service at {stack.url}." in run.stderr
    assert (stack.data / "cli.json").exists()


def test_other_bytes_under_the_same_id_get_an_id_of_their_own_and_a_refused_job_ends_with_6(stack, tmp_path):
    (tmp_path / "other.csv").write_text(learnable(300))
    refused = ("--set", "hyperparameters.epochs=0")
    first = demo(tmp_path, "--data", stack.data, "--data-file", "other.csv", *refused)
    assert first.returncode == 6, first.stdout + first.stderr
    assert "Dataset other: 300 rows" in first.stderr
    assert "hyperparameters.epochs" in first.stderr
    (tmp_path / "other.csv").write_text(learnable(301))
    second = demo(tmp_path, "--data", stack.data, "--data-file", "other.csv", *refused)
    assert re.search(r"Dataset other-[0-9a-f]{8}: 301 rows", second.stderr), second.stderr
