from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from daemon.workers.worker import Worker
from ml.evaluation import (
    MINIMUM_RATINGS,
    Labels,
    cross_validate,
    falls_behind,
    hold_out,
    is_trusted,
    is_worse,
    precision_at_top,
    spearman,
)
from ml.facts_space import FACTS_DIMENSIONS, FACTS_SPACE, facts_vector
from ml.taste import ANCHORS, Features, TasteSettings, _solve_exactly, _solve_projected, fit
from ml.taste import choose_settings as choose
from ml.taste_features import YEARS, place_media, prepare
from ml.taste_kernel import Anchors, prior_shift, prior_variance
from ml.vector_worker import start

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
D = 48
GENRES = ("jazz", "fado", "metal", "ambient", "soul", "march")


def library(rng: np.random.Generator, items: int) -> Features:
    """Items in clusters of meaning, with genres that follow them, and facts that do not."""
    clusters = rng.normal(size=(10, D))
    which = rng.integers(10, size=items)
    text = 0.5 * clusters[which] + rng.normal(size=(items, D)) + 0.4
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    facts = [
        facts_vector(
            "music",
            {
                "genres": [GENRES[cluster % len(GENRES)]],
                "artists": [f"artist {rng.integers(40)}"],
                "year": int(rng.integers(1950, 2024)),
                "community_rating": float(rng.uniform(4, 9)),
                "votes": int(rng.integers(1, 5000)),
            },
        )
        for cluster in which
    ]
    return Features(text.astype(np.float32), np.array(facts))


def opinions(rng: np.random.Generator, features: Features, noise: float = 1.0) -> Doubles:
    """What somebody with a taste for a direction of meaning and for genres would say."""
    liking = np.tanh(3 * (features.text @ rng.normal(size=D)))
    liking += features.facts[:, 8:72].astype(np.float64) @ rng.normal(size=64)
    liking = (liking - liking.mean()) / liking.std()
    said: Doubles = 6.5 + 1.5 * liking + noise * rng.normal(size=len(features))
    return said.clip(0, 10)


def ratings_of(items: list[int], values: Any, weak: dict[int, float] | None = None) -> Any:
    """Return labels as the worker takes them; weak ones at three times the noise."""
    more = weak or {}
    return {
        "items": [*items, *more], "values": [*map(float, values), *more.values()],
        "scales": [1.0] * len(items) + [3.0] * len(more),
    }  # fmt: skip


def part(features: Features, selection: slice) -> Features:
    return Features(features.text[selection], features.facts[selection])


def rmse(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating] | float) -> float:
    return float(np.sqrt(np.mean(np.square(a - b))))


def test_it_beats_the_mean_and_knows_how_far_to_trust_itself() -> None:
    """Over many people: the error is well below the mean's, and coverage near 68 %."""
    ours, means, covered = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        features = library(rng, 250)
        ratings = opinions(rng, features)
        known, unseen = slice(100), slice(100, None)
        settings = choose(part(features, known), ratings[known])
        predicted, deviation = fit(part(features, known), ratings[known], settings).predict(
            part(features, unseen)
        )
        ours.append(rmse(ratings[unseen], predicted))
        means.append(rmse(ratings[unseen], ratings[known].mean()))
        covered.append(np.mean(np.abs(ratings[unseen] - predicted) <= deviation))
    assert np.mean(ours) < 0.85 * np.mean(means)
    assert sum(our < mean for our, mean in zip(ours, means, strict=True)) >= 18
    assert 0.62 < np.mean(covered) < 0.75


def test_few_ratings_are_calibrated_too() -> None:
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features = library(rng, 112)
        ratings = opinions(rng, features)
        known = part(features, slice(12))
        head = fit(known, ratings[:12], choose(known, ratings[:12]))
        predicted, deviation = head.predict(part(features, slice(12, None)))
        covered.append(np.mean(np.abs(ratings[12:] - predicted) <= deviation))
    assert 0.58 < np.mean(covered) < 0.78


