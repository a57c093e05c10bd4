"""Tokens: made once, kept as hashes, revoked at once; and the command line for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.access.identity import SCOPES
from labelloop.errors import UsageError
from labelloop.store.database import Database
from labelloop.store.tables import access


def test_a_token_is_told_once_and_kept_as_a_hash(database: Database) -> None:
    with database.transaction() as conn:
        token = access.add(conn, "mira", ["review", "promote"])
        stored = conn.execute("select * from access_tokens").fetchone()
        assert stored is not None
        assert token not in str(stored)
        assert len(token) >= 43, "256 bits"
        found = access.of_token(conn, token)
        assert found is not None
        assert (found.name, found.scopes) == ("mira", ["review", "promote"])
        for wrong in ("", token[:-1], token + "x", "\ud800"):
            assert access.of_token(conn, wrong) is None


@pytest.mark.parametrize(
    ("name", "scopes", "said"),
    [
        ("", ["review"], "a name is 1 to 100 printable characters"),
        (" a", ["review"], "without blanks around"),
        ("a\n", ["review"], "printable"),
        ("a" * 101, ["review"], "1 to 100"),
        ("a", ["look"], "no scope look; there are: submit, read"),
        ("a", ["promote"], "needs the scope review too"),
        ("a", [], "needs a scope; there are"),
    ],
)
def test_a_token_without_a_good_name_or_scope_is_not_made(
    database: Database, name: str, scopes: list[str], said: str
) -> None:
    with database.transaction() as conn, pytest.raises(UsageError, match=said):
        access.add(conn, name, scopes)


def test_a_name_that_is_taken_is_refused_until_its_token_is_revoked(database: Database) -> None:
    with database.transaction() as conn:
        old = access.add(conn, "mira", ["review"])
        with pytest.raises(UsageError, match="there is a token 'mira' already"):
            access.add(conn, "mira", ["review"])
        assert access.revoke(conn, "mira")
        assert not access.revoke(conn, "mira")
        assert access.of_token(conn, old) is None
        new = access.add(conn, "mira", ["review", "promote"])
        assert access.of_token(conn, old) is None
        assert access.of_token(conn, new) is not None


def test_the_token_of_a_start_is_there_after_each_start_and_stays_revoked_once_it_was(database: Database) -> None:
    with database.transaction() as conn:
        for _ in range(2):
            access.ensure(conn, "owner", "from-settings", SCOPES)
        found = access.of_token(conn, "from-settings")
        assert found is not None
        access.ensure(conn, "owner", "settings-were-lost", SCOPES)
        assert access.of_token(conn, "from-settings") is None
        assert access.of_token(conn, "settings-were-lost") is not None
        access.revoke(conn, "owner")
        access.ensure(conn, "owner", "settings-were-lost", SCOPES)
        assert access.of_token(conn, "settings-were-lost") is None


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_token_that_was_rotated_is_not_put_back_by_the_next_start(
    database: Database, times: int, is_revoked: bool
) -> None:
    with database.transaction() as conn:
        access.ensure(conn, "owner", "leaked", SCOPES)
        for _ in range(times):
            new = access.rotate(conn, "owner", timedelta(0))
        if is_revoked:
            access.revoke(conn, "owner")
    with database.transaction() as conn:
        access.ensure(conn, "owner", "leaked", SCOPES)
        assert access.of_token(conn, "leaked") is None
        assert (access.of_token(conn, new) is None) == is_revoked


def test_the_command_makes_lists_and_revokes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", database.url)

    def token(*words: str) -> Result:
        return CliRunner().invoke(main, ["token", *words])

    made = json.loads(token("add", "mira", "--scope", "review,promote", "--json").stdout)["token"]
    plain = token("add", "otto")
    assert plain.exit_code == 0
    assert "Copy it now" in plain.stderr
    listed = token("list", "--json").stdout
    assert [row["name"] for row in json.loads(listed)] == ["mira", "otto"]
    assert made not in listed
    assert plain.stdout.strip() not in listed
    assert token("add", "otto").exit_code == 2
    assert token("revoke", "mira").exit_code == 0
    again = token("revoke", "mira")
    assert again.exit_code == 2
    assert "no valid token 'mira'; there are: otto" in again.stderr
    with database.transaction() as conn:
        assert access.of_token(conn, made) is None
        assert access.of_token(conn, plain.stdout.strip()) is not None


def test_a_rotated_token_and_its_predecessor_work_until_the_overlap_ends(database: Database) -> None:
    with database.transaction() as conn:
        first = access.add(conn, "cats", ["submit"])
        second = access.rotate(conn, "cats", timedelta(hours=1))
        both = [access.of_token(conn, token) for token in (first, second)]
        assert both[0] == both[1]
        third = access.rotate(conn, "cats", timedelta(0))
    with database.transaction() as conn:
        assert [access.of_token(conn, token) is not None for token in (first, second, third)] == [False, False, True]
        assert access.hashes(conn) == {access.sha256(third)}
        access.rotate(conn, "cats", timedelta(hours=1))
        access.revoke(conn, "cats")
        assert access.hashes(conn) == set()
        assert access.of_token(conn, third) is None, "revoked at once, the overlap too"
        with pytest.raises(UsageError, match="no valid token 'cats'; there are: none"):
            access.rotate(conn, "cats", timedelta(hours=1))


def test_a_second_rotation_within_the_overlap_ends_the_token_that_is_named(database: Database) -> None:
    hour = timedelta(hours=1)

    def valid(*tokens: str) -> list[bool]:
        with database.transaction() as conn:
            known = access.hashes(conn)
            found = [access.of_token(conn, token) is not None for token in tokens]
        assert found == [access.sha256(token) in known for token in tokens]
        return found

    def rotate(overlap: timedelta = hour, end: str | None = None) -> str:
        with database.transaction() as conn:
            return access.rotate(conn, "cats", overlap, end)

    with database.transaction() as conn:
        first = access.add(conn, "cats", ["submit"])
    second = rotate()
    with pytest.raises(UsageError, match=r"two tokens of 'cats' work until .* --end oldest, or --end newest"):
        rotate()
    assert valid(first, second) == [True, True], "a refused rotation changes nothing"
    third = rotate(timedelta(minutes=1), access.NEWEST)
    assert valid(first, second, third) == [True, False, True]
    with database.transaction() as conn:
        (row,) = access.list_(conn)
    assert row.previous_until is not None
    assert row.previous_until - datetime.now(UTC) > timedelta(minutes=30), "the first keeps the time it was promised"
    fourth = rotate(hour, access.OLDEST)
    assert valid(first, third, fourth) == [False, True, True]
    fifth = rotate(timedelta(0))
    assert valid(third, fourth, fifth) == [False, False, True]
    sixth = rotate()
    assert valid(fifth, sixth) == [True, True], "the earlier overlap is over"
    seventh = rotate(timedelta(0), access.NEWEST)
    assert valid(fifth, sixth, seventh) == [False, False, True], "without an overlap both end, whichever is named"


def test_an_expired_token_opens_nothing_and_its_name_is_free(database: Database) -> None:
    with database.transaction() as conn:
        soon = access.Limits(expires_at=datetime.now(UTC) + timedelta(hours=1))
        token = access.add(conn, "cats", ["submit"], soon)
        assert access.of_token(conn, token) is not None
        conn.execute("update access_tokens set expires_at = now()")
        assert access.of_token(conn, token) is None
        assert access.hashes(conn) == set()
        again = access.add(conn, "cats", ["read"])
        found = access.of_token(conn, again)
        assert found is not None
        assert (found.scopes, found.expires_at) == (["read"], None)


def test_a_token_of_one_loop_cannot_open_the_review_pages_nor_a_loop_that_is_not_there(database: Database) -> None:
    with database.transaction() as conn:
        with pytest.raises(UsageError, match="the scope review opens all loops and sources"):
            access.add(conn, "mira", ["review"], access.Limits(source="cats"))
        with pytest.raises(UsageError, match="no loop 'pets'; there are: none"):
            access.add(conn, "cats", ["submit"], access.Limits(loop="pets"))
        for source in ("", "a" * 201, "a\nb", "a\0", "\ud800"):
            with pytest.raises(UsageError, match="a source is 1 to 200 printable characters"):
                access.add(conn, "cats", ["submit"], access.Limits(source=source))


def test_requests_beyond_the_limit_wait_for_their_turn(database: Database) -> None:
    with database.transaction() as conn:
        limited = access.of_token(conn, access.add(conn, "cats", ["submit"], access.Limits(requests_per_minute=60)))
        free = access.of_token(conn, access.add(conn, "dogs", ["submit"]))
        assert limited is not None
        assert free is not None
        conn.execute("update access_tokens set allowance = 2.5, allowance_at = clock_timestamp() where name = 'cats'")
        pauses = [access.spend(conn, limited.id) for _ in range(4)]
        assert pauses[:2] == [0.0, 0.0]
        assert all(0 < pause_s <= 0.5 for pause_s in pauses[2:]), "the third is there after half a second"
        conn.execute("update access_tokens set allowance_at = allowance_at - interval '1 hour'")
        assert [access.spend(conn, limited.id) for _ in range(60)] == [0.0] * 60
        assert access.spend(conn, limited.id) > 0, "an hour without a request allows no more than a minute's"
        assert access.spend(conn, free.id) == 0.0


def test_the_command_makes_a_token_of_a_pipeline_and_rotates_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", database.url)

    def token(*words: str) -> Result:
        return CliRunner().invoke(main, ["token", *words])

    made = token("create", "--source", "cats", "--expires", "90d", "--requests-per-minute", "600")
    assert "Token of cats, scopes: submit, read." in made.stderr
    rotated = token("rotate", "cats", "--overlap", "12h")
    assert "the previous one works for another 12h." in rotated.stderr
    [listed] = [row for row in json.loads(token("list", "--json").stdout) if row["name"] == "cats"]
    left = datetime.fromisoformat(listed["previous_until"]) - datetime.now(UTC)
    assert timedelta(hours=11) < left < timedelta(hours=12, minutes=1)
    with database.transaction() as conn:
        old, new = (access.of_token(conn, result.stdout.strip()) for result in (made, rotated))
    assert old == new is not None
    assert (new.source, new.requests_per_minute, list(new.scopes)) == ("cats", 600, ["submit", "read"])
    assert new.expires_at is not None
    assert timedelta(days=89) < new.expires_at - datetime.now(UTC) < timedelta(days=91)
    refused = token("rotate", "cats", "--overlap", "90m")
    assert (refused.exit_code, "a third ends one of them: pass --end oldest" in refused.stderr) == (2, True)
    again = token("rotate", "cats", "--overlap", "90m", "--end", "oldest")
    assert "the previous one works for another 90m." in again.stderr
    assert "the previous one works for another 0h." in token("rotate", "cats", "--overlap", "0m").stderr
    [listed] = [row for row in json.loads(token("list", "--json").stdout) if row["name"] == "cats"]
    assert listed["previous_until"] is None, "it works no longer"
    for words, said in (
        (["create"], "a token needs a NAME or a --source"),
        (["create", "x", "--expires", "soon"], "'soon' is no length of time; write 30m, 12h or 90d"),
        (["rotate", "dogs"], "no valid token 'dogs'; there are: cats"),
        (["create", "x", "--source", "x", "--scope", "review"], "the scope review opens all loops"),
    ):
        refused = token(*words)
        assert refused.exit_code == 2
        assert said in refused.stderr
