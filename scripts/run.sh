#!/usr/bin/env bash
# Start the daemon on the media of this machine, or on a small library made for the occasion.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${VENV:-.venv}/bin/python
data=${ANAGNORISIS_DATA_DIR:-data}

has_media() {
    [ -d "$1/music" ] || [ -d "$1/images" ] || [ -d "$1/videos" ] || [ -d "$1/text" ]
}

media=${ANAGNORISIS_MEDIA:-$PWD/media}
if grep -qs '^sources:' "${ANAGNORISIS_CONFIG:-$data/config.yaml}"; then
    echo "Taking the sources that the settings name."
elif ! has_media "$media"; then
    echo "There is no music, images, videos or text folder in $media."
    media=$PWD/media
    if has_media "$media"; then
        echo "Taking $media instead."
    else
        echo "Making a small demonstration library in $media ..."
        "$python" -m daemon.demonstration "$media"
    fi
fi
ANAGNORISIS_MEDIA=$media exec "$python" -m daemon --data-dir "$data"
