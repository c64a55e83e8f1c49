#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "deputy_kit.h"

char *c_string(connector_string_t text) {
  char *copied = malloc(text.len + 1);
  if (text.len > 0) memcpy(copied, text.ptr, text.len);
  copied[text.len] = 0;
  return copied;
}

char *concat(const char *first, ...) {
  va_list more;
  size_t length = 1;
  va_start(more, first);
  for (const char *text = first; text; text = va_arg(more, const char *)) length += strlen(text);
  va_end(more);
  char *joined = malloc(length), *to = joined;
  *to = 0;
  va_start(more, first);
  for (const char *text = first; text; text = va_arg(more, const char *)) to = stpcpy(to, text);
  va_end(more);
  return joined;
}

char *decimal(uint64_t number) {
  char digits[21], *digit = digits + 20;
  *digit = 0;
  do *--digit = (char)('0' + number % 10);
  while (number /= 10);
  return strdup(digit);
}

char *base64url(const void *bytes, size_t length) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const uint8_t *from = bytes;
  char *text = malloc(length / 3 * 4 + 5), *to = text;
  for (size_t i = 0; i < length; i += 3) {
    size_t left = length - i;
    uint32_t group = (uint32_t)from[i] << 16 | (left > 1 ? from[i + 1] << 8 : 0) | (left > 2 ? from[i + 2] : 0);
    for (size_t digit = 0; digit <= (left < 3 ? left : 3); digit++) *to++ = digits[group >> (18 - 6 * digit) & 63];
  }
  *to = 0;
  return text;
}

void set_string(connector_string_t *to, const char *text) { connector_string_dup(to, text); }

void set_kinds(kinds_t *to, const char *const *kinds) {
  size_t count = 0;
  while (kinds[count]) count++;
  to->len = count;
  to->ptr = calloc(count, sizeof *to->ptr);
  for (size_t i = 0; i < count; i++) set_string(&to->ptr[i], kinds[i]);
}
