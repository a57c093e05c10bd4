"""Reviewers, feedback and answers. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.answers.feedback import Answer, Feedback
from labelloop.answers.people import Person, Reviewer
from labelloop.outputs.output import OutputState
from labelloop.queue.prelabel import Prelabelled
from labelloop.reading.ids import UserId
from labelloop.store.database import Conn, columns, rows_of


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An output with the prelabel that its task shows, and its newest answer."""

    id: UUID
    label: str | None
    """The pipeline's label."""
    given_label: str | None
    """The pipeline's label as it was sent, if a change of the loop's labels made it another one, or none."""
    result: Sequence[Any] | None
    probabilities: Mapping[str, float] | None
    state: OutputState
    shown_label: str | None
    champion: str | None
    """The version that gave the shown label; None without a task."""
    margin: float | None
    overlap: int
    """How many people are asked, if that is more than the loop's overlap; else 1."""
    answered: int | None
    """Seq of the newest answer; None if there never was one."""
    answer: str | None
    agreement: float | None
    reviewers: int | None
    blind: bool
    """Whether its task shows no prelabel."""
    certainty: float | None
    adjudicator: UUID | None
    """The adjudicator whose answer it is; None if people agreed on it."""

    @property
    def shown(self) -> Prelabelled | None:
        """Return the prelabel that its task shows; None without a task."""
        if self.champion is None:
            return None
        return Prelabelled(
            self.shown_label,
            self.champion,
            self.margin,
            self.label,
            self.result,
            self.probabilities,
            blind=self.blind,
        )


def reviewers(conn: Conn, instance: UUID) -> dict[UserId, Reviewer]:
    """Return the reviewers by Label Studio's user id."""
    rows = rows_of(conn, Reviewer).execute(
        f"select {columns(Reviewer)} from reviewers where instance = %(instance)s", {"instance": instance}
    )
    return {row.label_studio_user_id: row for row in rows}


def forgotten(conn: Conn, instance: UUID) -> set[UserId]:
    """Return the reviewers whose name was removed on request."""
    rows = conn.execute(
        "select label_studio_user_id as id from reviewers where instance = %s and forgotten_at is not null", [instance]
    )
    return {row["id"] for row in rows}


def upsert_reviewers(conn: Conn, instance: UUID, users: Mapping[UserId, Person | None]) -> None:
    """Store the address and name of these reviewers; a reviewer with None keeps those that are stored, and a
    forgotten one the pseudonym.
    """
    conn.execute(
        """
        insert into reviewers (instance, label_studio_user_id, email, name)
        select %(instance)s, u.id, u.email, u.name
        from unnest(%(ids)s::bigint[], %(emails)s::text[], %(names)s::text[]) as u (id, email, name)
        on conflict on constraint one_reviewer_a_user do update set email = excluded.email, name = excluded.name
        where excluded.email is not null and reviewers.forgotten_at is null
        and (reviewers.email, reviewers.name) is distinct from (excluded.email, excluded.name)
        """,
        {
            "instance": instance,
            "ids": list(users),
            "emails": [known and known.email for known in users.values()],
            "names": [known and known.name for known in users.values()],
        },
    )


def outputs(conn: Conn, output_ids: Sequence[UUID]) -> list[Reviewed]:
    """Return these outputs, in the order of their ids."""
    cursor = rows_of(conn, Reviewed)
    return cursor.execute(
        """
        select o.id, o.label, o.as_given ->> 'label' as given_label, o.result, o.probabilities,
            o.state::text, t.label as shown_label, t.champion, t.margin,
            coalesce(t.overlap, 1) as overlap,
            a.seq as answered, a.label as answer, a.agreement, a.reviewers, a.certainty,
            (select reviewer_id from adjudications where answer_seq = a.seq) as adjudicator,
            exists (select from blind_tasks d where d.output_id = o.id) as blind
        from outputs o left join tasks t on t.output_id = o.id left join lateral (
            select * from answers where output_id = o.id order by seq desc limit 1
        ) a on true
        where o.id = any(%(ids)s) order by o.id
        """,
        {"ids": list(output_ids)},
    ).fetchall()


