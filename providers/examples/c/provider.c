// An access token by a client's credentials (RFC 6749, section 4.4).
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
#include "deputy_kit.h"

static const char *const KINDS[] = {"bearer-token/1", NULL};
static const char *const REQUIRED[] = {"token-url", NULL};
static const char *const OPTIONAL[] = {"client-id", "scope", "audience", "resource", "form.", NULL};
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

// The form of these settings.
static bool request(settings_t *settings, struct form *form, failure_t *err) {
  if (!check_settings(settings, REQUIRED, OPTIONAL, err)) return false;
  form_add(form, "grant_type", "client_credentials");
  for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
    const char *value = setting(settings, FIELDS[i][0]);
    if (value) form_add(form, FIELDS[i][1], value);
  }
  const char *resources = setting(settings, "resource"); // RFC 8707: one or several
  if (resources) form_add_words(form, "resource", resources);
  return form_add_family(form, settings, "form.", TAKEN, err);
}

bool exports_delegation_tokens_provider_tokens_required(settings_t *settings, bool *ret, failure_t *err) {
  struct form form = {0};
  *ret = true;
  return request(settings, &form, err);
}

bool exports_delegation_tokens_provider_obtain(settings_t *settings, tokens_t *ret, failure_t *err) {
  struct form form = {0};
  struct answer answer = {0};
  const char *fields;
  if (!request(settings, &form, err) || !post_form(setting(settings, "token-url"), &form, &answer, err)) return false;
  return check_answer(&answer, &fields, err) && bearer_tokens(fields, ret, err);
}
