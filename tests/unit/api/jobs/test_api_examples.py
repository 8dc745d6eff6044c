"""The specs in `examples/` on the data that they name: scikit-learn's digits as images and as arrays."""

import json
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

from fitstop.local.digits import write_digits
from fitstop.upload import open_upload
from tests.support.archives import npz_of

FOLDER = Path(__file__).parents[4] / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.glob("*.json"))


@pytest.fixture
def digits(client, tmp_path):
    """The datasets `digits` and `digits-arrays`."""
    x, y = load_digits(return_X_y=True)
    folder = write_digits(tmp_path)
    contents = {
        "digits": b"".join(open_upload(folder).pieces()),
        "digits-arrays": npz_of(x=x.astype("float32") / 16, y=y),
    }
    for name, content in contents.items():
        assert client.put(f"/datasets/{name}", data=content).status_code == 201


def test_each_example_can_be_submitted(client, digits):
    assert {"application.json", "arrays.json", "cnn.json"} <= set(EXAMPLES)
    kinds = {}
    for name in EXAMPLES:
        spec = json.loads((FOLDER / name).read_text())
        answer = client.post("/jobs?dry_run=true", json=spec)
        assert answer.status_code == 200, f"{name}: {answer.text}"
        kinds[name] = (answer.json["spec"]["dataset"]["kind"], answer.json["spec"]["model"]["kind"])
    assert kinds["cnn.json"] == ("images", "cnn")
    assert kinds["application.json"] == ("images", "application")
    assert kinds["arrays.json"] == ("arrays", "dense")
