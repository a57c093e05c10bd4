#!/usr/bin/env bash
# Runs docker-compose.yml in a real container engine, on a machine that has root and the packages of Debian, npm and PyPI:
#   compose/trial/ci.sh          in a temporary folder, which is removed
#   compose/trial/ci.sh DIR      in DIR, which keeps the engine and its layers for the next run
# Exit status: 0 all holds, or no engine could be had (said in the last lines); 1 something of ours does not hold.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
engine=$here/engine.sh
passed=0 told=

say() { printf '%5s s  %s\n' "$SECONDS" "$*"; }
holds() { passed=$((passed + 1)); say "holds: $*"; }
no_engine() {
    printf '\n%s\n' "=== THE COMPOSE FILE WAS NOT RUN: $1 ===" "=== Only its text was tested. Run compose/trial/ci.sh where an engine can be had. ==="
    [ ! -f "$dir/engine.log" ] || tail -n 20 "$dir/engine.log"
    echo "compose: 0 passed, 0 failed, 1 skipped"
    exit 0
}
fails() {
    say "FAILS: $*"
    dc ps -a || true
    dc logs --tail 40 || true
    echo "compose: $passed passed, 1 failed"
    told=1
    exit 1
}

if [ $# -gt 0 ]; then dir=$(realpath -m "$1"); keep=1; else dir=$(mktemp -d /var/tmp/labelloop-compose.XXXXXX); keep=0; fi
mkdir -p "$dir"
end() {
    status=$?
    trap - EXIT INT TERM
    [ "$status" = 0 ] || [ -n "$told" ] || echo "compose: $passed passed, 1 failed"
    [ -z "${sampling:-}" ] || kill "$sampling" 2>/dev/null || true
    if [ "$keep" = 1 ]; then "$engine" stop "$dir"; else "$engine" remove "$dir"; fi || true
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT TERM

# -- the engine: what is missing here is not ours ----------------------------------------------------------------------

[ "$(id -u)" = 0 ] || no_engine "it needs root"
for tool in apt-get dpkg-deb perl npm python3 git unshare nsenter ip pgrep; do
    command -v "$tool" >/dev/null || no_engine "this machine has no $tool"
done
make_engine() {
    set -e
    [ -x "$dir/root/usr/sbin/dockerd" ] || "$engine" make "$dir"
    "$engine" start "$dir"
    "$engine" in "$dir" docker image inspect postgres:16-bookworm python:3.11-slim-bookworm nginx:1.28-bookworm >/dev/null 2>&1 ||
        "$here/bases.sh" "$dir"
}
say "a container engine is laid out in $dir"
# In a shell of its own, since `set -e` does not hold in a condition.
timeout 1200 bash -c "$(declare -f make_engine); dir='$dir' engine='$engine' here='$here'; make_engine" > "$dir/engine.log" 2>&1 ||
    no_engine "the engine or its base images could not be made within 20 minutes"
say "$(grep -m1 '^docker ' "$dir/engine.log") and the base images"

# -- ours --------------------------------------------------------------------------------------------------------------

tree=$dir/root/srv/labelloop
rm -rf "$tree"
git clone -q "$checkout" "$tree"
export WD=/srv/labelloop
inside() { "$engine" in "$dir" "$@" < "${stdin:-/dev/null}"; }
dc() { inside docker compose --ansi never --progress quiet "$@"; }
people() { "$engine" net "$dir" python3 "$here/people.py" "$tree" "$@"; }
loop() { dc exec -T backend labelloop "$@" --loop digits; }
status() { loop status --json | python3 -c "import json, sys; print(json.load(sys.stdin)[0]['$1'])"; }
until_is() { # FIELD VALUE
    for _ in $(seq 60); do
        [ "$(status "$1" 2>/dev/null)" != "$2" ] || return 0
        sleep 2
    done
    fails "$1 of the loop is $(status "$1"), and should be $2"
}
SERVICES="postgres label-studio sync sync-worker backend backend-worker proxy"
health() { dc ps --format '{{.Service}} {{.Health}}' "$@" | sort; }
all_healthy() { # within five minutes
    for _ in $(seq 100); do
        [ "$(health | grep -c ' healthy$')" != 7 ] || return 0
        sleep 3
    done
    fails "not all of $SERVICES are healthy: $(health | tr '\n' ' ')"
}
start() { dc up -d --wait --wait-timeout 900 >/dev/null 2>&1 || true; all_healthy; }
first_pid() { inside docker inspect -f '{{.State.Pid}}' "labelloop-$1-1"; }
memory() { inside docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' 2>/dev/null; }
memory_table() { # AT_REST SAMPLES: MiB of each container, and the highest that was seen
    python3 - "$@" <<'PY'
import re, sys

UNITS = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}
def read(path):
    for name, number, unit in re.findall(r"^labelloop-(\S+)-1 ([\d.]+)([KMG]iB)", open(path).read(), re.MULTILINE):
        yield name, float(number) * UNITS[unit]
rest = dict(read(sys.argv[1]))
for name in sorted(rest):
    peak = max(number for other, number in [*read(sys.argv[1]), *read(sys.argv[2])] if other == name)
    print(f"         {name:<15} {rest[name]:4.0f} MiB at rest, {peak:4.0f} at most")
PY
}
doctor_finds_nothing() {
    for _ in 1 2 3 4; do # a restarted service connects within 30 s
        dc run --rm -T tools doctor > "$dir/doctor.txt" 2>&1 && return 0
        sleep 15
    done
    grep -v '^ok' "$dir/doctor.txt"
    fails "labelloop doctor finds faults"
}

inside sh compose/secrets.sh
sed -e 's|^LABEL_STUDIO_HOST=.*|LABEL_STUDIO_HOST=https://localhost|' -e 's|^LABELLOOP_TAG=.*|LABELLOOP_TAG=first|' \
    -e 's|^LABEL_STUDIO_USERNAME=.*|LABEL_STUDIO_USERNAME=admin@example.org|' "$tree/compose/env.example" > "$tree/.env"
echo COMPOSE_PROFILES=tls >> "$tree/.env"
mkdir "$tree/tls"
inside openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout tls/privkey.pem -out tls/fullchain.pem 2>/dev/null
chmod 644 "$tree/tls/privkey.pem" # for the proxy's user
dc down --volumes >/dev/null 2>&1 || true
for image in labelloop labelloop-label-studio; do # left by an earlier run
    inside docker image ls -q "$image" | sort -u | xargs -r "$engine" in "$dir" docker image rm -f >/dev/null
done
inside docker image prune -f >/dev/null
dc build --quiet > "$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log"; fails "the images cannot be built from the locks"; }
inside docker image inspect labelloop:first labelloop-label-studio:1.23.2-first >/dev/null || fails "an image is missing"
[ -z "$(inside docker images -qf dangling=true)" ] || fails "images without a name were built: the same one twice"
holds "the images are built from the locks, each once"
start
holds "all seven services are healthy"
people routes || fails "the proxy lets through what it should not, or does not what it should"
holds "TLS in front, and what it lets through"
memory > "$dir/memory.rest"
(while memory; do sleep 1; done) > "$dir/memory.all" &
sampling=$!
doctor_finds_nothing
holds "doctor finds nothing on a fresh installation"

stdin=$here/outputs.py dc exec -T sync python - 0 120 > "$dir/outputs.ndjson" 2> "$dir/truth.raw"
tail -n 1 "$dir/truth.raw" > "$dir/truth.json"
people submit "$dir/outputs.ndjson"
people answer "$dir/truth.json" 30 || fails "a person could not answer"
until_is answered 30
holds "120 outputs in, 30 answers back"

loop retrain --wait --json > "$dir/run.json" 2>&1 || true # whether it passes the gate is chance: so few answers
version=$(loop versions --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["version"][:12])') ||
    { cat "$dir/run.json"; fails "no version was trained"; }
[ "$(status champion)" = "$version" ] || loop promote "$version" --by ci --why "the trial" >/dev/null
until_is champion "$version"
loop rollback --by ci --why "the trial" >/dev/null
until_is champion pipeline
unsigned=$(loop rollback --why "by nobody" 2>&1 || true)
[[ $unsigned == *"--by NAME"* ]] || fails "a decision without a name is not refused: $unsigned"
holds "a version trained, promoted, rolled back; no decision without a name"
kill "$sampling" 2>/dev/null || true
say "memory:"
memory_table "$dir/memory.rest" "$dir/memory.all"

OUTSIDE=10.0.2.3:53 python3 "$here/network_matrix.py" "$engine" in "$dir" || fails "the table of networks in docs/operators/deploy.md is untrue"
holds "each container reaches those it should, and no other"

for service in $SERVICES; do inside kill -9 "$(first_pid "$service")"; done
sleep 5
all_healthy
people answer "$dir/truth.json" 5 || fails "after a kill of each container nobody can answer"
until_is answered 35
holds "each container killed, and all go on"

for worker in sync-worker backend-worker; do inside pkill -STOP -P "$(first_pid $worker)"; done
for _ in $(seq 60); do
    [ "$(health sync-worker backend-worker | grep -c unhealthy)" != 2 ] || break
    sleep 3
done
[ "$(health sync-worker backend-worker | grep -c unhealthy)" = 2 ] || fails "a stuck worker looks healthy"
for worker in sync-worker backend-worker; do inside pkill -CONT -P "$(first_pid $worker)"; done
all_healthy
holds "a worker that is stuck is unhealthy, and healthy again when it goes on"

for secret in "$tree"/secrets/*; do
    before=$(cat "$secret")
    inside sh compose/rotate.sh "$(basename "$secret")" > "$dir/rotate.log" 2>&1 || { cat "$dir/rotate.log"; fails "rotation of $secret"; }
    [ "$before" != "$(cat "$secret")" ] || fails "$secret is the same after its rotation"
done
all_healthy
people submit "$dir/outputs.ndjson"
people answer "$dir/truth.json" 5 || fails "after the rotation of all secrets nobody can answer"
until_is answered 40
doctor_finds_nothing
holds "every secret rotated, and doctor finds nothing"

inside sh compose/backup.sh /srv/backup-1 > "$dir/backup.log" 2>&1 || { cat "$dir/backup.log"; fails "the backup"; }
people answer "$dir/truth.json" 1
! inside sh compose/restore.sh /srv/backup-1 > "$dir/restore.log" 2>&1 || fails "a backup was restored over data"
dc down --volumes >/dev/null 2>&1
inside sh compose/restore.sh /srv/backup-1 > "$dir/restore.log" 2>&1 || { cat "$dir/restore.log"; fails "the restore"; }
rm -rf "$dir/root/srv/backup-1"
all_healthy
until_is answered 40
loop promote "$version" --by ci --why "its model is back" >/dev/null || fails "the model is not back"
people answer "$dir/truth.json" 5 || fails "after the restore nobody can answer"
until_is answered 45
doctor_finds_nothing
holds "backup, and restore into empty volumes"

echo "CHANGED = True" >> "$tree/sync/__init__.py"
sed -i 's|^LABELLOOP_TAG=.*|LABELLOOP_TAG=second|' "$tree/.env"
dc build --quiet > "$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log"; fails "the images cannot be built again"; }
new=$(comm -13 <(inside docker inspect -f '{{join .RootFS.Layers "\n"}}' labelloop:first | sort) \
    <(inside docker inspect -f '{{join .RootFS.Layers "\n"}}' labelloop:second | sort) | wc -l)
size=$(inside docker history --format '{{.Size}} {{.CreatedBy}}' labelloop:second | grep 'COPY /app' | cut -d' ' -f1)
case $size in *kB | [0-9].*MB | [0-9]MB | 1[0-9].*MB | 1[0-9]MB) ;;  # source and bytecode; libraries would be hundreds
    *) fails "a change of our code makes a layer of $size" ;; esac
start
dc exec -T sync python -c 'import sync; assert sync.CHANGED' || fails "the new version does not run"
sed -i 's|^LABELLOOP_TAG=.*|LABELLOOP_TAG=first|' "$tree/.env"
start
! dc exec -T sync python -c 'import sync; assert sync.CHANGED' 2>/dev/null || fails "the old version does not run"
until_is answered 45
holds "a new version of ours ($new new layers, of $size), and back to the old one"

champion=$(status champion) # a run with the answers since may have promoted another
"$engine" stop "$dir"
"$engine" start "$dir" >/dev/null
all_healthy
until_is champion "$champion"
people answer "$dir/truth.json" 1 || fails "after a restart of the engine nobody can answer"
until_is answered 46
holds "the engine restarted, and all of it came back"
dc down --volumes >/dev/null 2>&1
echo "compose: $passed passed, 0 failed"
