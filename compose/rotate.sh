#!/bin/sh
# Gives one secret a new value, wherever it is held, and restarts those that read it: sh compose/rotate.sh NAME
# The names are those of the files in secrets/. Everything must be running.
set -eu
name=${1:?usage: sh compose/rotate.sh NAME}
[ -f "secrets/$name" ] || { echo "there is no secrets/$name" >&2; exit 2; }
new=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')

# The file keeps its place on the disk, so that the containers see its new content.
write() { chmod 644 "secrets/$name"; printf '%s\n' "$1" > "secrets/$name"; chmod 444 "secrets/$name"; }
set_role_password() { # ROLE
    # shellcheck disable=SC2016 # the container's shell reads the password, so that no argument list shows it
    printf "alter role %s password '%s';\n" "$1" "$new" | docker compose exec -T postgres sh -c '
        export PGPASSWORD="$(cat /run/secrets/postgres_password)"
        exec psql --host=127.0.0.1 --username=postgres -XqAt --set ON_ERROR_STOP=1'
}
rotate_role() { # an installation with one role has it in both files
    role=$(sed -E 's|^[^:]+://([^:]+):.*$|\1|' "secrets/$name")
    set_role_password "$role"
    for name in owner_url database_url; do
        if grep -q "://$role:" "secrets/$name"; then
            write "$(sed -E "s|^([^:]+://[^:]+:)[^@]+@|\1$new@|" "secrets/$name")"
        fi
    done
}
restart() { docker compose restart "$@" && docker compose up -d --no-deps --no-recreate --wait "$@"; }

case $name in
owner_url)
    rotate_role ;;
database_url)
    rotate_role
    restart sync sync-worker backend backend-worker ;;
label_studio_database_password)
    set_role_password label_studio
    write "$new"
    restart label-studio ;;
postgres_password)
    set_role_password postgres
    write "$new" ;;
label_studio_password) # the administrator's
    write "$new"
    docker compose run --rm -T --no-deps label-studio-init password ;;
label_studio_token) # Label Studio makes the new one
    new=$(docker compose exec -T sync-worker python -c '
import json, os, urllib.request
read = lambda name: open(os.environ[name]).read().strip()
url = os.environ["LABELLOOP_LABEL_STUDIO_URL"] + "/api/current-user/reset-token"
headers = {"Authorization": "Token " + read("LABELLOOP_LABEL_STUDIO_TOKEN_FILE")}
print(json.load(urllib.request.urlopen(urllib.request.Request(url, b"", headers), timeout=60))["token"])')
    write "$new"
    restart sync sync-worker ;;
label_studio_secret_key) # ends all sessions, and voids all personal tokens
    write "$new"
    restart label-studio ;;
intake_token) # the pipelines need it too
    write "$new"
    restart sync ;;
hook_secret) # the worker gives it to Label Studio
    write "$new"
    restart sync sync-worker ;;
backend_password) # the worker gives it to Label Studio
    write "$new"
    restart backend backend-worker sync sync-worker ;;
secret_key) # ends the sessions of the review pages
    write "$new"
    restart backend ;;
*)
    echo "secrets/$name is none of ours" >&2
    exit 2 ;;
esac
