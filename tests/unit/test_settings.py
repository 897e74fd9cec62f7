"""Settings: read once, frozen, and every mistake is named."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_embedded_stack_under_the_users_home() -> None:
    settings = Settings.from_environment({"HOME": "/home/ada"})

    assert settings.home == Path("/home/ada/.local/share/quartermaster")
    assert settings.mode == "active"
    assert (settings.postgres_dsn, settings.temporal_address, settings.kafka_bootstrap) == (None, None, None)
    assert settings.console_host == "127.0.0.1"


def test_the_data_home_of_the_desktop_standard_is_honoured() -> None:
    settings = Settings.from_environment({"HOME": "/home/ada", "XDG_DATA_HOME": "/data"})

    assert settings.home == Path("/data/quartermaster")


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"HOME": "/h", "QM_KAFKA_BOOTSTRAP": ""}).kafka_bootstrap is None


def test_a_child_process_gets_the_same_settings() -> None:
    settings = Settings.from_environment(
        {
            "QM_HOME": "/data/with a space",
            "QM_MODE": "passive",
            "QM_CLOCK": "replayed",
            "QM_POSTGRES_DSN": "postgresql://worker:secret@db/quartermaster",
            "QM_TEMPORAL_ADDRESS": "temporal:7233",
            "QM_KAFKA_BOOTSTRAP": "a:9092,b:9092",
            "QM_CONSOLE_PORT": "0",
            "QM_OUTCOME_INTERVAL_S": "5",
            "QM_SUPPLIER_URL": "http://127.0.0.1:8643/",
        }
    )

    assert Settings.from_environment(settings.environment()) == settings
    assert settings.supplier_url == "http://127.0.0.1:8643"


def test_a_relative_home_is_pinned_down_where_it_was_read() -> None:
    assert Settings.from_environment({"QM_HOME": "state"}).home == Path.cwd() / "state"


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = Settings.from_environment({"HOME": "/h"})

    with pytest.raises(ValidationError, match="frozen"):
        settings.mode = "passive"  # type: ignore[misc]


def test_an_unknown_variable_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(SettingsError, match=r"QM_KAFKA_BOOTSTRAPS is not a setting.*Did you mean QM_KAFKA_BOOTSTRAP\?"):
        Settings.from_environment({"HOME": "/h", "QM_KAFKA_BOOTSTRAPS": "a:1"})


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("QM_MODE", "activ", "'active' or 'passive'"),
        ("QM_CLOCK", "fast", "'live' or 'replayed'"),
        ("QM_CONSOLE_PORT", "99999", "less than or equal to 65535"),
        ("QM_CONSOLE_PORT", "http", "a valid integer"),
        ("QM_TEMPORAL_ADDRESS", "http://temporal:7233", "host:port"),
        ("QM_KAFKA_BOOTSTRAP", "localhost", "host:port"),
        ("QM_KAFKA_GROUP_PROTOCOL", "kip-848", "'classic' or 'consumer'"),
        ("QM_CURRENCY", "euro", "three capital letters"),
        ("QM_SUPPLIER_URL", "supplier", "URL"),
        ("QM_LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("QM_TRAINING_THREADS", "0", "greater than or equal to 1"),
    ],
)
def test_a_bad_value_gives_one_message_with_variable_value_and_what_is_accepted(
    variable: str, value: str, accepted: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"HOME": "/h", variable: value})

    message = str(caught.value)
    assert message.startswith(f"{variable}={value!r} cannot be used")
    assert accepted in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("QM_SMTP_URL", "smtp://me:canary/x@mail.example"), ("QM_WEBHOOK_URL", "ftp://hook.example/canary"),
     ("QM_SUPPLIER_URL", "ftp://me:canary@erp.example"), ("QM_OTLP_ENDPOINT", "me:canary@collector")],
)  # fmt: skip
def test_no_secret_of_a_setting_is_told(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_environment({"HOME": "/home/ada", name: value})
    assert "canary" not in str(refused.value)
