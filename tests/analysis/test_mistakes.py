"""Agreement, confusion and McNemar's test, held to scikit-learn and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix
from statsmodels.stats.contingency_tables import mcnemar as independent_mcnemar
from statsmodels.stats.proportion import proportion_confint

from analysis.mistakes import (
    PER_PAGE,
    SHOWS,
    Filter,
    agreement,
    class_accuracies,
    confusion,
    count_agreement,
    gallery,
    newest_common,
)
from analysis.significance import CAVEAT, mcnemar, significance
from history.records import Array, Predictions

COUNT = 400


def answered(seed: int, split: str = "test", step: int = 10) -> Predictions:
    logits = np.random.default_rng(seed).normal(size=(COUNT, 10)) * 2
    logits[np.arange(COUNT), labels()] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(split, step, 1.0, probabilities.astype(np.float32))


def labels() -> Array:
    return np.arange(COUNT) * 7 % 10


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_that_of_statsmodels(only1: int, only2: int) -> None:
    p_value, method = mcnemar(only1, only2)
    assert method == ("exact" if only1 + only2 < 25 else "chi2")
    if only1 + only2:
        expected = independent_mcnemar([[50, only1], [only2, 9]], exact=method == "exact", correction=True).pvalue
        assert p_value == pytest.approx(min(expected, 1.0), rel=1e-9, abs=1e-300)
    else:
        assert p_value == 1


def test_counts_are_those_of_the_answers() -> None:
    one, two = answered(1), answered(2)
    counts = count_agreement(labels(), one, two)
    assert counts["both_right"] + counts["only1"] == round(accuracy_score(labels(), one.answers) * COUNT)
    assert counts["both_right"] + counts["only2"] == round(accuracy_score(labels(), two.answers) * COUNT)
    assert sum(counts.values()) == COUNT
    assert (sum(each.astype(int) for each in agreement(labels(), one, two).values()) == 1).all()


@pytest.mark.parametrize(
    ("only1", "only2", "p_value", "method"),
    [
        (300, 200, 0.0000095, "chi2"),
        (200, 250, 0.0209, "chi2"),
        (205, 200, 0.8423, "chi2"),
        (9, 9, 1.0, "exact"),
        (11, 2, 0.0225, "exact"),
    ],
)
def test_counts_come_with_their_test(only1: int, only2: int, p_value: float, method: str) -> None:
    counts = {"both_right": 9000, "only1": only1, "only2": only2, "both_wrong": 100}
    found = significance(counts)
    assert found == counts | {"p_value": pytest.approx(p_value, rel=0.01), "method": method, "caveat": CAVEAT}
    assert "repeat with other seeds" in found["caveat"]


def test_confusion_matrix_is_that_of_scikit_learn() -> None:
    one = answered(1)
    matrix = confusion(labels(), one.answers)
    assert matrix == confusion_matrix(labels(), one.answers, labels=range(10)).tolist()
    for number, found in enumerate(class_accuracies(matrix)):
        right, count = matrix[number][number], sum(matrix[number])
        low, high = proportion_confint(right, count, method="wilson")
        assert (found["accuracy"], found["low"], found["high"]) == pytest.approx((right / count, low, high))


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("sort", ["confident", "unsure"])
def test_pages_of_the_gallery_hold_every_image_once_in_order(show: str, sort: str) -> None:
    one, two = answered(1), answered(2)
    counts = count_agreement(labels(), one, two) | {"all": COUNT}
    first = gallery(labels(), one, two, Filter(show, sort=sort))
    pages = [gallery(labels(), one, two, Filter(show, sort=sort, page=page)) for page in range(first["pages"])]
    images = [image for page in pages for image in page["images"]]
    assert len({image["image"] for image in images}) == len(images) == first["found"] == counts[show]
    assert all(len(page["images"]) == PER_PAGE for page in pages[:-1])
    for image in images:
        assert image["label"] == labels()[image["image"]]
        right = [int(np.argmax(image[model])) == image["label"] for model in ("model1", "model2")]
        assert {"only1": [1, 0], "only2": [0, 1], "both_wrong": [0, 0], "both_right": [1, 1]}.get(show, right) == right
    if show == "only1":
        sure = [max(image["model2"]) for image in images]
        assert sure == sorted(sure, reverse=sort == "confident")


def test_gallery_lets_through_only_what_was_asked_for() -> None:
    one, two = answered(1), answered(2)
    answers = zip(labels(), one.answers, two.answers, strict=True)
    wanted = [number for number, (label, first, second) in enumerate(answers) if (label, first, second) == (3, 3, 5)]
    assert wanted
    found = gallery(labels(), one, two, Filter("all", label=3, predicted1=3, predicted2=5))
    assert sorted(image["image"] for image in found["images"]) == wanted


def test_page_beyond_the_last_is_the_last_and_nothing_found_is_one_empty_page() -> None:
    one = answered(1)
    assert gallery(labels(), one, one, Filter("all", page=999))["page"] == -(-COUNT // PER_PAGE) - 1
    empty = gallery(labels(), one, one, Filter("only1"))
    assert (empty["found"], empty["page"], empty["pages"], empty["images"]) == (0, 0, 1, [])


def test_models_are_compared_on_the_same_images() -> None:
    early, late = answered(1, "validation", 5), answered(1, "test", 20)
    assert newest_common({}, {"validation": early}) is None
    assert newest_common({"validation": early, "test": late}, {"validation": early}) == (early, early)
    assert newest_common({"test": late, "validation": early}, {"validation": early, "test": late}) == (late, late)
