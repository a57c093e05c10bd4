-- The annotators' page: what the project says, and how close the two likeliest answers are.

alter table projects add column words jsonb not null default '{}';
comment on column projects.words is 'Title, description and instruction as labelloop last wrote them. Words in Label Studio that differ are a person''s, and stay.';

alter table pool add column margin double precision;
alter table batch_items add column margin double precision;
alter table tasks add column margin double precision;
comment on column pool.margin is 'Probability of the label less that of the next likeliest label, 0 to 1; null while the pipeline labels it, and where a version gives no probabilities.';
comment on column batch_items.margin is 'As in pool.';
comment on column tasks.margin is 'As in pool.';