def test_more_ratings_help() -> None:
    rng = np.random.default_rng(4)
    features = library(rng, 1000)
    ratings = opinions(rng, features)
    errors = []
    for count in (20, 100, 500):  # the last is beyond the exact solution
        known = part(features, slice(count))
        head = fit(known, ratings[:count], choose(known, ratings[:count]))
        errors.append(rmse(ratings[500:], head.predict(part(features, slice(500, None)))[0]))
    assert errors[0] > errors[1] > errors[2]


def test_a_person_is_trusted_who_has_a_taste() -> None:
    rng = np.random.default_rng(1)
    features = library(rng, 120)
    figures = cross_validate(features, opinions(rng, features), seed=0)
    assert is_trusted(figures)
    assert figures["rmse"] < figures["mean_baseline"]["rmse"]
    assert figures["mae"] < figures["mean_baseline"]["mae"]
    assert figures["spearman"] > 0.4
    assert figures["precision_at_10"] > figures["mean_baseline"]["precision_at_10"]
    assert (figures["ratings"], figures["folds"]) == (120, 10)


def test_a_plain_preference_for_a_kind_is_found_in_27_ratings() -> None:
    rng = np.random.default_rng(2)
    kinds = ["music"] * 10 + ["images"] * 10 + ["text"] * 7
    facts = np.array([facts_vector(kind, {}) for kind in kinds])
    text = rng.normal(size=(27, D)).astype(np.float32)
    ratings = np.array([8.0] * 10 + [5.0] * 10 + [2.0] * 7) + rng.normal(size=27)
    assert is_trusted(cross_validate(Features(text, facts), ratings, seed=0))


def test_ratings_by_dice_are_hardly_ever_trusted() -> None:
    """Of 600 such sets one or two in a hundred pass for a taste; of these 60 at most 3 may."""
    trusted = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        features = library(rng, (12, 25, 50)[seed % 3])
        ratings = rng.integers(0, 11, size=len(features))
        trusted += is_trusted(cross_validate(features, ratings, seed=seed))
    assert trusted <= 3


def test_the_figures_do_not_see_the_ratings_held_out() -> None:
    """Copies of one item with ratings by dice: nothing to learn, nothing to gain."""
    rng = np.random.default_rng(3)
    one = library(rng, 1)
    copies = Features(np.repeat(one.text, 40, axis=0), np.repeat(one.facts, 40, axis=0))
    figures = cross_validate(copies, rng.uniform(0, 10, size=40), seed=0)
    assert figures["spearman"] < 0.1
    assert not is_trusted(figures)


@pytest.mark.parametrize("value", [0.0, 7.0, 10.0])
def test_somebody_who_always_says_the_same_is_taken_at_their_word(value: float) -> None:
    rng = np.random.default_rng(0)
    features = library(rng, 30)
    ratings = np.full(20, value)
    known = part(features, slice(20))
    predicted, deviation = fit(known, ratings, choose(known, ratings)).predict(features)
    assert predicted == pytest.approx(value, abs=0.3)
    assert (deviation > 0).all()
    assert (deviation < 1).all()
    figures = cross_validate(known, ratings, seed=0)
    assert (figures["spearman"], figures["mean_baseline"]["rmse"]) == (0.0, 0.0)
    assert figures["precision_at_10"] == figures["mean_baseline"]["precision_at_10"] == 1.0
    assert not is_trusted(figures)


def test_what_is_missing_counts_for_nothing_and_breaks_nothing() -> None:
    rng = np.random.default_rng(0)
    features = library(rng, 60)
    ratings = opinions(rng, features)
    features.text[::3] = np.nan
    features.facts[::4] = np.nan
    known = part(features, slice(30))
    head = fit(known, ratings[:30], choose(known, ratings[:30]))
    predicted, deviation = head.predict(features)
    assert np.isfinite(predicted).all()
    assert np.isfinite(deviation).all()
    blank = Features(np.full((1, D), np.nan), np.full((1, FACTS_DIMENSIONS), np.nan))
    (mean,), (widest,) = head.predict(blank)
    assert mean == pytest.approx(head.mean, abs=1e-5)
    assert widest == pytest.approx(head.settings.noise**0.5, rel=1e-4)
    blanks = Features(np.repeat(blank.text, 12, axis=0), np.repeat(blank.facts, 12, axis=0))
    assert np.isfinite(fit(blanks, ratings[:12], choose(blanks, ratings[:12])).mean)


