"""What the user asks of `up`: from the command line, else from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.local.binaries import Kind
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec

DATA_DIR = Path(".labelloop")


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the user asked for. An empty URL means that we start that part ourselves."""

    data_dir: Path = DATA_DIR
    loops_dir: Path | None = None
    """`labeling_configs` here, or of the checkout, where none is named."""
    specs: tuple[LoopSpec, ...] = ()
    """Loops to make known instead of those of `loops_dir`."""
    database_url: str = ""
    label_studio_url: str = ""
    label_studio_token: str = ""
    port_base: int | None = None
    postgres: Kind = "auto"
    environ: Mapping[str, str] = field(default_factory=dict)
    """Where further settings come from (`LABELLOOP_*`)."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **said: Any) -> UpOptions:
        """What the environment says, and above it what the command line said."""
        asked = {"data_dir": Path(environ.get("LABELLOOP_DATA_DIR", DATA_DIR))}
        # From a folder that is not there: what an earlier start wrote is not what the user asks for.
        settings = Settings.from_env({**environ, "LABELLOOP_DATA_DIR": "/nonexistent"})
        names = ("database_url", "label_studio_url", "label_studio_token")
        asked |= {name: getattr(settings, name) for name in names}
        if environ.get("LABELLOOP_LOOPS_DIR"):
            asked["loops_dir"] = settings.loops_dir
        return cls(environ=dict(environ), **{**asked, **said})
