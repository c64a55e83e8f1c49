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

// The value of a member, or NULL. The last one of a name counts, as in most readers. `end` becomes the closing brace, or
// NULL if there is none.
static const char *find(const char *object, const char *member, const char **end) {
  const char *at = skip_blanks(object), *found = NULL;
  *end = NULL;
  if (*at != '{') return NULL;
  at = skip_blanks(at + 1);
  while (*at == '"') {
    const char *name = at + 1, *behind = end_of_string(at);
    if (!behind) return NULL;
    bool same = strlen(member) == (size_t)(behind - 1 - name) && strncmp(name, member, strlen(member)) == 0;
    at = skip_blanks(behind);
    if (*at != ':') return NULL;
    at = skip_blanks(at + 1);
    if (same) found = at;
    if (!(at = end_of_value(at))) return NULL;
    at = skip_blanks(at);
    if (*at != ',') break;
    at = skip_blanks(at + 1);
  }
  if (*at != '}') return NULL;
  *end = at;
  return found;
}

static const char *member_of(const char *object, const char *member) {
  const char *end;
  return find(object, member, &end);
}

bool json_is_object(const char *text) {
  const char *end;
  find(text, "", &end);
  return end && !*skip_blanks(end + 1);
}

enum json_kind json_kind(const char *object, const char *member) {
  const char *at = member_of(object, member);
  if (!at) return JSON_ABSENT;
  if (*at == '"') return JSON_STRING;
  if (*at == '{') return JSON_OBJECT;
  if (strncmp(at, "null", 4) == 0) return JSON_NULL;
  return *at && strchr("-0123456789", *at) ? JSON_NUMBER : JSON_OTHER;
}

const char *json_object(const char *object, const char *member) {
  return json_kind(object, member) == JSON_OBJECT ? member_of(object, member) : NULL;
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
  const char *at = member_of(object, member);
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
      // strtoul reads more than digits: signs, blanks, "0x".
      if (strspn(digits, "0123456789abcdefABCDEF") != 4) return NULL;
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
  const char *at = member_of(object, member);
  const char *text = at && *at == '"' ? json_string(object, member) : at;
  if (!text) return false;
  // strtod reads more than JSON has: names, hexadecimal digits.
  text = skip_blanks(text);
  size_t length = strspn(text, "0123456789+-.eE");
  const char *behind = skip_blanks(text + length);
  if (length == 0 || length > 40 || *text == '+' || (*behind && !strchr(",}", *behind))) return false;
  char copy[48] = {0}, *end;
  memcpy(copy, text, length);
  *number = strtod(copy, &end);
  return end == copy + length;
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