def test_duplicates_agree_on_their_mean() -> None:
    rng = np.random.default_rng(0)
    one = library(rng, 1)
    copies = Features(np.repeat(one.text, 30, axis=0), np.repeat(one.facts, 30, axis=0))
    predicted, _ = fit(copies, [4.0, 6.0] * 15, TasteSettings()).predict(one)
    assert predicted[0] == pytest.approx(5.0, abs=0.01)


def test_the_projected_process_is_exact_where_every_rating_is_an_anchor() -> None:
    rng = np.random.default_rng(0)
    features = prepare(library(rng, 200))
    settings = TasteSettings()
    rated = features.take(slice(80))
    anchors = Anchors(rated, settings)
    residuals, noise = rng.normal(size=80), rng.uniform(0.5, 2, size=80)
    kernel = anchors.kernel(features)
    exact = _solve_exactly(anchors.kernel(rated), residuals, noise)
    projected = _solve_projected(anchors, rated, residuals, noise)[:2]
    assert kernel @ exact[0] == pytest.approx(kernel @ projected[0], abs=2e-3)
    reductions = [np.square(kernel @ reduction).sum(axis=1) for _, reduction in (exact, projected)]
    assert reductions[0] == pytest.approx(reductions[1], abs=2e-3)


def test_the_exact_head_is_the_textbook_gaussian_process() -> None:
    rng = np.random.default_rng(0)
    features = prepare(library(rng, 60))
    settings = TasteSettings()
    ratings, scale = rng.uniform(0, 10, size=40), rng.uniform(1, 3, size=40)
    head = fit(features.take(slice(40)), ratings, settings, noise_scale=scale)
    predicted, deviation = head.predict(features)
    kernel = Anchors(features, settings).kernel(features).astype(float)
    covariance = kernel[:40, :40] + np.diag(settings.noise * scale**2)
    gain = np.linalg.solve(covariance, kernel[:40]).T
    variance = kernel.diagonal() - np.einsum("ij,ij->i", gain, kernel[:, :40])
    prior = head.mean + prior_shift(features, settings)
    assert predicted == pytest.approx(prior + gain @ (ratings - prior[:40]), abs=1e-3)
    assert deviation == pytest.approx(np.sqrt(variance + settings.noise), abs=1e-3)
    assert prior_variance(features, settings) == pytest.approx(kernel.diagonal(), abs=1e-4)


def test_beyond_the_anchors_the_projection_stays_close() -> None:
    rng = np.random.default_rng(0)
    features = prepare(library(rng, 900))
    ratings = rng.uniform(0, 10, size=ANCHORS + 300)
    settings = TasteSettings(text=0.0, creators=0.0)  # of a rank below the number of anchors
    rated = features.take(slice(len(ratings)))
    predicted, deviation = fit(rated, ratings, settings).predict(features)
    kernel = Anchors(rated, settings).kernel(features).astype(float)
    covariance = kernel[: len(ratings)] + settings.noise * np.eye(len(ratings))
    mean = fit(rated, ratings, settings).mean
    exact = mean + kernel @ np.linalg.solve(covariance, ratings - mean)
    assert predicted == pytest.approx(exact, abs=0.05)
    assert (deviation > settings.noise**0.5 * 0.999).all()


def test_one_changed_rating_moves_what_is_like_it_most() -> None:
    rng = np.random.default_rng(0)
    features = library(rng, 600)
    for count in (50, ANCHORS + 50):
        ratings = opinions(rng, features)[:count]
        settings = TasteSettings()
        changed = ratings.copy()
        changed[7] = 0 if ratings[7] > 5 else 10
        before, after = (
            fit(part(features, slice(count)), values, settings).predict(features)[0]
            for values in (ratings, changed)
        )
        moves = np.abs(after - before)
        assert moves[7] > 0.2
        assert np.argmax(moves) == 7


