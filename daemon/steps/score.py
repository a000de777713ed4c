"""Store what every profile's taste model expects of every item."""

from daemon.steps.step import Step, StepRun
from daemon.steps.train import for_each_profile


async def score(run: StepRun) -> str:
    """Renew the predictions that ratings, vectors or models have made stale."""
    return await for_each_profile(run, run.services.predictions.refresh)


STEP = Step("score", "Predict ratings", "gpu", score)
