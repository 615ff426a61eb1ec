"""Validate COCO annotations and their images, and print statistics."""

import collections

from ..coco import annotation_reader, coco_scores, image_files
from ..coco.annotations import Annotations
from ..coco.coco_scores import NO_MASKS
from ..io import tables
from ..io.progress import Progress
from ..io.user_error import UserError


def check(path: str, folder: str) -> None:
    """Validate annotations, read all their images, and print statistics.

    Args:
        path: file of annotations in COCO's format.
        folder: of the images.

    Raises:
        UserError: there are problems, which are printed.
    """
    annotated = annotation_reader.read(path, folder)
    print(annotated.summary())
    print(counts(annotated))
    bad, notes = _check_images(annotated)
    for line in bad:
        print(line)
    for line in notes:
        print(f"note: {line}")
    problems = len(annotated.problems) + len(bad)
    if problems:
        raise UserError(
            f"{problems} problems, listed above. Training and evaluation leave "
            "these images and annotations out."
        )
    if annotated.notes or notes:
        print("No problem found, except for the notes above.")
    else:
        print("No problem found.")


def counts(annotated: Annotations) -> str:
    """Format the number of objects of each category as a table."""
    objects = collections.Counter(
        instance.label
        for image in annotated.images
        for instance in image.instances
        if not instance.is_crowd
    )
    crowds = sum(instance.is_crowd for instance in annotated.instances)
    no_mask = coco_scores.objects_without_mask(annotated)
    rows: list[tuple[str, ...]] = [
        ("category id", "category", "objects", "keypoints an object")
    ]
    rows += [
        (
            str(category.id),
            category.name,
            str(objects[label]),
            str(len(category.keypoints) or "-"),
        )
        for label, category in enumerate(annotated.categories, start=1)
    ]
    empty = sum(not image.instances for image in annotated.images)
    unmasked = f"{len(no_mask)} objects without segmentation"
    if no_mask:
        unmasked += f", which train a detector without masks: {NO_MASKS}"
    return (
        f"Objects of each category, without crowds\n{tables.render(rows)}\n"
        f"{crowds} crowds; {empty} images without objects; {unmasked}."
    )


def _check_images(annotated: Annotations) -> tuple[list[str], list[str]]:
    """Read all images; list their problems and notes."""
    bad, notes = [], []
    progress = Progress(len(annotated.images), "images")
    for count, image in enumerate(annotated.images, start=1):
        try:
            pixels = image_files.read(image.path)
        except UserError as error:
            bad.append(f"image {image.id}: {error}")
        else:
            fault = image_files.size_fault(image, pixels.shape[:2])
            remark = image_files.remark(image.path, pixels)
            bad += [f"image {image.id}: {fault}"] * bool(fault)
            notes += [f"image {image.id}: {remark}"] * bool(remark)
        progress.update(count)
    return bad, notes
