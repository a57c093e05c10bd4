"""A secret may come from a file: then it stands in no environment, where other processes' eyes are."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from labelloop.errors import SettingsError
from labelloop.process.settings import Settings


def settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_env({"LABELLOOP_DATA_DIR": str(tmp_path / "data"), **environ})


def test_a_secret_is_read_from_the_file_that_is_named_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    assert settings(tmp_path, LABELLOOP_INTAKE_TOKEN_FILE=str(tmp_path / "token")).intake_token == "s3cret"


def test_an_empty_path_that_every_process_has_is_not_set(tmp_path: Path) -> None:
    assert settings(tmp_path, LABELLOOP_LOOPS_DIR="").loops_dir == Settings().loops_dir
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings.env").write_text(f"LABELLOOP_LOOPS_DIR={tmp_path}\n")
    assert settings(tmp_path, LABELLOOP_LOOPS_DIR="").loops_dir == tmp_path


def test_a_file_wins_over_what_an_earlier_start_left_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings.env").write_text("LABELLOOP_HOOK_SECRET=old\nLABELLOOP_BACKEND_USER=kept\n")
    (tmp_path / "hook").write_text("new")

    read = settings(tmp_path, LABELLOOP_HOOK_SECRET_FILE=str(tmp_path / "hook"))

    assert (read.hook_secret, read.backend_user) == ("new", "kept")


def test_a_secret_that_is_set_twice_with_two_values_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")

    with pytest.raises(SettingsError, match="LABELLOOP_INTAKE_TOKEN_FILE names differ"):
        settings(tmp_path, LABELLOOP_INTAKE_TOKEN_FILE=str(tmp_path / "token"), LABELLOOP_INTAKE_TOKEN="two")


def test_a_child_process_may_inherit_both_the_files_and_their_values(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    parent = {"LABELLOOP_INTAKE_TOKEN_FILE": str(tmp_path / "token"), "LABELLOOP_DATA_DIR": str(tmp_path)}

    assert Settings.from_env({**parent, **Settings.from_env(parent).to_env()}).intake_token == "one"


def test_a_file_that_is_not_there_is_named_in_the_refusal(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"LABELLOOP_INTAKE_TOKEN_FILE names .*nowhere"):
        settings(tmp_path, LABELLOOP_INTAKE_TOKEN_FILE=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("name", "said", "shown"),
    [
        ("database_url", "postgresql://me:p@ss@h:5432/x", "postgresql://me:***@h:5432/x"),
        ("database_url", "postgresql://h/x?user=me&password=p%40ss&a=b", "postgresql://h/x?user=me&password=***&a=b"),
        ("database_url", "host=h password='p @ss' dbname=x", "host=h password=*** dbname=x"),
        ("database_url", "postgresql://h:5432/x", "postgresql://h:5432/x"),
        ("mlflow_tracking_uri", "http://me:p@ss@h:5000", "http://me:***@h:5000"),
        ("label_studio_url", "https://me:p@ss@h/studio", "https://me:***@h/studio"),
        ("label_studio_url", "https://h/studio", "https://h/studio"),
        ("hook_secret", "p@ss", "***"),
    ],
)
def test_a_password_is_shown_nowhere_however_an_address_holds_it(name: str, said: str, shown: str) -> None:
    assert Settings(**{name: said}).shown()[name] == shown  # type: ignore[arg-type]


def test_a_password_beside_the_address_is_hidden_in_logs_too() -> None:
    said = "cannot connect with geheim%21, which is geheim!: http://me:theirs@h"
    for address in ("postgresql://h/x?password=geheim%21", "host=h password='geheim%21'"):
        assert Settings(database_url=address).hide(said) == "cannot connect with ***, which is ***: http://me:***@h"


def test_while_an_up_is_starting_a_missing_setting_says_so(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "run.json").write_text("{}")
    with pytest.raises(SettingsError, match="not set: LABELLOOP_DATABASE_URL"):
        settings(tmp_path).require("database_url")
    with (data_dir / "run.json").open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match=r"data is still starting; wait for its line `labelloop is up`"):
            settings(tmp_path).require("database_url")
        (data_dir / "settings.env").write_text("")
        with pytest.raises(SettingsError, match="not set: LABELLOOP_DATABASE_URL"):
            settings(tmp_path).require("database_url")
