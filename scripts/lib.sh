# Helpers of the scripts beside this file; sourced, never run.
#
# Every script that sources it has ROOT (the workspace) and STATE (where daemons that the scripts started leave
# their pid files and logs). Messages go to stderr; what a script answers goes to stdout.
# shellcheck shell=bash

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STATE="${MESOS_DEV_STATE:-/run/mesos-dev}"
REGISTRY_PORT="${MESOS_REGISTRY_PORT:-5000}"
REGISTRY="127.0.0.1:$REGISTRY_PORT"
export ROOT STATE REGISTRY_PORT REGISTRY

if [[ -t 2 && -z "${NO_COLOR:-}" ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' YELLOW='' PLAIN=''
fi

# What is being done now, so that a long step is never silent.
say() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }
fail() { printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2; }
die() {
    fail "$@"
    exit 1
}

in_ci() { [[ "${CI:-}" == true || "${CI:-}" == 1 ]]; }
have() { command -v "$1" >/dev/null 2>&1; }
now() { date +%s; }

# ---- prerequisites ---------------------------------------------------------------------------------------------

APT_UPDATED="${APT_UPDATED:-}"

# apt_install PACKAGE...: installs Debian packages; the package list is refreshed once a run.
apt_install() {
    have apt-get || die "$* missing and there is no apt-get: install the equivalent of Debian's $*, then run this again"
    [[ $EUID -eq 0 ]] || die "$* missing: run 'sudo apt-get install $*', or run this script as root"
    mkdir -p "$STATE"
    local log="$STATE/apt.log"
    if [[ -z "$APT_UPDATED" ]]; then
        say "refreshing the package list (apt-get update)"
        apt-get update </dev/null >"$log" 2>&1 \
            || { tail -n 5 "$log" >&2; die "apt-get update failed: check the machine's package sources (log: $log)"; }
        export APT_UPDATED=1
    fi
    say "installing $*"
    # A daemon that a package starts must not hold our descriptors, hence the log file for everything.
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >>"$log" 2>&1 \
        || { tail -n 15 "$log" >&2; die "apt-get install $* failed: install it by hand, then run this again (log: $log)"; }
}

# need_command COMMAND PACKAGE...: installs the packages unless the command is there.
need_command() {
    local command="$1"
    shift
    have "$command" || apt_install "$@"
    have "$command" || die "$command is still missing after installing $*: look at its package's files (dpkg -L $1)"
}

# need_rust: a Rust toolchain as new as the workspace asks for, and a C compiler for the linker.
need_rust() {
    local wanted found
    wanted="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")"
    if ! have cargo && [[ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
        export PATH
    fi
    have cargo || die "no Rust toolchain: install Rust $wanted or newer with rustup ('rustup toolchain install $wanted'), then run this again"
    found="$(rustc --version | sed -n 's/^rustc \([0-9.]*\).*/\1/p')"
    [[ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" == "$wanted" ]] \
        || die "Rust $found is older than the $wanted this workspace needs: run 'rustup update stable', then run this again"
    have cc || have gcc || apt_install gcc libc6-dev
}

# ---- daemons of ours -------------------------------------------------------------------------------------------

# start_time PID: the clock ticks since boot at which the process started; with the pid it names a process for good.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# spawn_daemon NAME COMMAND...: starts a daemon of its own session which holds none of our descriptors. Its log is
# $STATE/NAME.log, its identity $STATE/NAME.pid.
spawn_daemon() {
    local name="$1" pid
    shift
    mkdir -p "$STATE"
    setsid --fork bash -c 'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; echo $$ >"$0"; exec "$@"' "$STATE/$name.starting" "$@" \
        </dev/null >>"$STATE/$name.log" 2>&1
    local deadline=$(($(now) + 10))
    until [[ -s "$STATE/$name.starting" ]]; do
        (($(now) < deadline)) || die "$name did not start: see $STATE/$name.log"
        sleep 0.05
    done
    pid="$(cat "$STATE/$name.starting")"
    printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$STATE/$name.pid"
    rm -f "$STATE/$name.starting"
}

# daemon_pid NAME: prints the pid of a daemon that spawn_daemon started and that still runs; fails when there is none.
daemon_pid() {
    local pid ticks
    [[ -f "$STATE/$1.pid" ]] || return 1
    read -r pid ticks <"$STATE/$1.pid" || return 1
    # A reused pid has another start time: that process isn't ours.
    [[ -n "$ticks" && "$(start_time "$pid")" == "$ticks" ]] || return 1
    printf '%s\n' "$pid"
}

# stop_daemon NAME SECONDS: SIGTERM, then SIGKILL after the seconds. Touches only what spawn_daemon started.
stop_daemon() {
    local name="$1" deadline=$(($(now) + $2)) pid
    if pid="$(daemon_pid "$name")"; then
        kill -TERM "$pid" 2>/dev/null || true
        while daemon_pid "$name" >/dev/null; do
            if (($(now) >= deadline)); then
                warn "$name (pid $pid) ignored SIGTERM for $2 s; sending SIGKILL"
                kill -KILL "$pid" 2>/dev/null || true
                deadline=$(($(now) + 30))
            fi
            sleep 0.1
        done
    fi
    rm -f "$STATE/$name.pid"
}

# log_tail NAME: the end of a daemon's log, indented.
log_tail() { tail -n "${2:-20}" "$STATE/$1.log" 2>/dev/null | sed 's/^/    | /' >&2 || true; }

# ---- the engine ------------------------------------------------------------------------------------------------

# docker_cli ARGS...: the docker client. Debian's is preferred: it fits the engine these scripts install.
docker_cli() {
    if [[ -x /usr/bin/docker ]]; then
        /usr/bin/docker "$@"
    else
        docker "$@"
    fi
}

engine_address() { printf '%s\n' "${DOCKER_HOST:-unix:///var/run/docker.sock}"; }

# engine_answers: whether an engine answers at DOCKER_HOST or the default socket, within ten seconds.
engine_answers() {
    local address socket
    address="$(engine_address)"
    socket="${address#unix://}"
    [[ "$address" != unix://* || -S "$socket" ]] || return 1
    [[ -x /usr/bin/docker ]] || have docker || return 1
    if [[ -x /usr/bin/docker ]]; then
        timeout 10 /usr/bin/docker version --format '{{.Server.Version}}' >/dev/null 2>&1
    else
        timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
    fi
}
