#!/usr/bin/env bash
# Run every check, all of them even when one fails, and say at the end how each went.
set -uo pipefail
cd "$(dirname "$0")/.."

bin=${VENV:-.venv}/bin
summary=()
failed=0

check() {  # check TITLE COMMAND...
    local title=$1
    shift
    echo
    echo "== $title: $(basename "$1") ${*:2}"
    if "$@"; then
        summary+=("ok      $title")
    else
        summary+=("FAILED  $title")
        failed=1
    fi
}

check format "$bin/ruff" format --check .
check lint "$bin/ruff" check .
check types "$bin/mypy"
check layers "$bin/lint-imports" --no-logo
check tests "$bin/python" -m pytest -n 2 -rs --durations=10

echo
printf '%s\n' "${summary[@]}"
if [ "$failed" = 0 ]; then echo "Everything passed."; else echo "Not everything passed."; fi
exit "$failed"
