#!/bin/bash
# Prepares a fresh machine: Debian packages, then .venv with the pinned Python packages. Safe to repeat.
# PYTHON=/path/to/python picks the interpreter of .venv; without it the first usable one is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

# package: why
readonly DEBIAN_PACKAGES=(
  bazel-bootstrap    # builds and tests the C++
  bazel-rules-java   # bazel asks for it even where no Java is built
  chromium           # shows the pages of reports, in tests
  clang              # fuzzing: tests/fuzz
  clang-format       # tools/check.sh
  cmake              # the library and emitted projects as CMake builds them, in tests
  g++                # the compiler
  gcc-arm-none-eabi  # Cortex-M code
  gcc-riscv64-unknown-elf            # code for RISC-V of 32 bits, in tests
  libclang-rt-14-dev # what clang's sanitizers and libFuzzer link
  libflatbuffers-dev # FlexBuffers in C++
  libgtest-dev       # C++ tests
  libnewlib-arm-none-eabi            # its memcpy and memset
  libstdc++-arm-none-eabi-newlib     # its C++ headers
  picolibc-riscv64-unknown-elf       # its memcpy and memset
  qemu-system-arm    # runs Cortex-M images
  qemu-system-misc   # runs those for RISC-V
  shellcheck         # tools/check.sh
)
readonly LOG=build/setup.log
readonly REQUIREMENTS=third_party/python/requirements.txt

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# Shows how far a command is, and keeps all that it says in the log.
#   progress UNITS PATTERN TOTAL: counts lines of stdin; without TOTAL it is three steps for each newly installed package.
progress() {
  tee -a "$LOG" | awk -v units="$1" -v pattern="$2" -v total="${3:-0}" -v is_terminal="$([[ -t 1 ]] && echo 1)" '
    / newly installed/ { for (i = 2; i < NF; i++) if ($i == "newly") total = 3 * $(i - 1) }
    $0 ~ pattern {
      n++
      if (is_terminal) printf "\rsetup: %d of %d %s", n, total, units
      else if (n % 20 == 0) printf "setup: %d of %d %s\n", n, total, units
      fflush()
    }
    END { if (is_terminal && n) print "" }'
}

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

install_debian_packages() {
  local missing=() package as_root=()
  for package in "$@"; do is_installed "$package" || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "not a Debian machine; please install the equivalents of: ${missing[*]}"
  local install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || die "Debian packages are missing; please run: sudo ${install[*]}"
    as_root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update >>"$LOG" 2>&1 || say "apt-get update had errors (see $LOG); going on"
  "${as_root[@]}" "${install[@]}" 2>&1 | progress "steps of apt-get" '^(Get:|Unpacking |Setting up )' || die "${install[*]} failed: see $LOG"
}

is_usable_python() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 /usr/bin/python3; do
    [[ -n $candidate ]] || continue
    is_usable_python "$candidate" && echo "$candidate" && return
    [[ $candidate != "${PYTHON:-}" ]] || die "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 with the venv module"
  done
  return 1
}

mkdir -p build
: >"$LOG"
install_debian_packages "${DEBIAN_PACKAGES[@]}"

if ! is_usable_python .venv/bin/python; then
  python=$(find_python) || {
    [[ -z ${PYTHON:-} ]] || exit 1
    install_debian_packages python3 python3-venv
    python=$(find_python) || die "no Python 3.11, 3.12 or 3.13 found; set PYTHON=/path/to/one"
  }
  say "creating .venv with $("$python" -V)"
  "$python" -m venv --clear .venv
fi

say "installing the pinned Python packages into .venv (about 700 MB to fetch the first time)"
pip=(.venv/bin/python -m pip --disable-pip-version-check)
"${pip[@]}" install --progress-bar=off --no-deps --require-hashes -r "$REQUIREMENTS" 2>&1 |
  progress "Python packages" '^(Collecting|Requirement already satisfied)' "$(grep -c '==' "$REQUIREMENTS")" || {
  tail -20 "$LOG" >&2
  die "pip could not install them: see $LOG"
}
"${pip[@]}" --quiet install --no-deps --no-build-isolation -e .
"${pip[@]}" --quiet check
