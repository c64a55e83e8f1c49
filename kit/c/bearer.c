// Access tokens as services of OAuth 2.0 answer them (RFC 6749, section 5.1).
#include <string.h>

#include "deputy_kit.h"

// In seconds. A longer lifetime means "never".
#define CENTURY (100.0 * 366 * 86400)

static bool denied(failure_t *err, const char *message) { return fail(err, DELEGATION_TOKENS_TYPES_NEXT_DENIED, message); }

// When the token ends, by `expires_in`, or by the `expires_on` that Azure writes in its place.
static bool expiry(const char *fields, tokens_t *ret, failure_t *err) {
  enum json_kind kind = json_kind(fields, "expires_in");
  const char *written = kind == JSON_STRING ? json_string(fields, "expires_in") : NULL;
  double seconds;
  if (kind == JSON_ABSENT || kind == JSON_NULL || (written && !*written)) {
    if (json_number(fields, "expires_on", &seconds)) {
      ret->expiry.tag = DELEGATION_TOKENS_TYPES_EXPIRY_AT;
      ret->expiry.val.at = seconds > 0 ? (uint64_t)(seconds * 1000) : 0;
    }
    return true;
  }
  if (!json_number(fields, "expires_in", &seconds))
    return denied(err, "the answer's expires_in is not a number of seconds");
  if (seconds > CENTURY) {
    ret->expiry.tag = DELEGATION_TOKENS_TYPES_EXPIRY_NEVER;
    return true;
  }
  // Zero or less means that it has expired already: the host refuses it.
  ret->expiry.tag = DELEGATION_TOKENS_TYPES_EXPIRY_AFTER_MS;
  ret->expiry.val.after_ms = seconds > 0 ? (uint64_t)(seconds * 1000) : 0;
  return true;
}

bool bearer_tokens(const char *fields, tokens_t *ret, failure_t *err) {
  enum json_kind kind = json_kind(fields, "access_token");
  if (kind == JSON_ABSENT || kind == JSON_NULL) return denied(err, "the answer has no access_token");
  if (kind != JSON_STRING) return denied(err, "the answer's access_token is not a string");
  const char *token = json_string(fields, "access_token");
  bool is_one = token && *token;
  for (const char *at = token; is_one && *at; at++) is_one = *at >= ' ' && *at <= '~';
  if (!is_one)
    return denied(err, "the answer's access_token is empty or holds characters that no token may (RFC 6749, A.12)");

  memset(ret, 0, sizeof *ret);
  ret->expiry.tag = DELEGATION_TOKENS_TYPES_EXPIRY_UNKNOWN;
  set_string(&ret->kind, "bearer-token/1");
  ret->payload.ptr = (uint8_t *)token;
  ret->payload.len = strlen(token);
  return expiry(fields, ret, err);
}
