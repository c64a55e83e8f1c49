// A sample: renewable tokens, signed with a secret that the component never reads.
//
// A token is two hexadecimal parts with a dot between them: the JSON with `sub`, `iat` and `exp` in seconds, and its
// HMAC-SHA256. A service with the same secret can verify it. It is renewed until it is eight lifetimes old.
import { open } from 'delegation:tokens/secrets@0.2.0';
import { described, fail, guarded, misconfigured, read } from '../../../kit/js/kit.js';

const settings = {
  subject: { text: 'whom the token is for', type: 'text', needed: 'yes' },
  lifetime: { text: 'how long a token is good, in seconds: 60 to 86400', type: 'number', default: '3600' },
};
const kind = 'signed-claims/1';
const lifetimes = 8;
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const unhex = (text) => Uint8Array.from(text.match(/../g), (digits) => parseInt(digits, 16));
const now = () => Math.floor(Date.now() / 1000);

export const provider = guarded({
  serviceName() {
    return 'signed';
  },
  kinds() {
    return [kind];
  },
  tokensRequired(settings) {
    options(settings);
    return true;
  },
  obtain(settings) {
    const { subject, lifetime } = options(settings);
    return signed({ sub: subject, iat: now(), exp: now() + lifetime }, lifetime);
  },
});

export const renewal = guarded({
  renew(settings, { payload }) {
    const { lifetime } = options(settings);
    const [body, mac] = new TextDecoder().decode(payload).split('.');
    if (mac !== macOf(body)) fail('denied', 'not a token of this secret');
    const claims = JSON.parse(new TextDecoder().decode(unhex(body)));
    if (now() >= claims.iat + lifetimes * lifetime) fail('ended', `the token has been renewed for ${lifetimes} lifetimes`);
    return signed({ ...claims, exp: now() + lifetime }, lifetime);
  },
});

const title = 'Renewable tokens, signed by a secret that stays in the host';
export const description = described({ title }, settings, (given) => {
  options(given);
  return [{ kind: 'secret', name: 'signing-key', use: 'hmac-sha256', reason: 'signs the tokens' }];
});

function options(settings) {
  const found = read(settings, ['subject'], ['lifetime']);
  const lifetime = Number(found.get('lifetime') ?? 3600);
  if (!Number.isInteger(lifetime) || lifetime < 60 || lifetime > 86_400) misconfigured('lifetime', 'must be 60 to 86400, in seconds');
  return { subject: found.get('subject'), lifetime };
}

function signed(claims, lifetime) {
  const body = hex(new TextEncoder().encode(JSON.stringify(claims)));
  return {
    kind,
    payload: new TextEncoder().encode(`${body}.${macOf(body)}`),
    expiry: { tag: 'at', val: BigInt(claims.exp) * 1000n },
    renewableUntil: BigInt(claims.iat + lifetimes * lifetime) * 1000n,
    handle: new Uint8Array(),
    facts: [{ name: 'subject', value: claims.sub }],
  };
}

function macOf(body) {
  try {
    return hex(open('signing-key').hmacSha256(new TextEncoder().encode(body)));
  } catch (error) {
    const { tag, val } = error.payload ?? {}; // how an error of an import arrives
    return fail(tag === 'unavailable' ? 'unavailable' : 'misconfigured', `secret \`signing-key\`: ${val}`);
  }
}