def test_a_weak_label_moves_less() -> None:
    rng = np.random.default_rng(0)
    features = library(rng, 20)
    ratings = np.full(20, 5.0)
    ratings[3] = 10
    scale = np.ones(20)
    settings = TasteSettings(agreement=0)  # what others think moves all of them, whatever is rated
    strong, _ = fit(features, ratings, settings, scale).predict(features)
    scale[3] = 5
    weak, _ = fit(features, ratings, settings, scale).predict(features)
    assert strong[3] - 5 > 3 * (weak[3] - 5) > 0


def test_the_same_ratings_give_the_same_model() -> None:
    rng = np.random.default_rng(0)
    features = library(rng, ANCHORS + 20)
    ratings = opinions(rng, features)
    assert choose(features, ratings) == choose(features, ratings)
    one, other = (fit(features, ratings, TasteSettings()).predict(features) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    few = part(features, slice(30))
    assert cross_validate(few, ratings[:30], seed=5) == cross_validate(few, ratings[:30], seed=5)
    assert cross_validate(few, ratings[:30], seed=5) != cross_validate(few, ratings[:30], seed=6)


def test_predictions_stay_on_the_scale() -> None:
    rng = np.random.default_rng(0)
    features = library(rng, 100)
    ratings = np.where(features.text[:, 0] > 0, 10.0, 0.0)
    predicted, _ = fit(features, ratings, TasteSettings(text=50, noise=0.01)).predict(features)
    assert predicted.min() >= 0
    assert predicted.max() <= 10


def test_settings_survive_json_and_nonsense_is_refused() -> None:
    settings = TasteSettings(text=1.25, noise=0.5)
    assert TasteSettings.from_dict(settings.as_dict()) == settings
    with pytest.raises(ValueError, match="not negative"):
        TasteSettings.from_dict({"text": -1})
    with pytest.raises(ValueError, match="above 0"):
        TasteSettings.from_dict({"noise": 0})
    with pytest.raises(ValueError, match="at least 1"):
        TasteSettings.from_dict({"deafness": 0.5})
    with pytest.raises(TypeError):
        TasteSettings.from_dict({"magic": 1})


def test_the_years_kernel_is_the_rbf_it_stands_for() -> None:
    years = np.array([0.1, 0.5, 0.55, 0.99, 1.2, np.nan], np.float32)
    features = YEARS.features(years)
    kernel = np.exp(-np.square((years[:5, None] - years[:5]) / 0.12) / 2)
    assert features[:5] @ features[:5].T == pytest.approx(kernel, abs=5e-3)
    assert not features[5].any()


def test_too_few_ratings_are_refused() -> None:
    features = library(np.random.default_rng(0), MINIMUM_RATINGS - 1)
    with pytest.raises(ValueError, match="At least 10"):
        cross_validate(features, [5.0] * len(features), seed=0)
    with pytest.raises(ValueError, match="There must be ratings"):
        fit(part(features, slice(0)), [], TasteSettings())
    assert not is_trusted({})


def test_rank_correlation_is_that_of_the_textbook() -> None:
    a = np.array([1.0, 2, 3, 4, 5])
    assert spearman(a, a**3) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, np.array([5.0, 6, 7, 8, 7])) == pytest.approx(0.8207826817)
    assert spearman(a, np.ones(5)) == 0


def test_precision_shares_ties_out() -> None:
    ratings = np.array([9.0, 8, 3, 2, 1, 0])  # liked: the first two
    assert precision_at_top(ratings, ratings) == pytest.approx(2 / 3)
    assert precision_at_top(ratings, -ratings) == 0
    assert precision_at_top(ratings, np.ones(6)) == pytest.approx(1 / 3)
    assert precision_at_top(ratings, np.array([5.0, 1, 1, 1, 0, 0])) == pytest.approx(
        (1 + 2 / 3) / 3
    )


def fill(worker: Any, features: Features, first: int = 1) -> None:
    ids = list(range(first, first + len(features)))
    kinds = [0] * len(ids)
    worker.state("text", D)
    worker.state(FACTS_SPACE, FACTS_DIMENSIONS)
    worker.append("text", ids, ids, kinds, features.text.astype("<f2").tobytes())
    worker.append(FACTS_SPACE, ids, ids, kinds, features.facts.astype("<f2").tobytes())


