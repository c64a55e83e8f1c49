// One request by `fetch`, and its whole answer.
import { fail } from './failures.js';

export const maxBody = 1024 * 1024;

/** Sends one form. The host adds what the operator's http rule says, such as a secret. */
export function postForm(url, form) {
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    accept: 'application/json',
    'accept-encoding': 'identity',
  };
  return send('POST', url, headers, form.toString());
}

/** Status, headers and body of the answer, whatever its status. Without one it throws a failure. */
export async function send(method, url, headers, body) {
  const shown = url.split('?')[0]; // without the query, which may be confidential
  try {
    const response = await fetch(url, { method, headers, body });
    const bytes = response.body === null ? new Uint8Array() : await collect(response.body);
    return { status: response.status, headers: response.headers, body: bytes };
  } catch (thrown) {
    if (thrown instanceof RangeError) fail('unavailable', `${shown}: the answer is larger than ${maxBody} bytes`);
    // `fetch` gives no reason. If the host denied the request, its log has the reason.
    return fail('unavailable', `${shown}: no answer; the host's log says why`);
  }
}

/** All bytes of a stream, up to `maxBody`. */
export async function collect(stream) {
  const chunks = [];
  let size = 0;
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    chunks.push(next.value);
    size += next.value.length;
    if (size > maxBody) throw new RangeError('too large');
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
