// Starts the page: reads where the API is, signs in, shows the tasks.

import { createApi } from "./api.js";
import { createAuth, SignInFailed } from "./auth.js";
import { createBoard } from "./board.js";
import { html, render } from "./vendor/preact.js";
import { App } from "./views/app.js";
import { Welcome } from "./views/welcome.js";

const RELOAD_AFTER = 60_000; // milliseconds out of sight
const root = /** @type {HTMLElement} */ (document.getElementById("app"));

async function start() {
  const response = await fetch("/config.json");
  if (!response.ok) throw new SignInFailed("config.json is missing beside this page. docs/deploy.md says what it contains.");
  /** @type {import("./auth.js").Config} */
  const config = await response.json();
  const auth = createAuth(config, () => showWelcome("You are signed out."));

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
  run(config, auth);
}

/** @param {import("./auth.js").Config} config @param {ReturnType<typeof createAuth>} auth */
function run(config, auth) {
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
      if (auth.isSignedIn()) render(html`<${App} ...${{ api, auth, board, user, waits }} />`, root);
    });
  }

  let hiddenAt = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt > RELOAD_AFTER) board.reload();
  });
  addEventListener("hashchange", show);
  addEventListener("pagehide", board.flush);
  addEventListener("beforeunload", (event) => { if (board.isBusy()) event.preventDefault(); });
  show();
}

start().catch((error) => {
  root.textContent = error instanceof SignInFailed ? error.message : "The page did not start. Load it again.";
  throw error; // to the console, with its place
});
