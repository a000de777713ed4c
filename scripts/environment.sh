#!/usr/bin/env bash
# Make the environment that one model needs for itself, or bring it up to its pins; when nothing
# changed this takes no time.
#
#   scripts/environment.sh laion-clap        from requirements/laion-clap.txt
#   scripts/environment.sh laion-clap pins   renew those pins from requirements/laion-clap.in
#
# ANAGNORISIS_ENVIRONMENTS names the folder that holds the environments; without it they are
# .venv-NAME here. PYTHON names the interpreter, TORCH=cpu takes PyTorch's CPU build from its own
# index, TORCH_INDEX any other index that has torch.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
known=$(cd requirements && printf '%s ' *.in)
if [ -z "$name" ] || [ ! -f "requirements/$name.in" ] || [[ ! ${2:-pins} = pins ]]; then
    echo "Usage: scripts/environment.sh NAME [pins], with a NAME among: ${known//.in/}" >&2
    exit 2
fi
input=requirements/$name.in
pins=requirements/$name.txt
torch_index=${TORCH_INDEX:-}
case ${TORCH:-} in
    "") ;;
    cpu) torch_index=https://download.pytorch.org/whl/cpu ;;
    *) echo "TORCH can be cpu, or left away; it is $TORCH." >&2; exit 2 ;;
esac

renew_pins() {  # what comes with torch's CUDA build is torch's own affair, as in torch.txt
    local work
    work=$(mktemp -d)
    "${VENV:-.venv}/bin/python" -m piptools compile --quiet --upgrade --generate-hashes \
        --strip-extras --unsafe-package torch --unsafe-package torchvision \
        --unsafe-package torchaudio --unsafe-package pip --no-header --no-annotate \
        --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --output-file "$work/pins" "$input" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    {
        echo "# What $input needs, torch apart. Made by \`scripts/environment.sh $name pins\`."
        awk '/^$/ { exit } /^[^ ]/ { wanted = !/^(nvidia|cuda|triton)/ } wanted' "$work/pins"
    } >"$pins"
    rm -r "$work"
    echo "$pins: $(grep -c == "$pins") packages"
}

if [ "${2:-}" = pins ]; then
    renew_pins
    exit
fi

venv=.venv-$name
if [ -n "${ANAGNORISIS_ENVIRONMENTS:-}" ]; then venv=$ANAGNORISIS_ENVIRONMENTS/$name; fi

find_python() {  # run each: a name on the PATH may be a shim without a Python behind it
    local python
    for python in ${PYTHON:-python3 python3.11 python3.12 .venv/bin/python}; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
            2>/dev/null; then
            echo "$python"
            return
        fi
    done
    echo "Python 3.11 or 3.12 is needed, as these models pin old packages; PYTHON=/path/to/python" \
        "names one." >&2
    exit 1
}

state() {  # all that decides what is in the environment
    echo "$torch_index"
    cat scripts/environment.sh "$input" "$pins"
}

if [ -f "$venv/pins" ] && state | cmp -s - "$venv/pins" && "$venv/bin/python" -c "" 2>/dev/null
then exit 0; fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version) ..."
    if [ -f "$venv/pyvenv.cfg" ]; then rm -rf "$venv"; fi
    mkdir -p "$(dirname "$venv")"
    "$python" -m venv "$venv" || {
        echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
    echo "*" >"$venv/.gitignore"
fi

pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
quiet=(--quiet --quiet)  # twice, or pip warns of every folder that a local mirror lacks
rm -f "$venv/pins"
echo "Installing the pinned dependencies of $name; the first time this takes some minutes ..."
"${pip[@]}" install "${quiet[@]}" --no-deps --require-hashes --requirement "$pins"

# The same version has a build for each kind of machine, so the machine decides on it.
mapfile -t torch < <(grep -E '^torch(vision|audio)?==' "$input")
echo "Installing ${torch[*]} ..."
if [ -t 1 ]; then quiet=(--progress-bar on); fi
"${pip[@]}" install "${quiet[@]}" ${torch_index:+--index-url "$torch_index"} "${torch[@]}"
"${pip[@]}" check

state >"$venv/pins"
