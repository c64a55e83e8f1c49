"""One HTTP request over wasi:http, and its whole answer. Redirects are not followed and nothing is retried."""

from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, urlencode

from componentize_py_types import Err, Ok
from deputy_kit.failures import failure
from wit_world.imports import outgoing_handler
from wit_world.imports import wasi_http_types as http
from wit_world.imports.contract import Failure, Next
from wit_world.imports.streams import StreamError_Closed

MAX_ANSWER = 1024 * 1024
MAX_WRITE = 4096  # the maximum of wasi:io
METHODS = {"GET": http.Method_Get, "POST": http.Method_Post, "PUT": http.Method_Put, "DELETE": http.Method_Delete}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # by lower-case name
    body: bytes


def post_form(url: SplitResult, form: list[tuple[str, str]]) -> Answer:
    """Sends one form. The host adds what the operator's http rule says, such as a secret."""
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    return send("POST", url, headers | {"accept-encoding": "identity"}, urlencode(form).encode())


def send(method: str, url: SplitResult, headers: dict[str, str], body: bytes = b"") -> Answer:
    """Makes one request and reads the whole answer, whatever its status. Without one it raises a failure of the contract."""
    shown = f"{url.scheme}://{url.netloc}{url.path}"  # without the query, which may be confidential
    try:
        return _answer(shown, _send(method, url, headers, body))
    except Err as error:
        if isinstance(error.value, Failure):
            raise
        if isinstance(error.value, (http.ErrorCode_HttpRequestDenied, http.ErrorCode_DestinationIpProhibited)):
            text = f"no http rule of this instance allows {method} {shown}; the host's log says what would"
            raise failure(Next.MISCONFIGURED, text) from error
        if isinstance(error.value, http.ErrorCode_ConfigurationError):
            text = f"{shown}: the host cannot make this request as its http rule says; its log says why"
            raise failure(Next.MISCONFIGURED, text) from error
        # Only the name of the code, such as ConnectionRefused: its fields may hold text of the host.
        reason = type(error.value).__name__.removeprefix("ErrorCode_").removeprefix("StreamError_")
        raise failure(Next.UNAVAILABLE, f"{shown}: no answer: {reason}") from error


def _send(method: str, parts: SplitResult, headers: dict[str, str], body: bytes) -> http.FutureIncomingResponse:
    # Without the length the host sends chunks, which some servers do not support.
    lines = [*headers.items(), ("content-length", str(len(body)))]
    request = http.OutgoingRequest(http.Fields.from_list([(name, value.encode()) for name, value in lines]))
    request.set_method(http.Method_Other(method) if method not in METHODS else METHODS[method]())
    request.set_scheme(http.Scheme_Http() if parts.scheme == "http" else http.Scheme_Https())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + ("?" + parts.query if parts.query else ""))
    outgoing = request.body()
    future = outgoing_handler.handle(request, None)
    with suppress(Err):  # if sending fails, the future has the error
        with outgoing.write() as stream:
            for start in range(0, len(body), MAX_WRITE):
                stream.blocking_write_and_flush(body[start : start + MAX_WRITE])
        http.OutgoingBody.finish(outgoing, None)
    return future


def _answer(shown: str, future: http.FutureIncomingResponse) -> Answer:
    with future.subscribe() as ready:
        ready.block()
    result = future.get().value  # the outer result only says "taken twice"
    if not isinstance(result, Ok):
        raise result
    response = result.value
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers().entries()}
    chunks, size = [], 0
    with response.consume() as incoming, incoming.stream() as stream:
        while True:
            try:
                chunks.append(stream.blocking_read(65536))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return Answer(response.status(), headers, b"".join(chunks))
                raise
            size += len(chunks[-1])
            if size > MAX_ANSWER:
                raise failure(Next.UNAVAILABLE, f"{shown}: the answer is larger than {MAX_ANSWER} bytes")
