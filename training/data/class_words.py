"""Find classes that augmentation or a network without motion may confuse."""

import re
import unicodedata
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
# Beginnings of words for actions that are each other played backwards.
OPPOSITES = (
    *(("open", "clos"), ("up", "down"), ("push", "pull"), ("enter", "leav")),
    *(("enter", "exit"), ("stand", "sit"), ("fold", "unfold"), ("in", "out")),
    *(("left", "right"), ("forward", "backward"), ("rise", "fall")),
    *(("start", "stop"), ("pick", "put"), ("put", "tak"), ("lift", "drop")),
    *(("clockwise", "counterclockwise"), ("clockwise", "anticlockwise")),
    *(("approach", "reced"), ("grow", "shrink"), ("load", "unload")),
    *(("öffne", "schliess"), ("links", "rechts"), ("auf", "ab")),
)
# Of these, whole words: others begin with them.
SHORT = 3
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
        "--set sampling.flip=false, which is what finetune does by itself"
    )


def order_note(classes: Sequence[str]) -> str:
    """A remark on classes that may be each other played backwards, or ""."""
    words = {name: _words(name) for name in classes}
    for first, second in OPPOSITES:
        pair = [
            next((n for n in classes if _has(words[n], word)), None)
            for word in (first, second)
        ]
        if None not in pair and pair[0] != pair[1]:
            return (
                f"classes such as {pair[0]!r} and {pair[1]!r} may differ by "
                "the order of frames alone, which networks called c2d_* do "
                "not see, and those called i3d_* do"
            )
    return ""


def _has(words: Sequence[str], word: str) -> bool:
    if len(word) <= SHORT:
        return word in words
    return any(found.startswith(word) for found in words)


def _words(name: str) -> list[str]:
    """The words of a name in lower case: "turnLeft_02" has turn and left."""
    name = unicodedata.normalize("NFC", name)  # macOS has accents apart
    parted = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name)
    return [w for w in re.split(r"[\W\d_]+", parted.casefold()) if w]
