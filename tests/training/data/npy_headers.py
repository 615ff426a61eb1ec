"""Malformed headers of .npy files."""

MALFORMED = {
    "no dictionary": b"(((",
    "not what it says": b"{'descr': '|u1', 'fortran_order': False}",
    "a list as a key": b"{[]: 1}",
    "deep": b"-" * 9000 + b"1",
    "long": b"{'descr': '|u1', 'fortran_order': False, 'shape': (0, %d)}"
    % 2**70,
    "huge": b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 9)}"
    % 2**50,
    "odd": b"{'descr': [1], 'fortran_order': False, 'shape': (1,)}",
}


def file_with(header: bytes) -> bytes:
    """Return a .npy file with any header, and a few pixels."""
    length = len(header).to_bytes(2, "little")
    return b"\x93NUMPY\1\0" + length + header + bytes(99)
