"""The place where a client finds the service, if it is made without arguments."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from console.local import last_up
from labelloop import AsyncClient, Client, UsageError
from labelloop.client.place import found
from labelloop.process.ups import HOLDER

URL, TOKEN = "http://sync.example:8601", "from-the-environment"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a data folder here nor an `up` of this user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("LABELLOOP_SYNC_URL", "LABELLOOP_INTAKE_TOKEN", "LABELLOOP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def data_folder(path: Path) -> Path:
    path.mkdir()
    (path / "settings.env").write_text("LABELLOOP_SYNC_URL=http://127.0.0.1:1234\nLABELLOOP_INTAKE_TOKEN=of-the-up\n")
    return path


def test_the_environment_names_the_service(tmp_path: Path) -> None:
    named = {"LABELLOOP_SYNC_URL": URL, "LABELLOOP_INTAKE_TOKEN": TOKEN}
    assert found(None, None, named) == (URL, TOKEN)
    (tmp_path / "secret").write_text("from-a-file\n")
    files = {"LABELLOOP_SYNC_URL": URL, "LABELLOOP_INTAKE_TOKEN_FILE": str(tmp_path / "secret")}
    assert found(None, None, files) == (URL, "from-a-file")
    assert found("http://given", None, named) == ("http://given", TOKEN)
    assert found(None, "given", named) == (URL, "given")


def test_the_data_folder_of_an_up_names_the_service(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "data")
    of_the_up = ("http://127.0.0.1:1234", "of-the-up")
    assert found(None, None, {"LABELLOOP_DATA_DIR": str(folder)}) == of_the_up
    last_up.remember(folder)
    with pytest.raises(UsageError):
        found(None, None, {})
    with (folder / HOLDER).open("w") as handle:  # an `up` that runs
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert found(None, None, {}) == of_the_up
    data_folder(tmp_path / ".labelloop")
    assert found(None, None, {}) == of_the_up


def test_the_token_of_a_local_up_is_sent_to_no_other_service(tmp_path: Path) -> None:
    named = {"LABELLOOP_DATA_DIR": str(data_folder(tmp_path / "data"))}
    for given in ({**named, "LABELLOOP_SYNC_URL": URL}, named):
        with pytest.raises(UsageError, match="no token"):
            found(None if "LABELLOOP_SYNC_URL" in given else URL, None, given)


def test_the_address_of_a_local_up_brings_its_token(tmp_path: Path) -> None:
    named = {"LABELLOOP_DATA_DIR": str(data_folder(tmp_path / "data"))}
    assert found("http://127.0.0.1:1234/", None, named) == ("http://127.0.0.1:1234", "of-the-up")


@pytest.mark.parametrize(
    ("token", "words"), [("", "is empty"), (" \n", "is empty"), ("abc\n", "a line end"), ("é", "no")]
)
def test_a_token_that_no_request_can_carry_is_refused_at_once(token: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"the token .*{words}") as caught:
        Client(URL, token)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("client", [Client, AsyncClient, Client.background])
def test_a_client_that_finds_no_service_says_what_to_give(client: type[Client]) -> None:
    with pytest.raises(UsageError, match=r"no url and token.*LABELLOOP_SYNC_URL and LABELLOOP_INTAKE_TOKEN"):
        client()
    with pytest.raises(UsageError, match="url must begin with"):
        client("sync.example", "token")
