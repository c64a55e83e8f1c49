"""One HTTP request over wasi:http, and its whole answer. Redirects are not followed and nothing is retried."""

from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from componentize_py_types import Err, Ok
from guard import failure
from wit_world.imports import outgoing_handler
from wit_world.imports import wasi_http_types as http
from wit_world.imports.contract import Failure, Next
from wit_world.imports.streams import StreamError_Closed

MAX_ANSWER = 1024 * 1024
MAX_WRITE = 4096  # the maximum of wasi:io


def parse_url(url: str) -> SplitResult:
    """The parts of a URL that a request can be sent to. A ValueError's text completes the sentence "setting x: …"."""
    try:
        parts = urlsplit(url)
        fine = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fine = False
    if not fine or not url.startswith(("https://", "http://")) or not all("!" <= letter <= "~" for letter in url):
        raise ValueError("not a URL such as https://login.example/token")
    return parts


def post(parts: SplitResult, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name, and body. Without an answer it raises a failure of the contract."""
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"  # without the query, which may be confidential
    try:
        return _answer(shown, _send(parts, headers, body))
    except Err as error:
        if isinstance(error.value, Failure):
            raise
        if isinstance(error.value, (http.ErrorCode_HttpRequestDenied, http.ErrorCode_DestinationIpProhibited)):
            text = f"no http rule of this instance allows POST {shown}; the host's log says what would"
            raise failure(Next.MISCONFIGURED, text) from error
        if isinstance(error.value, http.ErrorCode_ConfigurationError):
            text = f"{shown}: the host cannot make this request as its http rule says; its log says why"
            raise failure(Next.MISCONFIGURED, text) from error
        # Only the name of the code, such as ConnectionRefused: its fields may hold text of the host.
        reason = type(error.value).__name__.removeprefix("ErrorCode_").removeprefix("StreamError_")
        raise failure(Next.UNAVAILABLE, f"{shown}: no answer: {reason}") from error


def _send(parts: SplitResult, headers: dict[str, str], body: bytes) -> http.FutureIncomingResponse:
    # Without the length the host sends chunks, which some servers do not support.
    lines = [*headers.items(), ("content-length", str(len(body)))]
    request = http.OutgoingRequest(http.Fields.from_list([(name, value.encode()) for name, value in lines]))
    request.set_method(http.Method_Post())
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


def _answer(shown: str, future: http.FutureIncomingResponse) -> tuple[int, dict[str, str], bytes]:
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
                    return response.status(), headers, b"".join(chunks)
                raise
            size += len(chunks[-1])
            if size > MAX_ANSWER:
                raise failure(Next.UNAVAILABLE, f"{shown}: the answer is larger than {MAX_ANSWER} bytes")
