-- A version rarely doubts an answer that it was trained on. So a run keeps, for each training answer, the prediction of a
-- model that was not trained on it. The doubts so far are those of versions about their own training answers.

alter table run_items
    add column out_of_fold_probability double precision
        constraint out_of_fold_is_a_probability check (out_of_fold_probability between 0 and 1),
    add column out_of_fold_other text,
    add column out_of_fold_other_probability double precision
        constraint out_of_fold_other_is_a_probability check (out_of_fold_other_probability between 0 and 1),
    add constraint out_of_fold_is_of_training check (part = 'train' or out_of_fold_probability is null),
    add constraint out_of_fold_is_whole check ((out_of_fold_probability is null) = (out_of_fold_other_probability is null));
comment on column run_items.out_of_fold_probability is 'Probability of label by cross-validation: by a model that was trained without this answer, its group and its near-duplicates. Null in the holdout part, and if no such model was trained.';
comment on column run_items.out_of_fold_other is 'The most probable other answer by the same model; null if there is none.';
comment on column run_items.out_of_fold_other_probability is 'Probability of out_of_fold_other, 0 to 1; 0 if there is none.';

delete from doubts;
comment on table doubts is 'How likely another answer is than the one that a person gave, by a model that was not trained on that answer: the most doubtful are asked once more.';
comment on column doubts.doubt is 'Probability of the best other answer if it or the given one is correct: out_of_fold_other_probability against out_of_fold_probability of the ranker''s run (run_items), or the ranker''s own prediction if its run was not trained on the answer.';
