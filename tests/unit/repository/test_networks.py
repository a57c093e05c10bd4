"""The networks of docker-compose.yml, and the addresses that Label Studio may call."""

from __future__ import annotations

import os
import re
import subprocess
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from compose.ban_list import default_list, without
from compose.trial.network_matrix import REACHES
from tests.support.data.compose_file import COMPOSE, ROOT, SERVED, SERVICES

LABEL_STUDIO_ENV: dict[str, str] = SERVICES["label-studio"]["environment"]


(LABEL_STUDIO,) = ROOT.glob(".venv-label-studio/lib/python3*/site-packages/label_studio")


ALLOWED = ip_network("172.31.77.4/31")


BRIDGE = "com.docker.network.bridge"


def test_only_the_three_that_must_meet_stand_on_the_network_that_label_studio_may_call() -> None:
    hooks = {name: service["networks"]["hooks"] for name, service in SERVED.items() if "hooks" in service["networks"]}
    (pinned,) = COMPOSE["networks"]["hooks"]["ipam"]["config"]
    subnet = ip_network(pinned["subnet"])

    assert subnet.prefixlen == 28
    assert COMPOSE["networks"]["hooks"]["internal"] is True
    assert set(hooks) == {"label-studio", "sync", "backend"}
    addresses = {name: ip_address(place["ipv4_address"]) for name, place in hooks.items()}
    assert set(addresses.values()) < set(subnet.hosts())
    assert {addresses["sync"], addresses["backend"]} == set(ALLOWED)
    assert ip_address(pinned["gateway"]) not in ALLOWED
    assert not ip_network(pinned["ip_range"]).overlaps(ALLOWED)  # nobody else is given one of the two
    for name in ("sync", "backend"):
        (alias,) = hooks[name]["aliases"]
        assert "." in alias  # Label Studio refuses a webhook to a name without a dot
        assert SERVICES["sync-worker"]["environment"][f"LABELLOOP_{name.upper()}_URL"].startswith(f"http://{alias}:")


def has_a_way_out(network: str) -> bool:
    what = COMPOSE["networks"][network] or {}
    return not what.get("internal") and what.get("driver_opts", {}).get(f"{BRIDGE}.enable_ip_masquerade") != "false"


def are_neighbours(a: str, b: str) -> bool:
    shared = set(SERVICES[a]["networks"]) & set(SERVICES[b]["networks"])
    options = [(COMPOSE["networks"][network] or {}).get("driver_opts", {}) for network in shared]
    return any(option.get(f"{BRIDGE}.enable_icc") != "false" for option in options)


def test_the_networks_let_each_reach_those_that_the_table_names_and_no_other() -> None:
    listening = [name for name in SERVED if not name.endswith("worker")]
    for name, reached in REACHES.items():
        found = {other for other in listening if other != name and are_neighbours(name, other)}
        found |= {"outside"} if any(map(has_a_way_out, SERVICES[name]["networks"])) else set()
        assert found == reached - {name}, name
    assert REACHES["backend-worker"] == {"postgres"}  # it loads people's own models
    assert not any(map(has_a_way_out, SERVICES["postgres"]["networks"]))


def test_the_page_about_the_server_has_the_same_table() -> None:
    page = (ROOT / "docs" / "operators" / "deploy.md").read_text().split("## What runs")[1]
    for name, reached in REACHES.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*\| (.+) \|$", page, re.MULTILINE)
        named = set(re.findall(r"`([a-z-]+)`", row)) | ({"outside"} if "outside" in row else set())
        assert named == reached - {name}, name


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
