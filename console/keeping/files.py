"""The files of a backup: written once, with checksums in a manifest, encrypted if there is a key, and read back."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from console.keeping import sealing
from labelloop.errors import UsageError

MANIFEST = "manifest.json"
FORMAT = 1
_READ = 1 << 20


class Sink(Protocol):
    """Something to write bytes to."""

    def write(self, data: bytes, /) -> int: ...


@dataclass(slots=True)
class Manifest:
    """Content of a backup."""

    labelloop: str
    """Version of labelloop that wrote it."""
    revision: str
    """Newest migration of labelloop's database."""
    postgres: int
    """Major version of the server, or 0 if Label Studio's database is all that was dumped."""
    at: str
    """Time of its beginning, in ISO 8601."""
    loops: dict[str, int]
    """Number of outputs of each loop."""
    label_studio: str
    """How Label Studio's data is kept: postgres, sqlite, or "" if it is not in the backup."""
    format: int = FORMAT
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: bytes and SHA-256 of the file as it is stored."""


class _Measured:
    """Writes to a file, and keeps its length and SHA-256."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.size, self.sha256 = 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.sha256.update(data)
        return self._out.write(data)


class Writing:
    """A new folder that becomes a backup."""

    def __init__(self, folder: Path, key_file: Path | None) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists: a backup is written into a new folder")
        secret = _new_secret(key_file) if key_file is not None else None  # before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._salt = secrets.token_bytes(16)
        self._key = None if secret is None else sealing.Key(secret, self._salt)
        self.files: dict[str, dict[str, Any]] = {}

    @contextmanager
    def file(self, name: str) -> Iterator[Sink]:
        """Yield what a new file of the backup is written to. It counts only if the `with` ends without an error."""
        with (self._folder / name).open("xb") as out:
            measured = _Measured(out)
            if self._key is None:
                yield measured
            else:
                sealed = sealing.Sealing(measured, self._key.of(name))  # type: ignore[arg-type]
                yield sealed
                sealed.close()
            out.flush()
            os.fsync(out.fileno())
        self.files[name] = {"bytes": measured.size, "sha256": measured.sha256.hexdigest()}

    @contextmanager
    def tar(self, name: str) -> Iterator[tarfile.TarFile]:
        """Yield a new tar file of the backup."""
        with self.file(name) as sink, tarfile.open(fileobj=sink, mode="w|") as tar:  # type: ignore[call-overload]
            yield tar

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, the last file: a folder without it is no backup."""
        if self._key is not None:
            sealing.write_header(self._folder, self._salt)
        manifest.files = dict(self.files)
        with self.file(MANIFEST) as sink:
            sink.write(json.dumps(asdict(manifest), indent=2).encode())


class Reading:
    """A backup of which every byte was checked: its files are those of the manifest, and as they were written."""

    def __init__(self, folder: Path, key_file: Path | None) -> None:
        if not (folder / MANIFEST).is_file():
            raise UsageError(f"{folder} is no complete backup: it has no {MANIFEST}")
        salt = sealing.salt_of(folder)
        if salt is not None and key_file is None:
            raise UsageError(f"{folder} is encrypted: give its key with --key-file")
        if salt is None and key_file is not None:
            raise UsageError(f"{folder} is not encrypted: leave --key-file out")
        self._folder = folder
        self._key = None if salt is None or key_file is None else sealing.Key(sealing.secret_of(key_file), salt)
        self.manifest = self._read_manifest()
        for name, said in self.manifest.files.items():
            self._check(name, said)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        with (self._folder / name).open("rb") as source:
            if self._key is not None:
                yield from sealing.opened(source, self._key.of(name), name)
                return
            while chunk := source.read(_READ):
                yield chunk

    def has(self, name: str) -> bool:
        return name in self.manifest.files

    def extract(self, name: str, target: Path) -> None:
        """Extract a tar file of the backup into a folder. Names that lead out of it are refused."""
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=_Pipe(self.chunks(name)), mode="r|") as tar:  # type: ignore[call-overload]
            tar.extractall(target, filter="data")

    def _read_manifest(self) -> Manifest:
        try:
            said: Mapping[str, Any] = json.loads(b"".join(self.chunks(MANIFEST)))
            manifest = Manifest(**said)
        except (ValueError, TypeError) as exc:
            raise UsageError(f"{MANIFEST} cannot be read: it is damaged, or of a newer labelloop ({exc})") from exc
        if manifest.format != FORMAT:
            raise UsageError(f"the backup has format {manifest.format}; this labelloop knows format {FORMAT}")
        return manifest

    def _check(self, name: str, said: Mapping[str, Any]) -> None:
        if Path(name).name != name or not (self._folder / name).is_file():
            raise UsageError(f"the backup lacks its file {name}")
        with (self._folder / name).open("rb") as source:
            if hashlib.file_digest(source, "sha256").hexdigest() != said["sha256"]:
                raise UsageError(f"{name} is damaged: its SHA-256 is not that of the manifest")
        if self._key is not None:
            for _ in self.chunks(name):
                pass


def _new_secret(key_file: Path) -> bytes:
    try:
        return sealing.secret_of(key_file)
    except UsageError as exc:
        raise UsageError(f"{exc}. This makes a key in a new file: openssl rand -base64 32 > NEW_FILE") from exc


@dataclass(slots=True)
class _Pipe:
    """A file to read from, of the chunks of an iterator."""

    _chunks: Iterator[bytes]
    _rest: bytes = b""

    def read(self, n: int) -> bytes:
        while len(self._rest) < n and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        found, self._rest = self._rest[:n], self._rest[n:]
        return found
