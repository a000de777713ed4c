"""Learn every profile's taste anew where its ratings have changed."""

from collections.abc import Awaitable, Callable

from sqlalchemy import select

from daemon.steps.step import Step, StepFailed, StepIncomplete, StepRun
from daemon.store.models import Profile
from daemon.workers.worker import WorkerDied, WorkerFailed


async def train(run: StepRun) -> str:
    """Fit and measure the head of every profile, and the transformer beside it."""
    services = run.services

    async def learn(profile_id: int) -> str:
        line = await services.predictions.train(profile_id)
        try:
            more = await services.evaluator.train(profile_id)
        except (WorkerFailed, WorkerDied) as error:
            raise StepIncomplete(line, f"the transformer: {error}") from error
        return f"{line}; {more}" if more else line

    return await for_each_profile(run, learn)


async def for_each_profile(run: StepRun, work: Callable[[int], Awaitable[str]]) -> str:
    """Do `work(profile id)` for everyone; return one line that says what came of each.

    What fails for one person does not hold up the others. Raises StepIncomplete or StepFailed at
    the end.
    """
    async with run.services.database.read() as session:
        profiles = (await session.scalars(select(Profile).order_by(Profile.id))).all()
    results, problems = [], []
    for number, profile in enumerate(profiles):
        await run.report(done=number, total=len(profiles), message=profile.name)
        try:
            results.append(f"{profile.name}: {await work(profile.id)}")
        except StepIncomplete as error:
            results.append(f"{profile.name}: {error.summary}")
            problems.append(f"{profile.name}: {error.problem}")
        except (WorkerFailed, WorkerDied) as error:
            problems.append(f"{profile.name}: {error}")
    await run.report(done=len(profiles))
    if problems and results:
        raise StepIncomplete("; ".join(results), "; ".join(problems))
    if problems:
        raise StepFailed("; ".join(problems))
    return "; ".join(results)


STEP = Step("train", "Learn the taste", "gpu", train)
