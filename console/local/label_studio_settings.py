"""The environment variables of an embedded Label Studio: its settings, secrets and banned addresses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

# Label Studio's own list of addresses that it must not call, without loopback, where our two services listen.
BANNED = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "233.252.0.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:0000::/32",
    "2001:20::/28",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)
LOCK_S = 3600
"""Seconds for which a served task is served to nobody else; Label Studio's default is a day.

Nothing extends it, not even a draft: if an answer takes longer, a second annotator gets the task too.
"""
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
"""Variables of our own environment that Label Studio gets too."""


@dataclass(frozen=True, slots=True)
class Account:
    """The administrator, and the key that signs sessions and personal tokens. Created once and stored in the folder."""

    email: str
    password: str
    token: str
    secret_key: str


def environment_of(
    account: Account, folder: Path, url: str, database_url: str, extra: dict[str, str]
) -> dict[str, str]:
    """Return the whole environment, so that Label Studio reads none of our variables by accident."""
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | extra
    env |= {
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "LABEL_STUDIO_USER_TOKEN": account.token,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_HOST": url,
        "SECRET_KEY": account.secret_key,
        "SSRF_PROTECTION_ENABLED": "true",
        "ML_BLOCK_LOCAL_IP": "true",
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(BANNED),
        "TASK_LOCK_TTL": str(LOCK_S),
        # Bulk predictions take 0.1 s instead of 10 s, and invalid ones are refused instead of logged.
        "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short": "true",
        "fflag_feat_utc_210_prediction_validation_15082025": "true",
    }
    if not database_url:
        return env | {"DJANGO_DB": "sqlite"}
    parts = conninfo_to_dict(database_url)
    env |= {
        "DJANGO_DB": "default",
        "POSTGRE_NAME": str(parts["dbname"]),
        "POSTGRE_USER": str(parts.get("user", "")),
        "POSTGRE_PASSWORD": str(parts.get("password", "")),
        "POSTGRE_HOST": str(parts.get("host", "127.0.0.1")),
        "POSTGRE_PORT": str(parts.get("port", 5432)),
    }
    # Label Studio has no setting for these; libpq reads them from the environment.
    return env | {f"PG{name.upper()}": str(parts[name]) for name in ("sslmode", "sslrootcert") if name in parts}
