// What a receiver in C needs beside `deputy_kit.h`. Its world has `outputs` and `receiver`, which a provider's has not, so
// these functions are compiled with the receiver.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "deputy_kit.h"

typedef exports_delegation_tokens_receiver_bound_t bound_t;
typedef exports_delegation_tokens_receiver_list_bound_t bounds_t;
typedef exports_delegation_tokens_receiver_delivery_t delivery_t;
typedef exports_delegation_tokens_receiver_list_delivery_t deliveries_t;
typedef exports_delegation_tokens_receiver_rejection_t rejection_t;
typedef exports_delegation_tokens_receiver_accepted_t accepted_t;

// Whether each instance obtains one of these kinds, a list that ends with NULL, or what it obtains is not known.
static inline bool check_kinds(const bounds_t *bound, const char *const *kinds, failure_t *err) {
  for (size_t i = 0; i < bound->len; i++) {
    const bound_t *instance = &bound->ptr[i];
    bool is_known = instance->kinds.len == 0;
    for (size_t k = 0; k < instance->kinds.len; k++)
      for (const char *const *kind = kinds; *kind; kind++) is_known |= strcmp(c_string(instance->kinds.ptr[k]), *kind) == 0;
    if (!is_known)
      return fail(err, DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED, concat(c_string(instance->instance), " obtains no ", *kinds, NULL));
  }
  return true;
}

// Stages one file. All of them are published together, once `accept` has returned true and rejected nothing.
static inline bool put_file(const char *path, const void *contents, size_t length, failure_t *err) {
  connector_string_t name;
  set_string(&name, path);
  connector_list_u8_t bytes = {(uint8_t *)contents, length};
  delegation_tokens_outputs_output_error_t refused;
  if (delegation_tokens_outputs_put(&name, &bytes, &refused)) return true;
  return fail(err, DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED, concat("the host does not take the file ", path, NULL));
}

// Rejects a delivery, so that it holds up no other.
static inline void reject(accepted_t *accepted, const delivery_t *delivery, const char *message) {
  size_t count = accepted->rejected.len++;
  accepted->rejected.ptr = realloc(accepted->rejected.ptr, accepted->rejected.len * sizeof(rejection_t));
  rejection_t *rejection = &accepted->rejected.ptr[count];
  fail(&rejection->failure, DELEGATION_TOKENS_TYPES_NEXT_DENIED, message);
  set_string(&rejection->instance, c_string(delivery->instance));
}
