"""OAuth 2.0 client credentials (RFC 6749, 4.4): one POST, one access token, which is the whole payload.

The client's secret does not pass through here: the host adds it to the request, by the operator's http rule, as the
header `Authorization: Basic …` or as the form field `client_secret`. So an import scan finds no secrets, and a bug in
this file can leak none.
"""

import json
import time
from urllib.parse import SplitResult, urlencode

import wasi_http
from componentize_py_types import Err
from guard import guarded, misconfigured, one_line, read
from wit_world import exports
from wit_world.imports.contract import (
    Failure_Denied,
    Failure_Misconfigured,
    Failure_Throttled,
    Failure_Unavailable,
    Setting,
    Throttle,
    Tokens,
)

THROTTLED_FOR = 5  # seconds, where the service does not say how long
MISCONFIGURED = {"invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type"}
UNAVAILABLE = {"server_error", "temporarily_unavailable"}


class Provider(exports.Provider):
    def service_name(self) -> str:
        return "oauth2"

    @guarded
    def tokens_required(self, settings: list[Setting]) -> bool:
        request(settings)
        return True

    @guarded
    def obtain(self, settings: list[Setting]) -> Tokens:
        url, form = request(settings)
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        asked_at = int(time.time() * 1000)  # before the request, so that the token is never thought to live longer
        status, answered, body = wasi_http.post(url, headers, urlencode(form).encode())
        if status != 200:
            raise Err(refusal(status, answered, body))
        token, lifetime = token_of(parse(body))
        return Tokens(token.encode(), None if lifetime is None else asked_at + lifetime * 1000)


def request(settings: list[Setting]) -> tuple[SplitResult, dict[str, str]]:
    found = read(settings, required={"token-url"}, optional={"client-id", "scope"})
    try:
        url = wasi_http.parse_url(found["token-url"])
    except ValueError as error:
        raise misconfigured("token-url", str(error))
    form = {"grant_type": "client_credentials"}
    form |= {field: found[name] for field, name in [("client_id", "client-id"), ("scope", "scope")] if name in found}
    return url, form


def parse(body: bytes) -> dict:
    """The JSON object of an answer, empty where it is none.

    Deep nesting ends the parser's stack, which is a trap here and not the RecursionError that it is elsewhere.
    """
    try:
        answer = {} if body.count(b"[") + body.count(b"{") > 100 else json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def token_of(answer: dict) -> tuple[str, int | None]:
    # The errors say nothing of the answer, which may hold a token.
    token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token:
        raise Err(Failure_Unavailable("the answer has no access_token"))
    if lifetime is None:
        return token, None
    # Some services write the number as a string. Ten digits are three hundred years.
    digits = str(lifetime)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise Err(Failure_Unavailable("the answer's expires_in is no number of seconds"))
    return token, int(digits)


def refusal(status: int, headers: dict[str, str], body: bytes):
    """What an error of RFC 6749, 5.2, means to the host. A body that is no such error is not quoted."""
    answer = parse(body)
    parts = [one_line(answer[key], 300) for key in ("error", "error_description") if isinstance(answer.get(key), str)]
    text = ": ".join([str(status), *parts]) if parts else f"{status}, and the answer is not an error of OAuth 2.0"
    code = answer.get("error") if isinstance(answer.get("error"), str) else ""
    wait = headers.get("retry-after", "")
    said = min(int(wait), 86_400) if wait.isascii() and wait.isdigit() and len(wait) <= 10 else None
    if status == 429 or code == "slow_down" or (status == 503 and said is not None):
        return Failure_Throttled(Throttle(text, (THROTTLED_FOR if said is None else said) * 1000))
    if status == 408 or status < 300 or status >= 500 or code in UNAVAILABLE:
        return Failure_Unavailable(text)
    return Failure_Misconfigured(text) if code in MISCONFIGURED else Failure_Denied(text)
