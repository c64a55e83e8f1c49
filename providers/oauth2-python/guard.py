"""Shared by the providers in Python: reading settings, and turning exceptions into failures."""

import functools
import pathlib
import traceback
from collections.abc import Callable

from componentize_py_types import Err
from wit_world.imports.contract import Failure, Next, Setting


def failure(
    next: Next, message: str, code: str | None = None, setting: str | None = None, retry_after_ms: int | None = None
) -> Err:
    """A failure of the contract, to be raised."""
    return Err(Failure(next, message, code, setting, retry_after_ms, []))


def guarded(function: Callable) -> Callable:
    """Turns any other exception into a failure of the contract: uncaught, it would be a trap without a message.

    The failure names only the exception's type and line, because its message may quote a token.
    """

    @functools.wraps(function)
    def wrapper(*arguments):
        try:
            return function(*arguments)
        except Err:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            name = pathlib.PurePath(place.filename).name
            raise failure(Next.UNAVAILABLE, f"bug: {type(error).__name__} at {name}:{place.lineno}") from error

    return wrapper


def read(
    settings: list[Setting], required: set[str], optional: set[str], families: set[str] = frozenset()
) -> dict[str, str]:
    """The settings by name. A misspelt name is an error: otherwise a default would silently apply.

    A family `form` has members of any name, as `form.organization`.
    """
    found = {setting.name: setting.value for setting in settings}
    known = ", ".join(sorted(required | optional) + sorted(f"{family}.NAME" for family in families))
    for name in sorted(found.keys() - required - optional):
        family, _, member = name.partition(".")
        if family not in families or not member:
            raise misconfigured(name, f"no such setting here; there are: {known}")
    for name in sorted(required - found.keys()):
        raise misconfigured(name, "it is missing")
    for name in sorted(name for name, value in found.items() if not value.strip()):
        raise misconfigured(name, "it is empty; give it a value or remove it")
    return found


def misconfigured(name: str, problem: str) -> Err:
    return failure(Next.MISCONFIGURED, f"setting `{one_line(name, 100)}`: {problem}", setting=name)


def one_line(text: str, limit: int) -> str:
    """Untrusted text made safe for a log: printable, on one line, bounded."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= limit else line[:limit] + "…"
