"""An access token by a client's credentials (RFC 6749, section 4.4), which is the whole payload.

The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
"""

from deputy_kit import answer, bearer, http
from deputy_kit.description import about, setting, want
from deputy_kit.failures import guarded
from deputy_kit.settings import misconfigured, read, url
from wit_world import exports
from wit_world.imports.contract import Setting, Tokens

SETTINGS = [
    setting("token-url", "the token endpoint", "url", needed="yes"),
    setting("client-id", "the client, where the form names it beside its secret", "text"),
    setting("scope", "the scopes, with spaces between", "text"),
    setting("audience", "the API that the token is for, where the service asks for one", "text"),
    setting("resource", "one or several resources of RFC 8707, with spaces between", "list"),
    setting("form.*", "any other field of the form: form.NAME", "text"),
]
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


@guarded
class Description(exports.Description):
    def about(self):
        return about(title="Access tokens of OAuth 2.0, by client credentials")

    def known_settings(self):
        return SETTINGS

    def wants(self, settings: list[Setting]):
        url, form = request(settings)
        server = f"{url.scheme}://{url.netloc}"
        # The other way, HTTP Basic, needs no setting: the operator's rule has the client.
        secret, field = ("client-secret", "client_secret") if "client_id" in dict(form) else (None, None)
        reason = "asks for a token"
        return [want("http", url=server, method="POST", path=url.path or "/", secret=secret, field=field, reason=reason)]


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
