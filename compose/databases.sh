#!/bin/sh
# Run once by the postgres image, on an empty data folder: a database and an owner for each of the two programs.
# Neither owner may open the other's database; the passwords are read by psql itself, so that no argument list shows one.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set labelloop_password `sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' /run/secrets/database_url`
\set label_studio_password `cat /run/secrets/label_studio_database_password`
create role labelloop login password :'labelloop_password';
create role label_studio login password :'label_studio_password';
create database labelloop owner labelloop;
create database label_studio owner label_studio;
revoke connect, temporary on database labelloop, label_studio from public;
SQL
