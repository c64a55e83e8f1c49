// Members of one JSON object (RFC 8259). What is malformed is taken for absent. And strings.
#include <stdlib.h>
#include <string.h>

#include "deputy_kit.h"

static const char *skip_blanks(const char *at) { return at + strspn(at, " \t\r\n"); }

// The end of the string that begins at its quote, or NULL.
static const char *end_of_string(const char *at) {
  for (at++; *at && *at != '"'; at++)
    if (*at == '\\' && !*++at) return NULL;
  return *at ? at + 1 : NULL;
}

// The end of a value, or NULL.
static const char *end_of_value(const char *at) {
  size_t depth = 0;
  do {
    if (*at == '"') {
      if (!(at = end_of_string(at))) return NULL;
      continue;
    }
    if (*at == '{' || *at == '[') depth++;
    if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      depth--;
    } else if (depth == 0 && *at == ',') {
      return at;
    }
    if (!*at) return NULL;
    at++;
  } while (depth > 0 || (*at && *at != ',' && *at != '}'));
  return at;
}

// The value of a member, or NULL. The last one of a name counts, as in most readers.
static const char *find(const char *object, const char *member) {
  const char *at = skip_blanks(object), *found = NULL;
  if (*at != '{') return NULL;
  for (at = skip_blanks(at + 1); *at == '"'; at = skip_blanks(at + 1)) {
    const char *name = at + 1, *end = end_of_string(at);
    if (!end) return NULL;
    bool same = strlen(member) == (size_t)(end - 1 - name) && strncmp(name, member, strlen(member)) == 0;
    at = skip_blanks(end);
    if (*at != ':') return NULL;
    at = skip_blanks(at + 1);
    if (same) found = at;
    if (!(at = end_of_value(at))) return NULL;
    at = skip_blanks(at);
    if (*at == '}') return found;
    if (*at != ',') return NULL;
  }
  return NULL;
}

static char *put_utf8(char *to, unsigned code) {
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xc0 | code >> 6);
    *to++ = (char)(0x80 | (code & 0x3f));
  } else {
    *to++ = (char)(0xe0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  }
  return to;
}

char *json_string(const char *object, const char *member) {
  const char *at = find(object, member);
  const char *end = at && *at == '"' ? end_of_string(at) : NULL;
  if (!end) return NULL;
  char *text = malloc((size_t)(end - at)), *to = text;
  for (at++; at < end - 1; at++) {
    if (*at != '\\') {
      *to++ = *at;
      continue;
    }
    static const char escapes[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *escape = strchr(escapes, *++at);
    if (escape && *escape) {
      *to++ = values[escape - escapes];
    } else if (*at == 'u' && end - at > 5) {
      char digits[5] = {at[1], at[2], at[3], at[4], 0}, *stop;
      unsigned code = (unsigned)strtoul(digits, &stop, 16);
      // No token and no message of an error has a NUL or a letter beyond the first plane.
      if (*stop || code == 0 || (code >= 0xd800 && code < 0xe000)) return NULL;
      to = put_utf8(to, code);
      at += 4;
    } else {
      return NULL;
    }
  }
  *to = 0;
  return text;
}

bool json_number(const char *object, const char *member, double *number) {
  const char *at = find(object, member);
  const char *text = at && *at == '"' ? json_string(object, member) : at;
  if (!text || !strchr("-0123456789", *text)) return false;
  char *end;
  *number = strtod(text, &end);
  return end != text;
}

char *json_quoted(const char *text) {
  char *quoted = malloc(6 * strlen(text) + 3), *to = quoted;
  *to++ = '"';
  for (; *text; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte >= ' ' && byte != '"' && byte != '\\') {
      *to++ = (char)byte;
    } else {
      to = stpcpy(to, "\\u00");
      *to++ = "0123456789abcdef"[byte >> 4];
      *to++ = "0123456789abcdef"[byte & 15];
    }
  }
  strcpy(to, "\"");
  return quoted;
}
