"""What the answer of a service that speaks JSON means, with errors as RFC 6749, section 5.2, has them.

Errors never quote an answer that may hold a token: they say which part of it could not be accepted. An answer that came
whole and cannot be read is `denied`, since asking again soon brings the same one.
"""

import json
import math
import re
import time
import zlib
from calendar import timegm
from datetime import datetime
from urllib.parse import parse_qsl

from componentize_py_types import Err
from deputy_kit.failures import failure, one_line
from deputy_kit.http import Answer
from wit_world.imports.contract import Next

MAX_BODY = 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_NESTING = 100
MAX_WAIT = 86_400  # seconds; the bound on Retry-After
MISCONFIGURED = {"invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type"}
UNAVAILABLE = {"server_error", "temporarily_unavailable"}
DELAY = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
# The three forms of an HTTP date (RFC 9110, 5.6.7).
DATES = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]
datetime.strptime("Sun, 06 Nov 1994 08:49:37 GMT", DATES[0])  # loads the modules that it needs while the component is built


class Unreadable(Exception):
    """Completes the sentence "the answer …"."""


def fields(answer: Answer) -> dict:
    """The fields of a good answer. Raises a failure for an error, also under a good status."""
    try:
        found, problem = parse(answer), None
    except Unreadable as error:
        found, problem = {}, str(error)
    if not 200 <= answer.status < 300 or found.get("error"):
        raise refusal(answer, found, problem)
    if answer.status == 202 and not found:
        raise failure(Next.UNAVAILABLE, "202: the service accepted the request and has no answer yet")
    if problem:
        raise failure(Next.DENIED, f"{answer.status}, and the answer {problem}; look at the URL")
    return found


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
        raise Unreadable("is nested deeper than an answer is")
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


def refusal(answer: Answer, fields: dict, problem: str | None) -> Err:
    """The failure for an error of RFC 6749, 5.2, independent of its status. Never quotes a body that is no such error."""
    status, (code, description) = answer.status, error_of(fields)
    parts = [one_line(part, 300) for part in (code, description) if part]
    text = ": ".join([str(status), *parts])
    if not parts:
        text += f", and the answer {problem or 'is no error that is understood'}"
    if 300 <= status < 400:
        text += "; a redirect is not followed: configure where it leads, if that is right"
    wait = retry_after(answer.headers)
    return failure(next_of(status, code, wait), text, one_line(code, 100) or None, retry_after_ms=wait)


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
