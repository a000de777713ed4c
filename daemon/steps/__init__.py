"""The nightly pipeline, one module a step. To add one, write its module and list it here."""

from daemon.steps import backup, describe, embed, playlists, score, sync, train
from daemon.steps.step import Step

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        sync.STEP,
        describe.STEP,
        embed.STEP,
        train.STEP,
        score.STEP,
        playlists.STEP,
        backup.STEP,
    )
}
"""By name, in the order in which the pipeline runs them."""
