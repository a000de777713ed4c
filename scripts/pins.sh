#!/usr/bin/env bash
# Renew requirements/base.txt and requirements/dev.txt from pyproject.toml (`make pins`).
#
# TORCH=cpu does it where pip would otherwise meet PyTorch's CUDA build. What one Python can install
# a newer one can as well, seldom the other way round: take the oldest, Debian 12's 3.11.2.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${VENV:-.venv}/bin/python
echo "Choosing what $("$python" --version) and newer can install."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pip_arguments=""
if [ "${TORCH:-}" = cpu ]; then
    pip_arguments="--extra-index-url https://download.pytorch.org/whl/cpu"
fi

if ! grep -q "\"$(grep "^torch==" requirements/torch.txt)\"" pyproject.toml; then
    echo "requirements/torch.txt and pyproject.toml name different versions of torch." >&2
    exit 1
fi

# torch has a file of its own, and pip is the one that made the venv: neither is pinned here.
compile() {  # compile OUTPUT INPUT [OPTION...]
    local output=$1 input=$2
    shift 2
    "$python" -m piptools compile --quiet --upgrade --generate-hashes --strip-extras \
        --unsafe-package torch --unsafe-package pip --no-header --no-annotate --no-emit-options \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --pip-args="$pip_arguments" --output-file "$output" "$@" "$input" 2>"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
    if grep -E '^(nvidia|cuda|triton)' "$output" >&2; then
        echo "These come with PyTorch's CUDA build: run make pins TORCH=cpu." >&2
        exit 1
    fi
}

finish() {  # finish NAME TITLE: put it in its place, without pip-compile's closing remarks
    { echo "# $2 Made by \`make pins\`; see README.md."; sed '/^$/,$d' "$work/$1"; } >requirements/"$1"
    echo "requirements/$1: $(grep -c == requirements/"$1") packages"
}

echo "Resolving what the program needs ..."
compile "$work/base.txt" pyproject.toml
echo "Resolving what its tests need ..."
"$python" - >"$work/dev.in" <<'PYTHON'
import tomllib
from pathlib import Path

settings = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
print("\n".join(settings["dependency-groups"]["dev"]))
PYTHON
compile "$work/dev.txt" "$work/dev.in" --constraint "$work/base.txt"
finish base.txt "All that the program needs, torch apart."
finish dev.txt "What the tests need beside base.txt."
