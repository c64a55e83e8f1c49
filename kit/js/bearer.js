// Access tokens as services of OAuth 2.0 answer them (RFC 6749, section 5.1).
import { fail } from './failures.js';

/** The format of the payload. */
export const kind = 'bearer-token/1';
const century = 100 * 366 * 86_400; // seconds; a longer lifetime means "never"

/** The access token of an answer, with its expiry. Throws a failure. */
export function tokens(fields) {
  const payload = new TextEncoder().encode(token(fields));
  return { kind, payload, expiry: expiry(fields), handle: new Uint8Array(), facts: [] };
}

function token({ access_token: value }) {
  if (value === undefined || value === null) return fail('denied', 'the answer has no access_token');
  if (typeof value !== 'string') return fail('denied', "the answer's access_token is not a string");
  if (!/^[ -~]+$/.test(value)) {
    return fail('denied', "the answer's access_token is empty or holds characters that no token may (RFC 6749, A.12)");
  }
  return value;
}

/** When the token ends, by `expires_in`, or by the `expires_on` that Azure writes in its place. */
function expiry({ expires_in: life, expires_on: end }) {
  if (life === undefined || life === null || life === '') {
    const seconds = number(end);
    return seconds === undefined ? { tag: 'unknown' } : until('at', seconds, Date.now() / 1000 + century);
  }
  const seconds = number(life);
  if (seconds === undefined) return fail('denied', "the answer's expires_in is not a number of seconds");
  // Zero or less means that it has expired already: the host refuses it.
  return until('after-ms', seconds, century);
}

function until(tag, seconds, most) {
  return seconds > most ? { tag: 'never' } : { tag, val: BigInt(Math.floor(Math.max(seconds, 0) * 1000)) };
}

/** A JSON number, or a string that holds one. */
function number(value) {
  if (typeof value === 'number') return value;
  const written = typeof value === 'string' && /^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$/.test(value.trim());
  return written ? Number(value) : undefined;
}
