"""The promises of docker-compose.yml and the Dockerfile, read from the files; compose/trial/ci.sh runs them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from compose import start_label_studio
from compose.start_label_studio import environment
from console.cli import main as cli
from console.local import services
from labelloop.process.settings import SECRETS, Settings
from tests.support.data.compose_file import COMPOSE, ONE_SHOTS, ROOT, SERVED, SERVICES, TEXT

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


def test_a_required_variable_has_no_default_and_a_variable_with_a_default_is_no_secret() -> None:
    names = {match.split(":", 1)[0] for match in re.findall(r"\$\{([^}]+)\}", TEXT)}
    assert {name for name in names if f"{name}:?" in TEXT} == {
        "LABEL_STUDIO_HOST",
        "LABEL_STUDIO_USERNAME",
        "LABELLOOP_TAG",
    }
    assert {name for name in names if f"{name}:-" in TEXT} == {
        "HTTPS_PORT",
        "LABEL_STUDIO_PORT",
        "SYNC_PORT",
        "POSTGRES_IMAGE",
        "PROXY_IMAGE",
        "PYTHON_IMAGE",
        "REVIEW_PORT",
        "TASK_LOCK_TTL",
        "TLS_DIR",
        "USER",
    }
    said = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / "compose" / "env.example").read_text(), re.MULTILINE))
    assert said == names - {"USER"}  # the shell's own


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
def test_a_container_is_not_root_and_keeps_only_the_rights_it_needs(name: str) -> None:
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert re.fullmatch(r"/tmp:size=\d+[mg]", service["tmpfs"][0])
    assert all(":size=" in place for place in service["tmpfs"])
    assert not {"cap_add", "privileged", "network_mode", "pid", "devices"} & set(service)
    assert "docker.sock" not in str(service)


@each_service
def test_a_container_has_limits_rotated_logs_and_a_pinned_image(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"] == service["memswap_limit"]  # without it as much again may go to the swap
    assert service["pids_limit"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert re.search(r":(\d+[.\d]*|\$\{LABELLOOP_TAG:\?[^}]+\})", service["image"])
    assert "latest" not in service["image"]


@pytest.mark.parametrize("name", SERVED)
def test_what_stays_up_is_restarted_and_watched(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert check["start_interval"] == "2s"  # otherwise dependent services start a whole interval later


def test_each_image_is_built_once() -> None:
    built = [service["image"] for service in SERVICES.values() if "build" in service]
    assert len(built) == len(set(built)) == 2
    ours = {service["image"] for service in SERVICES.values() if "LABELLOOP_TAG" in service["image"]}
    assert set(built) == ours
    assert {SERVICES[name]["build"]["target"] for name in ("migrate", "label-studio-init")} == {
        "labelloop",
        "label-studio",
    }


def test_our_code_is_a_layer_of_its_own_on_top_of_the_libraries() -> None:
    last = (ROOT / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    copies = re.findall(r"^COPY (.+)$", last, re.MULTILINE)
    assert copies == ["--from=labelloop-libraries /venv /venv", "--from=labelloop-code /app /app"]


@pytest.mark.parametrize("name", ["sync-worker", "backend-worker"])
def test_a_worker_is_watched_by_its_own_heartbeat(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "labelloop.process.heartbeat"]
    assert service["environment"]["LABELLOOP_HEARTBEAT_FILE"] == "/tmp/heartbeat"


@each_service
def test_what_a_service_names_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])
    for volume in service.get("volumes", []):
        source = volume.replace("${TLS_DIR:-./tls}", "tls").split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in {*COMPOSE["volumes"], "tls"}
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert how["condition"] == wanted
        assert "healthcheck" in SERVICES[other] or other in ONE_SHOTS


def test_ports_are_open_on_the_loopback_only() -> None:
    ports = {name: port for name, service in SERVED.items() for port in service.get("ports", [])}
    assert set(ports) == {"label-studio", "sync", "backend"}
    assert all(port.startswith("127.0.0.1:") for port in ports.values())


# -- what runs ---------------------------------------------------------------------------------------------------


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {"LABELLOOP_" + field.name.upper() for field in fields(Settings)}
    known |= {f"LABELLOOP_{name.upper()}_FILE" for name in SECRETS} | {"LABELLOOP_BY"}  # that one is the command line's
    dockerfile = re.findall(r"(LABELLOOP_\w+)=", (ROOT / "Dockerfile").read_text())
    used = {name for service in SERVICES.values() for name in service["environment"] if name.startswith("LABELLOOP_")}
    assert {*used, *dockerfile} <= known


def test_label_studio_starts_in_three_ways_and_no_argument_holds_a_password() -> None:
    assert start_label_studio.command("init")[0] == "label-studio"
    assert start_label_studio.command("serve")[0] == "gunicorn"
    assert (
        "LABEL_STUDIO_PASSWORD" in start_label_studio.command("password")[-1]
    )  # read from the environment of that process
    with pytest.raises(SystemExit, match="init, serve or password"):
        start_label_studio.command("start")


@pytest.mark.parametrize("name", sorted(COMPOSE["secrets"]))
def test_each_secret_can_be_rotated(name: str) -> None:
    script = (ROOT / "compose" / "rotate.sh").read_text()
    assert re.search(rf"^{name}\)", script, re.MULTILINE)


def test_the_scripts_are_shell_and_name_no_host() -> None:
    scripts = [*(ROOT / "compose").rglob("*.sh"), *(ROOT / "compose").rglob("*.py")]
    assert len(scripts) > 8
    for path in scripts:
        if path.suffix == ".sh":
            first = path.read_text().splitlines()[0]
            subprocess.run(["bash" if "bash" in first else "sh", "-n", str(path)], check=True)
        hosts = set(re.findall(r"https?://([\w.-]+\.[a-z]+)", path.read_text()))
        assert hosts <= {"labels.example.org"}, path


def test_what_the_containers_start_can_be_imported() -> None:
    ours = {name: service for name, service in SERVED.items() if service["image"].startswith("labelloop:")}
    ours["migrate"] = SERVICES["migrate"]
    commands = [service["command"] for service in ours.values()]
    commands += [service["healthcheck"]["test"][1:] for service in SERVED.values()]
    for command in commands:
        if command[0] == "gunicorn":
            module, factory = command[1].removesuffix("()").split(":")
            assert callable(getattr(importlib.import_module(module), factory))
            bind = next(word for word in command if word.startswith("--bind=")).removeprefix("--bind=")
            under_up = services.gunicorn(module.partition(".")[0], bind)
            assert command == [*under_up, "--worker-tmp-dir=/dev/shm"]  # as `labelloop up` starts it
        elif command[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(command[2])
        elif command[0] == "labelloop":
            assert command[1] in cli.commands
