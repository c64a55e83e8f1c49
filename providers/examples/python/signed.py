"""A sample: renewable tokens, signed with a secret that the component never reads.

A token is two base64url parts with a dot between them: the JSON with `sub`, `iat` and `exp` in seconds, and its
HMAC-SHA256. A service with the same secret can verify it. It is renewed until it is eight lifetimes old.
"""

import base64
import hmac
import json
import time

from componentize_py_types import Err
from deputy_kit.description import about, setting, want
from deputy_kit.failures import failure, guarded
from deputy_kit.settings import misconfigured, read
from wit_world import exports
from wit_world.imports import secrets
from wit_world.imports.contract import Expiry_At, Fact, Next, Setting, Tokens

SETTINGS = [
    setting("subject", "whom the token is for", "text", needed="yes"),
    setting("lifetime", "how long a token is good, in seconds: 60 to 86400", "number", default="3600"),
]
KIND = "signed-claims/1"
LIFETIMES = 8


@guarded
class Provider(exports.Provider):
    def service_name(self, settings: list[Setting]) -> str:
        return "signed"

    def kinds(self, settings: list[Setting]) -> list[str]:
        return [KIND]

    def tokens_required(self, settings: list[Setting]) -> bool:
        options(settings)
        return True

    def obtain(self, settings: list[Setting]) -> Tokens:
        subject, lifetime = options(settings)
        now = int(time.time())
        return signed({"sub": subject, "iat": now, "exp": now + lifetime}, lifetime)


@guarded
class Renewal(exports.Renewal):
    def renew(self, settings: list[Setting], tokens: Tokens) -> Tokens:
        _, lifetime = options(settings)
        body, _, mac = tokens.payload.partition(b".")
        if not hmac.compare_digest(mac, mac_of(body)):
            raise failure(Next.DENIED, "not a token of this secret")
        claims = json.loads(base64.urlsafe_b64decode(body))
        now = int(time.time())
        if now >= claims["iat"] + LIFETIMES * lifetime:
            raise failure(Next.ENDED, f"the token has been renewed for {LIFETIMES} lifetimes")
        return signed(claims | {"exp": now + lifetime}, lifetime)


@guarded
class Description(exports.Description):
    def about(self):
        return about(title="Renewable tokens, signed by a secret that stays in the host")

    def known_settings(self):
        return SETTINGS

    def wants(self, settings: list[Setting]):
        options(settings)
        return [want("secret", name="signing-key", use="hmac-sha256", reason="signs the tokens")]


def options(settings: list[Setting]) -> tuple[str, int]:
    found = read(settings, required={"subject"}, optional={"lifetime"})
    lifetime = found.get("lifetime", "3600")
    if not (lifetime.isascii() and lifetime.isdigit() and 60 <= int(lifetime[:10]) <= 86_400):
        raise misconfigured("lifetime", "must be 60 to 86400, in seconds")
    return found["subject"], int(lifetime)


def signed(claims: dict, lifetime: int) -> Tokens:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode())
    payload = body + b"." + mac_of(body)
    renewable_until = (claims["iat"] + LIFETIMES * lifetime) * 1000
    facts = [Fact("subject", claims["sub"])]
    return Tokens(KIND, payload, Expiry_At(claims["exp"] * 1000), None, renewable_until, b"", facts)


def mac_of(body: bytes) -> bytes:
    try:
        with secrets.open("signing-key") as key:
            return base64.urlsafe_b64encode(key.hmac_sha256(body))
    except Err as error:
        unavailable = isinstance(error.value, secrets.SecretError_Unavailable)
        next = Next.UNAVAILABLE if unavailable else Next.MISCONFIGURED
        raise failure(next, f"secret `signing-key`: {error.value.value}") from error
