"""Find classes that augmentation or a network without motion may confuse."""

import re
from collections.abc import Sequence

# Beginnings of words; in English, German, French, Spanish and Portuguese.
SIDES = (
    *("left", "right", "clockwise", "counterclockwise", "anticlockwise"),
    *("links", "rechts", "linke", "rechte", "uhrzeigersinn"),
    *("gauche", "droite", "izquierd", "derech", "esquerd", "direita"),
)
# Whole words, of which each other one is the mirror image.
LETTERS = {"l": "r", "r": "l", "cw": "ccw", "ccw": "cw"}
CHARACTERS = "左右"
EXAMPLES = 3


def sided(classes: Sequence[str]) -> list[str]:
    """The classes whose names have a side, such as "turn left" or "SwipeR".

    A single letter counts where its mirror image is a class too.
    """
    words = {name: _words(name) for name in classes}
    all_words = [tuple(of_name) for of_name in words.values()]
    return [
        name
        for name, of_name in words.items()
        if any(word.startswith(SIDES) for word in of_name)
        or any(character in name for character in CHARACTERS)
        or (
            any(word in LETTERS for word in of_name)
            and tuple(LETTERS.get(w, w) for w in of_name) in all_words
        )
    ]


def flip_note(classes: Sequence[str]) -> str:
    """A warning of horizontal flips, or "" where no class has a side."""
    names = sided(classes)
    if not names:
        return ""
    listed = ", ".join(names[:EXAMPLES])
    more = f" and {len(names) - EXAMPLES} more" * (len(names) > EXAMPLES)
    return (
        f"flipped clips may be of another class ({listed}{more}): train with "
        "--set sampling.flip=false"
    )


def _words(name: str) -> list[str]:
    """The words of a name in lower case: "turnLeft_02" has turn and left."""
    parted = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name)
    return [w for w in re.split(r"[\W\d_]+", parted.casefold()) if w]
