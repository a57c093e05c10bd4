"""The wheel as its users have it: built, installed by plain pip into empty environments, and run without a checkout.

Installing Label Studio once more would take minutes. Instead `up` gets the checkout's environment, by the setting that
users have for this, and one test compares the lock in the wheel with the lock of that environment.
"""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
import psycopg
import pytest

from backend.train.identity import code
from console.cli import main
from console.local.leftovers import left_behind
from labelloop.process.rooms import ROOMS
from labelloop.process.settings import Settings
from tests.support.network.ports import free_base

pytestmark = pytest.mark.timeout(1200)
PARTS = ("console", "sync", "backend", "labeling_configs")
OTHERS = ("console", "sync", "backend")
"""Packages that somebody else may have installed, or keeps in the current directory."""
IMPORT_S = 0.15
"""Time of the processor that importing the client may take; a busy machine takes longer, but uses no more."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment, with a user who has an empty home and is in an empty folder."""

    folder: Path
    home: Path

    def run(self, program: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "bin" / program), *words],
            cwd=self.home, env=self.env() | environ, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def env(self) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("LABELLOOP_", "PYTHON", "VIRTUAL_ENV", "XDG_"))
        }
        return kept | {"HOME": str(self.home), "PATH": f"{self.folder}/bin:/usr/bin:/bin"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOMS, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("light"), str(wheel))


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """With packages beside ours, and folders in the current directory, that have the names of our rooms."""
    installed = install(tmp_path_factory.mktemp("server"), f"{wheel}[server]")
    (site_packages,) = installed.folder.glob("lib/python3*/site-packages")
    for folder in (site_packages, installed.home):
        for name in OTHERS:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text("raise SystemExit('this is not ours')")
    return installed


