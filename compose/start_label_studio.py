"""Starts Label Studio in its container: `init` (tables and the administrator, then exit), `serve` (gunicorn), or
`password` (gives the administrator the password of the secret, then exit).

Label Studio takes secrets from the environment only. They are read from files here, so that they stand in no image, no
compose file and no `docker inspect`, only in the environment of this one process.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

INSIDE = ("label-studio", "localhost", "127.0.0.1")
"""Host names that sync and the health check use for Label Studio."""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return Label Studio's environment: NAME for each NAME_FILE, and hosts and origins from its public address.

    Raise SystemExit with a message if LABEL_STUDIO_HOST is not an http(s) address.
    """
    environ = dict(given)
    for name, path in given.items():
        if name.endswith("_FILE") and path.startswith("/run/secrets/"):
            environ[name.removesuffix("_FILE")] = Path(path).read_text().strip()
            del environ[name]
    address = urlsplit(given.get("LABEL_STUDIO_HOST", ""))
    if address.scheme not in ("http", "https") or not address.hostname:
        raise SystemExit("LABEL_STUDIO_HOST must be the address that people open, such as https://labels.example.org")
    origin = f"{address.scheme}://{address.netloc}"
    secure = "1" if address.scheme == "https" else "0"  # digits: one of the two places that read it takes no words
    # Label Studio's own defaults are: any host, any origin, cookies over plain http.
    return environ | {
        "ALLOWED_HOSTS": ",".join((address.hostname, *INSIDE)),
        "CORS_ALLOWED_ORIGINS": origin,
        "CSRF_TRUSTED_ORIGINS": origin,
        "SESSION_COOKIE_SECURE": secure,
    }


SET_PASSWORD = """
import django, os
django.setup()
from users.models import User
user = User.objects.get(email__iexact=os.environ["LABEL_STUDIO_USERNAME"])
user.set_password(os.environ["LABEL_STUDIO_PASSWORD"])
user.save()
"""
"""`label-studio reset_password` takes the password as an argument, which every process of the machine can read."""


def command(what: str) -> list[str]:
    """The program to become; Label Studio's package must be the working folder of the second one."""
    if what == "init":
        return ["label-studio", "init", "--quiet"]
    if what == "serve":
        options = "--preload --workers 2 --threads 4 --bind 0.0.0.0:8080 --timeout 300 --worker-tmp-dir /dev/shm"
        options += " --no-control-socket --keep-alive 15"
        return ["gunicorn", "core.wsgi:application", *options.split()]
    if what == "password":
        return ["python", "-c", SET_PASSWORD]
    raise SystemExit(f"start_label_studio takes init, serve or password, not {what!r}")


def main(arguments: list[str]) -> None:
    program = command(*arguments)
    spec = importlib.util.find_spec("label_studio")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("label_studio is not installed here")
    package = spec.submodule_search_locations[0]
    environ = environment(os.environ) | {
        "PYTHONPATH": package,
        "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
        "APP_WEBSERVER": "uwsgi",
    }
    os.chdir(package)
    os.execvpe(program[0], program, environ)


if __name__ == "__main__":
    main(sys.argv[1:])
