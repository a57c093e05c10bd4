"""The options of `up`: from the command line, else from the environment."""

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
    """The options of one `up`. An empty URL means that `up` starts that part itself."""

    data_dir: Path = DATA_DIR
    loops_dir: Path | None = None
    """None for `labeling_configs` here, else the folder of the earlier start on this data folder."""
    specs: tuple[LoopSpec, ...] = ()
    """Loops to register instead of those of `loops_dir`."""
    database_url: str = ""
    label_studio_url: str = ""
    label_studio_token: str = ""
    port_base: int | None = None
    postgres: Kind = "auto"
    environ: Mapping[str, str] = field(default_factory=dict)
    """Environment with the other settings (`LABELLOOP_*`)."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: Any) -> UpOptions:
        """Return the options of the environment, overridden by those of the command line."""
        asked = {"data_dir": Path(environ.get("LABELLOOP_DATA_DIR", DATA_DIR))}
        # From a folder that does not exist: values that an earlier start wrote are not options of the user.
        settings = Settings.from_env({**environ, "LABELLOOP_DATA_DIR": "/nonexistent"})
        names = ("database_url", "label_studio_url", "label_studio_token")
        asked |= {name: getattr(settings, name) for name in names}
        if environ.get("LABELLOOP_LOOPS_DIR"):
            asked["loops_dir"] = settings.loops_dir
        return cls(environ=dict(environ), **{**asked, **given})
