#!/bin/sh
# Run once by the postgres image, on an empty data folder: a database and an owner for each of the two programs, and the
# role with which labelloop works. `labelloop migrate` gives that role its rights: it can add to the record, not change it.
# Neither owner may open the other's database; the passwords are read by psql itself, so that no argument list shows one.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set owner_password `sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' /run/secrets/owner_url`
\set application_password `sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' /run/secrets/database_url`
\set label_studio_password `cat /run/secrets/label_studio_database_password`
create role labelloop login password :'owner_password';
create role labelloop_app login password :'application_password';
create role label_studio login password :'label_studio_password';
create database labelloop owner labelloop;
create database label_studio owner label_studio;
revoke connect, temporary on database labelloop, label_studio from public;
grant connect, temporary on database labelloop to labelloop_app;
SQL
