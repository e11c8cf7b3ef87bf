// What floats above the page: what was done, with the way back, and what requests wait for.

import { html, useEffect, useState } from "../vendor/preact.js";
import { Icon } from "./icons.js";
import { ProblemText } from "./problem.js";

/** @param {{notices: import("../board.js").Notice[], onClose: (id: number) => void}} props */
export function Notices({ notices, onClose }) {
  return html`<div class="notices" role="status">
    ${notices.map((notice) => html`<div key=${notice.id} class="notice" onMouseEnter=${notice.hold} onMouseLeave=${notice.release}
      onFocusIn=${notice.hold} onFocusOut=${notice.release}>
      ${notice.problem ? html`<${ProblemText} problem=${notice.problem} text=${notice.text} />` : html`<span>${notice.text}</span>`}
      ${notice.undo
        ? html`<button aria-keyshortcuts="Control+Z" onClick=${notice.undo}>Undo</button>`
        : html`<button aria-label="Close" onClick=${() => onClose(notice.id)}><${Icon} name="close" /></button>`}
    </div>`)}
  </div>`;
}

/** @param {{waits: import("../api.js").Wait[]}} props */
export function WaitBar({ waits }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!waits.length) return;
    setNow(Date.now());
    const clock = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(clock);
  }, [waits]);
  const wait = waits[0];
  const seconds = wait ? Math.max(0, Math.ceil((wait.until - now) / 1000)) : 0;
  const again = seconds ? ` Trying again in ${seconds} s.` : " Trying again …";
  return html`<div class=${wait ? "wait shown" : "wait"}>
    <span role="status">${wait && TEXTS[wait.reason]}</span>${wait && wait.reason !== "offline" && html`<span aria-hidden="true">${again}</span>`}
  </div>`;
}

const TEXTS = {
  offline: "You are offline. What you change is kept here and sent when the network is back.",
  unreachable: "The API cannot be reached. What you change is kept here and sent again.",
  busy: "The API is busy and asks to wait.",
};
