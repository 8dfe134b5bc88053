# What the scripts of this folder share; sourced, never run. For bash 3.2 too, which is what macOS has.
# Nothing here writes outside the project's .venv/ and build/, except for the interpreters that tools/pythons
# makes and for the C++ compiler that Debian is asked for where there is none.
# shellcheck shell=bash

set -euo pipefail
trap 'echo "${0##*/}: stopped at line $LINENO" >&2' ERR

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck disable=SC2034
# The interpreters that weft is tested on, and in which order one is chosen where one is enough.
supported="3.13 3.14 3.13t"
# shellcheck disable=SC2034
preferred="3.14 3.13 3.14t 3.13t"

# A package of ours on the path, or a virtual environment that is active, must not reach the builds and tests.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX || true
# Without bytecode files each worker of each test compiles all that it imports.
unset PYTHONDONTWRITEBYTECODE || true

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

quietly() { # <log> <command…>: the output goes to the log, and its end to standard error if the command fails
  local log="$1" status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" </dev/null >"$log" 2>&1 || status=$?
  [ "$status" -eq 0 ] && return 0
  tail -n 40 "$log" >&2
  say "'$*' failed with status $status; all of its output is in $log"
  return "$status"
}

locked() { # <name>: this process alone goes on, until it ends (where the machine has flock)
  mkdir -p "$root/.venv"
  if command -v flock >/dev/null; then
    exec 9>"$root/.venv/$1.lock"
    flock 9
  fi
}

debian_install() { # <package…>: from Debian, where this is a Debian and we may
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
  mkdir -p "$root/build"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" </dev/null >>"$root/build/debian.log" 2>&1 && return
  apt-get update -q </dev/null >>"$root/build/debian.log" 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" </dev/null >>"$root/build/debian.log" 2>&1
}

# Puts a uv that works on the PATH: the machine's, else one in .venv/uv, which pip makes. Into a folder of its
# own, so that an interpreter which the system manages is left alone; where there is no pip, by way of a
# virtual environment; where there is neither, Debian may have them.
need_uv() {
  uv --version >/dev/null 2>&1 && return
  PATH="$root/.venv/uv/bin:$HOME/.local/bin:$PATH"
  export PATH
  uv --version >/dev/null 2>&1 && return
  local log="$root/build/uv.log" attempt
  mkdir -p "$root/build" "$root/.venv"
  say "no uv here: installing it into .venv/uv"
  for attempt in 1 2; do
    if command -v python3 >/dev/null; then
      rm -rf "$root/.venv/uv"
      python3 -m pip install --quiet --target "$root/.venv/uv" uv </dev/null >"$log" 2>&1 && break
      rm -rf "$root/.venv/uv"
      { python3 -m venv "$root/.venv/uv" && "$root/.venv/uv/bin/python" -m pip install --quiet uv; } \
        </dev/null >>"$log" 2>&1 && break
    fi
    if [ "$attempt" = 2 ] || ! debian_install python3 python3-pip python3-venv; then
      rm -rf "$root/.venv/uv"
      die "needs uv, and could not install it: python3 with pip or venv is missing or cannot reach its index ($log). Install uv or python3-pip, then try again"
    fi
  done
  hash -r  # a uv that did not run (a pyenv shim, say) may still be remembered
  uv --version >/dev/null 2>&1 || die "uv was installed into .venv/uv but does not run; see $log"
}

need_compiler() {
  local candidate
  for candidate in "${CXX:-}" c++ g++ clang++; do
    [ -n "$candidate" ] && command -v "${candidate%% *}" >/dev/null && return
  done
  [ "$(uname -s)" = Linux ] || die "needs a C++20 compiler (on macOS: xcode-select --install)"
  say "no C++ compiler here: asking Debian for one"
  debian_install g++ libc6-dev || die "needs a C++20 compiler: install GCC 12 or Clang 16, or newer, then try again"
}

# The tests of RedisCache need its server; they are skipped without. Debian has the program in this package too, under
# another name, and no service that starts with it.
want_redis() {
  command -v redis-server >/dev/null || command -v redis-check-rdb >/dev/null || debian_install redis-tools ||
    say "no redis-server here, and none to be had: its tests are skipped"
}

checksum() { # of standard input
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

checksum_of() { # <path…>: of the names and contents of these files and of all files under these folders
  (cd "$root" && { find "$@" -type f ! -name '*.pyc' ! -name '.*' 2>/dev/null || true; } | LC_ALL=C sort | while IFS= read -r file; do
    echo "$file"
    cat "$file"
  done) | checksum
}
