// What every component does around its own code: failures of the contract, made of exceptions as well.

/** A failure of the contract. As no `Error` it is no exception of JavaScript's own. */
class Failure {
  constructor(next, message, { code, setting, retryAfterMs, facts = [] } = {}) {
    Object.assign(this, { next, message, code, setting, retryAfterMs, facts });
  }
}

/**
 * Throws a failure of the contract: what the host does next, a message, and what else is known: `code`, `setting`,
 * `retryAfterMs` as a BigInt, `facts`.
 */
export function fail(next, message, more) {
  throw new Failure(next, message, more);
}

/**
 * Turns any other exception into a failure: uncaught, it would be a trap without a message. The failure names only the
 * exception's type, because its message may quote a token.
 */
export function guarded(interfaces) {
  const wrap = (call) => async (...values) => {
    try {
      return await call(...values);
    } catch (thrown) {
      if (thrown instanceof Failure) throw thrown;
      return fail('unavailable', `bug: ${thrown?.constructor?.name ?? typeof thrown}`);
    }
  };
  return Object.fromEntries(Object.entries(interfaces).map(([name, call]) => [name, wrap(call)]));
}

/** Untrusted text made safe for a log: one line of bounded length, without control characters and direction marks. */
export function oneLine(text, limit) {
  // Ranges, because the JavaScript engine in the component does not support Unicode classes.
  const letters = [...text.replace(/[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+/g, ' ').trim()];
  return letters.length <= limit ? letters.join('') : `${letters.slice(0, limit).join('')}…`;
}
