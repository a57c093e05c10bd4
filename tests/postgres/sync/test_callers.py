"""Callers of the sync service, by their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access
from sync.callers import INTAKE, Callers, TooManyRequests
from tests.support.network.oidc_provider import AUDIENCE, a_provider


def test_each_kind_of_token_names_its_caller(database: Database) -> None:
    with database.transaction() as conn:
        token = access.add(conn, "cats", ["submit"], access.Limits(source="cats"))
    with a_provider() as provider:
        settings = Settings(intake_token="s3cret", oidc_issuer=provider.url, oidc_audience=AUDIENCE)
        callers = Callers(settings, database)
        program = provider.token(scope="submit", preferred_username="dogs")
        assert not callers.is_known(f"Bearer {program}"), "the keys of the provider are not known yet"
        names = {"s3cret": "intake", token: "cats", program: "dogs"}
        for bearer, name in names.items():
            caller = callers.identify(f"Bearer {bearer}")
            assert caller is not None
            assert caller.name == name
        assert callers.is_known(f"Bearer {program}")
        assert callers.identify("Bearer s3cret") is INTAKE
        for wrong in ("", "Bearer ", "Bearer other", f"Basic {token}", "Bearer a.b.c", "Bearer \udcff"):
            assert callers.identify(wrong) is None
            assert not callers.is_known(wrong)


def test_a_new_token_opens_at_once_and_may_send_much_after_a_refresh(database: Database) -> None:
    callers = Callers(Settings(intake_token="s3cret"), database)
    with database.transaction() as conn:
        token = f"Bearer {access.add(conn, 'cats', ['submit'])}"
    assert callers.identify(token) is not None
    assert not callers.is_known(token)
    callers.refresh()
    assert callers.is_known(token)
    with database.transaction() as conn:
        access.revoke(conn, "cats")
    assert callers.identify(token) is None


def test_the_refresh_survives_a_postgres_that_is_away(tmp_path: Path) -> None:
    class Over(Exception):
        pass

    def stop(_: float) -> None:
        raise Over

    with Database(f"postgresql://nobody@127.0.0.1:1/none?connect_timeout=1&application_name={tmp_path.name}") as away:
        callers = Callers(Settings(intake_token="s3cret"), away, sleep=stop)
        with pytest.raises(Over):
            callers.keep_fresh()
    assert callers.is_known("Bearer s3cret")


def test_a_token_with_a_limit_is_told_when_to_come_back(database: Database) -> None:
    with database.transaction() as conn:
        token = f"Bearer {access.add(conn, 'cats', ['submit'], access.Limits(requests_per_minute=2))}"
    callers = Callers(Settings(intake_token="s3cret"), database)
    for _ in range(2):
        assert callers.identify(token) is not None
    with pytest.raises(TooManyRequests, match="the token of cats allows 2 requests a minute") as refused:
        callers.identify(token)
    assert 0 < refused.value.pause_s <= 30
