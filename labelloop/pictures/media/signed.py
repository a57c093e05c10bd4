"""Signed addresses: the time until which an address with a signature in its query is valid. Pure.

S3: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
Google Cloud Storage: https://cloud.google.com/storage/docs/authentication/signatures
Azure: https://learn.microsoft.com/rest/api/storageservices/create-service-sas
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_BASIC = "%Y%m%dT%H%M%SZ"
_OLD = {"awsaccesskeyid": "S3", "googleaccessid": "Google Cloud Storage", "key-pair-id": "CloudFront"}
"""Parameters that name the signer of an address with `Expires` in seconds since 1970."""


def signature(address: str) -> tuple[str, datetime] | None:
    """Return the service that checks the signature, and the time at which it expires, in UTC.

    None if the address has no signature, or one without a time that can be read.
    """
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(address).query)}
        return _dated(query) or _old(query) or _azure(query)
    except (ValueError, OverflowError):
        return None


def _dated(query: Mapping[str, str]) -> tuple[str, datetime] | None:
    for prefix, service in (("x-amz-", "S3"), ("x-goog-", "Google Cloud Storage")):
        begins, lasts = query.get(prefix + "date"), query.get(prefix + "expires")
        if begins and lasts and prefix + "signature" in query:
            at = datetime.strptime(begins, _BASIC).replace(tzinfo=UTC)
            return service, at + timedelta(seconds=int(lasts))
    return None


def _old(query: Mapping[str, str]) -> tuple[str, datetime] | None:
    service = next((service for name, service in _OLD.items() if name in query), None)
    if service is None or "signature" not in query or "expires" not in query:
        return None
    return service, datetime.fromtimestamp(int(query["expires"]), UTC)


def _azure(query: Mapping[str, str]) -> tuple[str, datetime] | None:
    """Read the `se` of a shared access signature: a date, or a date and a time in UTC."""
    if "sig" not in query or "se" not in query:
        return None
    at = datetime.fromisoformat(query["se"])
    return "Azure", at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
