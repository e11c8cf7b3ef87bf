// What somebody sees who is not signed in.

import { html } from "../vendor/preact.js";
import { Logo } from "./icons.js";

/** @param {{message?: string, onSignIn: () => void}} props */
export function Welcome({ message, onSignIn }) {
  return html`<main class="welcome">
    <${Logo} />
    <h1>Tasks</h1>
    <p>What waits, what is in hand, what is done.</p>
    ${message && html`<p class="message" role="alert">${message}</p>`}
    <button class="primary" onClick=${onSignIn}>Sign in</button>
  </main>`;
}
