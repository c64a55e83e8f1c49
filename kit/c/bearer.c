// Access tokens as services of OAuth 2.0 answer them (RFC 6749, section 5.1).
#include <string.h>

#include "deputy_kit.h"

bool bearer_tokens(const struct answer *answer, tokens_t *tokens, failure_t *err) {
  if (!check_answer(answer, err)) return false;
  const char *token = json_string(answer->body, "access_token");
  if (!token || !*token) return fail(err, DELEGATION_TOKENS_TYPES_NEXT_DENIED, "the answer has no access_token");

  memset(tokens, 0, sizeof *tokens);
  set_string(&tokens->kind, "bearer-token/1");
  tokens->payload.ptr = (uint8_t *)token;
  tokens->payload.len = strlen(token);
  double seconds;
  if (json_number(answer->body, "expires_in", &seconds)) {
    tokens->expiry.tag = DELEGATION_TOKENS_TYPES_EXPIRY_AFTER_MS;
    tokens->expiry.val.after_ms = seconds > 0 ? (uint64_t)(seconds * 1000) : 0;
  }
  return true;
}
