"""Outputs say whether the trigger sends them, and the inclusion probability is only that of chance.

The error rate of all outputs is estimated from answers that chance chose, by stratum: whether the trigger sends the
output. `inclusion_probability` was 1 wherever it does, though ranking decides which of these outputs people see.

A version rarely doubts an answer that it was trained on. So a run keeps, for each training answer, the prediction of a
model that was not trained on it. The doubts so far are those of versions about their own training answers.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
# The lane tells the stratum, except for held-out and gold outputs. The trigger and the shares that were in force when
# an old output came are not stored: its probability is not known, and neither is the stratum of a held-out one. The
# lane is compared as text, because a value of a type cannot be used in the transaction that adds it.
SQL = """
    lock table outputs in access exclusive mode;
    alter table outputs add column triggered boolean, alter column inclusion_probability drop not null;

    set local statement_timeout = 0;
    update outputs set
        triggered = case when lane::text in ('rule', 'control') then true when lane in ('audit', 'pass') then false end,
        inclusion_probability = null;

    create index outputs_by_stratum on outputs (loop, triggered, received_at)
        where triggered is not null and label is not null;
    create index outputs_in_no_stratum on outputs (loop) where triggered is null or label is null;

    comment on column outputs.triggered is
        'Whether the trigger sends the output, whatever its lane: the stratum of estimates. '
        'Null for gold, and for held-out outputs that came before this was recorded.';
    comment on column outputs.inclusion_probability is
        'Probability with which chance alone chooses an output of this stratum for people. '
        'Null in the lanes rule (rank chooses) and gold, and for outputs that came before this was recorded. '
        'Not a weight while outputs wait: labelloop accuracy estimates.';

    alter table run_items
        add column out_of_fold_probability double precision
            constraint out_of_fold_is_a_probability check (out_of_fold_probability between 0 and 1),
        add column out_of_fold_other text,
        add column out_of_fold_other_probability double precision
            constraint out_of_fold_other_is_a_probability check (out_of_fold_other_probability between 0 and 1),
        add constraint out_of_fold_is_of_training check (part = 'train' or out_of_fold_probability is null),
        add constraint out_of_fold_is_whole
            check ((out_of_fold_probability is null) = (out_of_fold_other_probability is null));
    delete from doubts;

    comment on column run_items.out_of_fold_probability is
        'Probability of label by cross-validation: by a model that was trained without this answer, its group '
        'and its near-duplicates. Null in the holdout part, and if there is no such model.';
    comment on column run_items.out_of_fold_other is
        'The most probable other answer by the same model; null if there is none.';
    comment on column run_items.out_of_fold_other_probability is
        'Probability of out_of_fold_other, 0 to 1; 0 if there is none.';
    comment on column retrain_runs.judges is
        'The earlier run whose version is judged again, because the champion has changed or there are more held-out '
        'answers; nothing is trained. Null for a run that trains.';
    comment on table doubts is
        'How likely another answer is than the one that a person gave, by a model that was not trained on '
        'that answer. The most doubtful are asked once more.';
    comment on column doubts.doubt is
        'Probability of the best other answer if it or the given one is correct. By run_items of the run that '
        'trained the ranker, or by the ranker itself if that run was not trained on the answer.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
