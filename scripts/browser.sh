#!/usr/bin/env bash
# See to it that there is a Chromium for the browser tests; without one they are skipped.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium for the browser tests ..."
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq >"$log" 2>&1 &&
        apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >"$log" 2>&1; then
        exit 0
    fi
    tail -n 5 "$log"
    echo "It could not be installed, so the browser tests will be skipped."
else
    echo "There is no Chromium, and only root can install it with apt-get: the browser tests will" \
        "be skipped. To run them: apt install chromium"
fi
