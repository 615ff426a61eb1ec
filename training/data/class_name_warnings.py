"""Warnings about class names that flips or single frames may confuse."""

import re
import unicodedata
from collections.abc import Sequence

# Word prefixes in English, German, French, Spanish and Portuguese.
SIDES = (
    *("left", "right", "clockwise", "counterclockwise", "anticlockwise"),
    *("links", "rechts", "linke", "rechte", "uhrzeigersinn"),
    *("gauche", "droite", "izquierd", "derech", "esquerd", "direita"),
)
# Whole words and their mirror images.
LETTERS = {"l": "r", "r": "l", "cw": "ccw", "ccw": "cw"}
CHARACTERS = "左右"
# Word prefixes of actions that are reversals of each other.
OPPOSITES = (
    *(("open", "clos"), ("up", "down"), ("push", "pull"), ("enter", "leav")),
    *(("enter", "exit"), ("stand", "sit"), ("fold", "unfold"), ("in", "out")),
    *(("left", "right"), ("forward", "backward"), ("rise", "fall")),
    *(("start", "stop"), ("pick", "put"), ("put", "tak"), ("lift", "drop")),
    *(("clockwise", "counterclockwise"), ("clockwise", "anticlockwise")),
    *(("approach", "reced"), ("grow", "shrink"), ("load", "unload")),
    *(("öffne", "schliess"), ("links", "rechts"), ("auf", "ab")),
)
# Prefixes up to this length must match a whole word.
SHORT = 3
EXAMPLES = 3


def sided(classes: Sequence[str]) -> list[str]:
    """Return class names with a side, such as "turn left" or "SwipeR".

    A single letter counts only if its mirror image is a class too.
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
    """Warn about horizontal flips; "" if no class name has a side."""
    names = sided(classes)
    if not names:
        return ""
    examples = ", ".join(names[:EXAMPLES])
    if len(names) > EXAMPLES:
        examples += f" and {len(names) - EXAMPLES} more"
    return (
        f"flipped clips may belong to another class ({examples}): train with "
        "--set sampling.flip=false, the default of finetune, or name pairs of "
        "such classes: sampling.flip_pairs"
    )


def reversal_note(classes: Sequence[str]) -> str:
    """Warn about clips that are played backwards; "" if none may be wrong."""
    pair = _opposites(classes)
    if pair is None:
        return ""
    return (
        f"reversed clips may belong to another class ({', '.join(pair)}): "
        "train with --set sampling.reversal=0"
    )


def order_note(classes: Sequence[str]) -> str:
    """Warn about classes that differ by frame order alone; "" if none do."""
    pair = _opposites(classes)
    if pair is None:
        return ""
    return (
        f"classes such as {pair[0]!r} and {pair[1]!r} may differ only by the "
        "order of frames, which c2d_* networks ignore and i3d_* networks use"
    )


def _opposites(classes: Sequence[str]) -> tuple[str, str] | None:
    """Return two classes that are reversals of each other by their names."""
    words = {name: _words(name) for name in classes}
    for first, second in OPPOSITES:
        one, other = (
            next((n for n in classes if _has(words[n], word)), None)
            for word in (first, second)
        )
        if one is not None and other is not None and one != other:
            return one, other
    return None


def _has(words: Sequence[str], word: str) -> bool:
    if len(word) <= SHORT:
        return word in words
    return any(candidate.startswith(word) for candidate in words)


def _words(name: str) -> list[str]:
    """Split a name into lower-case words: "turnLeft_02" has turn and left."""
    name = unicodedata.normalize("NFC", name)  # macOS decomposes accents
    spaced = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name)
    return [w for w in re.split(r"[\W\d_]+", spaced.casefold()) if w]
