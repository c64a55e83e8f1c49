"""OAuth 2.0 client credentials (RFC 6749, 4.4): one POST, one access token, which is the whole payload.

The client's secret does not pass through here: the host adds it to the request, by the operator's http rule, as the
header `Authorization: Basic …` or as the form field `client_secret`. So an import scan finds no secrets, and a bug in
this file can leak none.
"""

from urllib.parse import SplitResult, urlencode

import answer
import wasi_http
from guard import guarded, misconfigured, read
from wit_world import exports
from wit_world.imports.contract import Setting, Tokens

HEADERS = {
    "content-type": "application/x-www-form-urlencoded",
    "accept": "application/json",
    "accept-encoding": "identity",
}
FIELDS = {"client-id": "client_id", "scope": "scope", "audience": "audience"}  # setting: form field
# Fields with a setting of their own, and fields that only the host may add.
TAKEN = {"grant_type", "resource", "client_secret", "client_assertion", *FIELDS.values()}


class Provider(exports.Provider):
    @guarded
    def service_name(self, settings: list[Setting]) -> str:
        return "oauth2"

    @guarded
    def kinds(self, settings: list[Setting]) -> list[str]:
        return [answer.KIND]

    @guarded
    def tokens_required(self, settings: list[Setting]) -> bool:
        request(settings)
        return True

    @guarded
    def obtain(self, settings: list[Setting]) -> Tokens:
        url, form = request(settings)
        answered = wasi_http.post(url, HEADERS, urlencode(form).encode())
        return answer.tokens(answer.Answer(*answered))


def request(settings: list[Setting]) -> tuple[SplitResult, list[tuple[str, str]]]:
    found = read(settings, required={"token-url"}, optional={*FIELDS, "resource"}, families={"form"})
    try:
        url = wasi_http.parse_url(found["token-url"])
    except ValueError as error:
        raise misconfigured("token-url", str(error))
    form = [("grant_type", "client_credentials")]
    form += [(field, found[name]) for name, field in FIELDS.items() if name in found]
    form += [("resource", resource) for resource in found.get("resource", "").split()]  # RFC 8707: one or several
    for name in sorted(name for name in found if name.startswith("form.")):
        field = name.removeprefix("form.")
        if field in TAKEN:
            raise misconfigured(name, "this field has a setting of its own, or is added by the host")
        form.append((field, found[name]))
    return url, form
