"""The files of a backup: what was written comes back, and nothing that was changed does."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from console.keeping import sealing
from console.keeping.files import MANIFEST, Manifest, Reading, Writing
from labelloop.errors import UsageError

CHUNK, SEALED = sealing.CHUNK, sealing.CHUNK + sealing.TAG


@pytest.fixture(scope="module")
def cipher() -> sealing.Key:
    return sealing.Key(b"a key of more than sixteen bytes", b"salt" * 4)  # slow by intention, so it is made once


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text("a key of more than sixteen bytes\n")
    return file


def sealed(key: sealing.Key, data: bytes, name: str = "a") -> bytes:
    out = io.BytesIO()
    writer = sealing.Sealing(out, key.of(name))
    for start in range(0, len(data), 50_000):
        writer.write(data[start : start + 50_000])
    writer.close()
    return out.getvalue()


def opened(key: sealing.Key, stored: bytes, name: str = "a") -> bytes:
    return b"".join(sealing.opened(io.BytesIO(stored), key.of(name), name))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_sealed_file_comes_back_whatever_its_length(cipher: sealing.Key, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stored = sealed(cipher, data)
    assert opened(cipher, stored) == data
    assert data[:32] not in stored or size < 2


def test_a_file_that_was_changed_in_any_way_is_refused(cipher: sealing.Key) -> None:
    stored = sealed(cipher, bytes(3 * CHUNK))
    changed = {
        "a flipped bit": stored[:70_000] + bytes([stored[70_000] ^ 1]) + stored[70_001:],
        "the last chunk cut off": stored[: 2 * SEALED],
        "half a chunk cut off": stored[: 2 * SEALED + 100],
        "two chunks swapped": stored[SEALED : 2 * SEALED] + stored[:SEALED] + stored[2 * SEALED :],
        "a chunk left out": stored[:SEALED] + stored[2 * SEALED :],
        "a chunk added": stored + stored[-SEALED:],
        "emptied": b"",
    }
    for what, bytes_ in changed.items():
        with pytest.raises(UsageError, match="cannot be decrypted"):
            pytest.fail(f"{what}: {len(opened(cipher, bytes_))} bytes were taken")
    with pytest.raises(UsageError, match="cannot be decrypted"):
        opened(cipher, stored, "b")
    with pytest.raises(UsageError, match="the key is wrong"):
        opened(sealing.Key(b"another key of sixteen bytes", b"salt" * 4), stored)


def backup(folder: Path, key: Path | None) -> None:
    writing = Writing(folder, key)
    with writing.file("a") as sink:
        sink.write(b"the content")
    with writing.tar("b.tar") as tar:
        tar.add(__file__, "test.py")
    writing.finish(Manifest("1", "0001", 16, "now", {"pets": 3}, "postgres"))


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_backup_is_read_only_if_every_file_is_as_it_was_written(tmp_path: Path, key: Path, encrypted: bool) -> None:
    folder, key_file = tmp_path / "backup", key if encrypted else None
    backup(folder, key_file)
    reading = Reading(folder, key_file)
    assert b"".join(reading.chunks("a")) == b"the content"
    reading.extract("b.tar", tmp_path / "out")
    assert (tmp_path / "out" / "test.py").read_bytes() == Path(__file__).read_bytes()
    assert reading.manifest.loops == {"pets": 3}
    assert (b"the content" in (folder / "a").read_bytes()) is not encrypted
    assert (b"pets" in (folder / MANIFEST).read_bytes()) is not encrypted

    whole = (folder / "a").read_bytes()
    (folder / "a").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UsageError, match="a is damaged"):
        Reading(folder, key_file)
    (folder / "a").unlink()
    with pytest.raises(UsageError, match="lacks its file a"):
        Reading(folder, key_file)


def test_a_backup_without_its_key_or_its_last_file_is_refused(tmp_path: Path, key: Path) -> None:
    backup(tmp_path / "sealed", key)
    backup(tmp_path / "open", None)
    with pytest.raises(UsageError, match="give its key with --key-file"):
        Reading(tmp_path / "sealed", None)
    with pytest.raises(UsageError, match="is not encrypted"):
        Reading(tmp_path / "open", key)
    with pytest.raises(UsageError, match="exists: a backup is written into a new folder"):
        Writing(tmp_path / "open", None)
    manifest = json.loads((tmp_path / "open" / MANIFEST).read_text())
    (tmp_path / "open" / MANIFEST).write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(UsageError, match="format 2"):
        Reading(tmp_path / "open", None)
    (tmp_path / "open" / MANIFEST).unlink()
    with pytest.raises(UsageError, match="is no complete backup"):
        Reading(tmp_path / "open", None)


def test_a_key_that_cannot_be_used_leaves_no_folder_and_no_advice_that_would_overwrite_it(
    tmp_path: Path, key: Path
) -> None:
    short, new = tmp_path / "short", tmp_path / "new"
    short.write_text("too short\n")
    backup(tmp_path / "sealed", key)
    for unusable, says in ((short, "has 9 bytes; a key has at least 16"), (tmp_path / "missing", "cannot be read")):
        with pytest.raises(UsageError, match=f"{says}.*openssl rand -base64 32 > NEW_FILE"):
            Writing(new, unusable)
        assert not new.exists()
        with pytest.raises(UsageError, match=says) as refused:
            Reading(tmp_path / "sealed", unusable)
        assert "openssl" not in str(refused.value)
    Writing(new, key)  # and then, for example, Postgres does not answer
    backup(new, key)
    assert Reading(new, key).manifest.loops == {"pets": 3}