def scores(answer: dict[str, Any]) -> dict[int, float]:
    items = np.frombuffer(answer["items"], "<i8").tolist()
    return dict(zip(items, np.frombuffer(answer["values"], "<f4").tolist(), strict=True))


def test_new_items_are_scored_like_after_a_fresh_start(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = library(rng, 300)
    rated, ratings = list(range(1, 41)), opinions(rng, features)[:40].tolist()
    settings = TasteSettings().as_dict()
    worker = start({"directory": str(tmp_path), "writable": True})
    fill(worker, part(features, slice(100)))
    assert len(scores(worker.score(["text"], ratings_of(rated, ratings), settings))) == 100
    fill(worker, part(features, slice(100, None)), first=101)
    replaced = features.text[:1] * -1
    worker.append("text", [301], [1], [0], replaced.astype("<f2").tobytes())
    warm = scores(worker.score(["text"], ratings_of(rated, ratings), settings))
    fresh = start({"directory": str(tmp_path), "writable": False})
    cold = scores(fresh.score(["text"], ratings_of(rated, ratings), settings))
    assert len(warm) == 300
    assert warm == pytest.approx(cold, abs=1e-4)
    worker.reset("text")
    assert worker.score(["text"], ratings_of(rated, ratings), settings)["usable"] == 0


def test_items_without_a_text_vector_are_left_out(tmp_path: Path) -> None:
    worker = start({"directory": str(tmp_path), "writable": True})
    rng = np.random.default_rng(0)
    features = library(rng, 20)
    fill(worker, features)
    rated = [*range(1, 10), 777]
    answer = worker.score(["text"], ratings_of(rated, [5.0] * 10), TasteSettings().as_dict())
    assert answer == {"items": b"", "values": b"", "uncertainties": b"", "usable": 9}
    trained = worker.train(["text"], ratings_of(rated, [5.0] * 10), 0)
    assert (trained["figures"], trained["trusted"]) == ({}, False)
    assert TasteSettings.from_dict(trained["settings"]) == TasteSettings()


async def test_a_worker_process_trains_and_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    features = library(rng, 200)
    ids, kinds = list(range(1, 201)), [0] * 200
    rated, ratings = ids[:100], opinions(rng, features)[:100].tolist()
    worker = Worker("vectors", "ml.vector_worker", {"directory": str(tmp_path), "writable": True})
    try:
        await worker.call("state", "text", D)
        data = features.text.astype("<f2").tobytes()
        await worker.call("append", "text", ids, ids, kinds, data)
        facts = await worker.call("facts", ["music", "text"], [{"year": 1979}, {}])
        assert np.frombuffer(facts, "<f2").reshape(2, FACTS_DIMENSIONS)[0, 4] == np.float16(0.79)
        await worker.call("state", FACTS_SPACE, FACTS_DIMENSIONS)
        data = features.facts.astype("<f2").tobytes()
        await worker.call("append", FACTS_SPACE, ids, ids, kinds, data)
        trained = await worker.call("train", ["text"], ratings_of(rated, ratings), 1)
        assert trained["trusted"]
        answer = await worker.call(
            "score", ["text"], ratings_of(rated, ratings), trained["settings"]
        )
        assert answer["usable"] == 100
        assert len(scores(answer)) == 200
        assert (np.frombuffer(answer["uncertainties"], "<f4") > 0).all()
    finally:
        await worker.close()


def test_what_is_heard_teaches_where_words_say_nothing() -> None:
    rng = np.random.default_rng(4)
    sound = rng.normal(size=(400, 200)).astype(np.float32)
    sound /= np.linalg.norm(sound, axis=1, keepdims=True)
    liking = sound @ rng.normal(size=200) / 0.5
    ratings = np.clip(6 + liking + rng.normal(size=400) / 2, 0, 10)
    plain = library(rng, 400)
    heard = Features(plain.text, plain.facts, place_media({"sound": sound}))
    silent = cross_validate(part(plain, slice(200)), ratings[:200], folds=3, seed=0)
    figures = cross_validate(prepare(heard).take(slice(200)), ratings[:200], folds=3, seed=0)
    assert figures["rmse"] < silent["rmse"] - 0.05
    assert choose(prepare(heard).take(slice(200)), ratings[:200]).media > 0.1


def test_spaces_of_media_keep_their_likeness_and_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 1280)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1] = 0.8 * vectors[0] + 0.6 * vectors[1]
    placed = prepare(Features(vectors, np.zeros((60, FACTS_DIMENSIONS)),
                              place_media({"a": vectors}))).media  # fmt: skip
    other = prepare(Features(vectors, np.zeros((60, FACTS_DIMENSIONS)),
                             place_media({"b": vectors}))).media  # fmt: skip
    assert placed[0] @ placed[1] == pytest.approx(vectors[0] @ vectors[1], abs=0.15)
    assert np.abs((placed * other).sum(axis=1)).mean() < 0.15