def install(folder: Path, what: str) -> Installed:
    """Install it into a new environment with the pip of Python; what is used is compiled at its first use."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    (folder / "home").mkdir()
    installed = Installed(folder / "venv", folder / "home")
    words = [str(folder / "venv/bin/python"), "-m", "pip", "install", "-q", "--no-compile", what]
    pip = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert pip.returncode == 0, pip.stderr
    return installed


# -- the wheel ---------------------------------------------------------------------------------------------------------


def test_the_wheel_installs_one_package_with_every_file_of_the_rooms_and_the_lock(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    tops = {path.name for path in tmp_path.iterdir()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"labelloop"}
    inside = tmp_path / "labelloop/_rooms"
    for name in PARTS:
        assert files(inside / name) == files(ROOMS / name), name
    assert files(tmp_path / "labelloop") - {
        f for f in files(tmp_path / "labelloop") if f.startswith("_rooms/")
    } == files(ROOMS / "labelloop")
    assert filecmp.cmp(inside / "locks/label-studio.lock", ROOMS / "locks/label-studio.lock", shallow=False)


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


# -- the client alone --------------------------------------------------------------------------------------------------


def test_the_client_brings_httpx_and_nothing_of_the_server(light: Installed) -> None:
    (site_packages,) = light.folder.glob("lib/python3*/site-packages")
    names = {path.name.split("-")[0].lower() for path in site_packages.glob("*.dist-info")}
    assert names >= {"labelloop", "httpx"}
    assert not names & {"flask", "numpy", "click", "psycopg", "pydantic", "msgspec", "scikit_learn", "label_studio_sdk"}


def test_the_client_says_in_one_sentence_that_nobody_answers(light: Installed) -> None:
    asks = """if True:
        from labelloop import Client, Output, Unreachable
        try:
            Client("http://127.0.0.1:9", "token", loop="digits", attempts=1).submit(Output(key="a", data={}, label="1"))
        except Unreachable as exc:
            print(exc)
    """
    said = light.run("python", "-c", asks)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("the intake at http://127.0.0.1:9 does not answer after 1 attempts: ")


def test_importing_the_client_takes_less_than_150_ms(light: Installed) -> None:
    def seconds(program: str) -> float:
        before = os.times()
        assert light.run("python", "-c", program).returncode == 0
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    rounds = [(seconds("pass"), seconds("from labelloop import Client, Output")) for _ in range(8)]
    nothing, client = (min(each) for each in zip(*rounds, strict=True))
    print(f"{client - nothing:.3f} s more than {nothing:.3f} s")
    assert client - nothing < IMPORT_S


@pytest.mark.parametrize("words", [["up"], ["submit", "file"], ["demo", "--help"], []])
def test_a_command_of_the_server_says_what_to_install(light: Installed, words: list[str]) -> None:
    said = light.run("labelloop", *words)
    assert (said.returncode, said.stdout) == (2, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith("labelloop: ")
    assert line.endswith("pip install 'labelloop[server]'")
    assert light.run("python", "-m", "labelloop", *words).stderr == said.stderr


def test_the_version_is_told_without_the_server(light: Installed) -> None:
    assert light.run("labelloop", "--version").stdout.startswith("labelloop, version ")


# -- the server --------------------------------------------------------------------------------------------------------


def commands(of: click.Command, path: Sequence[str] = ()) -> Iterator[list[str]]:
    yield [*path]
    if isinstance(of, click.Group):
        for name, command in of.commands.items():
            yield from commands(command, [*path, name])


def test_every_command_has_its_help(server: Installed) -> None:
    def help_of(words: list[str]) -> tuple[list[str], int, str]:
        said = server.run("labelloop", *words, "--help")
        return words, said.returncode, said.stderr

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(help_of, commands(main)))
    assert len(said) > 30
    assert [each for each in said if each[1:] != (0, "")] == []


def test_a_run_names_the_same_code_in_the_wheel_and_in_the_checkout(server: Installed) -> None:
    asks = (
        "from labelloop.process import rooms; rooms.put_first(); from backend.train.identity import code; print(code())"
    )
    said = server.run("python", "-c", asks)
    assert said.stdout.split("(")[1:] == [code().split("(")[1] + "\n"], said.stderr


def test_a_training_process_finds_its_room(server: Installed) -> None:
    asks = """if True:
        from labelloop.process import rooms
        rooms.put_first()
        from backend.train.child import Children
        from labelloop.process.settings import Settings
        child = Children(Settings()).take(idle=False)
        print(child.communicate()[1].decode(), child.returncode)
    """
    said = server.run("python", "-c", asks)
    assert said.stdout == " 0\n", said


def test_up_runs_from_an_empty_folder_until_down_ends_it(server: Installed) -> None:
    data_dir = server.home / ".labelloop"
    words = server.home / "words"
    process = subprocess.Popen(
        # Not at the ports of a plain `up`: the one of another test ends there, and wants them again, at the same time.
        [str(server.folder / "bin/labelloop"), "up", "--json", "--port-base", str(free_base())],
        cwd=server.home,
        env=server.env() | {"LABELLOOP_LABEL_STUDIO_PYTHON": str(ROOMS / ".venv-label-studio/bin/python")},
        stdout=subprocess.PIPE,
        stderr=words.open("w"),
        text=True,
        start_new_session=True,
    )
    try:
        began = time.monotonic()
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line == "}\n":
                break
        print(f"up after {time.monotonic() - began:.0f} s")
        assert said, words.read_text()
        assert set(json.loads(said)["addresses"]) >= {"label_studio", "sync", "backend", "postgres"}
        settings = Settings.from_env({"LABELLOOP_DATA_DIR": str(data_dir)})
        until_it_answers(settings.sync_url + "/readyz")
        until_it_answers(settings.backend_url + "/health", settings.backend_user, settings.backend_password)
        with psycopg.connect(settings.database_url) as conn:
            assert conn.execute("select name from loops").fetchall() == []
        made = server.run("labelloop", "init", "my-loop", "--template", "classify")
        assert server.run("labelloop", "migrate").returncode == 0, made.stderr
        samples = server.run("labelloop", "submit", "labeling_configs/my-loop/samples.ndjson", "--json")
        assert json.loads(samples.stdout)["new"] == 10, samples.stderr
        loops = {"my-loop"}
        status = server.run("labelloop", "status", "--json")
        assert {row["loop"] for row in json.loads(status.stdout)} == loops, status.stderr
    finally:
        down = server.run("labelloop", "down", "--purge", "--data-dir", str(data_dir))
        process.wait(120)
    assert (down.returncode, process.returncode) == (0, 0)
    assert left_behind(data_dir) == []
    assert not data_dir.exists()


def until_it_answers(url: str, *auth: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not (said := httpx.get(url, auth=httpx.BasicAuth(*auth) if auth else None, timeout=30)).is_success:
        assert time.monotonic() < deadline, said.text
        time.sleep(0.5)
