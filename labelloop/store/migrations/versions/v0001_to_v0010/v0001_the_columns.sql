-- What every column is for that the_loop.sql says nothing about, so that a reader of the database needs no code beside it.

comment on column loops.name is 'The name of its folder.';
comment on column loops.created_at is 'When it was first registered.';
comment on column loops.updated_at is 'When its files were last read.';

comment on column projects.loop is 'The loop; each has one project.';
comment on column projects.label_studio_url is 'The Label Studio that it stands in.';
comment on column projects.swept_at is 'When every task was last looked at, not only those that changed.';
comment on column projects.created_at is 'When it was first wanted.';

comment on column batches.id is 'Travels in the data of each task as labelloop_batch: by it a lost answer is looked up.';
comment on column batches.loop is 'The loop.';
comment on column batches.state is 'intent: written down. sending: may have arrived. adopted: arrived. abandoned: never arrived. refused: Label Studio said no.';
comment on column batches.size is 'Number of outputs in it.';
comment on column batches.created_at is 'When it was written down.';
comment on column batches.resolved_at is 'When it became clear what had become of it.';
comment on column batches.reason is 'Why it was abandoned or refused.';

comment on column outputs.id is 'Our name for it; travels in a task''s data as labelloop_output.';
comment on column outputs.loop is 'The loop that it was submitted to.';
comment on column outputs.data is 'The item as people see it: the fields that the labeling config shows, and any others.';
comment on column outputs.probabilities is 'By label, as the pipeline sent them; null where it sent a label or a result.';
comment on column outputs.result is 'Label Studio''s own result, where the pipeline sent that.';
comment on column outputs.model_version is 'The pipeline''s name for its model.';
comment on column outputs.produced_at is 'When the model said it, by the pipeline''s clock; null where it was not said.';
comment on column outputs.received_at is 'When the intake stored it.';
comment on column outputs.state is 'Where it stands: passed (nobody is shown it), waiting, pushing, in_review, answered, quarantined, withdrawn.';
comment on column outputs.state_reason is 'Why it was quarantined or withdrawn.';
comment on column outputs.batch_id is 'The import that carries or carried it to Label Studio.';

comment on column output_events.seq is 'In the order in which they were written.';
comment on column output_events.output_id is 'The output.';
comment on column output_events.was is 'The state that it left.';
comment on column output_events.became is 'The state that it came to.';
comment on column output_events.reason is 'Why, where there is more to say.';
comment on column output_events.at is 'When.';

comment on column pool.output_id is 'The output that waits.';
comment on column pool.loop is 'The loop.';
comment on column pool.lane is 'The output''s lane.';
comment on column pool.confidence is 'The probability of the prelabel; null where none was given.';

comment on column batch_items.batch_id is 'The import.';
comment on column batch_items.output_id is 'The output.';
comment on column batch_items.lane is 'As in pool.';
comment on column batch_items.utility is 'As in pool.';
comment on column batch_items.priority is 'As in tasks.';
comment on column batch_items.label is 'As in pool.';
comment on column batch_items.confidence is 'As in pool.';
comment on column batch_items.scored_by is 'As in pool.';
comment on column batch_items.ranked_by is 'As in pool.';

comment on column tasks.output_id is 'The output.';
comment on column tasks.loop is 'The loop.';
comment on column tasks.batch_id is 'The import that made it.';
comment on column tasks.instance is 'The project''s own name, see projects.';
comment on column tasks.label_studio_id is 'Label Studio''s id of the task.';
comment on column tasks.lane is 'The output''s lane.';
comment on column tasks.utility is 'As in pool, renewed while the task is open.';
comment on column tasks.label is 'The prelabel, as in pool.';
comment on column tasks.confidence is 'The probability of the prelabel; null where none was given.';
comment on column tasks.scored_by is 'The version that gave label and confidence.';
comment on column tasks.ranked_by is 'The version that gave the utility.';
comment on column tasks.pushed_at is 'When we learned that Label Studio has it.';

comment on column pull_requests.loop is 'The loop.';
comment on column pull_requests.task_id is 'Label Studio''s id of the task.';
comment on column pull_requests.requested_at is 'When the doorbell last rang for it.';

