// What an answer of a service that speaks JSON means.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "deputy_kit.h"

enum { MAX_SHOWN = 300, MAX_WAIT = 86400 };

static const char *const MISCONFIGURED[] = {
    "invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type", NULL};
static const char *const UNAVAILABLE[] = {"server_error", "temporarily_unavailable", NULL};

static bool is_among(const char *text, const char *const *others) {
  for (; *others; others++)
    if (strcmp(text, *others) == 0) return true;
  return false;
}

// Whether all of it is UTF-8 (RFC 3629), and no NUL.
static bool is_utf8(const char *text, size_t length) {
  const unsigned char *at = (const unsigned char *)text, *end = at + length;
  while (at < end) {
    if (*at == 0) return false;
    size_t more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2 : *at >= 0xf0 && *at < 0xf5 ? 3 : 4;
    if (more > 3 || more >= (size_t)(end - at)) return false;
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f)) return false;
    if ((*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f)) return false;
    for (at++; more > 0; more--, at++)
      if (*at >> 6 != 2) return false;
  }
  return true;
}

// Appends one text of a form as a JSON string. Returns where the text ends.
static const char *put_form_text(char **to, const char *from) {
  *(*to)++ = '"';
  for (; *from && *from != '&' && *from != '='; from++) {
    unsigned byte = (unsigned char)(*from == '+' ? ' ' : *from);
    if (byte == '%' && sscanf(from, "%%%2x", &byte) == 1) from += 2;
    if (byte < ' ' || byte == '"' || byte == '\\') {
      *to += sprintf(*to, "\\u%04x", byte);
    } else {
      *(*to)++ = (char)byte;
    }
  }
  *(*to)++ = '"';
  return from;
}

// The JSON object that a form stands for.
static char *form_fields(const char *form) {
  // A byte becomes six at most, and a field has nine more.
  char *object = malloc(15 * strlen(form) + 16), *to = object;
  *to++ = '{';
  while (*form) {
    if (to[-1] != '{') *to++ = ',';
    form = put_form_text(&to, form);
    *to++ = ':';
    form = put_form_text(&to, *form == '=' ? form + 1 : form);
    while (*form && *form != '&') form++;
    if (*form) form++;
  }
  strcpy(to, "}");
  return object;
}

// The fields, or NULL and what completes the sentence "the answer …".
static const char *parse(const struct answer *answer, const char **problem) {
  const char *text = answer->body;
  if (*answer->content_encoding && strcasecmp(answer->content_encoding, "identity") != 0) {
    char *named = malloc(96);
    snprintf(named, 96, "is encoded as %.40s, which was not asked for", answer->content_encoding);
    *problem = named;
    return NULL;
  }
  if (strncmp(text, "\xef\xbb\xbf", 3) == 0) text += 3;
  text += strspn(text, " \t\r\n");
  if (!is_utf8(answer->body, answer->length)) {
    *problem = "is not UTF-8";
  } else if (!*text) {
    *problem = "is empty";
  } else if (strncasecmp(answer->content_type, "application/x-www-form-urlencoded", 33) == 0) {
    return form_fields(text);
  } else if (json_is_object(text)) {
    return text;
  } else {
    *problem = *text == '<' ? "is HTML, not JSON" : "is not a JSON object";
  }
  return NULL;
}

// Seconds since 1970, or -1.
static time_t http_date(const char *text) {
  // The three forms of RFC 9110, 5.6.7.
  static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    struct tm at = {0};
    const char *end = strptime(text, forms[i], &at);
    if (end && !*end) return timegm(&at);
  }
  return -1;
}

