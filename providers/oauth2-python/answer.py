"""What a token endpoint's answer means (RFC 6749, sections 5.1 and 5.2), as real services write it.

Errors never quote an answer that may hold a token: they say which part of it could not be accepted. An answer that came
whole and is not one of OAuth 2.0 is `denied`, since asking again soon brings the same one.
"""

import json
import math
import re
import time
import zlib
from calendar import timegm
from datetime import datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from componentize_py_types import Err
from guard import failure, one_line
from wit_world.imports.contract import Expiry, Expiry_AfterMs, Expiry_At, Expiry_Never, Expiry_Unknown, Next, Tokens

KIND = "bearer-token/1"
MAX_BODY = 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_NESTING = 100
MAX_WAIT = 86_400  # seconds; the bound on Retry-After
CENTURY = 100 * 366 * 86_400  # seconds; a longer lifetime means "never"
MISCONFIGURED = {"invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type"}
UNAVAILABLE = {"server_error", "temporarily_unavailable"}
NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
DELAY = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
# The three forms of an HTTP date (RFC 9110, 5.6.7).
DATES = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]
datetime.strptime("Sun, 06 Nov 1994 08:49:37 GMT", DATES[0])  # loads the modules that it needs while the component is built


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # by lower-case name
    body: bytes


class Unreadable(Exception):
    """Completes the sentence "the answer …"."""


def tokens(answer: Answer) -> Tokens:
    """The token of an answer. Raises a failure."""
    try:
        fields, problem = parse(answer), None
    except Unreadable as error:
        fields, problem = {}, str(error)
    if not 200 <= answer.status < 300 or fields.get("error"):
        raise refusal(answer, fields, problem)
    if answer.status == 202 and "access_token" not in fields:
        raise failure(Next.UNAVAILABLE, "202: the service accepted the request and has no token yet")
    if problem:
        raise denied(f"{answer.status}, and the answer {problem}; look at `token-url`")
    return Tokens(KIND, token(fields).encode(), expiry(fields), None, None, b"", [])


def denied(text: str) -> Err:
    return failure(Next.DENIED, text)


def parse(answer: Answer) -> dict:
    """The fields of an answer: a JSON object, or a form where the service says that it is one."""
    try:
        # Not the codec `utf-8-sig`: a running component cannot load further modules.
        text = decoded(answer).removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8")
    kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if not text.strip():
        raise Unreadable("is empty")
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(text.strip()))
    # Deep nesting overflows the stack, which is a trap in a component instead of a RecursionError.
    if text.count("[") + text.count("{") > MAX_NESTING:
        raise Unreadable("is nested deeper than a token's answer is")
    try:
        fields = json.loads(text, parse_constant=not_json)
    except ValueError:
        raise Unreadable("is HTML, not JSON" if text.lstrip().startswith("<") else "is not JSON")
    if not isinstance(fields, dict):
        raise Unreadable("is JSON, but not an object")
    return fields


def not_json(constant: str) -> None:
    raise ValueError(constant)


def decoded(answer: Answer) -> bytes:
    """The decoded body. Some services compress it although the request does not accept a content coding."""
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return answer.body
    if coding not in ("gzip", "x-gzip"):
        raise Unreadable(f"is encoded as {one_line(coding, 40)}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(answer.body, MAX_BODY)
    except zlib.error:
        raise Unreadable("is not the gzip that it is said to be")
    if not unpacker.eof:
        raise Unreadable(f"is cut off, or larger than {MAX_BODY} bytes when it is decompressed")
    return body


def token(fields: dict) -> str:
    value = fields.get("access_token")
    if value is None:
        raise denied("the answer has no access_token")
    if not isinstance(value, str):
        raise denied("the answer's access_token is not a string")
    if not value or not all(" " <= letter <= "~" for letter in value):
        raise denied("the answer's access_token is empty or holds characters that no token may (RFC 6749, A.12)")
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
        raise denied("the answer's expires_in is not a number of seconds")
    # Zero or less means that it has expired already: the host refuses it.
    return Expiry_Never() if seconds > CENTURY else Expiry_AfterMs(milliseconds(seconds))


def number(value) -> int | float | None:
    """A JSON number, or a string that holds one."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def milliseconds(seconds: int | float) -> int:
    return math.floor(max(seconds, 0) * 1000)


def refusal(answer: Answer, fields: dict, problem: str | None) -> Err:
    """The failure for an error of RFC 6749, 5.2, independent of its status. Never quotes a body that is no such error."""
    status, (code, description) = answer.status, error_of(fields)
    parts = [one_line(part, 300) for part in (code, description) if part]
    text = ": ".join([str(status), *parts])
    if not parts:
        text += f", and the answer {problem or 'is not an error of OAuth 2.0'}"
    if 300 <= status < 400:
        text += "; a redirect is not followed: set `token-url` to where it leads, if that is right"
    wait = retry_after(answer.headers)
    setting = "token-url" if 300 <= status < 400 else "scope" if code == "invalid_scope" else None
    return failure(next_of(status, code, wait), text, one_line(code, 100) or None, setting, wait)


def next_of(status: int, code: str, wait: int | None) -> Next:
    """What the host shall do, by status and code."""
    if status == 429 or code == "slow_down" or (status == 503 and wait is not None):
        return Next.THROTTLED
    if status in (408, 425) or status >= 500 or code in UNAVAILABLE:
        return Next.UNAVAILABLE
    return Next.MISCONFIGURED if code in MISCONFIGURED else Next.DENIED


def error_of(fields: dict) -> tuple[str, str]:
    """The code and its description: texts, or nested as `{"error": {"code": …, "message": …}}`."""
    code, description = fields.get("error"), fields.get("error_description")
    if isinstance(code, dict):
        code, description = code.get("code") or code.get("status"), code.get("message")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    return code if isinstance(code, str) else "", description if isinstance(description, str) else ""


def retry_after(headers: dict[str, str]) -> int | None:
    """`Retry-After` in milliseconds: seconds, possibly with a fraction, or a date by the service's clock."""
    text = headers.get("retry-after", "").strip()
    if DELAY.fullmatch(text):
        return math.ceil(min(float(text), MAX_WAIT) * 1000)
    until, sent = http_date(text), http_date(headers.get("date", "").strip())
    if until is None:
        return None
    return min(max(until - (int(time.time()) if sent is None else sent), 0), MAX_WAIT) * 1000


def http_date(text: str) -> int | None:
    """Seconds since 1970."""
    for form in DATES:
        try:
            return timegm(datetime.strptime(text, form).timetuple())
        except ValueError:
            pass
    return None
