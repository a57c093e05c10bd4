"""Outputs say whether the trigger sends them, and the inclusion probability is only that of chance.

The error rate of all outputs is estimated from answers that chance chose, by stratum: whether the trigger sends the
output. `inclusion_probability` was 1 wherever it does, though ranking decides which of these outputs people see.
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
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
