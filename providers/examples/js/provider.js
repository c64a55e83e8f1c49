// An access token by a client's credentials (RFC 6749, section 4.4), which is the whole payload.
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
import { answer, bearer, guarded, http, misconfigured, read, url } from '../../../kit/js/kit.js';

const fields = { 'client-id': 'client_id', scope: 'scope', audience: 'audience' }; // setting: form field
// Fields with a setting of their own, and fields that only the host may add.
const taken = ['grant_type', 'resource', 'client_secret', 'client_assertion', ...Object.values(fields)];

export const provider = guarded({
  serviceName() {
    return 'oauth2';
  },
  kinds() {
    return [bearer.kind];
  },
  tokensRequired(settings) {
    return Boolean(request(settings));
  },
  async obtain(settings) {
    const [url, form] = request(settings);
    return bearer.tokens(await answer.fields(await http.postForm(url, form)));
  },
});

function request(settings) {
  const found = read(settings, ['token-url'], [...Object.keys(fields), 'resource'], ['form']);
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  for (const [name, field] of Object.entries(fields)) if (found.has(name)) form.set(field, found.get(name));
  // RFC 8707: one or several.
  for (const resource of (found.get('resource') ?? '').split(/\s+/)) if (resource !== '') form.append('resource', resource);
  for (const name of [...found.keys()].filter((key) => key.startsWith('form.')).sort()) {
    const field = name.slice('form.'.length);
    if (taken.includes(field)) misconfigured(name, 'this field has a setting of its own, or is added by the host');
    form.append(field, found.get(name));
  }
  return [url(found, 'token-url'), form];
}
