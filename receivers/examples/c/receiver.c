// Access tokens as the files that `curl --header @FILE` reads, one for each instance.
#include "deputy_description.h"
#include "deputy_receiver.h"

static const char *const KINDS[] = {"bearer-token/1", NULL};
static const setting_spec_t SETTINGS[] = {{0}};

bool exports_delegation_tokens_receiver_kinds(settings_t *settings, kinds_t *ret, failure_t *err) {
  set_kinds(ret, KINDS);
  return true;
}

bool exports_delegation_tokens_receiver_check(settings_t *settings, bounds_t *bound, failure_t *err) {
  return check_settings(settings, SETTINGS, err) && check_kinds(bound, KINDS, err);
}

static bool is_one_word(connector_list_u8_t text) {
  for (size_t i = 0; i < text.len; i++)
    if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f) return false;
  return text.len > 0;
}

bool exports_delegation_tokens_receiver_accept(settings_t *settings, deliveries_t *deliveries, accepted_t *ret, failure_t *err) {
  memset(ret, 0, sizeof *ret);
  for (size_t i = 0; i < deliveries->len; i++) {
    const delivery_t *delivery = &deliveries->ptr[i];
    // A line break would start another header.
    if (!is_one_word(delivery->payload)) {
      reject(ret, delivery, "the payload is not one word");
      continue;
    }
    const char *token = c_string((connector_string_t){delivery->payload.ptr, delivery->payload.len});
    const char *header = concat("Authorization: Bearer ", token, "\n", NULL);
    if (!put_file(concat(c_string(delivery->instance), ".header", NULL), header, strlen(header), err)) return false;
  }
  return true;
}

DESCRIBES_ITSELF("Access tokens as headers for curl", SETTINGS)

bool exports_delegation_tokens_description_wants(settings_t *settings, wants_t *ret, failure_t *err) {
  *ret = (wants_t){0};
  return check_settings(settings, SETTINGS, err);
}
