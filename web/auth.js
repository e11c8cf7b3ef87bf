// Signs people in on the user pool's own pages: authorization code with PKCE (RFC 7636) and state (RFC 6749, 10.12).
//
// The tokens are kept in memory only, where no other page and no later visitor of this browser can read them. After a reload
// they are gone, and the sign-in page, which has a session of its own, gives new ones without asking for the password.

/** @typedef {{api: string, signIn: string, clientId: string}} Config */
/** @typedef {{name: string, id: string, isAdmin: boolean}} User */

const SCOPE = "openid email profile";
const STARTED = "sign-in"; // in sessionStorage, of this tab alone: what the redirect back is checked against
const REMEMBERED = "signed-in"; // in localStorage: that somebody signed in here; never who, and never a token
const SPARE_SECONDS = 60; // how long before its end a token is renewed

/** A sign-in that did not work; the text says what to do. */
export class SignInFailed extends Error {}

/** There is no session: the person has to sign in. */
export class SignedOut extends Error {}

/**
 * @param {Config} config
 * @param {() => void} onEnd called when the session ends: here, in another tab, or because it was revoked
 */
export function createAuth(config, onEnd) {
  const redirect = `${location.origin}/callback`;
  /** @type {{id: string, refresh: string, end: number} | null} */
  let tokens = null;
  /** @type {Promise<void> | null} */
  let renewal = null;

  // Signing out in one tab signs out all of them.
  addEventListener("storage", (event) => {
    if (event.key === REMEMBERED && event.newValue === null) end();
  });

  function end() {
    tokens = null;
    localStorage.removeItem(REMEMBERED);
    onEnd();
  }

  /** Go to the sign-in page. It leads back to /callback, and `resume` then to the view that was left. */
  async function begin() {
    const verifier = randomText();
    const state = randomText();
    sessionStorage.setItem(STARTED, JSON.stringify({ state, verifier, view: location.hash }));
    location.assign(`${config.signIn}/oauth2/authorize?${new URLSearchParams({
      response_type: "code",
      client_id: config.clientId,
      redirect_uri: redirect,
      scope: SCOPE,
      state,
      code_challenge: await challengeOf(verifier),
      code_challenge_method: "S256",
    })}`);
    await new Promise(() => {}); // the browser leaves this page
  }

  /** Finish a sign-in, or begin one if somebody was signed in here; returns whether there is a session. */
  async function resume() {
    if (location.pathname === "/callback") return finish();
    if (localStorage.getItem(REMEMBERED)) await begin();
    return false;
  }

  async function finish() {
    const answer = new URLSearchParams(location.search);
    const started = JSON.parse(sessionStorage.getItem(STARTED) ?? "{}");
    sessionStorage.removeItem(STARTED); // a code and its state are good for one use
    history.replaceState(null, "", `/${started.view ?? ""}`); // neither stays in the address or in the history
    const code = answer.get("code");
    if (!code && !answer.has("error")) return false; // back from a sign-out
    // A state that this tab did not make: the link is somebody else's, who wants their account used here.
    if (!started.state || answer.get("state") !== started.state) {
      throw new SignInFailed("This sign-in was not started in this tab, so it was not used. Sign in again.");
    }
    if (!code) throw new SignInFailed("The sign-in page did not sign you in. Try again.");
    const { verifier } = started;
    await request({ grant_type: "authorization_code", code, redirect_uri: redirect, code_verifier: verifier });
    localStorage.setItem(REMEMBERED, "yes");
    return true;
  }

  /** Return an ID token that is good for at least a minute; throws SignedOut, or TypeError without a network. */
  async function token() {
    if (!tokens) throw new SignedOut();
    if (Date.now() > tokens.end - SPARE_SECONDS * 1000) await renew();
    return tokens.id;
  }

  /** Get new tokens. Calls at the same time share one request. */
  function renew() {
    if (!tokens) throw new SignedOut();
    renewal ??= request({ grant_type: "refresh_token", refresh_token: tokens.refresh }).finally(() => { renewal = null; });
    return renewal;
  }

  /** @param {Record<string, string>} grant */
  async function request(grant) {
    const body = new URLSearchParams({ client_id: config.clientId, ...grant });
    const response = await fetch(`${config.signIn}/oauth2/token`, { method: "POST", body });
    if (response.ok) {
      const { id_token: id, refresh_token: refresh, expires_in: seconds } = await response.json();
      tokens = { id, refresh: refresh ?? tokens?.refresh, end: Date.now() + seconds * 1000 };
    } else if (tokens) {
      end(); // the session was revoked, or is older than the pool allows
      throw new SignedOut();
    } else {
      throw new SignInFailed("The sign-in took too long, or its link was used before. Sign in again.");
    }
  }

  /** Return who is signed in. The API checks the token; the page only shows what it says. */
  function user() {
    if (!tokens) throw new SignedOut();
    const payload = tokens.id.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    const isAdmin = (claims["cognito:groups"] ?? []).includes("admin");
    return { name: claims.email, id: claims.sub, isAdmin };
  }

  /** End both sessions: revoke the tokens, then let the sign-in page forget the person. */
  async function signOut() {
    if (tokens) {
      const body = new URLSearchParams({ token: tokens.refresh, client_id: config.clientId });
      const sent = fetch(`${config.signIn}/oauth2/revoke`, { method: "POST", body, signal: AbortSignal.timeout(3000) });
      await sent.catch(() => {}); // without it the refresh token still ends by itself, and it is kept nowhere
    }
    end();
    location.assign(`${config.signIn}/logout?${new URLSearchParams({ client_id: config.clientId, logout_uri: redirect })}`);
  }

  return { begin, resume, token, renew, user, isSignedIn: () => tokens !== null, signOut };
}

/** Return 43 random characters (RFC 7636, 4.1). */
function randomText() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {string} verifier */
async function challengeOf(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
