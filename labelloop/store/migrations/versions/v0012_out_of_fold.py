"""Out-of-fold predictions of the training answers of each run.

A version rarely doubts an answer that it was trained on. So a run keeps, for each training answer, the prediction of a
model that was not trained on it. The doubts so far are those of versions about their own training answers.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0010"

COLUMNS = """
    alter table run_items
        add column out_of_fold_probability double precision
            constraint out_of_fold_is_a_probability check (out_of_fold_probability between 0 and 1),
        add column out_of_fold_other text,
        add column out_of_fold_other_probability double precision
            constraint out_of_fold_other_is_a_probability check (out_of_fold_other_probability between 0 and 1),
        add constraint out_of_fold_is_of_training check (part = 'train' or out_of_fold_probability is null),
        add constraint out_of_fold_is_whole
            check ((out_of_fold_probability is null) = (out_of_fold_other_probability is null))
"""
COMMENTS = {
    "column run_items.out_of_fold_probability": "Probability of label by cross-validation: by a model that was trained "
    "without this answer, its group and its near-duplicates. Null in the holdout part, and if there is no such model.",
    "column run_items.out_of_fold_other": "The most probable other answer by the same model; null if there is none.",
    "column run_items.out_of_fold_other_probability": "Probability of out_of_fold_other, 0 to 1; 0 if there is none.",
    "table doubts": "How likely another answer is than the one that a person gave, by a model that was not trained on "
    "that answer. The most doubtful are asked once more.",
    "column doubts.doubt": "Probability of the best other answer if it or the given one is correct. By run_items of "
    "the run that trained the ranker, or by the ranker itself if that run was not trained on the answer.",
}


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute("delete from doubts")
    for what, comment in COMMENTS.items():
        op.execute(f"comment on {what} is '{comment}'")
