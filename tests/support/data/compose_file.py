"""docker-compose.yml, read from the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]


TEXT = (ROOT / "docker-compose.yml").read_text()


COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)


SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


ONE_SHOTS = {"migrate", "label-studio-init"}


OPTIONAL = {name for name, service in SERVICES.items() if "profiles" in service}


SERVED = {name: service for name, service in SERVICES.items() if name not in ONE_SHOTS | OPTIONAL}
