"""The command `labelloop`, also as `python -m labelloop`: it looks for the console, and says what is not installed.

This file needs no package but our own: `pip install labelloop`, which is the client alone, installs the script too.
"""

from __future__ import annotations

import sys
from importlib import import_module, metadata

from labelloop.process import rooms

OURS = ("labelloop", "console", "sync", "backend")
EXTRAS = {
    "dask": "cluster",
    "distributed": "cluster",
    "label_studio_ml": "label-studio-ml",
    "mlflow": "mlflow",
    "model2vec": "embeddings",
}
"""Extra that installs a module; `server` installs all others."""


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        print(f"labelloop, version {metadata.version('labelloop')}")
        return
    rooms.put_first()
    try:
        import_module("console.cli").main()
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] in OURS:
            raise
        print(f"labelloop: {refusal(sys.argv[1:], exc.name)}", file=sys.stderr)
        sys.exit(2)


def refusal(words: list[str], module: str) -> str:
    """Return the line that names the extra with the missing `module`; `words` are those of the command line."""
    command = next((f"`{word}` needs" for word in words if not word.startswith("-")), "its commands need")
    extra = EXTRAS.get(module.partition(".")[0], "server")
    what = "the server" if extra == "server" else f"the extra {extra!r}"
    return f"{command} {what} (there is no module {module!r}): pip install 'labelloop[{extra}]'"


if __name__ == "__main__":
    main()
