"""Annotators' accounts, made without a browser the way a person makes one: through Label Studio's invite link."""

from __future__ import annotations

import re

import httpx

from labelloop.errors import Failed

TIMEOUT_S = 60.0


def sign_up(url: str, token: str, email: str, password: str) -> tuple[str, httpx.Client]:
    """An annotator's legacy token and a logged-in session; an account that is there already is logged in to.

    `token` is any member's legacy token: it reads the invite link. The caller closes the session.
    """
    asked = httpx.get(f"{url}/api/invite", headers={"Authorization": f"Token {token}"}, timeout=TIMEOUT_S)
    invite = str(asked.raise_for_status().json()["invite_url"])
    session = httpx.Client(base_url=url, timeout=TIMEOUT_S, headers={"Referer": url})
    account = {"email": email, "password": password}
    if not (
        _post_form(session, invite, account | {"how_find_us": "Other", "allow_newsletters": "false"})
        or _post_form(session, "/user/login/", account)
    ):
        session.close()
        raise Failed(f"Label Studio makes no account for {email}, and does not log it in with the password given")
    answer = session.get("/api/current-user/token")
    return str(answer.raise_for_status().json()["token"]), session


def _post_form(session: httpx.Client, page: str, values: dict[str, str]) -> bool:
    """Whether the form was accepted: Label Studio redirects then, and shows the form again otherwise."""
    form = session.get(page).raise_for_status().text
    secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    sent = session.post(page, data=values | {"csrfmiddlewaretoken": secret.group(1) if secret else ""})
    return sent.is_redirect
