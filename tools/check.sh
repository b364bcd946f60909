#!/bin/bash
# The gate beside the tests: formats, lint, types, layers. The same in CI and by hand; runs all, then says which failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PATH="$PWD/.venv/bin:$PATH"

readonly PYTHON_FOLDERS=(setup.py tflm_quantmcu tflm_kernels tests tools experiments)
mapfile -t cpp_files < <(find tflm_kernels tests third_party -name '*.h' -o -name '*.cc')

failed=()
step() {
  local name=$1
  shift
  local start=$SECONDS
  "$@" || failed+=("$name")
  printf 'check: %-12s %3d s\n' "$name" $((SECONDS - start))
}

step "ruff format" ruff format --check "${PYTHON_FOLDERS[@]}"
step "ruff check" ruff check "${PYTHON_FOLDERS[@]}"
step "mypy" mypy
step "clang-format" clang-format --dry-run -Werror "${cpp_files[@]}"
mapfile -t scripts < <(git grep -lE "^#!/bin/bash")
step "shellcheck" shellcheck "${scripts[@]}"
step "layers" python -m tools.check_layers
step "limits" python -m tools.check_limits
step "docstrings" python -m tools.check_docstrings

if ((${#failed[@]})); then
  printf 'make check: FAILED: %s\n' "${failed[*]}" >&2
  exit 1
fi
echo "make check: everything in order"
