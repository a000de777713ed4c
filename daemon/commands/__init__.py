"""The verbs of the command line, a module for each family. To add one, list its module here."""

from daemon.commands import (
    connect,
    doctor,
    find,
    keep,
    models,
    people,
    playlist,
    rating,
    run,
    serve,
)

MODULES = (serve, run, people, rating, find, playlist, keep, connect, models, doctor)
"""Each has `add_verbs(verbs)`, which adds its parsers and sets `handler` on them."""
