"""Access tokens as services of OAuth 2.0 answer them (RFC 6749, section 5.1)."""

import math
import re
import time

from deputy_kit.failures import failure
from wit_world.imports.contract import Expiry, Expiry_AfterMs, Expiry_At, Expiry_Never, Expiry_Unknown, Next, Tokens

KIND = "bearer-token/1"
CENTURY = 100 * 366 * 86_400  # seconds; a longer lifetime means "never"
NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


def tokens(fields: dict) -> Tokens:
    """The access token of an answer, with its expiry. Raises a failure."""
    return Tokens(KIND, token(fields).encode(), expiry(fields), None, None, b"", [])


def token(fields: dict) -> str:
    value = fields.get("access_token")
    if value is None:
        raise failure(Next.DENIED, "the answer has no access_token")
    if not isinstance(value, str):
        raise failure(Next.DENIED, "the answer's access_token is not a string")
    if not value or not all(" " <= letter <= "~" for letter in value):
        raise failure(Next.DENIED, "the answer's access_token is empty or holds characters that no token may (RFC 6749, A.12)")
    return value


def expiry(fields: dict) -> Expiry:
    """When the token ends, by `expires_in`, or by the `expires_on` that Azure writes in its place."""
    life, end = fields.get("expires_in"), number(fields.get("expires_on"))
    if life is None or life == "":
        if end is None:
            return Expiry_Unknown()
        return Expiry_Never() if end > time.time() + CENTURY else Expiry_At(milliseconds(end))
    seconds = number(life)
    if seconds is None:
        raise failure(Next.DENIED, "the answer's expires_in is not a number of seconds")
    # Zero or less means that it has expired already: the host refuses it.
    return Expiry_Never() if seconds > CENTURY else Expiry_AfterMs(milliseconds(seconds))


def number(value) -> int | float | None:
    """A JSON number, or a string that holds one."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def milliseconds(seconds: int | float) -> int:
    return math.floor(max(seconds, 0) * 1000)
