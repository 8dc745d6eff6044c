"""The environment, read once; a mistake in it stops the start."""

import pwd
from secrets import token_hex

import pytest

from shared.settings import BadEnvironment, Settings, known_variables, read_settings, show_settings, variable


def test_without_variables_everything_has_its_default():
    assert read_settings({}) == Settings()
    assert read_settings({"PATH": "/bin", "FIT": "x"}) == Settings()


def test_a_user_without_a_home_has_a_folder_for_what_may_be_deleted(monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert read_settings({}).index_folder.is_absolute()


def test_a_variable_sets_what_it_names():
    settings = read_settings({"FITSTOP_SLOTS": "3", "FITSTOP_HEARTBEAT_SECONDS": "0.5", "FITSTOP_VOLUME": "/data"})
    assert (settings.slots, settings.heartbeat_seconds, str(settings.volume)) == (3, 0.5, "/data")


def test_a_variable_that_nobody_reads_stops_the_start_and_the_nearest_one_is_named():
    with pytest.raises(BadEnvironment, match=r"FITSTOP_SLOT=2: unknown variable\. Did you mean \"FITSTOP_SLOTS\"\?"):
        read_settings({"FITSTOP_SLOT": "2"})


def test_every_bad_value_is_named_at_once():
    with pytest.raises(BadEnvironment) as caught:
        read_settings({"FITSTOP_PORT": "70000", "FITSTOP_SLOTS": "many", "FITSTOP_SLOT": "1"})
    assert all(part in str(caught.value) for part in ("FITSTOP_PORT=70000", "FITSTOP_SLOTS=many", "FITSTOP_SLOT=1"))


@pytest.mark.parametrize("name", ["heartbeat_seconds", "self_stop_seconds", "take_over_seconds", "sweep_seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "", "3s"])
def test_a_time_that_is_none_is_refused(name, value):
    with pytest.raises(BadEnvironment, match=f"{variable(name)}={value}"):
        read_settings({variable(name): value})


def test_a_worker_must_stop_before_others_take_over():
    with pytest.raises(BadEnvironment, match="two workers could train"):
        read_settings({"FITSTOP_SELF_STOP_SECONDS": "30", "FITSTOP_TAKE_OVER_SECONDS": "30"})


def test_a_worker_must_beat_before_it_takes_itself_for_lost():
    with pytest.raises(BadEnvironment, match="FITSTOP_HEARTBEAT_SECONDS=20"):
        read_settings({"FITSTOP_HEARTBEAT_SECONDS": "20", "FITSTOP_SELF_STOP_SECONDS": "20"})


def test_the_clients_own_variables_are_known_and_set_nothing():
    assert read_settings({"FITSTOP_URL": "http://x", "FITSTOP_API_KEY": "secret"}) == Settings()
    assert {"FITSTOP_URL", "FITSTOP_API_KEY", "FITSTOP_SLOTS"} <= set(known_variables())


def test_a_password_shows_nowhere():
    settings = read_settings({"FITSTOP_REDIS_URL": "redis://:sesame@redis/0"})
    assert settings.redis_url.get_secret_value() == "redis://:sesame@redis/0"
    assert "sesame" not in repr(settings) + str(settings) + str(show_settings(settings))


def test_a_refusal_of_other_variables_does_not_show_the_password():
    with pytest.raises(BadEnvironment) as caught:
        read_settings({"FITSTOP_REDIS_URL": "redis://:sesame@redis/0", "FITSTOP_PORT": "x"})
    assert "sesame" not in str(caught.value)


def test_every_setting_is_shown_by_its_variable_and_says_what_it_is():
    assert set(show_settings(Settings())) == {variable(name) for name in Settings.model_fields}
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().slots = 2


def test_a_variable_of_another_version_is_a_warning_and_said_once(caplog):
    name = f"FITSTOP_QUITE_ANOTHER_{token_hex(4).upper()}"
    environment = {name: "sesame", "FITSTOP_SLOTS": "3"}
    assert read_settings(environment) == read_settings(environment) == Settings(slots=3)
    [told] = [record for record in caplog.records if name in record.message]
    assert told.levelname == "WARNING"
    assert "sesame" not in told.message


@pytest.mark.parametrize("name", ["MAX_SWEEP_TRIALS", "ALLOW_SWEEPS", "PROBE_SECONDS", "LOG_FORMAT"])
def test_names_that_a_later_version_may_have_stop_no_start(name):
    assert read_settings({f"FITSTOP_{name}": "1"}) == Settings()


def test_redis_is_an_address_or_none():
    assert read_settings({"FITSTOP_REDIS_URL": "none"}).redis_address is None
    assert read_settings({"FITSTOP_REDIS_URL": "redis://127.0.0.1/0"}).redis_address == "redis://127.0.0.1/0"


@pytest.mark.parametrize("url", ["", "None", "127.0.0.1"])
def test_a_redis_without_a_scheme_is_refused(url):
    with pytest.raises(BadEnvironment, match=r"FITSTOP_REDIS_URL=\(hidden\): expected an address .* or none"):
        read_settings({"FITSTOP_REDIS_URL": url})


@pytest.mark.parametrize("name", ["PROT", "SLOT", "HEARTBEAT_SECOND", "REDIS_ULR", "HOSTS", "RETRY_BACKOF_SECONDS"])
def test_a_misspelling_stops_the_start(name):
    with pytest.raises(BadEnvironment, match="Did you mean"):
        read_settings({f"FITSTOP_{name}": "1"})


def test_a_bucket_is_named_in_place_of_the_volumes_folder() -> None:
    settings = read_settings({"FITSTOP_VOLUME": "s3://bucket/a"})
    assert settings.bucket == "s3://bucket/a"
    other = read_settings({"FITSTOP_VOLUME": "s3://bucket/b"})
    assert settings.volume != other.volume, "each bucket has a folder of its own"
    assert not settings.state_folder.is_relative_to(settings.volume)


@pytest.mark.parametrize("address", ["gs://bucket", "s3://", "s3://key:secret@bucket", "s3://bucket?key=secret"])
def test_an_address_that_is_no_bucket_is_refused_without_its_secrets(address: str) -> None:
    with pytest.raises(BadEnvironment, match="expected s3://BUCKET or s3://BUCKET/PREFIX") as raised:
        read_settings({"FITSTOP_VOLUME": address})
    assert "secret" not in str(raised.value)


def test_half_an_address_is_no_folder() -> None:
    with pytest.raises(BadEnvironment, match="FITSTOP_VOLUME=s3:/bucket/a is neither a folder nor a bucket"):
        read_settings({"FITSTOP_VOLUME": "s3:/bucket/a"})
