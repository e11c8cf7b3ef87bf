// Starts the page: reads where the API is, signs in, shows the tasks.

import { createApi } from "./api.js";
import { createAuth, SignInFailed } from "./auth.js";
import { createBoard } from "./board.js";
import { html, render } from "./vendor/preact.js";
import { App } from "./views/app.js";
import { Welcome } from "./views/welcome.js";

const RELOAD_AFTER = 60_000; // milliseconds out of sight
const FLUSH_TIMEOUT = 3000; // milliseconds that a sign-out waits for the last deletions
const UNSAVED = "unsaved"; // in sessionStorage, of this tab alone: what is typed and unsent while the page signs in again
const root = /** @type {HTMLElement} */ (document.getElementById("app"));

async function start() {
  const config = await readConfig();
  let isSignedOut = false;
  const auth = createAuth(config, (isSignOut) => {
    isSignedOut ||= isSignOut;
    showWelcome(isSignOut ? "You are signed out." : "Your session has ended. Sign in again: what you typed is kept.");
  });

  /** @param {string} [message] */
  function showWelcome(message) {
    render(html`<${Welcome} message=${message} onSignIn=${auth.begin} />`, root);
  }

  try {
    if (!await auth.resume()) return showWelcome();
  } catch (error) {
    if (!(error instanceof SignInFailed)) throw error;
    return showWelcome(error.message);
  }
  run(config, auth, () => isSignedOut);
}

/** @returns {Promise<import("./auth.js").Config>} */
async function readConfig() {
  const response = await fetch("/config.json");
  // A host may send index.html for a file that it does not have.
  const text = response.ok ? await response.text() : "";
  if (!text.startsWith("{")) throw new SignInFailed("config.json is missing beside this page. docs/deploy.md says what it contains.");
  return JSON.parse(text);
}

/** @param {import("./auth.js").Config} config @param {ReturnType<typeof createAuth>} auth @param {() => boolean} isSignedOut */
function run(config, auth, isSignedOut) {
  const user = auth.user();
  /** @type {import("./api.js").Wait[]} */
  let waits = [];
  const api = createApi(config.api, auth, (now) => { waits = now; show(); });
  const board = createBoard(api, () => show());
  let isPlanned = false;

  /** Draw the page, once for all changes of the same moment. */
  function show() {
    if (isPlanned) return;
    isPlanned = true;
    queueMicrotask(() => {
      isPlanned = false;
      if (auth.isSignedIn()) render(html`<${App} ...${{ api, board, user, waits, onSignOut }} />`, root);
    });
  }

  async function onSignOut() {
    await Promise.race([board.flush(), new Promise((resolve) => { setTimeout(resolve, FLUSH_TIMEOUT); })]);
    if (!board.isBusy() || confirm("Some changes are not sent yet. Sign out and lose them?")) await auth.signOut();
  }

  let hiddenAt = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt > RELOAD_AFTER) board.reload();
  });
  addEventListener("hashchange", show);
  addEventListener("beforeunload", (event) => { if (auth.isSignedIn() && board.isBusy()) event.preventDefault(); });
  addEventListener("pagehide", () => {
    board.flush();
    if (isSignedOut()) sessionStorage.removeItem(UNSAVED);
    else sessionStorage.setItem(UNSAVED, JSON.stringify({ owner: user.id, ...board.unsaved() }));
  });

  const { owner, ...unsaved } = JSON.parse(sessionStorage.getItem(UNSAVED) ?? "{}");
  sessionStorage.removeItem(UNSAVED);
  if (owner === user.id) board.restore(unsaved);
  show();
}

start().catch((error) => {
  root.textContent = error instanceof SignInFailed ? error.message : "The page did not start. Load it again.";
  root.className = "failed";
  throw error; // to the console, with its place
});
