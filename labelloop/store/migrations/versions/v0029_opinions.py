"""Consensus by people's quality: estimates of it, an answer's certainty, and further opinions on single tasks."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
SQL = """
    create table quality_estimates (
        id             bigint generated always as identity primary key,
        loop           text not null references loops,
        method         text not null,
        labels         text[] not null,
        shares         double precision[] not null,
        newcomer       double precision[] not null,
        answers        integer not null,
        items          integer not null,
        changes_upto   bigint not null,
        learner        jsonb,
        made_at        timestamptz not null default now()
    );
    create index quality_estimates_newest on quality_estimates (loop, id desc);
    comment on table quality_estimates is 'Estimates of how reliable the people of a loop are. The newest is in force; \
older ones stay while an answer rests on them.';
    comment on column quality_estimates.id is 'Order of the estimates.';
    comment on column quality_estimates.loop is 'The loop.';
    comment on column quality_estimates.method is 'The loop''s consensus: dawid-skene or crowdlab.';
    comment on column quality_estimates.labels is 'The labels, in the order of all numbers of this estimate.';
    comment on column quality_estimates.shares is 'Share of each label among the correct ones, 0 to 1.';
    comment on column quality_estimates.newcomer is 'Confusion matrix of a person who is not in the estimate, row by \
row: a row for each correct label, a column for each given one.';
    comment on column quality_estimates.answers is 'Number of clear answers of people that it rests on.';
    comment on column quality_estimates.items is 'Number of outputs that they are about.';
    comment on column quality_estimates.changes_upto is 'Newest row of feedback_changes that it has seen; 0 for none.';
    comment on column quality_estimates.learner is 'What crowdlab found about the learner and the agreement of people; \
null by dawid-skene.';
    comment on column quality_estimates.made_at is 'Time at which it was computed.';

    create table person_quality (
        estimate_id bigint not null references quality_estimates on delete cascade,
        reviewer_id uuid not null references reviewers,
        answers     integer not null,
        shared      integer not null,
        accuracy    double precision check (accuracy between 0 and 1),
        low         double precision,
        high        double precision,
        confusion   double precision[] not null,
        weight      double precision,
        primary key (estimate_id, reviewer_id),
        constraint accuracy_has_its_interval check (
            (accuracy is null) = (low is null) and (accuracy is null) = (high is null))
    );
    comment on table person_quality is 'How reliable one person is, in one estimate.';
    comment on column person_quality.estimate_id is 'The estimate.';
    comment on column person_quality.reviewer_id is 'The person; one of the rows of reviewers with the same login.';
    comment on column person_quality.answers is 'Number of the person''s clear answers.';
    comment on column person_quality.shared is 'Those of them about outputs that somebody else answered too.';
    comment on column person_quality.accuracy is 'Estimated accuracy, 0 to 1; null if the answers do not say it.';
    comment on column person_quality.low is 'Lower end of its 95 % interval.';
    comment on column person_quality.high is 'Upper end of its 95 % interval.';
    comment on column person_quality.confusion is 'The person''s confusion matrix, row by row, see newcomer.';
    comment on column person_quality.weight is 'Weight of the person''s answers by crowdlab; null by dawid-skene.';

    alter table answers
        add column certainty double precision
            constraint answer_certainty check (certainty between 0 and 1),
        add column estimate_id bigint references quality_estimates;
    create index answers_by_estimate on answers (estimate_id) where estimate_id is not null;
    comment on column answers.certainty is 'Probability of the most probable label, 0 to 1, if the loop''s consensus \
estimates people''s quality; else null. It weights the answer in training.';
    comment on column answers.estimate_id is 'The estimate of people''s quality that the answer rests on; null by \
majority, and before the first estimate.';

    alter table tasks add column told_overlap integer not null default 1;
    comment on column tasks.told_overlap is 'Number of people that Label Studio was last told to ask, as in overlap.';
    update tasks set told_overlap = overlap;
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
