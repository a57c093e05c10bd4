#!/bin/sh
# Writes a backup into a new folder, while everything runs: sh compose/backup.sh FOLDER
# It holds both databases, the models and Label Studio's files. Keep `secrets/` and `.env` elsewhere: they are not in it.
set -eu
folder=${1:?usage: sh compose/backup.sh FOLDER}
umask 077
mkdir -- "$folder"

dump() {
    # shellcheck disable=SC2016 # the container's shell reads the password, so that no argument list shows it
    docker compose exec -T postgres sh -c 'export PGPASSWORD="$(cat /run/secrets/postgres_password)"
        exec pg_dump --host=127.0.0.1 --username=postgres --format=custom "$1"' _ "$1" > "$folder/$1.dump"
}
# No task may be pushed between the two dumps. Answers may come in: those that the first one lacks are pulled again.
trap 'docker compose start sync-worker' EXIT
docker compose stop sync-worker
dump labelloop
dump label_studio
trap - EXIT
docker compose start sync-worker

# Files after the databases: a version that the dump names was written before. None of these files ever changes.
docker compose exec -T backend tar -C /data/models -cf - . > "$folder/models.tar"
docker compose exec -T label-studio tar -C /data -cf - . > "$folder/label-studio-data.tar"
(cd -- "$folder" && sha256sum -- *.dump *.tar > SHA256SUMS)
echo "written to $folder: $(du -sh -- "$folder" | cut -f1)"
