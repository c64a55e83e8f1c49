#include <stdlib.h>
#include <string.h>

#include "deputy_kit.h"

static bool is(connector_string_t text, const char *other) {
  return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

// The part of a name behind a family's dot, or NULL.
static const char *member(connector_string_t name, const char *family) {
  size_t length = strlen(family);
  bool is_member = name.len > length && family[length - 1] == '.' && memcmp(name.ptr, family, length) == 0;
  return is_member ? c_string(name) + length : NULL;
}

// Whether a specified name, or a family such as `form.*`, means this name.
static bool is_meant(const char *known, connector_string_t name) {
  size_t length = strlen(known);
  if (length < 2 || strcmp(known + length - 2, ".*") != 0) return is(name, known);
  return member(name, strndup(known, length - 1)) != NULL;
}

static bool is_among(connector_string_t name, const setting_spec_t *specs) {
  for (; specs->name; specs++)
    if (is_meant(specs->name, name)) return true;
  return false;
}

const char *setting(const settings_t *settings, const char *name) {
  for (size_t i = 0; i < settings->len; i++)
    if (is(settings->ptr[i].name, name)) return c_string(settings->ptr[i].value);
  return NULL;
}

static bool unknown_setting(const char *name, const setting_spec_t *specs, failure_t *err) {
  const char *known = "no such setting here";
  for (const setting_spec_t *spec = specs; spec->name; spec++)
    known = concat(known, spec == specs ? "; there are: " : ", ", spec->name, NULL);
  return wrong_setting(err, name, known);
}

bool check_settings(const settings_t *settings, const setting_spec_t *specs, failure_t *err) {
  for (size_t i = 0; i < settings->len; i++) {
    const delegation_tokens_types_setting_t *given = &settings->ptr[i];
    if (!is_among(given->name, specs)) return unknown_setting(c_string(given->name), specs, err);
    if (strspn(c_string(given->value), " \t\r\n") == given->value.len)
      return wrong_setting(err, c_string(given->name), "it is empty; give it a value or remove it");
  }
  for (; specs->name; specs++)
    if (specs->needed && strcmp(specs->needed, "yes") == 0 && !setting(settings, specs->name))
      return wrong_setting(err, specs->name, "it is missing");
  return true;
}

void form_add_words(struct form *form, const char *field, const char *value) {
  char *words = strdup(value);
  for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) form_add(form, field, word);
}

bool form_add_family(struct form *form, const settings_t *settings, const char *family, const char *const *taken, failure_t *err) {
  for (size_t i = 0; i < settings->len; i++) {
    const char *field = member(settings->ptr[i].name, family);
    for (const char *const *other = taken; field && *other; other++)
      if (strcmp(field, *other) == 0)
        return wrong_setting(err, c_string(settings->ptr[i].name), "this field has a setting of its own, or is added by the host");
    if (field) form_add(form, field, c_string(settings->ptr[i].value));
  }
  return true;
}

bool fail(failure_t *err, uint8_t next, const char *message) {
  memset(err, 0, sizeof *err);
  err->next = next;
  set_string(&err->message, message);
  return false;
}

bool wrong_setting(failure_t *err, const char *name, const char *problem) {
  fail(err, DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED, concat("setting `", name, "`: ", problem, NULL));
  err->setting.is_some = true;
  set_string(&err->setting.val, name);
  return false;
}
