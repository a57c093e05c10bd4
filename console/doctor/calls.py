"""Checks of the calls that Label Studio makes for a loop: the webhook (our doorbell) and our ML backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from console.doctor import services
from console.doctor.findings import Finding, fault, good, hint
from console.doctor.project import push_it
from console.local.services import BACKEND

CONNECTED = {"CO", "TR", "PR"}
"""Label Studio's state codes of a backend that answers."""


@dataclass(frozen=True, slots=True)
class Hook:
    url: str
    active: bool
    headers: Mapping[str, str]
    actions: Collection[str]
    """{"*"} if the webhook is sent for all actions."""
    payload: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    title: str
    url: str
    state: str
    error: str = ""
    """The error that Label Studio got from it."""


def webhook(loop: str, hooks: Sequence[Hook], wanted: Hook | None, path: str) -> Finding:
    """Check that exactly one webhook calls our doorbell, with our settings.

    `wanted` is None if the settings have no secret. `path` is the doorbell's path, at any host.
    """
    if wanted is None:
        return hint("webhook", "not used: LABELLOOP_HOOK_SECRET is not set, so answers are found by polling", loop)
    ours = [hook for hook in hooks if hook.url.endswith(path)]
    standing = [hook for hook in ours if hook.url == wanted.url]
    wrong = [_wrong(hook, wanted) for hook in standing]
    elsewhere = [hook.url for hook in ours if hook.url != wanted.url and hook.active]
    if standing and not any(wrong) and len(standing) == 1 and not elsewhere:
        return good("webhook", f"rings at {wanted.url}", loop)
    if elsewhere:
        says = f"Label Studio also rings at {elsewhere[0]}" if standing else f"Label Studio rings at {elsewhere[0]}"
        says += f", ours is {wanted.url}"
    elif not standing:
        says = f"no webhook of the project rings at {wanted.url}"
    elif len(standing) > 1:
        says = f"{len(standing)} webhooks ring at {wanted.url}"
    else:
        says = f"the webhook to {wanted.url} {wrong[0]}"
    return fault(
        "webhook",
        says,
        why="answers are found by polling only, every few seconds; a call elsewhere may delay each click by 1 s",
        repair=push_it(loop),
        loop=loop,
    )


def _wrong(hook: Hook, wanted: Hook) -> str:
    faults = []
    if not hook.active:
        faults.append("is switched off")
    if hook.headers != wanted.headers:
        faults.append("does not carry our secret")
    if hook.payload:
        faults.append("sends the task too, which makes each click a fifth slower")
    lacks, more = sorted(set(wanted.actions) - set(hook.actions)), sorted(set(hook.actions) - set(wanted.actions))
    if lacks:
        faults.append(f"is not called for {', '.join(lacks)}")
    if more:
        faults.append(f"is called for {', '.join(more)} too")
    return " and ".join(faults)


def ml_backend(loop: str, backends: Sequence[Backend], title: str, url: str | None) -> Finding:
    """Check that our ML backend is connected to the project and reachable. `url` is None without a password for it."""
    if url is None:
        return hint("ml backend", "not used: LABELLOOP_BACKEND_PASSWORD is not set", loop)
    ours = [backend for backend in backends if backend.title == title]
    here = [backend for backend in ours if backend.url.rstrip("/") == url]
    why = "a task without a prediction opens seconds late and gets none; Start training does nothing"
    if not ours:
        says = "it is not connected to the project"
    elif not here:
        says = f"Label Studio asks at {ours[0].url}, ours is {url}"
    elif here[0].state not in CONNECTED and "409" in here[0].error:
        says = f"it refuses the form in Label Studio: {here[0].error}"
    elif here[0].state not in CONNECTED:
        says = f"Label Studio does not reach it at {url}" + (f": {here[0].error}" if here[0].error else "")
        return fault(
            "ml backend",
            says,
            why=why,
            repair=services.start(url, BACKEND),
            loop=loop,
        )
    else:
        return good("ml backend", f"Label Studio reaches {url}", loop)
    return fault("ml backend", says, why=why, repair=push_it(loop), loop=loop)


def webhook_address(loop: str, url: str, refused: str | None) -> Finding:
    return _address("webhook address", loop, url, refused, "LABELLOOP_SYNC_URL", "SSRF_PROTECTION_ENABLED=false")


def ml_address(loop: str, url: str, refused: str | None) -> Finding:
    return _address("ml address", loop, url, refused, "LABELLOOP_BACKEND_URL", "ML_BLOCK_LOCAL_IP=false")


def _address(check: str, loop: str, url: str, refused: str | None, setting: str, switch: str) -> Finding:
    if refused is None:
        return good(check, "Label Studio accepts it", loop)
    if "Can't resolve" in refused:
        says, repair = (
            f"Label Studio cannot find the host of {url} ({refused})",
            f"set {setting} to a name it can resolve",
        )
        why = "Label Studio resolves the name on its own machine, or in its own container"
    elif "valid URL" in refused:
        says = f"Label Studio does not accept the address {url} ({refused})"
        why, repair = (
            "Label Studio requires a dot in a host name",
            f"set {setting} to a name with a dot, or to an IP address",
        )
    else:
        says = f"Label Studio refuses to call {url} ({refused})"
        why = "Label Studio blocks private addresses, for webhooks and ML backends by one setting each, at every call"
        repair = (
            f"start Label Studio with USE_DEFAULT_BANNED_SUBNETS=false and USER_ADDITIONAL_BANNED_SUBNETS=<its list "
            f"without our address>, or with {switch}"
        )
    return fault(check, says, why=why, repair=repair, loop=loop)
