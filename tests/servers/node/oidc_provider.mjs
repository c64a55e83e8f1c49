// An OAuth 2.0 and OpenID Connect server whose refresh tokens are good once: who shows one a second time loses the whole
// grant, as RFC 9700 (4.14.2) advises.
//
//     node oidc_provider.mjs PATH-OF-OIDC-PROVIDER PORT SECONDS SECRET
//
// An access token lives for SECONDS. SECRET is that of the clients: `deputy`; `service`, which gets tokens by these credentials
// alone; and `signer`, which gets them by an assertion that its secret signs. `POST /login` stands in for the person at the
// browser: it grants all scopes to the client and answers the first refresh token.
import { pathToFileURL } from 'node:url';
import { realpathSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';

const [library, port, seconds, secret] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(realpathSync(library)));

const CLIENT = 'deputy';
const SCOPE = 'openid profile email offline_access';

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: CLIENT,
    client_secret: secret,
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['https://deputy.invalid/callback'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
  }, {
    client_id: 'service',
    client_secret: secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
  }, {
    client_id: 'signer',
    client_secret: secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_jwt',
  }],
  jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
  scopes: SCOPE.split(' '),
  claims: { profile: ['name'], email: ['email'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: 'A Person', email: 'person@example.com' }) }),
  rotateRefreshToken: true,
  cookies: { keys: ['of no use here'] },
  ttl: { AccessToken: Number(seconds), ClientCredentials: Number(seconds), IdToken: 3600, Grant: 86_400, RefreshToken: 86_400 },
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false }, introspection: { enabled: true } },
});

async function login() {
  const client = await provider.Client.find(CLIENT);
  const grant = new provider.Grant({ accountId: 'person', clientId: CLIENT });
  grant.addOIDCScope(SCOPE);
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId: 'person', client, grantId, gty: 'authorization_code', scope: SCOPE, expiresWithSession: false,
  });
  return token.save();
}

provider.use(async (ctx, next) => {
  if (ctx.method === 'POST' && ctx.path === '/login') {
    ctx.body = await login();
  } else {
    await next();
  }
});
provider.on('server_error', (_, error) => console.error('server_error', error));
provider.on('grant.error', (_, error) => console.error('grant.error', error.error, error.error_detail));
provider.listen(Number(port), '127.0.0.1');