comment on column annotation_versions.seq is 'In the order in which we saw them.';
comment on column annotation_versions.instance is 'The project''s own name, see projects.';
comment on column annotation_versions.annotation_id is 'Label Studio''s id of the annotation.';
comment on column annotation_versions.task_id is 'Label Studio''s id of the task.';
comment on column annotation_versions.sha256 is 'Of all that can change without a new updated_at.';
comment on column annotation_versions.result is 'The answer, as Label Studio keeps it.';
comment on column annotation_versions.completed_by is 'Label Studio''s id of who began it, as the sender said: any member can put another''s id here.';
comment on column annotation_versions.updated_by is 'Label Studio''s id of who wrote this version: the one to believe.';
comment on column annotation_versions.was_cancelled is 'Skipped: no answer.';
comment on column annotation_versions.ground_truth is 'Marked so in Label Studio; not used.';
comment on column annotation_versions.lead_time_s is 'Seconds that the person took, as Label Studio reports them.';
comment on column annotation_versions.parent_prediction is 'Label Studio''s id of the prediction that it began from; null where from none.';
comment on column annotation_versions.created_at is 'By Label Studio''s clock.';
comment on column annotation_versions.updated_at is 'By Label Studio''s clock: the newest is the one that counts, of equal ones the last that we saw.';
comment on column annotation_versions.seen_at is 'When we read it, by our clock.';

comment on column reviewers.id is 'Our name for the person.';
comment on column reviewers.instance is 'The project''s own name, see projects: another Label Studio re-uses its ids of users.';
comment on column reviewers.label_studio_user_id is 'Label Studio''s id of the user.';
comment on column reviewers.email is 'The login; null where Label Studio did not say it.';

comment on column feedback.id is 'Stays the same while the reviewer changes the answer.';
comment on column feedback.model_output_id is 'The output, see outputs.';
comment on column feedback.reviewer_id is 'The person, see reviewers.';
comment on column feedback.comment is 'What the person wrote beside the answer.';
comment on column feedback.annotation_id is 'Label Studio''s id of the annotation that it was read from.';
comment on column feedback.created_at is 'When the annotation was made, by Label Studio''s clock.';
comment on column feedback.updated_at is 'When the annotation was last changed, by Label Studio''s clock.';

comment on column answers.seq is 'Its order; the highest of an output is the one that holds.';
comment on column answers.output_id is 'The output.';
comment on column answers.loop is 'The loop.';
comment on column answers.reviewers is 'Number of people who answered.';
comment on column answers.resolved_at is 'When it was worked out.';

comment on column model_versions.id is 'SHA-256 of the file, and its name: <id>.skops.';
comment on column model_versions.loop is 'The loop.';
comment on column model_versions.stage is 'challenger: not judged yet. champion: serves. refused: by the gate. retired: was champion.';
comment on column model_versions.learner is 'Name of the learner.';
comment on column model_versions.classes is 'The labels that it knows, in the order of its probabilities.';
comment on column model_versions.size_bytes is 'Size of the file.';
comment on column model_versions.created_at is 'When it was trained.';

comment on column promotions.loop is 'The loop.';
comment on column promotions.epoch is 'Counts the changes of champion, from 1.';
comment on column promotions.previous_id is 'Who served before; null: the pipeline''s own outputs.';
comment on column promotions.by is 'The gate, or the person who decided.';
comment on column promotions.why is 'The reason that was given.';
comment on column promotions.at is 'When.';

comment on column retrain_runs.id is 'Our name for the run.';
comment on column retrain_runs.loop is 'The loop.';
comment on column retrain_runs.why is 'What asked for it.';
comment on column retrain_runs.status is 'queued, running, and then promoted or refused (the verdict) or failed.';
comment on column retrain_runs.seed is 'Of all randomness in the fit: the same cut and seed give the same version.';
comment on column retrain_runs.requested_at is 'When it was asked for.';
comment on column retrain_runs.started_at is 'When a worker took it; null while it is queued.';
comment on column retrain_runs.heartbeat_at is 'When its worker was last seen alive.';
comment on column retrain_runs.finished_at is 'When it ended; null while it is open.';
comment on column retrain_runs.version_id is 'The version that it made; null where it made none.';
comment on column retrain_runs.reasons is 'The verdict in plain words, the deciding reason first.';
comment on column retrain_runs.scores is 'What the verdict rests on: both models'' right answers on the hold-out, with intervals, and the test.';
comment on column retrain_runs.error is 'Why it failed.';

comment on column run_items.run_id is 'The run.';
comment on column run_items.output_id is 'The output.';
comment on column run_items.part is 'train: taught. holdout: judged on.';
comment on column run_items.holdout is 'As in outputs; a key of the database ties the two together.';
comment on column run_items.answer_seq is 'The answer that was used.';
comment on column run_items.label is 'The label of that answer.';
comment on column run_items.champion_label is 'What the incumbent says (the pipeline''s output while there is no champion); null where it says nothing, and in the train part.';
comment on column run_items.challenger_label is 'What the challenger says; null in the train part.';