// `Retry-After` in milliseconds, at most a day: seconds, also with a fraction, or a date by the service's clock. Whether there is one.
static bool retry_after(const struct answer *answer, uint64_t *wait) {
  const char *stated = answer->retry_after;
  if (*stated && !stated[strspn(stated, "0123456789.")]) {
    double seconds = strtod(stated, NULL);
    *wait = (uint64_t)((seconds < MAX_WAIT ? seconds : MAX_WAIT) * 1000 + 0.999);
    return true;
  }
  time_t until = http_date(stated), sent = http_date(answer->date);
  if (until < 0 || sent < 0) return false;
  time_t seconds = until < sent ? 0 : until - sent;
  *wait = (uint64_t)(seconds < MAX_WAIT ? seconds : MAX_WAIT) * 1000;
  return true;
}

static uint8_t next_of(int status, const char *code, bool has_delay) {
  if (status == 429 || strcmp(code, "slow_down") == 0 || (status == 503 && has_delay))
    return DELEGATION_TOKENS_TYPES_NEXT_THROTTLED;
  if (status == 408 || status == 425 || status >= 500 || is_among(code, UNAVAILABLE))
    return DELEGATION_TOKENS_TYPES_NEXT_UNAVAILABLE;
  return is_among(code, MISCONFIGURED) ? DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED : DELEGATION_TOKENS_TYPES_NEXT_DENIED;
}

// Adds untrusted text to a message: printable, on one line, bounded.
static char *append(char *to, const char *more) {
  to = stpcpy(to, ": ");
  for (size_t i = 0; more[i] && i < MAX_SHOWN; i++) *to++ = (unsigned char)more[i] >= ' ' && more[i] < 0x7f ? more[i] : ' ';
  *to = 0;
  return to;
}

// The failure for an error, independent of its status. Errors are texts, or nested as {"error": {"code": …, "message": …}}.
static bool refuse(const struct answer *answer, const char *fields, const char *problem, failure_t *err) {
  const char *nested = fields ? json_object(fields, "error") : NULL;
  const char *code = !fields ? NULL : nested ? json_string(nested, "code") : json_string(fields, "error");
  const char *description = !fields ? NULL : nested ? json_string(nested, "message") : json_string(fields, "error_description");
  if (nested && !code) code = json_string(nested, "status");
  if (!code) code = "";

  char message[2 * MAX_SHOWN + 256], *end = message + sprintf(message, "%d", answer->status % 1000);
  if (*code) end = append(end, code);
  if (description && *description) end = append(end, description);
  if (end - message <= 3) end += sprintf(end, ", and the answer %.80s", problem ? problem : "is no error that is understood");
  if (answer->status / 100 == 3) strcpy(end, "; a redirect is not followed: configure where it leads, if that is right");

  uint64_t wait = 0;
  bool has_delay = retry_after(answer, &wait);
  fail(err, next_of(answer->status, code, has_delay), message);
  if (*code) {
    char *shown = calloc(1, MAX_SHOWN + 3);
    append(shown, code);
    err->code.is_some = true;
    set_string(&err->code.val, shown + 2);
  }
  err->retry_after_ms.is_some = has_delay;
  err->retry_after_ms.val = wait;
  return false;
}

// Whether there is an error. Some services always have the member, and leave it empty.
static bool has_error(const char *fields) {
  enum json_kind kind = json_kind(fields, "error");
  if (kind != JSON_STRING) return kind == JSON_OBJECT;
  const char *code = json_string(fields, "error");
  return !code || *code;
}

bool check_answer(const struct answer *answer, const char **fields, failure_t *err) {
  const char *problem = NULL;
  *fields = parse(answer, &problem);
  if (answer->status / 100 != 2 || (*fields && has_error(*fields))) return refuse(answer, *fields, problem, err);
  if (answer->status == 202 && !*fields)
    return fail(err, DELEGATION_TOKENS_TYPES_NEXT_UNAVAILABLE, "202: the service accepted the request and has no answer yet");
  if (*fields) return true;
  // Asking again soon brings the same one.
  char message[256];
  snprintf(message, sizeof message, "%d, and the answer %.120s; look at the URL", answer->status, problem);
  return fail(err, DELEGATION_TOKENS_TYPES_NEXT_DENIED, message);
}
