"""What every component does around its own code: failures of the contract, made of exceptions as well."""

import functools
import pathlib
import traceback
from collections.abc import Callable

from componentize_py_types import Err
from wit_world.imports.contract import Failure, Next


def failure(
    next: Next, message: str, code: str | None = None, setting: str | None = None, retry_after_ms: int | None = None
) -> Err:
    """A failure of the contract, to be raised."""
    return Err(Failure(next, message, code, setting, retry_after_ms, []))


def guarded(exported: type) -> type:
    """Turns any other exception of an exported class's methods into a failure of the contract: uncaught, it would be a trap
    without a message.

    The failure names only the exception's type and line, because its message may quote a token.
    """
    for name, method in list(vars(exported).items()):
        if callable(method) and not name.startswith("_"):
            setattr(exported, name, _guarded(method))
    return exported


def _guarded(method: Callable) -> Callable:
    @functools.wraps(method)
    def wrapper(*arguments):
        try:
            return method(*arguments)
        except Err as error:
            if isinstance(error.value, Failure):
                raise
            raise _bug(error) from error
        except Exception as error:
            raise _bug(error) from error

    return wrapper


def _bug(error: Exception) -> Err:
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error.value if isinstance(error, Err) else error).__name__
    return failure(Next.UNAVAILABLE, f"bug: {kind} at {pathlib.PurePath(place.filename).name}:{place.lineno}")


def one_line(text: str, limit: int) -> str:
    """Untrusted text made safe for a log: printable, on one line, bounded."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= limit else line[:limit] + "…"
