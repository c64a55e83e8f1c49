// What a connector in C needs beside the contract: settings, failures, one HTTP request, forms and JSON.
// `deputy_receiver.h` has what receivers need as well, `deputy_secrets.h` what a secret needs that is used by handle, and
// `deputy_description.h` what a connector says about itself.
//
// The bindings are generated with `--rename-world connector`, so that every connector's are called `connector.h`. The
// component is gone after the call, and the host bounds its memory: nothing here is ever freed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connector.h"

typedef delegation_tokens_types_settings_t settings_t;
typedef delegation_tokens_types_tokens_t tokens_t;
typedef delegation_tokens_types_failure_t failure_t;
typedef connector_list_string_t kinds_t;

// A text of the host with the NUL that C needs.
char *c_string(connector_string_t text);

// The texts one after the other. The last argument is NULL.
char *concat(const char *first, ...);

// A number in decimal.
char *decimal(uint64_t number);

// Bytes as base64url without padding (RFC 4648, section 5), as JWTs have it.
char *base64url(const void *bytes, size_t length);

// Nanoseconds since 1970.
uint64_t now_ns(void);

// A copy for an answer to the host.
void set_string(connector_string_t *to, const char *text);

// The kinds that a provider obtains or a receiver understands, a list that ends with NULL.
void set_kinds(kinds_t *to, const char *const *kinds);

// The value of a setting, or NULL.
const char *setting(const settings_t *settings, const char *name);

// A setting that a connector reads: one definition for reading and for describing it. A list of them ends with {0}.
typedef struct {
  const char *name;   // a name that ends in `.*` is a family: `form.*` has members such as `form.organization`
  const char *type;   // `text`, `url`, `duration`, `number`, `boolean`, `list`, `secret`, or the values as `a | b`
  const char *text;   // what it is for, in one line
  const char *needed; // `yes`: an error if it is missing; another text says when it is needed; NULL: never
  const char *absent; // what the connector does without it, or NULL
} setting_spec_t;

// Whether all settings are among these, none is empty, and none is missing that is always needed. A misspelt name is an
// error: otherwise a default would silently apply.
bool check_settings(const settings_t *settings, const setting_spec_t *specs, failure_t *err);

// The URL of a setting, that a request can be sent to. Otherwise makes a failure and returns NULL.
const char *url_setting(const settings_t *settings, const char *name, failure_t *err);

// The server of a URL, as `https://login.example:8443`.
char *url_server(const char *url);

// The path of a URL, without its query.
char *url_path(const char *url);

// Makes a failure and returns false. `next` is one of DELEGATION_TOKENS_TYPES_NEXT_….
bool fail(failure_t *err, uint8_t next, const char *message);

// Makes a failure that names a setting, so that `deputy check` shows its line.
bool wrong_setting(failure_t *err, const char *name, const char *problem);

// A body of application/x-www-form-urlencoded. Begins as {0}.
struct form {
  char *text;
  size_t length;
};
void form_add(struct form *form, const char *field, const char *value);

// Adds a field for each word of a value.
void form_add_words(struct form *form, const char *field, const char *value);

// Adds a field for each setting of a family, by the name behind its dot. One of the names in `taken`, a list that ends with
// NULL, is a failure.
bool form_add_family(struct form *form, const settings_t *settings, const char *family, const char *const *taken, failure_t *err);

// A whole answer. Headers that there are not are empty.
struct answer {
  int status;
  char *content_type, *content_encoding, *retry_after, *date;
  char *body; // ends in NUL
  size_t length;
};

// A header of a request. A list of them ends with {0}.
typedef struct {
  const char *name, *value;
} header_t;

// Sends one request and reads the whole answer, whatever its status: such as "GET", or "POST" with JSON that `concat` and
// `json_quoted` make. Without an answer it makes a failure and returns false.
bool send_request(const char *method, const char *url, const header_t *headers, const void *body, size_t length,
                  struct answer *answer, failure_t *err);

// Sends a form and reads the whole answer. Redirects are not followed and nothing is retried. The host adds what the
// operator's http rule says, such as a secret. Without an answer it makes a failure and returns false.
bool post_form(const char *url, const struct form *form, struct answer *answer, failure_t *err);

// Whether the answer is a good one. Then `fields` is the JSON object that it is, or that its form stands for. Otherwise
// makes a failure that says what the host shall do: for an error, also under a good status, as RFC 6749, section 5.2, has
// it, and for an answer that cannot be read. It never quotes an answer that may hold a token.
bool check_answer(const struct answer *answer, const char **fields, failure_t *err);

// The access token of the fields of an answer, with its expiry (RFC 6749, section 5.1). Otherwise makes a failure.
bool bearer_tokens(const char *fields, tokens_t *ret, failure_t *err);

// What a member of a JSON object is.
enum json_kind { JSON_ABSENT, JSON_NULL, JSON_STRING, JSON_NUMBER, JSON_OBJECT, JSON_OTHER };
enum json_kind json_kind(const char *object, const char *member);

// Whether a text is a whole JSON object, as far as it is read here: what lies within its members is skipped.
bool json_is_object(const char *text);

// The member of a JSON object that is an object, or NULL.
const char *json_object(const char *object, const char *member);

// A text as a JSON string, with its quotes.
char *json_quoted(const char *text);

// The string member of a JSON object, or NULL. Other objects and lists are skipped.
char *json_string(const char *object, const char *member);

// The number member of a JSON object, which may be written as a string. Whether there is one.
bool json_number(const char *object, const char *member, double *number);
