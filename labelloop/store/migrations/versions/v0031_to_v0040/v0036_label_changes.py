"""Changes of a loop's labels: what each former label became. And outputs keep what their pipeline said at first."""

from __future__ import annotations

from alembic import op

revision = "0036"
down_revision = "0035"
SQL = """
    create table label_changes (
        id      bigint generated always as identity primary key,
        loop    text not null references loops,
        kind    text not null
            constraint label_change_kind check (kind in ('rename', 'merge', 'split', 'retire', 'undo')),
        labels  text[] not null constraint label_change_has_labels check (cardinality(labels) > 0),
        becomes text[] not null,
        created text[] not null,
        became  jsonb not null constraint label_change_is_an_object check (jsonb_typeof(became) = 'object'),
        files   jsonb not null,
        undoes  bigint references label_changes constraint one_undo_a_change unique,
        by      text not null,
        why     text not null,
        at      timestamptz not null default clock_timestamp(),
        constraint undo_names_its_change check ((kind = 'undo') = (undoes is not null))
    );
    create index label_changes_by_loop on label_changes (loop, id);
    alter table outputs add column as_given jsonb;

    comment on table label_changes is
        'Changes of the labels of a loop by labelloop schema. Rows are added and never changed.';
    comment on column label_changes.id is 'Order of the changes.';
    comment on column label_changes.loop is 'The loop.';
    comment on column label_changes.kind is 'Kind of the change; undo takes an earlier one back.';
    comment on column label_changes.labels is 'The labels that the form had until then.';
    comment on column label_changes.becomes is 'The labels that they became; empty for retire.';
    comment on column label_changes.created is 'Those of becomes that the form did not have before.';
    comment on column label_changes.became is
        'What the change says about each label: {"to": labels, "ask": whether people are asked again}, or null for a '
        'label that the form has again. The newest row that names a label holds. One label in to: answers with the '
        'old label count as the new one; else they do not count.';
    comment on column label_changes.files is
        'The changed files of the loop by name, each with its text before and after, which an undo restores.';
    comment on column label_changes.undoes is 'The change that it takes back; null unless it is an undo.';
    comment on column label_changes.by is 'The person who decided.';
    comment on column label_changes.why is 'The reason that was given.';
    comment on column label_changes.at is 'Time of the change.';
    comment on column outputs.as_given is
        'Label, confidence, probabilities, result and gold as the pipeline sent them, if a change of the labels made '
        'the columns differ; else null.';

    create function label_changes_stay() returns trigger language plpgsql as $$
    begin
        if tg_op = 'DELETE' and old."loop" = current_setting('labelloop.removes_loop', true) then
            return old;
        end if;
        if tg_op = 'UPDATE' and current_setting('labelloop.forgets', true) = 'a name' and
                (old.id, old."loop", old.kind, old.labels, old.becomes, old.created, old.became, old.files, old.undoes,
                old.at) is not distinct from
                (new.id, new."loop", new.kind, new.labels, new.becomes, new.created, new.became, new.files, new.undoes,
                new.at) then
            return new;
        end if;
        raise exception 'change % of labels cannot be changed: add one that undoes it', old.id
            using errcode = 'check_violation', constraint = 'label_change_stays';
    end $$;
    create trigger label_changes_stay before update or delete on label_changes
        for each row execute function label_changes_stay();

    select record_begins('label_changes', array['id'], 'r.loop',
        $$ jsonb_build_object('kind', r.kind, 'undoes', r.undoes) $$,
        array['labels', 'becomes', 'created', 'became', 'files', 'by', 'at'], 'r.why');
"""


def upgrade() -> None:
    op.execute(SQL)
