// OAuth 2.0 client credentials (RFC 6749, 4.4): one POST, one access token, which is the whole payload.
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule, as the
// header `Authorization: Basic …` or as the form field `client_secret`. So an import scan finds no secrets, and a bug in
// this file can leak none.
import { fail, guarded, misconfigured, oneLine, read } from './guard.js';

const throttledFor = 5; // seconds, where the service does not say how long
const misconfiguredCodes = ['invalid_grant', 'invalid_request', 'invalid_scope', 'invalid_target', 'unsupported_grant_type'];
const unavailableCodes = ['server_error', 'temporarily_unavailable'];

export const provider = {
  serviceName: () => 'oauth2',
  ...guarded({
    tokensRequired(settings) {
      request(settings);
      return true;
    },
    async obtain(settings) {
      const { url, form } = request(settings);
      const askedAt = Date.now(); // before the request, so that the token is never thought to live longer
      const { status, headers, body } = await post(url, form);
      const answer = parse(body);
      if (status !== 200) refuse(status, headers, answer);
      return tokens(answer, askedAt);
    },
  }),
};

function request(settings) {
  const found = read(settings, ['token-url'], ['client-id', 'scope']);
  const url = tokenUrl(found.get('token-url'));
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  if (found.has('client-id')) form.set('client_id', found.get('client-id'));
  if (found.has('scope')) form.set('scope', found.get('scope'));
  return { url, form };
}

function tokenUrl(text) {
  try {
    const { protocol, username, password, href } = new URL(text);
    if (['http:', 'https:'].includes(protocol) && username === '' && password === '') return href;
  } catch {
    // said below
  }
  return misconfigured('token-url', 'not a URL such as https://login.example/token');
}

async function post(url, form) {
  const shown = url.split('?')[0]; // without the query: it may hold what is not for a log
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: form.toString(),
    });
    return { status: response.status, headers: response.headers, body: await response.text() };
  } catch {
    // `fetch` does not say why. Where the host refused, its log does.
    return fail('unavailable', `${shown}: no answer; the host's log says why`);
  }
}

/** The JSON object of an answer, empty where it is none. */
function parse(body) {
  try {
    const answer = JSON.parse(body);
    return answer !== null && typeof answer === 'object' ? answer : {};
  } catch {
    return {};
  }
}

// Its errors say nothing of the answer, which may hold a token.
function tokens({ access_token: token, expires_in: lifetime }, askedAt) {
  if (typeof token !== 'string' || token === '') fail('unavailable', 'the answer has no access_token');
  const payload = new TextEncoder().encode(token);
  if (lifetime === undefined || lifetime === null) return { payload, validUntil: undefined };
  // Some services write the number as a string. Ten digits are three hundred years.
  if (!/^[0-9]{1,10}$/.test(String(lifetime))) fail('unavailable', "the answer's expires_in is no number of seconds");
  return { payload, validUntil: BigInt(askedAt) + BigInt(lifetime) * 1000n };
}

/** What an error of RFC 6749, 5.2, means to the host. A body that is no such error is not quoted. */
function refuse(status, headers, answer) {
  const parts = [answer.error, answer.error_description].filter((part) => typeof part === 'string');
  const text = parts.length > 0
    ? [status, ...parts.map((part) => oneLine(part, 300))].join(': ')
    : `${status}, and the answer is not an error of OAuth 2.0`;
  const wait = headers.get('retry-after') ?? '';
  const said = /^[0-9]{1,10}$/.test(wait) ? Math.min(Number(wait), 86_400) : undefined;
  if (status === 429 || answer.error === 'slow_down' || (status === 503 && said !== undefined)) {
    fail('throttled', { message: text, retryAfterMs: BigInt(said ?? throttledFor) * 1000n });
  }
  const later = status === 408 || status < 300 || status >= 500 || unavailableCodes.includes(answer.error);
  if (later) fail('unavailable', text);
  fail(misconfiguredCodes.includes(answer.error) ? 'misconfigured' : 'denied', text);
}
