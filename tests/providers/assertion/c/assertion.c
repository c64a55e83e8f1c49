// An access token by a client whose secret signs: `client_secret_jwt` (OpenID Connect Core 1.0, section 9).
//
// The secret is used by handle: the host computes the HMAC, and no code here ever has the secret.
#include <string.h>

#include "deputy_secrets.h"

static const char *const KINDS[] = {"bearer-token/1", NULL};
static const setting_spec_t SETTINGS[] = {
    {"token-url", "url", "the token endpoint", .needed = "yes"},
    {"client-id", "text", "the client", .needed = "yes"},
    {"audience", "text", "whom the assertion is for", .absent = "the token endpoint"},
    {0},
};
static const char HEADER[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

bool exports_delegation_tokens_provider_service_name(settings_t *settings, connector_string_t *ret, failure_t *err) {
  set_string(ret, "oauth2");
  return true;
}

bool exports_delegation_tokens_provider_kinds(settings_t *settings, kinds_t *ret, failure_t *err) {
  set_kinds(ret, KINDS);
  return true;
}

bool exports_delegation_tokens_provider_tokens_required(settings_t *settings, bool *ret, failure_t *err) {
  *ret = true;
  return check_settings(settings, SETTINGS, err);
}

// A JWT that is good for a minute.
static bool assertion(const char *client, const char *audience, char **jwt, failure_t *err) {
  const char *name = json_quoted(client);
  uint64_t now = now_ns(), seconds = now / 1000000000;
  const char *claims = concat("{\"iss\":", name, ",\"sub\":", name, ",\"aud\":", json_quoted(audience), ",\"jti\":\"", decimal(now),
                              "\",\"iat\":", decimal(seconds), ",\"exp\":", decimal(seconds + 60), "}", NULL);
  const char *body = concat(base64url(HEADER, strlen(HEADER)), ".", base64url(claims, strlen(claims)), NULL);
  connector_list_u8_t mac;
  if (!hmac_sha256("client-secret", body, &mac, err)) return false;
  *jwt = concat(body, ".", base64url(mac.ptr, mac.len), NULL);
  return true;
}

bool exports_delegation_tokens_provider_obtain(settings_t *settings, tokens_t *ret, failure_t *err) {
  if (!check_settings(settings, SETTINGS, err)) return false;
  const char *url = setting(settings, "token-url"), *audience = setting(settings, "audience");
  char *jwt;
  if (!assertion(setting(settings, "client-id"), audience ? audience : url, &jwt, err)) return false;
  struct form form = {0};
  form_add(&form, "grant_type", "client_credentials");
  form_add(&form, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  form_add(&form, "client_assertion", jwt);
  struct answer answer = {0};
  const char *fields;
  return post_form(url, &form, &answer, err) && check_answer(&answer, &fields, err) && bearer_tokens(fields, ret, err);
}
