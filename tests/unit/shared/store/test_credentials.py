"""Where the keys of a bucket come from, as in the AWS command."""

from pathlib import Path

import pytest

from shared.store.credentials import find_access
from shared.store.interface import AccessDenied


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = b%c\n"
        "[lab]\naws_access_key_id = L\naws_secret_access_key = M\naws_session_token = T\n"
    )
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-north-1\n[profile lab]\nregion = auto\nendpoint_url = https://lab.example\n"
    )
    return tmp_path


def test_keys_and_region_come_from_the_files_of_the_default_profile(home: Path) -> None:
    found = find_access({"HOME": str(home)})
    assert found == {"region": "eu-north-1", "access_key_id": "A", "secret_access_key": "b%c"}


def test_a_profile_brings_its_token_and_its_endpoint(home: Path) -> None:
    assert find_access({"HOME": str(home), "AWS_PROFILE": "lab"}) == {
        "region": "auto",
        "endpoint": "https://lab.example",
        "access_key_id": "L",
        "secret_access_key": "M",
        "session_token": "T",
    }


def test_the_environment_comes_before_the_files(home: Path) -> None:
    environment = {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "E",
        "AWS_SECRET_ACCESS_KEY": "F",
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    keys = {"access_key_id": "E", "secret_access_key": "F"}
    assert find_access(environment) == {"region": "us-west-2", "endpoint": "http://127.0.0.1:1", **keys}


def test_without_files_and_variables_the_machines_own_identity_is_left_to_obstore(tmp_path: Path) -> None:
    assert find_access({"HOME": str(tmp_path)}) == {"region": "us-east-1"}


def test_a_profile_that_is_not_there_is_named(home: Path) -> None:
    with pytest.raises(AccessDenied, match="AWS_PROFILE=labb is in none of the files"):
        find_access({"HOME": str(home), "AWS_PROFILE": "labb"})


def test_a_file_that_cannot_be_read_is_named_without_what_it_holds(home: Path) -> None:
    (home / ".aws" / "credentials").write_text("aws_secret_access_key = hidden\n")
    with pytest.raises(AccessDenied, match="credentials can't be read: MissingSectionHeaderError") as caught:
        find_access({"HOME": str(home)})
    assert "hidden" not in str(caught.value)
