// The parts of URLs that a request can be sent to.
#include <string.h>

#include "deputy_kit.h"

// The host and what follows it, or NULL.
static const char *host_of(const char *url) {
  if (strncmp(url, "https://", 8) == 0) return url + 8;
  return strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
}

static size_t host_length(const char *host) { return strcspn(host, "/?#"); }

const char *url_setting(const settings_t *settings, const char *name, failure_t *err) {
  const char *url = setting(settings, name), *host = url ? host_of(url) : NULL;
  bool is_url = host && host_length(host) > 0 && !memchr(host, '@', host_length(host));
  for (const char *at = url; is_url && *at; at++) is_url = *at > ' ' && *at <= '~';
  if (is_url) return url;
  wrong_setting(err, name, url ? "not a URL such as https://login.example/token" : "it is missing");
  return NULL;
}

char *url_server(const char *url) {
  const char *host = host_of(url);
  return strndup(url, (size_t)(host - url) + host_length(host));
}

char *url_path(const char *url) {
  const char *host = host_of(url), *path = host + host_length(host);
  return *path == '/' ? strndup(path, strcspn(path, "?#")) : strdup("/");
}
