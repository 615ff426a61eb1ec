"""Errors that a user can correct."""


class UserError(Exception):
    """An error that the user can correct; commands exit with code 2."""


def missing_extra(package: str, extra: str) -> UserError:
    """Return the error for an optional package that is not installed."""
    return UserError(
        f"This needs the package {package!r}, which is not installed. "
        f"Install it with: pip install 'nonlocal-tf[{extra}]'"
    )
