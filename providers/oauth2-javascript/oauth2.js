// OAuth 2.0 client credentials (RFC 6749, 4.4): one POST, one access token, which is the whole payload.
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule, as the
// header `Authorization: Basic …` or as the form field `client_secret`. So an import scan finds no secrets, and a bug in
// this file can leak none.
import { collect, kind, maxBody, tokens } from './answer.js';
import { fail, guarded, misconfigured, read } from './guard.js';

const headers = {
  'content-type': 'application/x-www-form-urlencoded',
  accept: 'application/json',
  'accept-encoding': 'identity',
};
const fields = { 'client-id': 'client_id', scope: 'scope', audience: 'audience' }; // setting: form field
// Fields with a setting of their own, and fields that only the host may add.
const taken = ['grant_type', 'resource', 'client_secret', 'client_assertion', ...Object.values(fields)];

export const provider = guarded({
  serviceName() {
    return 'oauth2';
  },
  kinds() {
    return [kind];
  },
  tokensRequired(settings) {
    request(settings);
    return true;
  },
  async obtain(settings) {
    const { url, form } = request(settings);
    return tokens(await post(url, form));
  },
});

function request(settings) {
  const found = read(settings, ['token-url'], [...Object.keys(fields), 'resource'], ['form']);
  const url = tokenUrl(found.get('token-url'));
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  for (const [name, field] of Object.entries(fields)) if (found.has(name)) form.set(field, found.get(name));
  // RFC 8707: one or several.
  for (const resource of (found.get('resource') ?? '').split(/\s+/)) if (resource !== '') form.append('resource', resource);
  for (const name of [...found.keys()].filter((key) => key.startsWith('form.')).sort()) {
    const field = name.slice('form.'.length);
    if (taken.includes(field)) misconfigured(name, 'this field has a setting of its own, or is added by the host');
    form.append(field, found.get(name));
  }
  return { url, form };
}

function tokenUrl(text) {
  try {
    const { protocol, username, password, href } = new URL(text);
    if (['http:', 'https:'].includes(protocol) && username === '' && password === '') return href;
  } catch {
    // reported below
  }
  return misconfigured('token-url', 'not a URL such as https://login.example/token');
}

/** Status, headers and body of the answer. */
async function post(url, form) {
  const shown = url.split('?')[0]; // without the query, which may be confidential
  try {
    const response = await fetch(url, { method: 'POST', headers, body: form.toString() });
    const body = response.body === null ? new Uint8Array() : await collect(response.body);
    return { status: response.status, headers: response.headers, body };
  } catch (thrown) {
    if (thrown instanceof RangeError) fail('unavailable', `${shown}: the answer is larger than ${maxBody} bytes`);
    // `fetch` gives no reason. If the host denied the request, its log has the reason.
    return fail('unavailable', `${shown}: no answer; the host's log says why`);
  }
}
