// One request over wasi:http, and its whole answer.
#include <stdlib.h>
#include <string.h>

#include "deputy_kit.h"
#include "http_client.h"

enum { MAX_ANSWER = 1 << 20, MAX_WRITE = 4096 };

static http_client_string_t text(const char *from, size_t length) { return (http_client_string_t){(uint8_t *)from, length}; }

static http_client_string_t whole(const char *from) { return text(from, strlen(from)); }

void form_add(struct form *form, const char *field, const char *value) {
  // Each byte of a value becomes three at most.
  form->text = realloc(form->text, form->length + strlen(field) + 3 * strlen(value) + 3);
  char *to = form->text + form->length;
  if (form->length > 0) *to++ = '&';
  to = stpcpy(to, field);
  *to++ = '=';
  for (; *value; value++) {
    unsigned char byte = (unsigned char)*value;
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || strchr("-._~", byte)) {
      *to++ = (char)byte;
    } else {
      *to++ = '%';
      *to++ = "0123456789ABCDEF"[byte >> 4];
      *to++ = "0123456789ABCDEF"[byte & 15];
    }
  }
  *to = 0;
  form->length = (size_t)(to - form->text);
}

// A failure that begins with the URL without its query, which may be confidential.
static bool no_answer(failure_t *err, uint8_t next, const char *url, const char *why) {
  return fail(err, next, concat(strndup(url, strcspn(url, "?#")), ": ", why, NULL));
}

static bool failed(failure_t *err, const char *url, wasi_http_types_error_code_t code) {
  const uint8_t misconfigured = DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED;
  const uint8_t unavailable = DELEGATION_TOKENS_TYPES_NEXT_UNAVAILABLE;
  switch (code.tag) {
  case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED:
  case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_IP_PROHIBITED:
    return no_answer(err, misconfigured, url, "no http rule of this instance allows it; the host's log says what would");
  case WASI_HTTP_TYPES_ERROR_CODE_CONFIGURATION_ERROR:
    return no_answer(err, misconfigured, url, "the host cannot make this request as its http rule says; its log says why");
  case WASI_HTTP_TYPES_ERROR_CODE_DNS_ERROR: return no_answer(err, unavailable, url, "no answer: the name has no address");
  case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_REFUSED: return no_answer(err, unavailable, url, "no answer: connection refused");
  case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_TIMEOUT: return no_answer(err, unavailable, url, "no answer: timeout");
  case WASI_HTTP_TYPES_ERROR_CODE_TLS_CERTIFICATE_ERROR:
    return no_answer(err, unavailable, url, "no answer: the certificate is not trusted");
  default: return no_answer(err, unavailable, url, "no answer; the host's log says why");
  }
}

// The first header of this name, or an empty text.
static char *header(wasi_http_types_borrow_incoming_response_t response, const char *name) {
  wasi_http_types_own_headers_t headers = wasi_http_types_method_incoming_response_headers(response);
  http_client_string_t wanted = whole(name);
  wasi_http_types_list_field_value_t values;
  wasi_http_types_method_fields_get(wasi_http_types_borrow_fields(headers), &wanted, &values);
  size_t length = values.len > 0 ? values.ptr[0].len : 0;
  char *value = calloc(1, length + 1);
  if (length > 0) memcpy(value, values.ptr[0].ptr, length);
  return value;
}

static bool read_body(wasi_http_types_borrow_incoming_response_t response, struct answer *answer) {
  wasi_http_types_own_incoming_body_t body;
  wasi_http_types_own_input_stream_t stream;
  wasi_http_types_method_incoming_response_consume(response, &body);
  wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream);
  answer->body = calloc(1, 1);
  for (;;) {
    http_client_list_u8_t chunk;
    wasi_io_streams_stream_error_t error;
    if (!wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(stream), 65536, &chunk, &error))
      return error.tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED;
    if (answer->length + chunk.len > MAX_ANSWER) return false;
    answer->body = realloc(answer->body, answer->length + chunk.len + 1);
    memcpy(answer->body + answer->length, chunk.ptr, chunk.len);
    answer->length += chunk.len;
    answer->body[answer->length] = 0;
  }
}

