#!/bin/sh
# Start the container's command as the user PUID:PGID, who then owns the folder of the settings.
set -eu

config=${ANAGNORISIS_DATA_DIR:-/mnt/project_config}
if [ "$(id -u)" != 0 ]; then  # started with `user:`, so there is nobody to change to
    exec "$@"
fi
if [ "${PUID:-1000}" = 0 ]; then
    echo "PUID is 0: the program would run as root. Name the user who owns your files." >&2
    exit 2
fi
mkdir -p "$config"
if [ "$(stat -c %u:%g "$config")" != "${PUID:-1000}:${PGID:-1000}" ]; then
    chown -R "${PUID:-1000}:${PGID:-1000}" "$config"
fi
exec setpriv --reuid "${PUID:-1000}" --regid "${PGID:-1000}" --clear-groups "$@"
