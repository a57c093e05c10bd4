"""Accounts of simulated annotators, created over HTTP through Label Studio's invite link."""

from __future__ import annotations

import re

import httpx

from labelloop.errors import Failed

TIMEOUT_S = 60.0


def sign_up(url: str, invite: str, email: str, password: str) -> httpx.Client:
    """Create the account, or log in if it exists, and return a session for Label Studio's API.

    `invite` is the organisation's link, which any member can read. The caller closes the session.
    """
    session = httpx.Client(base_url=url, timeout=TIMEOUT_S, headers={"Referer": url})
    account = {"email": email, "password": password}
    try:
        if not (
            _post_form(session, invite, account | {"how_find_us": "Other", "allow_newsletters": "false"})
            or _post_form(session, "/user/login/", account)
        ):
            raise Failed(f"Label Studio neither creates an account for {email} nor accepts its password")
    except httpx.HTTPError as exc:
        session.close()
        raise Failed(f"Label Studio at {url} does not create an account for {email}: {exc}") from exc
    except Failed:
        session.close()
        raise
    session.headers["X-CSRFToken"] = session.cookies["csrftoken"]
    return session


def _post_form(session: httpx.Client, page: str, values: dict[str, str]) -> bool:
    """Submit the form and return whether it was accepted: Label Studio redirects then, else it shows the form again."""
    form = session.get(page).raise_for_status().text
    secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    sent = session.post(page, data=values | {"csrfmiddlewaretoken": secret.group(1) if secret else ""})
    return sent.is_redirect
