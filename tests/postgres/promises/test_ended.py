"""A certificate that ended, and a judge that went stale, are among what a loop needs from people."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from backend.report.loops import overview_report
from backend.train.certify import revoke
from console.cli import main
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.hops.accepting_desk import YAML, AcceptingDesk
from tests.support.hops.judged_outputs import Verdicts, judge_spec


def promises(database: Database) -> list[str]:
    with database.transaction() as conn:
        [loop] = overview_report(conn)["loops"]
    return [need["what"] for need in loop["needs_you"] if need["kind"] == "promise"]


def test_an_ended_certificate_is_a_need_until_there_is_a_new_one_or_no_promise(database: Database) -> None:
    desk = AcceptingDesk(database)
    desk.send("a", 700)
    assert promises(database) == [], "nothing was promised yet"
    desk.people_say(desk.chosen())
    made = desk.certify()
    assert made is not None
    assert promises(database) == []
    with database.transaction() as conn:
        revoke(conn, desk.spec, made, "ada", "the cats were dogs")
    [what] = promises(database)
    assert what.startswith(f"certificate {str(made.id)[:8]} ended: revoked: the cats were dogs; everything goes to")
    desk.send("b", 700)
    desk.people_say(desk.chosen("b"))
    assert desk.certify() is not None
    assert promises(database) == []
    desk.send("c", 1, version="m2")
    desk.certify()
    assert len(promises(database)) == 1
    with database.transaction() as conn:
        loops.register(conn, parse("pets", YAML.replace("  accept: {error: 0.05, confidence: 0.95}\n", "")))
    assert promises(database) == [], "loop.yaml asks for none"


def test_a_stale_judge_is_a_need_while_it_is_stale(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(1_000, tpr=0.95, tnr=0.95)
    assert promises(database) == [], "it was never certified"
    with database.transaction() as conn:
        loop.conn = conn
        loop.draw(ids)
        loop.answer(ids)
    assert promises(database) == []
    with database.transaction() as conn:
        loop.conn = conn
        loop.come(5, tpr=0.95, tnr=0.95, version="judge-2", name="new")
    said = (
        "the judge is no longer certified: it was certified as version judge-1, and the newest outputs are of judge-2"
    )
    assert promises(database) == [said]
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    assert said in CliRunner().invoke(main, ["loops", "--json"], env=env).stdout
    with database.transaction() as conn:
        loop.conn = conn
        loop.come(5, tpr=0.95, tnr=0.95, name="back")
    assert promises(database) == []
