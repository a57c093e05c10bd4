-- labelloop/outputs.py reads keys, and keeps them in Unicode's form NFC.
alter table outputs
    drop constraint output_key,
    add constraint output_key check (
        octet_length(key) between 1 and 500 and key !~ '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]'
    );

create table pictures (
    address_sha256  bytea primary key constraint picture_address check (octet_length(address_sha256) = 32),
    png             bytea not null,
    fetched_at      timestamptz not null default now()
);
comment on table pictures is 'Pictures that were fetched from addresses in the data, as learners see them. Kept, so that no run fetches anew and a replay sees the same.';
comment on column pictures.address_sha256 is 'Of the address in UTF-8, as the data has it.';
comment on column pictures.png is 'Grey, 128 x 128 pixels, PNG.';
comment on column pictures.fetched_at is 'When it was fetched; a picture that changes behind its address is not fetched again.';
