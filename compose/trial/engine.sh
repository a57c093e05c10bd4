#!/usr/bin/env bash
# A container engine from Debian's packages, in a folder of its own. Nothing is installed on the machine, none of its ports
# is taken, and no rule of its firewall is changed. Needs root, apt (Debian 12 or 13), unshare, nsenter and pivot_root.
#   engine.sh make DIR        fetch the engine and lay out its root (about a minute, 650 MB)
#   engine.sh start DIR       start dockerd in namespaces of its own: processes, mounts, network
#   engine.sh in DIR CMD...   run CMD in the engine's root and network; WD names its working folder
#   engine.sh net DIR CMD...  run CMD of this machine in the engine's network, where the published ports are
#   engine.sh base DIR TAR PACKAGES [OPTION...]   write a small Debian 12 with PACKAGES into TAR
#   engine.sh stop DIR        stop it; every process in it ends
#   engine.sh remove DIR      stop it and remove DIR
# The mirror, the certificates and the way out are those of this machine's own apt and pip.
set -euo pipefail
what=$1 dir=$(realpath -m "$2")
shift 2
root=$dir/root tools=$dir/tools

pid() { cat "$dir/engine.pid"; }
mirror() {
    cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null |
        sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' | sed -n 1p
}
debian() { # RELEASE TARGET PACKAGES [OPTION...]
    PATH=$tools/usr/bin:$PATH perl "$tools/usr/bin/mmdebstrap" -q --variant=minbase --mode=root \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io --include="$3" "${@:4}" \
        "$1" "$2" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $1 main"
}

# The engine is in one file with a file system, because it has 150,000 files. A disk that discards each deleted file takes
# more than ten minutes to delete them. Without loop devices the engine is in a folder.
mounted() { mountpoint -q "$root" || [ ! -f "$dir/disk" ] || mount -o loop,nodiscard "$dir/disk" "$root"; }

case $what in
make)
    mkdir -p "$tools" "$root"
    cd "$dir"
    truncate -s 20G disk
    { mkfs.ext4 -q -O ^has_journal -E nodiscard,lazy_itable_init=1 disk && mounted; } 2>/dev/null || rm -f disk
    rm -rf "$root/lost+found" # the root must be empty
    wanted=(mmdebstrap slirp4netns libslirp0)
    apt-get download "${wanted[@]}" >/dev/null 2>&1 || { apt-get update >/dev/null; apt-get download "${wanted[@]}" >/dev/null; }
    for package in ./*.deb; do dpkg-deb -x "$package" "$tools"; done
    # Debian 13, because Debian 12 has no compose of version 2.
    debian trixie "$root" docker.io,docker-cli,docker-compose,docker-buildx,tini,iptables,iproute2,ca-certificates,git,procps
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    mkdir -p "$root/.old" "$root/srv"
    ;;
base)
    debian bookworm "$1" "$2" "${@:3}"
    ;;
start)
    mounted
    # pivot_root, because from a chroot `docker exec` lands in this machine's own root. A process namespace, because with
    # its first process all others end, containers included.
    # shellcheck disable=SC2016 # the inner shell expands these
    unshare --mount --net --pid --fork --kill-child --propagation private bash -c '
        set -eu; R=$1
        mount --bind "$R" "$R"
        mount -t proc proc "$R/proc"; mount -t sysfs sysfs "$R/sys"
        mount --rbind /sys/fs/cgroup "$R/sys/fs/cgroup"; mount --rbind /dev "$R/dev"
        mount -t tmpfs tmpfs "$R/run"; mount -t tmpfs tmpfs "$R/tmp"
        ip link set lo up; echo "nameserver 10.0.2.3" > "$R/etc/resolv.conf"
        cd "$R"; pivot_root . .old; umount -l /.old
        exec tini -- dockerd --log-level=warn' _ "$root" > "$dir/dockerd.log" 2>&1 &
    unshare_pid=$!
    for _ in $(seq 50); do
        pgrep -P "$unshare_pid" > "$dir/engine.pid" && break
        sleep 0.1
    done
    sleep 1
    # The way out, for pip and uv in builds: in user space, so that nothing of this machine's network changes.
    LD_LIBRARY_PATH=$(dirname "$(find "$tools" -name 'libslirp.so.0' | sed -n 1p)") "$tools/usr/bin/slirp4netns" \
        --configure --mtu=65520 --disable-host-loopback "$(pid)" tap0 > "$dir/slirp.log" 2>&1 &
    echo $! > "$dir/slirp.pid"
    for _ in $(seq 60); do
        "$0" in "$dir" docker version >/dev/null 2>&1 && break
        sleep 1
    done
    "$0" in "$dir" docker version --format 'docker {{.Server.Version}}'
    # With cgroup v1 all containers together weigh as much as one process of the root group, unless it is told otherwise.
    shares=/sys/fs/cgroup/cpu/docker/cpu.shares
    if [ -w "$shares" ]; then echo 8192 > "$shares"; fi
    ;;
in)
    exec nsenter --target "$(pid)" --mount --net --pid --root --wdns="${WD:-/srv}" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
    ;;
net)
    exec nsenter --target "$(pid)" --net "$@"
    ;;
stop)
    [ -s "$dir/engine.pid" ] || exit 0
    kill "$(pid)" 2>/dev/null || true
    for _ in $(seq 60); do
        kill -0 "$(pid)" 2>/dev/null || break
        sleep 1
    done
    kill -9 "$(pid)" 2>/dev/null || true
    kill "$(cat "$dir/slirp.pid")" 2>/dev/null || true
    rm -f "$dir/engine.pid" "$dir/slirp.pid"
    ;;
remove)
    "$0" stop "$dir"
    if mountpoint -q "$root"; then umount "$root"; fi
    rm -rf --one-file-system "$dir"
    ;;
*)
    sed -n '2,/^set/{/^set/!p}' "$0" >&2
    exit 2
    ;;
esac