static bool receive(const char *url, wasi_http_types_own_future_incoming_response_t pending, struct answer *answer, failure_t *err) {
  wasi_http_types_borrow_future_incoming_response_t future = wasi_http_types_borrow_future_incoming_response(pending);
  wasi_io_poll_method_pollable_block(
      wasi_io_poll_borrow_pollable(wasi_http_types_method_future_incoming_response_subscribe(future)));
  // The outer result only says "taken twice".
  wasi_http_types_result_result_own_incoming_response_error_code_void_t taken;
  wasi_http_types_method_future_incoming_response_get(future, &taken);
  if (taken.val.ok.is_err) return failed(err, url, taken.val.ok.val.err);
  wasi_http_types_borrow_incoming_response_t response = wasi_http_types_borrow_incoming_response(taken.val.ok.val.ok);
  answer->status = wasi_http_types_method_incoming_response_status(response);
  answer->content_type = header(response, "content-type");
  answer->content_encoding = header(response, "content-encoding");
  answer->retry_after = header(response, "retry-after");
  answer->date = header(response, "date");
  if (read_body(response, answer)) return true;
  return no_answer(err, DELEGATION_TOKENS_TYPES_NEXT_UNAVAILABLE, url, "the answer broke off or is larger than 1 MiB");
}

static void add_header(wasi_http_types_own_fields_t fields, const char *name, const char *value) {
  http_client_string_t header = whole(name);
  wasi_http_types_field_value_t bytes = {(uint8_t *)value, strlen(value)};
  wasi_http_types_header_error_t refused;
  wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &header, &bytes, &refused);
}

static wasi_http_types_method_t method_of(const char *name) {
  static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  for (uint8_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return (wasi_http_types_method_t){.tag = i}; // in the order of wasi:http
  return (wasi_http_types_method_t){.tag = WASI_HTTP_TYPES_METHOD_OTHER, .val.other = whole(name)};
}

bool send_request(const char *method, const char *url, const header_t *headers, const void *body, size_t length,
                  struct answer *answer, failure_t *err) {
  const uint8_t misconfigured = DELEGATION_TOKENS_TYPES_NEXT_MISCONFIGURED;
  bool secure = strncmp(url, "https://", 8) == 0;
  if (!secure && strncmp(url, "http://", 7) != 0) return fail(err, misconfigured, "the URL is not http or https");
  const char *host = url + (secure ? 8 : 7), *path = host + strcspn(host, "/?#");
  wasi_http_types_scheme_t scheme = {.tag = secure ? WASI_HTTP_TYPES_SCHEME_HTTPS : WASI_HTTP_TYPES_SCHEME_HTTP};
  http_client_string_t authority = text(host, (size_t)(path - host));
  http_client_string_t target = *path == '/' ? text(path, strcspn(path, "#")) : whole("/");

  wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
  for (; headers->name; headers++) add_header(fields, headers->name, headers->value);
  // Without the length the host sends chunks, which some servers do not support.
  add_header(fields, "content-length", decimal(length));

  wasi_http_types_method_t verb = method_of(method);
  wasi_http_types_own_outgoing_request_t outgoing = wasi_http_types_constructor_outgoing_request(fields);
  wasi_http_types_borrow_outgoing_request_t request = wasi_http_types_borrow_outgoing_request(outgoing);
  wasi_http_types_own_outgoing_body_t sending;
  if (!wasi_http_types_method_outgoing_request_set_method(request, &verb) ||
      !wasi_http_types_method_outgoing_request_set_scheme(request, &scheme) ||
      !wasi_http_types_method_outgoing_request_set_authority(request, &authority) ||
      !wasi_http_types_method_outgoing_request_set_path_with_query(request, &target) ||
      !wasi_http_types_method_outgoing_request_body(request, &sending))
    return no_answer(err, misconfigured, url, "not a URL such as https://login.example/token");

  wasi_http_types_own_future_incoming_response_t pending;
  wasi_http_types_error_code_t code;
  if (!wasi_http_outgoing_handler_handle(outgoing, NULL, &pending, &code)) return failed(err, url, code);
  wasi_http_types_own_output_stream_t stream;
  wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(sending), &stream);
  bool sent = true; // where it fails, the answer says why
  for (size_t from = 0; sent && from < length; from += MAX_WRITE) {
    size_t left = length - from;
    http_client_list_u8_t chunk = {(uint8_t *)body + from, left < MAX_WRITE ? left : MAX_WRITE};
    wasi_io_streams_stream_error_t error;
    sent = wasi_io_streams_method_output_stream_blocking_write_and_flush(
        wasi_io_streams_borrow_output_stream(stream), &chunk, &error);
  }
  wasi_io_streams_output_stream_drop_own(stream);
  if (sent) wasi_http_types_static_outgoing_body_finish(sending, NULL, &code);
  return receive(url, pending, answer, err);
}

bool post_form(const char *url, const struct form *form, struct answer *answer, failure_t *err) {
  static const header_t headers[] = {
      {"content-type", "application/x-www-form-urlencoded"},
      {"accept", "application/json"},
      {"accept-encoding", "identity"},
      {0},
  };
  return send_request("POST", url, headers, form->text, form->length, answer, err);
}
