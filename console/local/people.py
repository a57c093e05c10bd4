"""Annotators' accounts, made without a browser the way a person makes one: through Label Studio's invite link."""

from __future__ import annotations

import re

import httpx

from labelloop.errors import Failed

TIMEOUT_S = 60.0


def sign_up(url: str, invite: str, email: str, password: str) -> httpx.Client:
    """A logged-in annotator's session, good for Label Studio's API; an account that is there already is logged in to.

    `invite` is the organisation's link, which any member can read. The caller closes the session.
    """
    session = httpx.Client(base_url=url, timeout=TIMEOUT_S, headers={"Referer": url})
    account = {"email": email, "password": password}
    try:
        if not (
            _post_form(session, invite, account | {"how_find_us": "Other", "allow_newsletters": "false"})
            or _post_form(session, "/user/login/", account)
        ):
            raise Failed(f"Label Studio makes no account for {email}, and does not log it in with the password given")
    except httpx.HTTPError as exc:
        session.close()
        raise Failed(f"Label Studio at {url} makes no account for {email}: {exc}") from exc
    except Failed:
        session.close()
        raise
    session.headers["X-CSRFToken"] = session.cookies["csrftoken"]
    return session


def _post_form(session: httpx.Client, page: str, values: dict[str, str]) -> bool:
    """Whether the form was accepted: Label Studio redirects then, and shows the form again otherwise."""
    form = session.get(page).raise_for_status().text
    secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    sent = session.post(page, data=values | {"csrfmiddlewaretoken": secret.group(1) if secret else ""})
    return sent.is_redirect
