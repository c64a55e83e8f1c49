// A secret of the operator, used by the host and never read. The component's world includes `uses-secrets`, which others do not,
// so these functions are compiled with the component.
#pragma once

#include "deputy_kit.h"

// Why a secret was not used, as a failure. Returns false.
static inline bool secret_not_used(failure_t *err, const char *secret, delegation_tokens_secrets_secret_error_t error) {
  bool is_away = error.tag == DELEGATION_TOKENS_SECRETS_SECRET_ERROR_UNAVAILABLE;
  uint8_t next = is_away ? DELEGATION_TOKENS_TYPES_NEXT_UNAVAILABLE : DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED;
  return fail(err, next, concat("secret `", secret, "`: ", c_string(error.val.denied), NULL));
}

// The HMAC-SHA256 of a text by a secret, 32 bytes.
static inline bool hmac_sha256(const char *secret, const char *text, connector_list_u8_t *mac, failure_t *err) {
  connector_string_t name;
  set_string(&name, secret);
  connector_list_u8_t data;
  set_string((connector_string_t *)&data, text);
  delegation_tokens_secrets_own_secret_t key;
  delegation_tokens_secrets_secret_error_t error;
  if (!delegation_tokens_secrets_open(&name, &key, &error) ||
      !delegation_tokens_secrets_method_secret_hmac_sha256(delegation_tokens_secrets_borrow_secret(key), &data, mac, &error))
    return secret_not_used(err, secret, error);
  return true;
}
