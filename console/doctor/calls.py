"""Whom Label Studio calls for a loop: the webhook that rings our doorbell, and our ML backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from console.doctor import services
from console.doctor.findings import Finding, fault, good, hint
from console.doctor.project import push_it
from console.local.services import BACKEND

CONNECTED = {"CO", "TR", "PR"}
"""Label Studio's states of a backend that answers."""


@dataclass(frozen=True, slots=True)
class Hook:
    url: str
    active: bool
    headers: Mapping[str, str]
    actions: Collection[str]
    """All of them where it is sent for every action."""
    payload: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    title: str
    url: str
    state: str
    said: str = ""
    """The error that Label Studio met there."""


def webhook(loop: str, hooks: Sequence[Hook], wanted: Hook | None, path: str) -> Finding:
    """`wanted`: None where the settings have no secret. `path`: that of our doorbell, wherever it stands."""
    if wanted is None:
        return hint("webhook", "not wanted: LABELLOOP_HOOK_SECRET is not set, so answers are found by looking", loop)
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
        why="answers are found only by looking, every few seconds; a ring elsewhere may cost the annotator a second",
        repair=push_it(loop),
        loop=loop,
    )


def _wrong(hook: Hook, wanted: Hook) -> str:
    said = []
    if not hook.active:
        said.append("is switched off")
    if hook.headers != wanted.headers:
        said.append("does not carry our secret")
    if hook.payload:
        said.append("sends the task along, which costs each click a fifth more")
    lacks, more = sorted(set(wanted.actions) - set(hook.actions)), sorted(set(hook.actions) - set(wanted.actions))
    if lacks:
        said.append(f"is not called for {', '.join(lacks)}")
    if more:
        said.append(f"is called for {', '.join(more)} too")
    return " and ".join(said)


def ml_backend(loop: str, backends: Sequence[Backend], title: str, url: str | None) -> Finding:
    """`url`: where ours is; None where the settings have no password for it."""
    if url is None:
        return hint("ml backend", "not wanted: LABELLOOP_BACKEND_PASSWORD is not set", loop)
    ours = [backend for backend in backends if backend.title == title]
    here = [backend for backend in ours if backend.url.rstrip("/") == url]
    why = "a task without a prediction gets none when it is opened, after seconds; Start training does nothing"
    if not ours:
        says = "it is not connected to the project"
    elif not here:
        says = f"Label Studio asks at {ours[0].url}, ours is {url}"
    elif here[0].state not in CONNECTED and "409" in here[0].said:
        says = f"it refuses the form in Label Studio: {here[0].said}"
    elif here[0].state not in CONNECTED:
        says = f"Label Studio does not reach it at {url}" + (f": {here[0].said}" if here[0].said else "")
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
        return good(check, "Label Studio would call it", loop)
    if "Can't resolve" in refused:
        says, repair = (
            f"Label Studio cannot find the host of {url} ({refused})",
            f"set {setting} to a name it can resolve",
        )
        why = "it looks the name up on its own machine, or in its own container"
    elif "valid URL" in refused:
        says = f"Label Studio takes no such address: {url} ({refused})"
        why, repair = "it wants a dot in the name of a host", f"set {setting} to a name with a dot, or to an IP address"
    else:
        says = f"Label Studio refuses to call {url} ({refused})"
        why = "it protects private addresses, webhooks and ML backends by two settings; it refuses each delivery anew"
        repair = (
            f"start Label Studio with USE_DEFAULT_BANNED_SUBNETS=false and USER_ADDITIONAL_BANNED_SUBNETS=<its list "
            f"without our address>, or with {switch}"
        )
    return fault(check, says, why=why, repair=repair, loop=loop)
