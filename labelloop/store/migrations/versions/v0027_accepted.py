"""Certificates of a promised share of errors, and the outputs that they let pass unseen.

A promotion ends the certificate of the model before it in the same transaction, whoever promotes. Both new events are
written by triggers in the transaction of their fact, as those of 0018.
"""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
SQL = """
    alter type output_state add value 'accepted' after 'passed';
    comment on column outputs.state is
        'passed (not shown to people), accepted (passed unseen by a certificate), waiting, pushing, in_review, '
        'answered, quarantined, withdrawn.';

    create table promise_tests (
        id             uuid primary key default gen_random_uuid(),
        loop           text not null references loops,
        labeller       text not null constraint test_labeller check (labeller in ('pipeline', 'champion')),
        version        text not null,
        basis          bytea not null constraint test_basis_is_32_bytes check (length(basis) = 32),
        number         integer not null constraint test_number check (number > 0),
        thresholds     jsonb not null,
        since          timestamptz,
        begun_at       timestamptz not null default now(),
        closed_at      timestamptz,
        closed_because text,
        constraint one_number_a_test unique (loop, number),
        constraint closed_test_has_a_reason check ((closed_at is null) = (closed_because is null))
    );
    create unique index one_open_test on promise_tests (loop, labeller, version, basis) where closed_at is null;
    comment on table promise_tests is
        'The test of one model''s confidences against people''s answers. Its thresholds are fixed before it begins.';
    comment on column promise_tests.id is 'Our id.';
    comment on column promise_tests.loop is 'The loop.';
    comment on column promise_tests.labeller is
        'The model whose labels are tested: that of the pipeline, or a champion.';
    comment on column promise_tests.version is
        'The model_version of the pipeline''s outputs, or the id of the champion.';
    comment on column promise_tests.basis is
        'SHA-256 of what the answers depend on: accept, trigger and form. With another one they tell nothing.';
    comment on column promise_tests.number is
        'The test''s place in the loop''s life, with the versions that a gate judged on the same answers counted in. '
        'It decides how much of the chance of error the test may use (labelloop/gate/looks.py).';
    comment on column promise_tests.thresholds is
        'By label, or by * for all labels: the confidences that are tested one after another, falling.';
    comment on column promise_tests.since is
        'Only outputs that came after this time count: the model did not keep its promise before. Null for all.';
    comment on column promise_tests.begun_at is 'Time at which its thresholds were fixed.';
    comment on column promise_tests.closed_at is 'Time since which its answers count no more; null while they do.';
    comment on column promise_tests.closed_because is 'Why they count no more; null while they do.';

    create table certificates (
        id              uuid primary key default gen_random_uuid(),
        test_id         uuid not null references promise_tests,
        loop            text not null references loops,
        labeller        text not null,
        version         text not null,
        basis           bytea not null,
        error           double precision not null constraint certificate_error check (error between 0 and 1),
        confidence      double precision not null constraint certificate_confidence check (confidence between 0 and 1),
        thresholds      jsonb not null,
        answers         integer not null,
        made_at         timestamptz not null default now(),
        ended_at        timestamptz,
        ended_because   text,
        replaced        boolean not null default false,
        revoked_at      timestamptz,
        revoked_by      text,
        revoked_because text,
        constraint ended_certificate_has_a_reason check ((ended_at is null) = (ended_because is null)),
        constraint replaced_certificate_has_ended check (not replaced or ended_at is not null),
        constraint revoked_certificate_has_ended check (revoked_at is null or ended_at is not null),
        constraint revoked_certificate_has_a_reason check (
            (revoked_at is null) = (revoked_because is null) and (revoked_at is null) = (revoked_by is null))
    );
    create unique index one_certificate_in_force on certificates (loop) where ended_at is null;
    create index certificates_by_loop on certificates (loop, made_at);
    create index certificates_by_test on certificates (test_id);
    comment on table certificates is
        'Which outputs of one model may pass unseen, and the promise about them. One is in force in a loop at most.';
    comment on column certificates.id is 'Our id, by which commands name it.';
    comment on column certificates.test_id is 'The test that it rests on.';
    comment on column certificates.loop is 'The loop.';
    comment on column certificates.labeller is 'As in promise_tests.';
    comment on column certificates.version is 'As in promise_tests: it holds for the labels of this model only.';
    comment on column certificates.basis is 'As in promise_tests.';
    comment on column certificates.error is 'The promise: at most this share of what passes is incorrect, 0 to 1.';
    comment on column certificates.confidence is 'The probability with which the promise holds, 0 to 1.';
    comment on column certificates.thresholds is
        'By label, or by * for all labels: the smallest confidence with which an output passes unseen.';
    comment on column certificates.answers is 'Number of answers at its last look.';
    comment on column certificates.made_at is 'Time from which it is in force.';
    comment on column certificates.ended_at is 'Time from which it is not; null while it is in force.';
    comment on column certificates.ended_because is 'Why it ended, for people; null while it is in force.';
    comment on column certificates.replaced is 'Whether one of the same model with other thresholds took its place.';
    comment on column certificates.revoked_at is
        'Time at which a person sent all that it accepted back to people; null otherwise.';
    comment on column certificates.revoked_by is 'Name of the person who revoked it.';
    comment on column certificates.revoked_because is 'The reason that this person gave.';

    create table accepted (
        output_id      uuid primary key references outputs,
        certificate_id uuid not null references certificates,
        loop           text not null references loops,
        label          text not null,
        confidence     double precision not null constraint accepted_confidence check (confidence between 0 and 1),
        utility        double precision not null constraint accepted_utility check (utility between 0 and 1),
        at             timestamptz not null default now(),
        revoked_at     timestamptz
    );
    create index accepted_by_certificate on accepted (certificate_id);
    create index accepted_by_loop on accepted (loop, at);
    comment on table accepted is
        'Outputs that passed unseen by a certificate. No person saw them: they are no answers and train no model.';
    comment on column accepted.output_id is 'The output. It is accepted at most once in its life.';
    comment on column accepted.certificate_id is 'The certificate that covered it.';
    comment on column accepted.loop is 'The loop.';
    comment on column accepted.label is 'The label that was accepted: the pipeline''s, or the champion''s.';
    comment on column accepted.confidence is 'That model''s confidence in it, 0 to 1.';
    comment on column accepted.utility is 'As in pool, for the case that it is revoked and waits again.';
    comment on column accepted.at is 'Time at which it was accepted.';
    comment on column accepted.revoked_at is 'Time at which it went back to people; null otherwise.';

    create or replace function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
    declare
        repeats_another boolean := exists (select from repeats where output_id = new.id);
    begin
        if (old.state, new.state) not in (
            ('waiting', 'pushing'), ('waiting', 'withdrawn'), ('waiting', 'answered'), ('waiting', 'passed'),
            ('waiting', 'accepted'), ('accepted', 'waiting'), ('accepted', 'in_review'), ('accepted', 'answered'),
            ('pushing', 'in_review'), ('pushing', 'waiting'), ('pushing', 'quarantined'),
            ('in_review', 'answered'), ('in_review', 'withdrawn'), ('in_review', 'waiting'),
            ('answered', 'in_review'), ('answered', 'withdrawn'),
            ('quarantined', 'waiting'), ('quarantined', 'answered'),
            ('withdrawn', 'waiting'), ('withdrawn', 'in_review'), ('withdrawn', 'answered'),
            ('passed', 'waiting'), ('passed', 'in_review'), ('passed', 'answered')
        ) and not (
            (old.state, new.state) in (('answered', 'waiting'), ('answered', 'passed'), ('answered', 'quarantined'),
                                       ('answered', 'accepted'))
            and (repeats_another or not exists (select from feedback where model_output_id = new.id))
            or (old.state, new.state) = ('waiting', 'quarantined') and repeats_another
        ) or new.state in ('pushing', 'in_review') and repeats_another then
            raise exception 'output % cannot go from % to %', new.id, old.state, new.state
                using errcode = 'check_violation', constraint = 'output_edges';
        end if;
        insert into output_events (output_id, was, became, reason)
            values (new.id, old.state, new.state, new.state_reason);
        return new;
    end $$;

    create function accepted_is_sound() returns trigger language plpgsql as $$
    begin
        -- What chance chose is seen by people, or no certificate could be measured.
        if not exists (select from outputs o where o.id = new.output_id and o."loop" = new."loop" and o.lane = 'rule'
                       and o.triggered is false) then
            raise exception 'output % cannot be accepted: chance or the trigger sends it to people', new.output_id
                using errcode = 'check_violation', constraint = 'only_the_rest_is_accepted';
        end if;
        return new;
    end $$;
    create trigger accepted_is_sound before insert on accepted for each row execute function accepted_is_sound();

    create function promotions_end_certificates() returns trigger language plpgsql as $$
    begin
        update certificates set ended_at = now(), ended_because = case when new.version_id is null
            then 'the loop went back to the labels of the pipeline'
            else 'version ' || left(new.version_id, 8) || ' became champion' end
        where "loop" = new."loop" and ended_at is null;
        return null;
    end $$;
    create trigger promotions_end_certificates after insert on promotions
        for each row execute function promotions_end_certificates();

    alter table callbacks drop constraint callback_events, add constraint callback_events check (
        cardinality(events) > 0 and events <@ array[
            'output.answered', 'answer.changed', 'task.completed', 'version.promoted', 'output.accepted',
            'certificate.withdrawn']);

    create function accepted_tell() returns trigger language plpgsql as $$
    begin
        perform tell_callbacks(new."loop", 'output.accepted', jsonb_build_object(
            'id', new.output_id, 'key', o.key, 'label', new.label, 'confidence', new.confidence,
            'certificate', new.certificate_id, 'by', c.labeller, 'version', c.version, 'error', c.error,
            'at', new.at))
        from certificates c, outputs o where c.id = new.certificate_id and o.id = new.output_id;
        return null;
    end $$;
    create trigger accepted_tell after insert on accepted for each row execute function accepted_tell();

    create function certificates_tell() returns trigger language plpgsql as $$
    begin
        perform tell_callbacks(new."loop", 'certificate.withdrawn', jsonb_build_object(
            'certificate', new.id, 'by', new.labeller, 'version', new.version, 'why', new.ended_because,
            'ended_at', new.ended_at, 'revoked', new.revoked_at is not null, 'revoked_by', new.revoked_by,
            'revoked_because', new.revoked_because,
            'accepted', (select count(*) from accepted where certificate_id = new.id)));
        return null;
    end $$;
    create trigger certificates_tell after update on certificates for each row
        when (old.ended_at is null and new.ended_at is not null and not new.replaced
              or old.revoked_at is null and new.revoked_at is not null)
        execute function certificates_tell();

    alter table outcomes drop constraint outcome_is_known, add constraint outcome_is_known check (
        outcome in ('answer', 'passed', 'accepted', 'fallback', 'undecided'));
    comment on column outcomes.outcome is
        'answer: people agreed on a label. passed: nobody is asked. accepted: a certificate lets it pass. '
        'fallback: the value that the pipeline declared. undecided: it declared none.';
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
