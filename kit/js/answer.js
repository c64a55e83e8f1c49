// What the answer of a service that speaks JSON means, with errors as RFC 6749, section 5.2, has them.
//
// Errors never quote an answer that may hold a token: they say which part of it could not be accepted. An answer that
// is complete and cannot be read is `denied`, since a retry would get the same one.
import { fail, oneLine } from './failures.js';
import { collect, maxBody } from './http.js';

const maxNesting = 100;
const maxWait = 86_400; // seconds; the bound on Retry-After
const misconfiguredCodes = ['invalid_grant', 'invalid_request', 'invalid_scope', 'invalid_target', 'unsupported_grant_type'];
const unavailableCodes = ['server_error', 'temporarily_unavailable'];

/** What completes the sentence "the answer …". */
class Unreadable extends Error {}

/** The fields of a good answer. Throws a failure for an error, also under a good status. */
export async function fields(answer) {
  const { found, problem } = await read(answer);
  const { status } = answer;
  if (status < 200 || status >= 300 || found.error) refuse(answer, found, problem);
  if (status === 202 && Object.keys(found).length === 0) {
    fail('unavailable', '202: the service accepted the request and has no answer yet');
  }
  if (problem) fail('denied', `${status}, and the answer ${problem}; look at the URL`);
  return found;
}

async function read(answer) {
  try {
    return { found: await parse(answer) };
  } catch (thrown) {
    if (thrown instanceof Unreadable) return { found: {}, problem: thrown.message };
    throw thrown;
  }
}

/** The fields of an answer: a JSON object, or a form where the service says that it is one. */
async function parse(answer) {
  const text = decoded(await unpacked(answer));
  const kind = (answer.headers.get('content-type') ?? '').split(';')[0].trim().toLowerCase();
  if (text.trim() === '') throw new Unreadable('is empty');
  if (kind === 'application/x-www-form-urlencoded') return Object.fromEntries(new URLSearchParams(text.trim()));
  if (text.split(/[[{]/, maxNesting + 2).length > maxNesting + 1) {
    throw new Unreadable("is nested deeper than an answer is");
  }
  let fields;
  try {
    fields = JSON.parse(text);
  } catch {
    throw new Unreadable(text.trimStart().startsWith('<') ? 'is HTML, not JSON' : 'is not JSON');
  }
  if (fields === null || typeof fields !== 'object' || Array.isArray(fields)) {
    throw new Unreadable('is JSON, but not an object');
  }
  return fields;
}

/** The text of a body, without its byte order mark. */
function decoded(body) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new Unreadable('is not UTF-8');
  }
}

/** The decoded body. Some services compress it although the request does not accept a content coding. */
async function unpacked({ headers, body }) {
  const coding = (headers.get('content-encoding') ?? 'identity').trim().toLowerCase();
  if (coding === '' || coding === 'identity') return body;
  if (coding !== 'gzip' && coding !== 'x-gzip') {
    throw new Unreadable(`is encoded as ${oneLine(coding, 40)}, which was not asked for`);
  }
  const unpacker = new DecompressionStream('gzip');
  const writer = unpacker.writable.getWriter();
  // Errors of this promise appear where the stream is read.
  writer.write(body).catch(() => {});
  writer.close().catch(() => {});
  try {
    return await collect(unpacker.readable);
  } catch {
    throw new Unreadable(`is no whole gzip, or larger than ${maxBody} bytes when it is decompressed`);
  }
}

/** The failure for an error of RFC 6749, 5.2, independent of its status. Never quotes a body that is no such error. */
function refuse({ status, headers }, fields, problem) {
  const { code, description } = errorOf(fields);
  const parts = [code, description].filter((part) => part !== '').map((part) => oneLine(part, 300));
  let text = [status, ...parts].join(': ');
  if (parts.length === 0) text += `, and the answer ${problem ?? 'is no error that is understood'}`;
  if (status >= 300 && status < 400) {
    text += '; a redirect is not followed: configure where it leads, if that is right';
  }
  const wait = retryAfter(headers);
  fail(next(status, code, wait), text, {
    code: code === '' ? undefined : oneLine(code, 100),
    retryAfterMs: wait === undefined ? undefined : BigInt(wait),
  });
}

/** What the host shall do, by status and code. */
function next(status, code, wait) {
  if (status === 429 || code === 'slow_down' || (status === 503 && wait !== undefined)) return 'throttled';
  if (status === 408 || status === 425 || status >= 500 || unavailableCodes.includes(code)) return 'unavailable';
  return misconfiguredCodes.includes(code) ? 'misconfigured' : 'denied';
}

/** The code and its description: texts, or nested as `{"error": {"code": …, "message": …}}`. */
function errorOf({ error: code, error_description: description }) {
  if (code !== null && typeof code === 'object') ({ code = code.status, message: description } = code);
  if (typeof code === 'number') code = String(code);
  const text = (value) => (typeof value === 'string' ? value : '');
  return { code: text(code), description: text(description) };
}

/** `Retry-After` in milliseconds: seconds, possibly with a fraction, or a date by the service's clock. */
function retryAfter(headers) {
  const text = (headers.get('retry-after') ?? '').trim();
  if (/^[0-9]{1,20}(\.[0-9]{1,20})?$/.test(text)) return Math.ceil(Math.min(Number(text), maxWait) * 1000);
  const until = httpDate(text);
  if (until === undefined) return undefined;
  const sent = httpDate((headers.get('date') ?? '').trim()) ?? Date.now();
  return Math.min(Math.max(until - sent, 0), maxWait * 1000);
}

/** Milliseconds since 1970. */
function httpDate(text) {
  // All three forms of RFC 9110, 5.6.7, begin with the day; the third does not name UTC.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text.endsWith('GMT') ? text : `${text} GMT`) : NaN;
  return Number.isNaN(at) ? undefined : at;
}
