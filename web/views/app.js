// The frame of the page: its head, the view that the address names, and what lies above them.

import { html, useEffect, useState } from "../vendor/preact.js";
import { Conflicts } from "./conflict.js";
import { Create } from "./create.js";
import { Everyone } from "./everyone.js";
import { Logo } from "./icons.js";
import { BoardView, ListView } from "./lists.js";
import { Notices, WaitBar } from "./notices.js";
import { Shortcuts } from "./shortcuts.js";

/**
 * @typedef {object} Props
 * @property {ReturnType<typeof import("../api.js").createApi>} api
 * @property {ReturnType<typeof import("../auth.js").createAuth>} auth
 * @property {ReturnType<typeof import("../board.js").createBoard>} board
 * @property {import("../auth.js").User} user
 * @property {import("../api.js").Wait[]} waits
 */

/** @param {Props} props */
export function App({ api, auth, board, user, waits }) {
  const [said, announce] = useState(""); // for screen readers
  const [, draw] = useState(0);
  const views = [["#board", "Board"], ["#list", "List"], ...(user.isAdmin ? [["#everyone", "Everyone"]] : [])];
  const [view] = views.find(([hash]) => hash === location.hash) ?? views[0];

  useEffect(() => {
    /** @param {KeyboardEvent} event */
    function onKeyDown(event) {
      const isTyping = /** @type {HTMLElement} */ (event.target).closest("input, textarea, select, dialog");
      if (isTyping || event.altKey) return;
      const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey);
      if (isUndo) board.state.notices.findLast((notice) => notice.undo)?.undo?.();
      else if (event.ctrlKey || event.metaKey) return;
      else if (event.key === "n") /** @type {HTMLElement} */ (document.querySelector(".new-title"))?.focus();
      else if (event.key === "?") /** @type {HTMLDialogElement} */ (document.getElementById("shortcuts")).showModal();
      else return;
      event.preventDefault();
    }
    addEventListener("keydown", onKeyDown);
    const clock = setInterval(() => draw((count) => count + 1), 60_000); // what was due a minute ago is overdue now
    return () => { removeEventListener("keydown", onKeyDown); clearInterval(clock); };
  }, []);

  return html`
    <header class="bar">
      <a class="brand" href="#board"><${Logo} /> Tasks</a>
      <nav aria-label="Views">
        ${views.map(([hash, name]) => html`<a href=${hash} aria-current=${hash === view ? "page" : undefined}>${name}</a>`)}
      </nav>
      <button class="account" popovertarget="account" aria-label="Account of ${user.name}">${user.name[0]}</button>
      <div id="account" class="menu" popover="auto">
        <p>${user.name}</p>
        <button popovertarget="account" popovertargetaction="hide"
          onClick=${() => /** @type {HTMLDialogElement} */ (document.getElementById("shortcuts")).showModal()}>Keyboard shortcuts</button>
        <button onClick=${auth.signOut}>Sign out</button>
      </div>
    </header>
    <main data-view=${view.slice(1)}>
      <h1 class="unseen">${views.find(([hash]) => hash === view)?.[1]}</h1>
      ${view === "#everyone"
        ? html`<${Everyone} api=${api} />`
        : html`<${Create} board=${board} onChange=${() => draw((count) => count + 1)} />
          <${view === "#list" ? ListView : BoardView} board=${board} announce=${announce} />`}
    </main>
    <p class="unseen" role="status">${said}</p>
    <div class="floating">
      <${WaitBar} waits=${waits} />
      <${Notices} notices=${board.state.notices} onClose=${board.close} />
    </div>
    <${Conflicts} conflicts=${board.state.conflicts} />
    <${Shortcuts} />`;
}
