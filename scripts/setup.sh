#!/usr/bin/env bash
# Makes sure that what a goal needs is there: setup.sh build [containers] [docker] [web] [tests] [bench]
#
# As root on Debian or Ubuntu it installs what is missing; elsewhere it says in one line what to
# install and fails. Running it again changes nothing. It stops no process.
set -euo pipefail

readonly RUST_WANTED=1.95
readonly NODE_WANTED=20.19
readonly DOCKER_DEADLINE_SECONDS=60
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/hivemind

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs packages of the distribution, as root on Debian or Ubuntu only.
# usage: packages "what for" package...
packages() {
    local purpose=$1
    shift
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        die "$purpose is missing: install the packages (Debian's names) $*"
    fi
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } </dev/null >&2 ||
        die "apt-get could not install $*: see above"
}

# True where version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_build() {
    if ! have cc || ! have make || [ ! -e "$(cc -print-file-name=libc.a 2>/dev/null || echo /none)" ]; then
        packages "a C compiler with its static library" gcc make libc6-dev
    fi
    have cargo || die "Rust is missing: install Rust $RUST_WANTED or newer with rustup, as www.rust-lang.org says"
    local version
    version=$(rustc --version | cut -d ' ' -f 2)
    at_least "$version" "$RUST_WANTED" || die "Rust $version is too old: run 'rustup update stable' ($RUST_WANTED or newer)"
}

docker_answers() { timeout 10 docker info >/dev/null 2>&1 </dev/null; }

# Waits until the engine answers; ends early where process $1 (if given) is gone.
wait_for_docker() {
    local deadline=$((SECONDS + DOCKER_DEADLINE_SECONDS))
    until docker_answers; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        if [ -n "${1:-}" ] && ! kill -0 "$1" 2>/dev/null; then return 1; fi
        sleep 0.5
    done
}

# Starts the engine by itself, detached, as it lives on when this script ends.
start_dockerd() {
    local log=$CACHE/dockerd.log
    mkdir -p "$CACHE"
    say "starting the Docker engine: dockerd $* (log: $log)"
    setsid dockerd "$@" </dev/null >"$log" 2>&1 &
    local pid=$!
    disown
    wait_for_docker "$pid"
}

need_docker() {
    have docker && have dockerd || docker_answers || packages "the Docker engine" docker.io apparmor ca-certificates
    # Newer releases have the command in a package of its own.
    have docker || packages "the command docker" docker-cli
    have mkfs.ext4 || packages "mkfs.ext4, which limits the disk of a task," e2fsprogs
    docker_answers && return
    [ "$(id -u)" = 0 ] ||
        die "no Docker engine answers: start it (sudo systemctl start docker) and let yourself use it (sudo usermod -aG docker $(id -un), then log in again)"
    if [ -d /run/systemd/system ] && have systemctl; then
        say "starting the Docker engine: systemctl start docker"
        systemctl start docker </dev/null && wait_for_docker "" && return
    fi
    # Without systemd nobody may have mounted the control groups.
    if ! grep -qE "^[^ ]+ [^ ]+ cgroup2? " /proc/self/mounts && apt-cache show cgroupfs-mount >/dev/null 2>&1; then
        packages "control groups" cgroupfs-mount
        cgroupfs-mount >&2 || true
    fi
    start_dockerd && return
    # In a container or without netfilter there may be no right to set up a bridge. Tasks have no network anyway.
    start_dockerd --iptables=false --ip6tables=false --bridge=none && return
    die "the Docker engine does not start: read $CACHE/dockerd.log"
}

# Something that makes containers: Docker where it is there, else the workers' built-in runtime, which needs root.
need_containers() {
    if docker_answers; then return; fi
    if have dockerd && (need_docker); then return; fi
    if [ "$(id -u)" = 0 ] && [ -e /dev/loop-control ]; then
        have mkfs.ext4 || packages "mkfs.ext4, which limits the disk of a task," e2fsprogs
        say "no Docker: the built-in runtime makes the containers"
        return
    fi
    need_docker
}

# What makes the pages.
need_web() {
    have node && have npm || packages "Node.js with npm, which makes the pages," nodejs npm
    local version
    version=$(node --version | tr -d v)
    at_least "$version" "$NODE_WANTED" ||
        die "Node.js $version is too old for the pages: install $NODE_WANTED or newer, as nodejs.org says"
}

# What looks at them as people do.
need_browser() {
    have chromium || have chromium-browser || have google-chrome || packages "a browser, in which the pages are tested," chromium
}

need_python() {
    have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null ||
        packages "Python 3 with venv" python3 python3-venv
}

# Checks figures and alert rules. Its package would start a server, which nobody asked for.
need_promtool() {
    if have promtool; then return; fi
    local policy=/usr/sbin/policy-rc.d
    (
        if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        packages "promtool, which checks figures and alert rules," prometheus
    )
    if [ -d /run/systemd/system ] && have systemctl; then
        systemctl disable --quiet prometheus.service </dev/null >&2 ||
            say "prometheus.service was installed and could not be disabled: see systemctl status prometheus"
    fi
}

need_tests() {
    have busybox && [ -x /bin/busybox ] || packages "busybox, of which the tests make an image," busybox-static
    need_python
    need_browser
    need_promtool
    if ! cargo nextest --version >/dev/null 2>&1; then
        say "installing cargo-nextest (some minutes, once)"
        cargo install cargo-nextest --locked </dev/null >&2 || die "install the test runner: cargo install cargo-nextest --locked"
    fi
}

have_postgres() { have pgbench && have initdb || ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1; }

# The peers: without them the figures are given alone. HyperQueue and Dask come from PyPI into a virtual
# environment that the benchmark makes itself. PostgreSQL's package would make a database and start a
# server; neither is wanted here.
need_bench() {
    (need_python) || say "the benchmarks go on without HyperQueue and Dask"
    have_postgres && return
    local settings=/etc/postgresql-common/createcluster.d/hivemind-bench.conf
    (
        if [ "$(id -u)" = 0 ]; then
            mkdir -p "${settings%/*}"
            trap 'rm -f "$settings"; rmdir -p --ignore-fail-on-non-empty "${settings%/*}"' EXIT
            echo "create_main_cluster = false" >"$settings"
        fi
        packages "PostgreSQL, a peer of the benchmarks," postgresql
    ) || say "the benchmarks go on without PostgreSQL"
}

[ $# -gt 0 ] || die "usage: setup.sh build [containers] [docker] [web] [tests] [bench]"
for goal in "$@"; do
    case $goal in
        build) need_build ;;
        containers) need_containers ;;
        docker) need_docker ;;
        web) need_web ;;
        tests) need_tests ;;
        bench) need_bench ;;
        *) die "unknown goal '$goal': build, containers, docker, web, tests or bench" ;;
    esac
done