def test_weak_labels_teach_a_little_and_are_never_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    features = library(rng, 300)
    liked = opinions(rng, features, noise=0.7)
    ids = list(range(1, 301))
    worker = start({"directory": str(tmp_path), "writable": True})
    worker.state("text", D)
    worker.state(FACTS_SPACE, FACTS_DIMENSIONS)
    kinds = [0] * 300
    worker.append("text", ids, ids, kinds, features.text.astype("<f2").tobytes())
    worker.append(FACTS_SPACE, ids, ids, kinds, features.facts.astype("<f2").tobytes())
    rated = ids[:30]
    mean = float(liked[:30].mean())
    weak = {i: mean + (1.5 if liked[i - 1] > mean else -1.5) for i in ids[30:150]}
    alone = worker.train(["text"], ratings_of(rated, liked[:30]), 0)
    more = worker.train(["text"], ratings_of(rated, liked[:30], weak), 0)
    assert more["figures"]["ratings"] == alone["figures"]["ratings"] == 30
    assert (alone["figures"]["weak_labels"], more["figures"]["weak_labels"]) == (0, 120)
    errors = []
    for trained, labels in (
        (alone, ratings_of(rated, liked[:30])), (more, ratings_of(rated, liked[:30], weak))
    ):  # fmt: skip
        answer = worker.score(["text"], labels, trained["settings"])
        assert answer["usable"] == 30
        expected = np.frombuffer(answer["values"], "<f4")[150:]
        errors.append(float(np.sqrt(np.mean((expected - liked[150:]) ** 2))))
    assert errors[1] < errors[0] - 0.05


def heard_much(seed: int) -> tuple[Features, Doubles, Labels]:
    """A person of 40 ratings who once finished 300 other things, liked or not."""
    rng = np.random.default_rng(seed)
    features = library(rng, 540)
    liked = opinions(rng, features)
    values = np.concatenate([liked[:40], np.full(300, liked[:40].mean() + 0.75)])
    scales = np.concatenate([np.ones(40), np.full(300, 3.0)])
    labels = Labels(prepare(part(features, slice(340))), values, scales, 40)
    return part(features, slice(340, None)), liked[340:], labels


def test_plays_that_tell_nothing_feign_no_certainty_and_do_no_harm() -> None:
    errors, alone, covered = [], [], []
    for seed in range(5):
        unseen, truth, labels = heard_much(seed)
        predicted, deviation = labels.fit().predict(unseen)
        errors.append(rmse(truth, predicted))
        covered.append(np.mean(np.abs(truth - predicted) <= deviation))
        ratings = Labels.of(labels.items.take(slice(40)), labels.values[:40])
        alone.append(rmse(truth, ratings.fit().predict(unseen)[0]))
    assert 0.6 < np.mean(covered) < 0.78
    assert np.mean(errors) < 1.05 * np.mean(alone)


def test_ratings_held_out_do_not_speak_through_the_level_of_the_plays() -> None:
    _, _, labels = heard_much(0)
    kept = np.arange(10)
    changed = Labels(labels.items, labels.values.copy(), labels.scales, labels.ratings)
    changed.values[10:40] = 10
    changed.values[40:] += changed.values[:40].mean() - labels.values[:40].mean()
    assert changed.take(kept).values == pytest.approx(labels.take(kept).values)


