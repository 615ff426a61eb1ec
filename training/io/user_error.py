"""What can go wrong on the user's side, and how it is said."""


class UserError(Exception):
    """Something the user can mend; commands print it as one line, exit 2."""


def missing_extra(package: str, extra: str) -> UserError:
    """The error for an optional package that is not installed."""
    return UserError(
        f"This needs the package {package!r}, which is not installed. "
        f"Install it with: pip install -e '.[{extra}]'"
    )
