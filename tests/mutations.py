"""Mutations of good files and messages, for fuzzers, drawn from a seed."""

import json

import numpy as np

NUMBERS = [b"0", b"-1", b"1e999", b"9" * 30, b"NaN", b"4294967296", b""]
# Values that JSON may have where something else is expected.
JUNK = [
    None, True, "", "x\x1b[2J", "\ud800", -1, 0, 2.5, 10**30, 1e308, [], {},
    [[]], {"b64": 3}, [[[[[[1]]]]]], float("nan"), float("-inf"), "9" * 500,
    [0.5] * 1000,
]  # fmt: skip


def of_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Change, cut, double or insert some bytes."""
    mutated = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        kind = rng.integers(7)
        first, end = sorted(
            int(n) for n in rng.integers(0, len(mutated) + 1, 2)
        )
        if kind == 0 and mutated:
            mutated[first % len(mutated)] ^= 1 << int(rng.integers(8))
        elif kind == 1 and mutated:
            mutated[first % len(mutated)] = int(
                rng.choice([0, 1, 127, 128, 255])
            )
        elif kind == 2:
            del mutated[first : min(end, first + 64)]
        elif kind == 3:
            mutated[first:first] = mutated[first : min(end, first + 4096)]
        elif kind == 4:
            mutated[first:first] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 5:
            number = NUMBERS[int(rng.integers(len(NUMBERS)))]
            mutated[first : first + len(number)] = number
        else:
            del mutated[first:]
    return bytes(mutated)


def of_json(rng: np.random.Generator, value):
    """Change one place of a value of JSON, or of some below it."""
    if rng.random() < 0.2 or not isinstance(value, list | dict) or not value:
        return JUNK[int(rng.integers(len(JUNK)))]
    value = json.loads(json.dumps(value))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[int(rng.integers(len(keys)))]
    kind = rng.integers(6)
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, list):
        value.append(value[key])
    elif kind == 1:
        value[f"{key}x"] = value.pop(key)
    else:
        value[key] = of_json(rng, value[key])
    return value


def nested(rng: np.random.Generator) -> bytes:
    """JSON that is deeper than any reader likes."""
    deep = int(rng.choice([90, 1000, 100_000]))
    bracket = [(b"[", b"]"), (b'{"a":', b"}")][int(rng.integers(2))]
    return bracket[0] * deep + b"1" + bracket[1] * deep
