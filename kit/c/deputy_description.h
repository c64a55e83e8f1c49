// What a connector in C says about itself, for `deputy inspect`, `deputy check` and `deputy add`: wit/description.wit. Its world
// includes `describes-itself`, which others do not, so these functions are compiled with the connector.
#pragma once

#include <stdarg.h>
#include <stdlib.h>

#include "deputy_kit.h"

typedef exports_delegation_tokens_description_list_property_t properties_t;
typedef exports_delegation_tokens_description_list_described_setting_t described_settings_t;
typedef exports_delegation_tokens_description_list_want_t wants_t;

// Adds a named text, unless the value is NULL.
static inline void add_property(properties_t *list, const char *name, const char *value) {
  if (!value) return;
  list->ptr = realloc(list->ptr, (list->len + 1) * sizeof *list->ptr);
  set_string(&list->ptr[list->len].name, name);
  set_string(&list->ptr[list->len++].value, value);
}

static inline void describe_settings(described_settings_t *ret, const setting_spec_t *specs) {
  *ret = (described_settings_t){0};
  for (const setting_spec_t *spec = specs; spec->name; spec++) {
    ret->ptr = realloc(ret->ptr, (ret->len + 1) * sizeof *ret->ptr);
    set_string(&ret->ptr[ret->len].name, spec->name);
    properties_t *properties = &ret->ptr[ret->len++].properties;
    *properties = (properties_t){0};
    add_property(properties, "text", spec->text);
    add_property(properties, "type", spec->type);
    add_property(properties, "default", spec->absent);
    add_property(properties, "needed", spec->needed);
  }
}

// Adds something that the connector wants to be granted: its kind, then the name and the value of each property, then NULL.
// A property whose value is NULL is left out. `wants` begins as {0}.
static inline void add_want(wants_t *wants, const char *kind, ...) {
  wants->ptr = realloc(wants->ptr, (wants->len + 1) * sizeof *wants->ptr);
  set_string(&wants->ptr[wants->len].kind, kind);
  properties_t *properties = &wants->ptr[wants->len++].properties;
  *properties = (properties_t){0};
  va_list more;
  va_start(more, kind);
  for (const char *name = va_arg(more, const char *); name; name = va_arg(more, const char *))
    add_property(properties, name, va_arg(more, const char *));
  va_end(more);
}

// Defines what a connector is and which settings it has. What it wants with given settings it defines itself, as
// `exports_delegation_tokens_description_wants`.
#define DESCRIBES_ITSELF(title, settings)                                              \
  void exports_delegation_tokens_description_about(properties_t *ret) {                \
    *ret = (properties_t){0};                                                          \
    add_property(ret, "title", title);                                                 \
  }                                                                                    \
  void exports_delegation_tokens_description_known_settings(described_settings_t *ret) { \
    describe_settings(ret, settings);                                                  \
  }
