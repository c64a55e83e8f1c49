// An access token by a client's credentials (RFC 6749, section 4.4), which is the whole payload.
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
import { answer, bearer, described, guarded, http, misconfigured, read, url } from '../../../kit/js/kit.js';

const settings = {
  'token-url': { text: 'the token endpoint', type: 'url', needed: 'yes' },
  'client-id': { text: 'the client, where the form names it beside its secret', type: 'text' },
  scope: { text: 'the scopes, with spaces between', type: 'text' },
  audience: { text: 'the API that the token is for, where the service asks for one', type: 'text' },
  resource: { text: 'one or several resources of RFC 8707, with spaces between', type: 'list' },
  'form.*': { text: 'any other field of the form: form.NAME', type: 'text' },
};
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

export const description = described({ title: 'Access tokens of OAuth 2.0, by client credentials' }, settings, (given) => {
  const { origin, pathname } = new URL(request(given)[0]);
  // The other way, HTTP Basic, needs no setting: the operator's rule has the client.
  const isInForm = given.some(({ name }) => name === 'client-id');
  const client = isInForm ? { secret: 'client-secret', field: 'client_secret' } : {};
  return [{ kind: 'http', url: origin, method: 'POST', path: pathname, ...client, reason: 'asks for a token' }];
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
