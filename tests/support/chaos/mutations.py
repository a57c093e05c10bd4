"""Mutations: SQL statements, each of which breaks one invariant of a `deep_loop`, so that exactly that one is told."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.hops.deep_loop import SECRET


class Mutation(NamedTuple):
    invariant: str
    sql: str
    repairs: bool = False
    """Whether the safe repairs repair it."""


ANSWERED = (
    "(select id from outputs where state = 'answered' and id not in (select output_id from annotation_versions"
    " where output_id is not null and instance not in (select instance from projects))"
    " and id not in (select output_id from adjudications) order by key limit 1)"
)
"""Neither the output that is answered over HTTP too nor the adjudicated one."""
OPEN = (
    "(select id from outputs where state = 'in_review' and id not in (select output_id from alerts)"
    " order by key limit 1)"
)
CAT = (
    "(select seq from (select distinct on (output_id) * from answers order by output_id, seq desc) a"
    " where label = 'cat' order by seq limit 1)"
)
NEWEST = f"(select max(seq) from annotations where output_id = {ANSWERED})"
THEIRS = f"(select annotation_id from annotation_versions where seq = {NEWEST})"
TRAINED = (
    "(select i.output_id from run_items i join outputs o on o.id = i.output_id where i.part = 'train'"
    " and o.id not in (select output_id from adjudications) order by o.key limit 1)"
)
DELETED = (
    "(select v.seq from annotation_versions v join outputs o on o.id = v.output_id"
    " where v.deleted and o.state <> 'withdrawn' limit 1)"
)
DOG = CAT.replace("'cat'", "'dog'")
FINAL = "(select output_id from adjudications)"
BUSY = (
    "(select f.model_output_id from feedback f join assignees using (reviewer_id) join outputs o on o.id ="
    " f.model_output_id where o.state = 'in_review' and o.id not in (select output_id from alerts) limit 1)"
)
"""An open output that one of the loop's people has answered."""
ASSIGN = "insert into assignments (loop, output_id, reviewer_id) select distinct on (reviewer_id) 'pets'"
STEP = (
    "(select min(e.id) from record_entries e where e.what = 'outputs' and e.operation = 'update'"
    " and e.before is distinct from e.after and e.key = (select key from record_entries where what = 'outputs'"
    " and operation = 'update' group by key having count(*) > 2 limit 1))"
)
"""A change of an output's state that is not its last one."""
YAK = """'[{"id": "r1", "from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["yak"]}}]'"""
COLUMNS = (
    "task_id, output_id, result, completed_by, updated_by, was_cancelled, ground_truth, lead_time_s, created_at,"
    " updated_at"
)
ADD = f"insert into annotation_versions (instance, annotation_id, sha256, deleted, {COLUMNS}) select instance"
OF_NEWEST = f"{COLUMNS} from annotation_versions where seq = {NEWEST}"
MUTATIONS = {
    "outputs.state": Mutation("I1", f"update outputs set state = 'answered' where id = {OPEN}"),
    "pool deleted": Mutation("I1", "delete from pool where output_id = (select min(output_id::text)::uuid from pool)"),
    "tasks.label_studio_id": Mutation(
        "I4", f"update tasks set label_studio_id = 999999999 where output_id = {OPEN}", repairs=True
    ),
    "tasks.label_studio_id of an answer": Mutation(
        "I4", f"update tasks set label_studio_id = 999999998 where output_id = {ANSWERED}", repairs=True
    ),
    "outputs.data": Mutation("I4", f"""update outputs set data = '{{"text": "another"}}' where id = {OPEN}"""),
    "tasks deleted": Mutation("I5", f"delete from tasks where output_id = {OPEN}", repairs=True),
    "annotation_versions deleted": Mutation(
        "I6", f"delete from annotation_versions where annotation_id = {THEIRS}", repairs=True
    ),
    "annotation_versions.updated_at": Mutation(
        "I6",
        f"update annotation_versions set updated_at = updated_at - interval '1 hour' where seq = {NEWEST}",
        repairs=True,
    ),
    "annotation_versions.task": Mutation(
        "I6",
        f"update annotation_versions set created_at = created_at - interval '1 hour' where seq = {NEWEST}",
    ),
    "annotation that nobody gave": Mutation("I7", f"{ADD}, 999999999, sha256, false, {OF_NEWEST}"),
    "tombstone deleted": Mutation("I7", f"delete from annotation_versions where seq = {DELETED}", repairs=True),
    "import left": Mutation(
        "I8",
        "insert into batches (loop, version, size, state, sent_at)"
        " values ('pets', 'pipeline', 1, 'sending', now() - interval '1 day')",
        repairs=True,
    ),
    "run without a worker": Mutation(
        "I8", "update retrain_runs set status = 'running', heartbeat_at = now() - interval '1 day'"
    ),
    "held-out output in training": Mutation("I11", f"update outputs set holdout = true where id = {TRAINED}"),
    "run_items.label": Mutation("I12", f"update run_items set label = 'yak' where output_id = {TRAINED}"),
    "promotion without a verdict": Mutation("I13", 'update promotions set "by" = \'gate\''),
    "promotion without a reason": Mutation("I13", "update promotions set why = ' '"),
    "model_versions.stage": Mutation("I14", "update model_versions set stage = 'retired'"),
    "promotions deleted": Mutation("I14", "delete from promotions"),
    "quarantined without a reason": Mutation(
        "I18", "update outputs set state_reason = null where state = 'quarantined'"
    ),
    "tombstone of an annotation that exists": Mutation(
        "I19", f"{ADD}, annotation_id, sha256('deleted'), true, {OF_NEWEST}", repairs=True
    ),
    "tombstone of nothing": Mutation("I19", f"{ADD}, 999999999, sha256('deleted'), true, {OF_NEWEST}"),
    "exclusions deleted": Mutation("I21", "delete from exclusions"),
    "exclusions.until": Mutation("I21", "update exclusions set until = now()"),
    "record: an entry changed": Mutation(
        "I15", f"update record_entries set after = '{{\"state\": \"passed\"}}' where id = {STEP}"
    ),
    "record: the newest entry of a row changed": Mutation(
        "I15",
        "update record_entries set content = sha256('') where id = (select max(id) from record_entries"
        " where what = 'model_versions' and content is not null)",
    ),
    "record: a reason changed": Mutation(
        "I15", "update record_entries set reason = 'another' where id = (select max(id) from record_entries"
        " where what = 'promotions')",
    ),
    "record: an entry removed": Mutation("I15", f"delete from record_entries where id = {STEP}"),
    "record: an entry and its place removed": Mutation(
        "I15", f"delete from record_seals where record_id = {STEP}; delete from record_entries where id = {STEP}"
    ),
    "record: an entry back-dated": Mutation(
        "I15", f"update record_entries set at = at - interval '1 hour' where id = {STEP}"
    ),
    "record: an entry inserted": Mutation(
        "I15",
        "insert into record_entries (at, actor, what, key, operation) select at, actor, 'pool', 'x', 'insert'"
        " from record_entries order by id desc limit 1; update record_sealing set horizon = 1 + (select max(id)"
        " from record_entries)",
    ),
    "record: the end cut": Mutation(
        "I15", "delete from record_seals where seq > (select max(seq) - 3 from record_seals)"
    ),
    "record: a trigger off": Mutation("I15", "alter table answers disable trigger record_inserted"),
    "record: a trigger dropped": Mutation("I15", "drop trigger record_updated on outputs"),
    "a row on record": Mutation("I16", "update spec_versions set spec = spec || '{\"a\": 1}'"),
    "a row on record deleted": Mutation("I16", "delete from spec_versions"),
    "secret in a log": Mutation("I20", f"update retrain_runs set log = 'it says {SECRET} here'"),
    "feedback.label": Mutation(
        "I23", f"update feedback set label = 'yak' where model_output_id = {ANSWERED}", repairs=True
    ),
    "feedback deleted": Mutation("I23", f"delete from feedback where model_output_id = {ANSWERED}", repairs=True),
    "feedback.annotation_id": Mutation(
        "I23", f"update feedback set annotation_id = 999999999 where model_output_id = {ANSWERED}", repairs=True
    ),
    "answers.label": Mutation("I24", f"update answers set label = 'eel' where seq = {CAT}", repairs=True),
    "answers.label of an old answer": Mutation(
        "I12",
        "insert into answers (output_id, loop, label, agreement, reviewers) select output_id, loop, label, agreement,"
        f" reviewers from answers where output_id = {TRAINED} order by seq desc limit 1;"
        f" update answers set label = 'yak' where seq = (select answer_seq from run_items where output_id = {TRAINED})",
    ),
    "answers.reviewers": Mutation("I24", f"update answers set reviewers = 7 where seq = {DOG}", repairs=True),
    "answers deleted": Mutation("I24", f"delete from answers where output_id = {ANSWERED}"),
    "answer of an adjudicator": Mutation("I24", f"update answers set label = 'dog' where output_id = {FINAL}"),
    "adjudications deleted": Mutation("I24", "delete from adjudications"),
    "adjudicated and open again": Mutation(
        "I24",
        f"set session_replication_role = origin; update outputs set state = 'in_review' where id = {FINAL}",
    ),
    "task of a person who has answered it": Mutation(
        "I26",
        f"{ASSIGN}, model_output_id, reviewer_id from feedback join assignees using (reviewer_id)"
        f" where model_output_id = {BUSY}",
        repairs=True,
    ),
    "answered task of a person": Mutation(
        "I26", f"{ASSIGN}, {FINAL}::uuid, reviewer_id from assignees", repairs=True
    ),
    "task of a person who left": Mutation("I26", "delete from assignees", repairs=True),
    "annotation_versions.result": Mutation(
        "I25", f"update annotation_versions set result = {YAK} where seq = {NEWEST}"
    ),
    "annotation_versions.sha256": Mutation(
        "I25", f"update annotation_versions set sha256 = sha256('') where seq = {NEWEST}"
    ),
}  # fmt: skip
