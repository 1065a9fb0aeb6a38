// Two issuers for the tests: node provider.mjs LIBRARY DIRECTORY FIRST_PORT
//
// The library's own pages for signing in are replaced by one that takes a form: POST /interaction/UID with `account` and
// what the issuer is to say of it (groups, amr, acr, name, email). Clients register themselves (OpenID Connect Dynamic
// Client Registration 1.0). The first issuer puts claims into the ID token, the second leaves them to UserInfo.
// The process ends when DIRECTORY is gone.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [library, directory, firstPort] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${library}/lib/index.js`));

const people = new Map();

const KINDS = [
  ['RS256', 'rsa', { modulusLength: 2048 }],
  ['ES256', 'ec', { namedCurve: 'P-256' }],
  ['EdDSA', 'ed25519', {}],
];

function keys(prefix) {
  return KINDS.map(([alg, kind, options]) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
    kid: `${prefix}-${alg}`,
    alg,
    use: 'sig',
  }));
}

function configuration(prefix, conformIdTokenClaims) {
  return {
    jwks: { keys: keys(prefix) },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: {
      openid: ['sub', 'acr', 'amr', 'sid'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'profile', 'email', 'groups'],
    acrValues: ['phr'],
    conformIdTokenClaims,
    enabledJWA: { idTokenSigningAlgValues: KINDS.map(([alg]) => alg), clientAuthSigningAlgValues: KINDS.map(([alg]) => alg) },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true, methods: ['S256'] },
    ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 600, IdToken: 300, Interaction: 300, Session: 600 },
    async findAccount(ctx, sub) {
      return people.has(sub) ? { accountId: sub, claims: async () => ({ sub, ...people.get(sub) }) } : undefined;
    },
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile email groups');
      await grant.save();
      return grant;
    },
    async renderError(ctx, out) {
      ctx.type = 'json';
      ctx.body = out;
    },
  };
}

async function form(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return new URLSearchParams(Buffer.concat(pieces).toString());
}

async function signIn(provider, request, response) {
  const told = await form(request);
  const sub = told.get('account');
  people.set(sub, {
    name: told.get('name') ?? sub,
    preferred_username: told.get('username') ?? sub,
    groups: told.getAll('group'),
    ...(told.has('email') ? { email: told.get('email'), email_verified: told.get('verified') === 'yes' } : {}),
  });
  const login = { accountId: sub, amr: told.getAll('amr'), ...(told.has('acr') ? { acr: told.get('acr') } : {}) };
  const result = told.has('refuse') ? { error: 'access_denied' } : { login };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const PAGE = `<!doctype html><title>Sign in</title><form method="post">
<input name="account" autofocus><input name="group" value="staff"><input name="group" value="desk">
<input name="amr" value="mfa"><button>Sign in</button></form>`;

function serve(number, conformIdTokenClaims) {
  const port = Number(firstPort) + number;
  const provider = new Provider(`http://127.0.0.1:${port}`, configuration(`issuer${number}`, conformIdTokenClaims));
  const rest = provider.callback();
  const server = createServer((request, response) => {
    if (request.method === 'POST' && request.url.startsWith('/interaction/')) {
      signIn(provider, request, response).catch((fault) => response.writeHead(500).end(String(fault)));
    } else if (request.url.startsWith('/interaction/')) {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end(PAGE);
    } else {
      rest(request, response);
    }
  });
  return new Promise((done) => { server.listen(port, '127.0.0.1', done); });
}

await serve(0, false);
await serve(1, true);
writeFileSync(`${directory}/ready`, String(process.pid));
setInterval(() => { if (!existsSync(directory)) process.exit(0); }, 500);
