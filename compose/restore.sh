#!/bin/sh
# Restores a backup of compose/backup.sh into empty volumes, then starts everything: sh compose/restore.sh FOLDER
# Needs the images, and the `secrets/` and `.env` that belong to the backup.
set -eu
folder=${1:?usage: sh compose/restore.sh FOLDER}
(cd -- "$folder" && sha256sum --quiet -c SHA256SUMS)

as_postgres() { # PROGRAM DATABASE [WORD ...]
    # shellcheck disable=SC2016 # the container's shell reads the password, so that no argument list shows it
    docker compose exec -T postgres sh -c 'export PGPASSWORD="$(cat /run/secrets/postgres_password)" PGDATABASE="$2"
        program=$1; shift 2; exec "$program" --host=127.0.0.1 --username=postgres "$@"' _ "$@"
}
docker compose up -d --wait postgres
for database in labelloop label_studio; do
    tables=$(as_postgres psql "$database" -XAtc "select count(*) from pg_tables where schemaname = 'public'" < /dev/null)
    [ "$tables" = 0 ] || {
        echo "the database $database has $tables tables: a backup is restored into empty volumes only" >&2
        echo "(docker compose down --volumes empties them, for good)" >&2
        exit 1
    }
done
for database in labelloop label_studio; do
    as_postgres pg_restore "$database" --exit-on-error --dbname="$database" < "$folder/$database.dump"
done
# The next push compares all tasks first: Label Studio may have some that this database lacks. A backup of an earlier
# version lacks the column.
docker compose run --rm -T migrate < /dev/null
echo "update projects set restored_at = now() where project_id is not null" | as_postgres psql labelloop -X -q -v ON_ERROR_STOP=1
extract() { docker compose run --rm -T --no-deps --entrypoint tar "$1" -C "$2" -xf -; }
extract backend-worker /data/models < "$folder/models.tar"
extract label-studio-init /data < "$folder/label-studio-data.tar"
docker compose up -d