def test_a_prediction_is_explained_by_parts_that_add_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    features = library(rng, 60)
    liked = opinions(rng, features)
    ids = list(range(1, 61))
    worker = start({"directory": str(tmp_path), "writable": True})
    worker.state("text", D)
    worker.state(FACTS_SPACE, FACTS_DIMENSIONS)
    worker.append("text", ids, ids, [0] * 60, features.text.astype("<f2").tobytes())
    worker.append(FACTS_SPACE, ids, ids, [0] * 60, features.facts.astype("<f2").tobytes())
    labels, settings = ratings_of(ids[:40], liked[:40]), TasteSettings().as_dict()
    (told, nothing) = worker.explain(["text"], labels, settings, [50, 999])
    assert nothing == {}
    assert len(told["moved"]) == 5
    sizes = [abs(points) for _, points in told["moved"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {item for item, _ in told["moved"]} <= set(ids[:40])
    head = fit(part(features, slice(40)), liked[:40], TasteSettings())
    item = prepare(features).take(slice(49, 50))
    known = prepare(part(features, slice(40)))
    ((shift, points),) = head.explain(item, known, liked[:40], np.ones(40))
    assert head.mean + shift + points.sum() == pytest.approx(
        float(head.predict(item)[0][0]), abs=1e-3
    )
    assert told["mean"] == pytest.approx(head.mean, abs=1e-2)
    moved = sum(points for _, points in told["moved"])
    assert told["mean"] + told["shift"] + moved + told["rest"] == pytest.approx(
        scores(worker.score(["text"], labels, settings))[50], abs=1e-3
    )


@pytest.mark.parametrize("ratings", [40, ANCHORS + 60])
def test_what_a_rating_does_is_told_and_not_how_far_it_surprised(ratings: int) -> None:
    """A liked thing that was rated a little less than its like still speaks for them."""
    rng = np.random.default_rng(5)
    towards = np.eye(D)[np.arange(ratings + 1) % 2]
    text = towards + 0.05 * rng.normal(size=(ratings + 1, D))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    features = Features(text.astype(np.float32), np.tile(library(rng, 1).facts, (ratings + 1, 1)))
    values = np.where(np.arange(ratings + 1) % 2, 2.0, 9.0) + rng.normal(size=ratings + 1) / 2
    items, settings = prepare(features), TasteSettings()
    known, item = items.take(slice(ratings)), items.take(slice(ratings, None))
    head = fit(known, values[:ratings], settings)
    ((shift, points),) = head.explain(item, known, values[:ratings], np.ones(ratings))
    (predicted,), _ = head.predict(item)
    assert head.mean + shift + points.sum() == pytest.approx(float(predicted), abs=1e-2)
    like = np.arange(ratings) % 2 == 0
    assert points[like].sum() > 2
    told = np.argsort(-np.abs(points))[:5]
    assert np.all(points[told] * (values[told] - head.mean) > 0)
    assert like[told].all()


def test_settings_that_do_worse_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    features = library(rng, 120)
    liked = opinions(rng, features, noise=0.5)
    labels = Labels.of(features, liked)
    good, _ = hold_out(labels, seed=0)
    blind = TasteSettings(text=1e-6, genres=1e-6, creators=1e-6, community=0, media=0)
    bad, _ = hold_out(labels, seed=0, settings=blind)
    assert is_worse(liked, bad, good)
    assert not is_worse(liked, good, bad)
    assert not is_worse(liked, good, good)


def test_the_model_in_use_is_not_judged_by_what_it_was_chosen_by() -> None:
    told = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        features = library(rng, 22)
        labels = Labels.of(features, opinions(rng, features))
        in_use = choose(labels.take(np.arange(22)).items, labels.values)
        told.append([
            falls_behind(labels, in_use, learnt=learnt, seed=1) for learnt in (0, 13, 22)
        ])  # fmt: skip
    assert any(of_all for of_all, _, _ in told)
    assert not any(few or none for _, few, none in told)


def test_the_newest_ratings_are_a_split_of_their_own() -> None:
    rng = np.random.default_rng(6)
    features = library(rng, 100)
    figures = cross_validate(features, opinions(rng, features), seed=0)
    assert figures["newest"]["ratings"] == 20
    assert figures["newest"]["rmse"] < figures["newest"]["mean_baseline"]["rmse"]
