"""Callbacks over TLS: the certificate must be that of the named host, though the connection goes to an IP address."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labelloop.spec.fetching import Private
from sync.callbacks.post import Post, Tried
from tests.support.network.receiver import receiver

HOST = "hooks.example"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of HOST that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path / "certificate.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return file


def test_a_certificate_is_checked_by_the_host_that_the_callback_names(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setattr("sync.callbacks.address.resolve", lambda *_: "127.0.0.1")
    with receiver(context) as there:
        unknown = try_(f"https://{HOST}:{there.port}/200")
        assert "CERTIFICATE_VERIFY_FAILED" in (unknown.error or "")
        monkeypatch.setattr("certifi.where", lambda: str(certificate))
        assert try_(f"https://{HOST}:{there.port}/200") == Tried(200, None)
        assert there.names[-1] == HOST
        other = try_(f"https://other.example:{there.port}/200")
        assert "Hostname mismatch" in (other.error or "")
        assert len(there.arrived) == 1


def try_(url: str) -> Tried:
    async def run() -> Tried:
        post = Post(Private(), limit_s=5)
        try:
            return await post(url, SECRET, uuid4(), "{}")
        finally:
            await post.close()

    return asyncio.run(run())