def forget(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Delete all feedback on these outputs, in every project."""
    conn.execute("delete from feedback where model_output_id = any(%(outputs)s)", {"outputs": list(output_ids)})


def replace(
    conn: Conn, instance: UUID, output_ids: Sequence[UUID], rows: Iterable[Feedback], reviewers: Mapping[UserId, UUID]
) -> None:
    """Replace the feedback about these outputs by `rows`. Feedback of the same reviewer keeps its id.

    Feedback from another instance (a lost project, or over HTTP) stays until the same person, known by the login,
    answers again. A row that is older than the person's feedback of another instance is left out.
    """
    rows = list(rows)
    outdated = _outdated(conn, instance, rows, reviewers)
    rows = [row for row in rows if (row.output_id, reviewers[row.reviewer]) not in outdated]
    conn.execute(
        """
        with kept as (
            select k.output_id, k.reviewer_id, n.email
            from unnest(%(kept_outputs)s::uuid[], %(kept_reviewers)s::uuid[]) as k (output_id, reviewer_id)
            join reviewers n on n.id = k.reviewer_id
        )
        delete from feedback f using reviewers r
        where r.id = f.reviewer_id and f.model_output_id = any(%(outputs)s) and case
            when r.instance = %(instance)s then not exists (
                select from kept k where k.output_id = f.model_output_id and k.reviewer_id = f.reviewer_id)
            else exists (select from kept k where k.output_id = f.model_output_id and k.email = r.email) end
        """,
        {
            "instance": instance,
            "outputs": list(output_ids),
            "kept_outputs": [row.output_id for row in rows],
            "kept_reviewers": [reviewers[row.reviewer] for row in rows],
        },
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into feedback (model_output_id, reviewer_id, approval, correction, comment, label, annotation_id,
                                  lead_time_s, prelabel_kept, created_at, updated_at)
            values (%(output)s, %(reviewer)s, %(approval)s, %(correction)s, %(comment)s, %(label)s, %(annotation)s,
                    %(lead_time_s)s, %(prelabel_kept)s, %(created_at)s, %(updated_at)s)
            on conflict on constraint one_feedback_a_reviewer do update set
                approval = excluded.approval, correction = excluded.correction, comment = excluded.comment,
                label = excluded.label, annotation_id = excluded.annotation_id, lead_time_s = excluded.lead_time_s,
                prelabel_kept = excluded.prelabel_kept, created_at = excluded.created_at,
                updated_at = excluded.updated_at
            """,
            [
                {
                    "output": row.output_id,
                    "reviewer": reviewers[row.reviewer],
                    "approval": row.approval,
                    "correction": row.correction,
                    "comment": row.comment,
                    "label": row.label,
                    "annotation": row.annotation_id,
                    "lead_time_s": row.lead_time_s,
                    "prelabel_kept": row.prelabel_kept,
                    "created_at": row.created_at,
                    "updated_at": row.updated_at,
                }
                for row in rows
            ],
        )


def _outdated(
    conn: Conn, instance: UUID, rows: Sequence[Feedback], reviewers: Mapping[UserId, UUID]
) -> set[tuple[UUID, UUID]]:
    """Return output and reviewer of the rows whose person has newer feedback of another instance."""
    found = conn.execute(
        """
        select k.output_id, k.reviewer_id
        from unnest(%(outputs)s::uuid[], %(reviewers)s::uuid[], %(times)s::timestamptz[])
            as k (output_id, reviewer_id, at)
        join reviewers n on n.id = k.reviewer_id
        join feedback f on f.model_output_id = k.output_id and f.updated_at > k.at
        join reviewers r on r.id = f.reviewer_id and r.email = n.email and r.instance <> %(instance)s
        """,
        {
            "instance": instance,
            "outputs": [row.output_id for row in rows],
            "reviewers": [reviewers[row.reviewer] for row in rows],
            "times": [row.updated_at for row in rows],
        },
    )
    return {(row["output_id"], row["reviewer_id"]) for row in found}


def labels(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, list[tuple[UUID, str | None]]]:
    """Return who gave which label to each of these outputs, in rows of reviewers; the label may be None."""
    said: dict[UUID, list[tuple[UUID, str | None]]] = {output_id: [] for output_id in output_ids}
    for row in conn.execute(
        """
        select model_output_id, reviewer_id, label from feedback where model_output_id = any(%(outputs)s)
        order by reviewer_id
        """,
        {"outputs": list(output_ids)},
    ):
        said[row["model_output_id"]].append((row["reviewer_id"], row["label"]))
    return said


def answer(conn: Conn, loop: str, answers: Iterable[tuple[UUID, Answer]]) -> None:
    """Append the answers on which the reviewers agree now.

    The caller holds the lock on the loop's answers, so that an answer with a later `seq` is committed later.
    """
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            with made as (
                insert into answers (output_id, loop, label, agreement, reviewers, certainty, estimate_id)
                values (%(output)s, %(loop)s, %(label)s, %(agreement)s, %(reviewers)s, %(certainty)s, %(estimate)s)
                returning seq
            )
            insert into adjudications (answer_seq, output_id, loop, reviewer_id)
            select seq, %(output)s, %(loop)s, %(adjudicator)s from made where %(adjudicator)s::uuid is not null
            """,
            [
                {
                    "output": output_id,
                    "loop": loop,
                    "label": said.label,
                    "agreement": said.agreement,
                    "reviewers": said.reviewers,
                    "certainty": said.certainty,
                    "estimate": said.estimate,
                    "adjudicator": said.adjudicator,
                }
                for output_id, said in answers
            ],
        )
