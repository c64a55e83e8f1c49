// An access token by a client whose secret signs: `client_secret_jwt` (OpenID Connect Core 1.0, section 9).
//
// The secret is used by handle: the host computes the HMAC, and no code here ever has the secret.
import { open } from 'delegation:tokens/secrets@0.2.0';
import { answer, bearer, fail, guarded, http, read, url } from '../../../../kit/js/kit.js';

export const provider = guarded({
  serviceName() {
    return 'oauth2';
  },
  kinds() {
    return [bearer.kind];
  },
  tokensRequired(settings) {
    return Boolean(options(settings));
  },
  async obtain(settings) {
    const found = options(settings);
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion(found.get('client-id'), found.get('audience') ?? found.get('token-url')),
    });
    return bearer.tokens(await answer.fields(await http.postForm(url(found, 'token-url'), form)));
  },
});

function options(settings) {
  const found = read(settings, ['token-url', 'client-id'], ['audience']);
  url(found, 'token-url');
  return found;
}

/** A JWT that is good for a minute. */
function assertion(client, audience) {
  const now = Date.now();
  const iat = Math.floor(now / 1000);
  const claims = { iss: client, sub: client, aud: audience, jti: String(now), iat, exp: iat + 60 };
  const bytes = (part) => new TextEncoder().encode(part);
  const body = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) => encoded(bytes(JSON.stringify(part)))).join('.');
  try {
    return `${body}.${encoded(open('client-secret').hmacSha256(bytes(body)))}`;
  } catch (error) {
    const { tag, val } = error.payload ?? {}; // how an error of an import arrives
    return fail(tag === 'unavailable' ? 'unavailable' : 'misconfigured', `secret \`client-secret\`: ${val}`);
  }
}

function encoded(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
