"""Matching of a detector's categories with those of annotations."""

import dataclasses

import pytest

from training.coco.annotations import (
    AnnotatedImage,
    Annotations,
    Category,
    Instance,
)
from training.coco.category_matching import match_by_name, match_categories
from training.io import paths
from training.io.user_error import UserError

DOG, PERSON = Category(3, "dog"), Category(7, "person")


@pytest.fixture
def truth():
    path = paths.as_path("truth.json")
    instances = tuple(
        Instance(label, label, (1.0, 2.0, 5.0, 9.0), 28.0, False, None)
        for label in (1, 2)
    )
    image = AnnotatedImage(1, path, 11, 13, instances)
    return Annotations(path, (DOG, PERSON), (image,), ())


def test_an_error_names_a_category_unknown_to_the_detector(truth):
    with pytest.raises(UserError, match="category 7, 'person'"):
        match_categories(truth, [DOG])


def test_a_category_without_objects_may_be_unknown(truth):
    categories = (DOG, PERSON, Category(50, "unused"))
    listed = dataclasses.replace(truth, categories=categories)
    assert match_categories(listed, [DOG, PERSON]) == [DOG, PERSON]


def test_categories_are_matched_by_name(truth):
    exchanged = [
        dataclasses.replace(DOG, id=PERSON.id),
        dataclasses.replace(PERSON, id=DOG.id),
        Category(99, "not in the annotations"),
    ]
    *matched, unknown = match_categories(truth, exchanged)
    assert matched == [DOG, PERSON]
    assert unknown.id not in (DOG.id, PERSON.id)


def test_numbered_names_are_matched_by_id(truth):
    numbered = [Category(c.id, f"class {c.id}") for c in (DOG, PERSON)]
    assert match_categories(truth, numbered) == numbered
    assert not match_by_name(truth, numbered)


def test_other_counts_of_numbered_names_are_rejected(truth):
    numbered = [Category(n, f"class {n}") for n in range(1, 11)]
    with pytest.raises(
        UserError, match="has 2 categories, and the detector 10"
    ):
        match_categories(truth, numbered)


def test_names_that_are_not_unique_are_matched_by_id(truth):
    same_name = [Category(c.id, "a") for c in (DOG, PERSON)]
    assert match_categories(truth, same_name) == same_name
    renamed = dataclasses.replace(truth, categories=tuple(same_name))
    assert match_categories(renamed, [DOG, PERSON]) == [DOG, PERSON]
