"""What docker-compose.yml and the Dockerfile promise, read from the files: no container engine runs where tests run."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
from dataclasses import fields
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from compose.ban_list import default_list, without
from compose.start_label_studio import environment
from labelloop.cli import main as cli
from labelloop.local import services
from labelloop.settings import SECRETS, Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"migrate", "label-studio-init"}
SERVED = {name: service for name, service in SERVICES.items() if name not in ONE_SHOTS}
LABEL_STUDIO_ENV: dict[str, str] = SERVICES["label-studio"]["environment"]
(LABEL_STUDIO,) = ROOT.glob(".venv-label-studio/lib/python3*/site-packages/label_studio")
ALLOWED = ip_network("172.31.77.4/31")

each_service = pytest.mark.parametrize("name", SERVICES)


# -- secrets -----------------------------------------------------------------------------------------------------


def test_the_environment_holds_no_secret_and_no_default_password() -> None:
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|TOKEN|SECRET|KEY|DATABASE_URL", variable) and "ENABLE" not in variable:
                assert variable.endswith("_FILE"), f"{name}: {variable} stands in the environment"
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_only_the_service_of_the_pages_has_the_key_of_their_cookies() -> None:
    """The worker runs people's own models beside it."""
    having = [name for name, service in COMPOSE["services"].items() if "secret_key" in service.get("secrets", [])]
    assert having == ["backend"]


def test_what_must_be_said_has_no_default_and_what_has_a_default_is_no_secret() -> None:
    names = {match.split(":", 1)[0]: match for match in re.findall(r"\$\{([^}]+)\}", TEXT)}
    assert {name for name, match in names.items() if f"{name}:?" in match} == {
        "LABEL_STUDIO_HOST",
        "LABEL_STUDIO_USERNAME",
    }
    assert {name for name, match in names.items() if f"{name}:-" in match} == {
        "LABEL_STUDIO_PORT",
        "SYNC_PORT",
        "POSTGRES_IMAGE",
        "PYTHON_IMAGE",
        "REVIEW_PORT",
        "TASK_LOCK_TTL",
    }
    said = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / "compose.env.example").read_text(), re.MULTILINE))
    assert said == set(names)


def test_the_recipe_makes_exactly_the_secrets_that_are_asked_for_and_never_replaces_one(tmp_path: Path) -> None:
    recipe = ["sh", str(ROOT / "compose" / "secrets.sh")]
    subprocess.run(recipe, cwd=tmp_path, check=True)
    first = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    (tmp_path / "secrets" / "hook_secret").unlink()
    subprocess.run(recipe, cwd=tmp_path, check=True)
    second = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    assert {f"./secrets/{name}" for name in first} == {secret["file"] for secret in COMPOSE["secrets"].values()}
    assert len(set(first.values())) == len(first)
    assert all(re.search("[0-9a-f]{40}", secret) for secret in first.values())
    assert {name for name in first if first[name] != second[name]} == {"hook_secret"}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_the_address_of_label_studio_decides_its_hosts_origins_and_cookies() -> None:
    plain = environment({"LABEL_STUDIO_HOST": "http://localhost:8080"})
    safe = environment({"LABEL_STUDIO_HOST": "https://labels.example.org"})

    assert plain["ALLOWED_HOSTS"] == "localhost,label-studio,localhost,127.0.0.1"
    assert plain["SESSION_COOKIE_SECURE"] == "0"
    assert safe["ALLOWED_HOSTS"].split(",")[0] == "labels.example.org"
    assert safe["CSRF_TRUSTED_ORIGINS"] == safe["CORS_ALLOWED_ORIGINS"] == "https://labels.example.org"
    assert safe["SESSION_COOKIE_SECURE"] == "1"
    with pytest.raises(SystemExit, match="must be the address that people open"):
        environment({"LABEL_STUDIO_HOST": "labels.example.org"})


# -- every container ---------------------------------------------------------------------------------------------


@each_service
def test_a_container_is_not_root_and_keeps_no_right_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert not {"cap_add", "privileged", "network_mode", "pid", "devices"} & set(service)
    assert "docker.sock" not in str(service)


