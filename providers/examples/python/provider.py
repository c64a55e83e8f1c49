"""An access token by a client's credentials (RFC 6749, section 4.4), which is the whole payload.

The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
"""

from deputy_kit import answer, bearer, http
from deputy_kit.failures import guarded
from deputy_kit.settings import misconfigured, read, url
from wit_world import exports
from wit_world.imports.contract import Setting, Tokens

FIELDS = {"client-id": "client_id", "scope": "scope", "audience": "audience"}  # setting: form field
# Fields with a setting of their own, and fields that only the host may add.
TAKEN = {"grant_type", "resource", "client_secret", "client_assertion", *FIELDS.values()}


@guarded
class Provider(exports.Provider):
    def service_name(self, settings: list[Setting]) -> str:
        return "oauth2"

    def kinds(self, settings: list[Setting]) -> list[str]:
        return [bearer.KIND]

    def tokens_required(self, settings: list[Setting]) -> bool:
        return bool(request(settings))

    def obtain(self, settings: list[Setting]) -> Tokens:
        return bearer.tokens(answer.fields(http.post_form(*request(settings))))


def request(settings: list[Setting]):
    found = read(settings, required={"token-url"}, optional={*FIELDS, "resource"}, families={"form"})
    form = [("grant_type", "client_credentials")]
    form += [(field, found[name]) for name, field in FIELDS.items() if name in found]
    form += [("resource", resource) for resource in found.get("resource", "").split()]  # RFC 8707: one or several
    for name in sorted(name for name in found if name.startswith("form.")):
        field = name.removeprefix("form.")
        if field in TAKEN:
            raise misconfigured(name, "this field has a setting of its own, or is added by the host")
        form.append((field, found[name]))
    return url(found, "token-url"), form
