// The keys of the page.

import { html } from "../vendor/preact.js";

const KEYS = [
  ["n", "Write a new task"],
  ["↑ ↓", "Go to the task before or after"],
  ["← →", "Change the status of the task"],
  ["Space", "Finish the task, or reopen it"],
  ["Enter", "Edit the task; Esc leaves it as it was"],
  ["Delete", "Delete the task"],
  ["Ctrl Z", "Take the deletion back"],
  ["?", "Show this list"],
];

export function Shortcuts() {
  return html`<dialog id="shortcuts" aria-labelledby="shortcuts-title">
    <h2 id="shortcuts-title">Keyboard shortcuts</h2>
    <dl>${KEYS.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <div class="buttons"><button class="primary" onClick=${(/** @type {Event} */ event) =>
      /** @type {HTMLElement} */ (event.target).closest("dialog")?.close()}>Close</button></div>
  </dialog>`;
}
