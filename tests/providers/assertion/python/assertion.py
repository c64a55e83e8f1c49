"""An access token by a client whose secret signs: `client_secret_jwt` (OpenID Connect Core 1.0, section 9).

The secret is used by handle: the host computes the HMAC, and no code here ever has the secret.
"""

import base64
import json
import time

from componentize_py_types import Err
from deputy_kit import answer, bearer, http
from deputy_kit.failures import failure, guarded
from deputy_kit.settings import read, url
from wit_world import exports
from wit_world.imports import secrets
from wit_world.imports.contract import Next, Setting, Tokens


@guarded
class Provider(exports.Provider):
    def service_name(self, settings: list[Setting]) -> str:
        return "oauth2"

    def kinds(self, settings: list[Setting]) -> list[str]:
        return [bearer.KIND]

    def tokens_required(self, settings: list[Setting]) -> bool:
        return bool(options(settings))

    def obtain(self, settings: list[Setting]) -> Tokens:
        found = options(settings)
        form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion(found["client-id"], found.get("audience", found["token-url"]))),
        ]
        return bearer.tokens(answer.fields(http.post_form(url(found, "token-url"), form)))


def options(settings: list[Setting]) -> dict[str, str]:
    found = read(settings, required={"token-url", "client-id"}, optional={"audience"})
    url(found, "token-url")
    return found


def assertion(client: str, audience: str) -> str:
    """A JWT that is good for a minute."""
    now = time.time_ns()
    claims = {"iss": client, "sub": client, "aud": audience, "jti": str(now), "iat": now // 10**9, "exp": now // 10**9 + 60}
    body = b".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    try:
        with secrets.open("client-secret") as secret:
            return (body + b"." + encoded(secret.hmac_sha256(body))).decode()
    except Err as error:
        is_away = isinstance(error.value, secrets.SecretError_Unavailable)
        next = Next.UNAVAILABLE if is_away else Next.MISCONFIGURED
        raise failure(next, f"secret `client-secret`: {error.value.value}") from error


def encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
