"""Encryption of a backup's files with a key of the user's, in chunks that are authenticated one by one.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizar, CRYPTO 2015, section 7), with the nonces of the age
format: 11 bytes count the chunks and the last byte is 1 in the final chunk only. So chunks cannot be changed, swapped,
left out or cut off. Each file of each backup has a key of its own, so no nonce is used twice with one key. It is
derived from the key file, a random salt and the name of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from labelloop.errors import UsageError

CHUNK = 64 * 1024
TAG = 16
"""Bytes that each chunk is longer when encrypted."""
SHORTEST_KEY = 16
"""Bytes that a key file must have."""
HEADER = "sealed.json"
"""The file with the salt, which is no secret."""
FORMAT = "labelloop sealed files 1: scrypt N=32768 r=8 p=1, HKDF-SHA256, AES-256-GCM, STREAM of 64 KiB"


class Key:
    """The key of one backup, made from a key file and the backup's salt."""

    def __init__(self, secret: bytes, salt: bytes) -> None:
        self._master = Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(secret)

    def of(self, name: str) -> AESGCM:
        """Return the cipher of the file with this name."""
        return AESGCM(HKDFExpand(SHA256(), 32, name.encode()).derive(self._master))


def secret_of(key_file: Path) -> bytes:
    """Return the content of a key file, without the line end. Raises UsageError if it is too short."""
    try:
        secret = key_file.read_bytes().rstrip(b"\r\n")
    except OSError as exc:
        raise UsageError(f"the key file {key_file} cannot be read: {exc.strerror}") from exc
    if len(secret) < SHORTEST_KEY:
        raise UsageError(f"the key file {key_file} has {len(secret)} bytes; a key has at least {SHORTEST_KEY}")
    return secret


def write_header(folder: Path, salt: bytes) -> None:
    """Write the header of an encrypted backup."""
    (folder / HEADER).write_text(json.dumps({"format": FORMAT, "salt": salt.hex()}) + "\n")


def salt_of(folder: Path) -> bytes | None:
    """Return the salt of an encrypted backup; None if it is not encrypted."""
    file = folder / HEADER
    if not file.exists():
        return None
    try:
        header = json.loads(file.read_text())
        salt = bytes.fromhex(header["salt"])
    except (ValueError, KeyError, TypeError) as exc:
        raise UsageError(f"{file} is damaged: {exc}") from exc
    if header.get("format") != FORMAT:
        raise UsageError(f"{file} has another format than this labelloop knows: {header.get('format')!r}")
    return salt


class Sealing:
    """A file to write to: what is written goes encrypted into `out`. `close` writes the final chunk."""

    def __init__(self, out: IO[bytes], cipher: AESGCM) -> None:
        self._out, self._cipher = out, cipher
        self._rest, self._count = bytearray(), 0

    def write(self, data: bytes) -> int:
        self._rest += data
        while len(self._rest) > CHUNK:  # the final chunk is written by `close`, and is never empty but in an empty file
            self._seal(bytes(self._rest[:CHUNK]), last=False)
            del self._rest[:CHUNK]
        return len(data)

    def close(self) -> None:
        self._seal(bytes(self._rest), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._count, last), chunk, None))
        self._count += 1


def opened(source: IO[bytes], cipher: AESGCM, name: str) -> Iterator[bytes]:
    """Yield the decrypted chunks. Raises UsageError at the first that is not as it was written."""
    count, chunk = 0, source.read(CHUNK + TAG)
    while True:
        following = source.read(CHUNK + TAG)
        try:
            yield cipher.decrypt(_nonce(count, not following), chunk, None)
        except InvalidTag:
            raise UsageError(f"{name} cannot be decrypted: the key is wrong, or the file is damaged") from None
        if not following:
            return
        count, chunk = count + 1, following


def _nonce(count: int, last: bool) -> bytes:
    return count.to_bytes(11, "big") + bytes([last])