@each_service
def test_a_container_has_limits_rotated_logs_and_a_pinned_image(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert re.search(r":(\d+[.\d]*)", service["image"])
    assert "latest" not in service["image"]


@pytest.mark.parametrize("name", SERVED)
def test_what_stays_up_is_restarted_and_watched(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@each_service
def test_what_a_service_names_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert how["condition"] == wanted
        assert "healthcheck" in SERVICES[other] or other in ONE_SHOTS


def test_ports_are_open_on_the_loopback_only() -> None:
    ports = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert set(ports) == {"label-studio", "sync", "backend"}
    assert all(port.startswith("127.0.0.1:") for port in ports.values())


# -- networks ----------------------------------------------------------------------------------------------------


def test_only_the_three_that_must_meet_stand_on_the_network_that_label_studio_may_call() -> None:
    hooks = {name: service["networks"]["hooks"] for name, service in SERVICES.items() if "hooks" in service["networks"]}
    (pinned,) = COMPOSE["networks"]["hooks"]["ipam"]["config"]
    subnet = ip_network(pinned["subnet"])

    assert subnet.prefixlen == 28
    assert COMPOSE["networks"]["hooks"]["internal"] is True
    assert set(hooks) == {"label-studio", "sync", "backend"}
    addresses = {name: ip_address(place["ipv4_address"]) for name, place in hooks.items()}
    assert set(addresses.values()) < set(subnet.hosts())
    assert {addresses["sync"], addresses["backend"]} == set(ALLOWED)
    assert ip_address(pinned["gateway"]) not in ALLOWED
    for name in ("sync", "backend"):
        (alias,) = hooks[name]["aliases"]
        assert "." in alias  # Label Studio refuses a webhook to a name without a dot
        assert SERVICES["sync-worker"]["environment"][f"LABELLOOP_{name.upper()}_URL"].startswith(f"http://{alias}:")


def test_postgres_stands_on_a_network_without_a_way_out() -> None:
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert COMPOSE["networks"]["database"]["internal"] is True


def banned() -> list[str]:
    return LABEL_STUDIO_ENV["USER_ADDITIONAL_BANNED_SUBNETS"].split(",")


def test_the_ban_list_is_label_studios_own_without_the_two_addresses() -> None:
    on = {"SSRF_PROTECTION_ENABLED": "true", "ML_BLOCK_LOCAL_IP": "true", "USE_DEFAULT_BANNED_SUBNETS": "false"}
    assert on.items() <= LABEL_STUDIO_ENV.items()
    assert banned() == [str(network) for network in without(default_list(LABEL_STUDIO), ALLOWED)]


BANNED = [ip_network(text) for text in banned()]
DEFAULT = default_list(LABEL_STUDIO)


@given(st.one_of(st.ip_addresses(), st.ip_addresses(v=4, network="172.16.0.0/12"), st.ip_addresses(network="::/16")))
@example(IPv4Address("172.31.77.1"))
@example(IPv4Address("172.31.77.3"))
@example(IPv4Address("172.31.77.4"))
@example(IPv4Address("172.31.77.5"))
@example(IPv4Address("172.31.77.6"))
@example(IPv4Address("172.31.77.16"))
def test_an_address_is_banned_exactly_where_it_was_and_is_not_one_of_the_two(address: Any) -> None:
    was = any(address in network for network in DEFAULT)
    assert any(address in network for network in BANNED) == (was and address not in ALLOWED)


def test_label_studios_own_check_lets_only_the_two_addresses_pass() -> None:
    program = """
import os, sys
sys.path.insert(0, sys.argv[1])
from django.conf import settings
settings.configure(USE_DEFAULT_BANNED_SUBNETS=False, USER_ADDITIONAL_BANNED_SUBNETS=os.environ["BANNED"].split(","))
from core.utils.io import SsrfBlockedUrlError, validate_ip
for address in sys.argv[2:]:
    try:
        validate_ip(address)
        print(address)
    except SsrfBlockedUrlError:
        pass
"""
    asked = [f"172.31.77.{last}" for last in range(16)] + ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "9.9.9.9"]
    done = subprocess.run(
        [str(ROOT / ".venv-label-studio/bin/python"), "-c", program, str(LABEL_STUDIO), *asked],
        env=os.environ | {"BANNED": ",".join(banned())},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["172.31.77.4", "172.31.77.5", "9.9.9.9"]


# -- what runs ---------------------------------------------------------------------------------------------------


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {"LABELLOOP_" + field.name.upper() for field in fields(Settings)}
    known |= {f"LABELLOOP_{name.upper()}_FILE" for name in SECRETS}
    dockerfile = re.findall(r"(LABELLOOP_\w+)=", (ROOT / "Dockerfile").read_text())
    used = {name for service in SERVICES.values() for name in service["environment"] if name.startswith("LABELLOOP_")}
    assert {*used, *dockerfile} <= known


def test_what_the_containers_start_can_be_imported() -> None:
    commands = [service["command"] for service in SERVICES.values() if service["image"].startswith("labelloop:")]
    commands += [service["healthcheck"]["test"][1:] for service in SERVED.values()]
    for command in commands:
        if command[0] == "gunicorn":
            module, factory = command[1].removesuffix("()").split(":")
            assert callable(getattr(importlib.import_module(module), factory))
            bind = next(word for word in command if word.startswith("--bind=")).removeprefix("--bind=")
            ours = services.gunicorn(module.partition(".")[0], bind)
            assert command == [*ours, "--worker-tmp-dir=/dev/shm"]  # as `labelloop up` starts it
        elif command[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(command[2])
        elif command[0] == "labelloop":
            assert command[1] in cli.commands
