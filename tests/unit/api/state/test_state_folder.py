"""Keys and sessions are stored outside the volume; those of an older version are moved exactly once."""

import logging

import pytest

from api import create_app
from api.state.key_store import KeyStore
from api.state.service import Service
from api.state.sessions import SessionStore
from shared.settings import BadEnvironment, read_settings
from tests.support.keys import ADMIN_KEY, authorized


def status_with(app, key):
    return authorized(app, key).get("/jobs").status_code


@pytest.fixture
def old_key(settings):
    """A key and a session that an older version kept on the volume."""
    store = KeyStore(settings.volume)
    known, key = store.create("ci", "write")
    return known, key, SessionStore(settings.volume, store).begin(known)


def test_keys_and_sessions_of_an_older_version_are_moved_off_the_volume_at_the_start(settings, old_key, caplog):
    known, key, session = old_key
    with caplog.at_level(logging.WARNING):
        app = create_app(settings)
    assert status_with(app, key) == 200
    assert Service.of(app).sessions.find(session).id == known.id
    assert [name for name in ("keys", "sessions") if (settings.volume / name).exists()] == []
    assert f"moved 1 files from {settings.volume}/keys" in caplog.text


def test_a_revocation_moves_with_its_key(settings, old_key):
    known, key, _ = old_key
    KeyStore(settings.volume).revoke(known.id)
    assert status_with(create_app(settings), key) == 401


def test_a_key_that_is_planted_on_the_volume_opens_nothing_now_or_after_a_restart(settings, caplog):
    app = create_app(settings)
    _, planted = KeyStore(settings.volume).create("planted", "admin")
    assert status_with(app, planted) == 401
    assert status_with(create_app(settings), planted) == 401
    assert "is not read" in caplog.text


def test_links_and_other_names_are_not_moved(settings, old_key, tmp_path):
    foreign = KeyStore(tmp_path / "elsewhere")
    known, key = foreign.create("linked", "admin")
    source = tmp_path / "elsewhere" / "keys" / f"{known.id}.json"
    (settings.volume / "keys" / source.name).symlink_to(source)
    (settings.volume / "keys" / "notes.txt").write_text("x")
    assert status_with(create_app(settings), key) == 401
    assert len(list((settings.state_folder / "keys").iterdir())) == 1


def test_the_folder_is_for_its_user_alone(settings):
    create_app(settings)
    assert settings.state_folder.stat().st_mode & 0o777 == 0o700


def test_a_state_folder_in_the_volume_stops_the_start(tmp_path):
    environment = {
        "FITSTOP_VOLUME": str(tmp_path),
        "FITSTOP_STATE_FOLDER": str(tmp_path / "keys"),
        "FITSTOP_ADMIN_KEY": ADMIN_KEY,
    }
    with pytest.raises(BadEnvironment, match="FITSTOP_STATE_FOLDER"):
        read_settings(environment)
