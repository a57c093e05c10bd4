"""All settings in one frozen value, from the environment (`LABELLOOP_*`) and the data folder's settings.env."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labelloop.errors import SettingsError
from labelloop.process.ups import is_held

SECRETS = frozenset(
    {
        "database_url",
        "owner_url",
        "label_studio_token",
        "label_studio_password",
        "intake_token",
        "hook_secret",
        "record_webhook_secret",
        "backend_password",
        "mlflow_tracking_uri",
        "review_token",
        "review_proxy_secret",
        "oidc_client_secret",
        "secret_key",
    }
)
URLS = frozenset({"database_url", "owner_url", "mlflow_tracking_uri"})
"""Settings of which only the password is secret."""
_IN_QUERY = re.compile(r"\b((?:ssl)?password|token|key)=('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)
"""A password in the query of a URL, or in a connection string of Postgres (name=value)."""
FILE = "settings.env"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process. Each field is read from LABELLOOP_ and its name in capitals."""

    data_dir: Path = Path(".labelloop")
    """Holds everything that `labelloop up` makes."""
    loops_dir: Path = Path("labeling_configs")
    """One folder a loop: labels.xml and loop.yaml."""
    models_dir: Path | None = None
    """The folder of the version files, `<sha256>.skops`; `models` in the data folder if not set."""
    database_url: str = ""
    """postgresql://user:password@host:port/database"""
    owner_url: str = ""
    """The same database for the role that owns the tables; empty if that is the role of `database_url`."""
    record_heads: Path | None = None
    """File to which the newest seal of the record is published; `record/heads.jsonl` in the data folder if not set."""
    record_webhook: str = ""
    """URL to which it is sent too, signed as callbacks are; empty for none."""
    record_webhook_secret: str = ""
    """Key of these signatures: whsec_ and base64, as `labelloop callback add` prints it."""
    label_studio_url: str = ""
    label_studio_public_url: str = ""
    """Address at which annotators open Label Studio, if it is another than `label_studio_url`."""
    label_studio_token: str = ""
    """A personal or a legacy token: both work."""
    label_studio_user: str = ""
    """Login of the administrator that `labelloop up` made; empty with a Label Studio of the user's own."""
    label_studio_password: str = ""
    sync_url: str = "http://127.0.0.1:8601"
    """The URL by which pipelines and Label Studio's webhook reach the sync service."""
    backend_url: str = "http://127.0.0.1:8602"
    """The URL by which Label Studio reaches the ML backend."""
    intake_token: str = ""
    """Bearer token of the pipelines."""
    hook_secret: str = ""
    """Header that Label Studio's webhook must carry."""
    backend_user: str = "labelloop"
    backend_password: str = ""
    """Basic auth of the ML backend."""
    secret_key: str = ""
    """Signs the cookies of the review pages; without it there are no pages, only HTTP with a token."""
    review_token: str = ""
    """The first token of the review pages, which `labelloop up` made; others are made by `labelloop token create`."""
    review_proxy_header: str = ""
    """Header in which a proxy that logs people in names the user; empty if no such proxy is trusted."""
    review_proxy_secret: str = ""
    """Secret that this proxy must send as X-Labelloop-Proxy, so that nobody else can name a user."""
    oidc_issuer: str = ""
    """Issuer of the identity provider (OpenID Connect), such as https://login.example; empty for none."""
    oidc_audience: str = ""
    """Audience that a program's bearer token must name; empty: tokens of the provider are not accepted."""
    oidc_client_id: str = ""
    """Client id of the review pages at the provider; empty: people do not log in by the provider."""
    oidc_client_secret: str = ""
    """Empty for a public client; PKCE is used in any case."""
    oidc_name_claim: str = "preferred_username"
    """Claim with the name that decisions are recorded under; `sub` if a token lacks it."""
    oidc_scopes_claim: str = "scope"
    """Claim whose values give scopes, such as scope, groups or roles."""
    oidc_scopes: str = ""
    """Scopes by value of that claim: `ml-team=review,promote; bots=submit,read`. Empty: the scopes' own names."""
    oidc_revoked_after_s: float = math.inf
    """Seconds after which a bearer token that the provider revoked is refused; inf: the provider is not asked."""
    review_url: str = ""
    """Address of the backend as browsers open it, for the provider's way back; empty: that of the request."""
    cors_origins: str = ""
    """Origins whose pages may call the sync service from a browser, separated by commas; empty for none."""
    push_grace_s: float = 300.0
    """Seconds in which an import without a response may still take effect; 3,600 if Label Studio runs on SQLite."""
    pull_every_s: float = 10.0
    """Seconds between two checks of Label Studio if no doorbell rings."""
    heartbeat_s: float = 5.0
    """Seconds between two heartbeats of a worker; after three missing ones its jobs return to the queue."""
    heartbeat_file: Path | None = None
    """A file that the worker of this environment touches at each heartbeat, for a health check; None for none."""
    rescore_on: str = "local"
    """Engine on which the backend's worker scores waiting outputs: local, loky, or a dask scheduler (tcp://host:8786)."""
    log: str = "plain"
    """Format of the logs: plain, or json for one object a line."""
    fetch_private: str = ""
    """Private hosts and networks from which `learner.fetch` and the look at media may fetch, separated by commas:
    minio:9000,10.1.0.0/16
    """
    callback_private: str = ""
    """Private hosts and networks to which callbacks may be sent, as in `fetch_private`: tickets:8080,10.1.0.0/16"""
    mlflow_tracking_uri: str = ""
    """MLflow that gets runs, versions and answers: http://host:5000 or sqlite:////path/mlflow.db; empty for none."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings of this environment; missing ones come from `settings.env` in the data folder, if any.

        A secret may also be the content of a file that the variable with _FILE names, as container secrets are.
        """
        data_dir = Path(environ.get("LABELLOOP_DATA_DIR") or ".labelloop").absolute()
        named = {k: v for k, v in environ.items() if k.startswith("LABELLOOP_")}
        said = {**_set(read_file(data_dir / FILE)), **_set(named), **_secret_files(named)}
        values: dict[str, object] = {"data_dir": data_dir}
        for field in fields(cls):
            name = "LABELLOOP_" + field.name.upper()
            if field.name == "data_dir" or name not in said:
                continue
            values[field.name] = _convert(name, str(field.type), said[name])
        values.setdefault("models_dir", data_dir / "models")
        values.setdefault("record_heads", data_dir / "record" / "heads.jsonl")
        return cls(**values)  # type: ignore[arg-type]

    @property
    def label_studio_page(self) -> str:
        """The address of Label Studio's pages in the browsers of annotators."""
        return (self.label_studio_public_url or self.label_studio_url).rstrip("/")

    def require(self, *names: str) -> None:
        """Raise SettingsError if any of the named settings is missing."""
        missing = ["LABELLOOP_" + name.upper() for name in names if not getattr(self, name)]
        if missing and not (self.data_dir / FILE).exists() and is_held(self.data_dir):
            raise SettingsError(
                f"the `up` on {self.data_dir} is still starting; wait for its line `labelloop is up`, then try again"
            )
        if missing:
            raise SettingsError(
                f"not set: {', '.join(missing)}. Start the services with `labelloop up`. If they run, name their data "
                "folder with --data-dir or LABELLOOP_DATA_DIR; for a service elsewhere, set what is missing"
            )

    def shown(self) -> dict[str, str]:
        """Return name to value for people: secrets are hidden, a URL is shown without its password."""
        return {f.name: _hidden(f.name, str(getattr(self, f.name) or "")) for f in fields(self)}

    def hide(self, text: str) -> str:
        """Return the text without our secrets and without the password of any URL."""
        said = {str(getattr(self, name)) for name in SECRETS}
        passwords = {found[2].strip("'") for name in URLS for found in _IN_QUERY.finditer(str(getattr(self, name)))}
        passwords |= {urlsplit(url).password or "" for url in (self.database_url, self.owner_url)}
        for secret in sorted({*said, *passwords, *map(unquote, passwords)} - {""}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return re.sub(r"(://[^\s:/@]*):[^\s@]+@", r"\1:***@", text)

    def to_env(self) -> dict[str, str]:
        """Return the same settings as environment variables, for a child process or for settings.env."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {"LABELLOOP_" + name.upper(): "" if value is None else str(value) for name, value in values}


def read_file(path: Path) -> dict[str, str]:
    """Read NAME=value lines; blank lines and lines that start with # are skipped."""
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _set(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without empty ones of paths that every process has: such a path is not set."""
    paths = {"LABELLOOP_" + field.name.upper() for field in fields(Settings) if str(field.type) == "Path"}
    return {name: value for name, value in environ.items() if value or name not in paths}


def _secret_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets whose file the environment names, without the line end."""
    said = {}
    for name in ("LABELLOOP_" + secret.upper() for secret in sorted(SECRETS)):
        path = environ.get(name + "_FILE")
        if not path:
            continue
        try:
            said[name] = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"{name}_FILE names {path}, which cannot be read: {exc}") from None
        if environ.get(name) not in (None, "", said[name]):  # a child inherits both, with equal values
            raise SettingsError(f"{name} and the file that {name}_FILE names differ; set only one of them")
    return said


def _convert(name: str, kind: str, value: str) -> object:
    if "Path" in kind:
        return Path(value).absolute() if value else None
    if kind == "float":
        try:
            return float(value)
        except ValueError:
            raise SettingsError(f"{name} is {value!r}; it takes a number of seconds") from None
    return value


def _hidden(name: str, value: str) -> str:
    if name in SECRETS - URLS and value:
        return "***"
    return re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", _IN_QUERY.sub(r"\1=***", value))
