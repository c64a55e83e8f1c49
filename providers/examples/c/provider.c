// An access token by a client's credentials (RFC 6749, section 4.4).
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
#include "deputy_description.h"

static const char *const KINDS[] = {"bearer-token/1", NULL};
static const setting_spec_t SETTINGS[] = {
    {"token-url", "url", "the token endpoint", .needed = "yes"},
    {"client-id", "text", "the client, where the form names it beside its secret"},
    {"scope", "text", "the scopes, with spaces between"},
    {"audience", "text", "the API that the token is for, where the service asks for one"},
    {"resource", "list", "one or several resources of RFC 8707, with spaces between"},
    {"form.*", "text", "any other field of the form: form.NAME"},
    {0},
};
static const char *const FIELDS[][2] = {{"client-id", "client_id"}, {"scope", "scope"}, {"audience", "audience"}};
// Fields with a setting of their own, and fields that only the host may add.
static const char *const TAKEN[] = {"grant_type", "client_id", "scope", "audience", "resource", "client_secret", "client_assertion", NULL};

bool exports_delegation_tokens_provider_service_name(settings_t *settings, connector_string_t *ret, failure_t *err) {
  set_string(ret, "oauth2");
  return true;
}

bool exports_delegation_tokens_provider_kinds(settings_t *settings, kinds_t *ret, failure_t *err) {
  set_kinds(ret, KINDS);
  return true;
}

// The token endpoint of these settings, or NULL, and the form that goes there.
static const char *request(settings_t *settings, struct form *form, failure_t *err) {
  if (!check_settings(settings, SETTINGS, err)) return NULL;
  form_add(form, "grant_type", "client_credentials");
  for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
    const char *value = setting(settings, FIELDS[i][0]);
    if (value) form_add(form, FIELDS[i][1], value);
  }
  const char *resources = setting(settings, "resource"); // RFC 8707: one or several
  if (resources) form_add_words(form, "resource", resources);
  return form_add_family(form, settings, "form.", TAKEN, err) ? url_setting(settings, "token-url", err) : NULL;
}

bool exports_delegation_tokens_provider_tokens_required(settings_t *settings, bool *ret, failure_t *err) {
  struct form form = {0};
  *ret = true;
  return request(settings, &form, err);
}

bool exports_delegation_tokens_provider_obtain(settings_t *settings, tokens_t *ret, failure_t *err) {
  struct form form = {0};
  struct answer answer = {0};
  const char *url = request(settings, &form, err), *fields;
  return url && post_form(url, &form, &answer, err) && check_answer(&answer, &fields, err) && bearer_tokens(fields, ret, err);
}

DESCRIBES_ITSELF("Access tokens of OAuth 2.0, by client credentials", SETTINGS)

bool exports_delegation_tokens_description_wants(settings_t *settings, wants_t *ret, failure_t *err) {
  struct form form = {0};
  const char *url = request(settings, &form, err);
  if (!url) return false;
  // The other way, HTTP Basic, needs no setting: the operator's rule has the client.
  bool is_in_form = setting(settings, "client-id");
  *ret = (wants_t){0};
  add_want(ret, "http", "url", url_server(url), "method", "POST", "path", url_path(url),
           "secret", is_in_form ? "client-secret" : NULL, "field", is_in_form ? "client_secret" : NULL,
           "reason", "asks for a token", NULL);
  return true;
}
