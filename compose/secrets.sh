#!/bin/sh
# Makes secrets/, one random secret a file, for docker-compose.yml. It never touches a secret that is there.
# The folder is closed to all but you. The files in it are readable, because inside a container they are read by
# another user than the one who owns them here.
set -eu
umask 077
mkdir -p secrets && chmod 700 secrets
random() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -s "secrets/$1" ] || printf '%s\n' "$2" > "secrets/$1"; chmod 444 "secrets/$1"; }
for name in postgres_password label_studio_database_password label_studio_secret_key label_studio_password \
    label_studio_token intake_token hook_secret backend_password secret_key; do
    keep "$name" "$(random)"
done
# An installation from before the two roles keeps its one role: docs/operators/record.md says how to get the second.
if [ -s secrets/database_url ] && [ ! -s secrets/owner_url ]; then keep owner_url "$(cat secrets/database_url)"; fi
keep owner_url "postgresql://labelloop:$(random)@postgres:5432/labelloop"
keep database_url "postgresql://labelloop_app:$(random)@postgres:5432/labelloop"
