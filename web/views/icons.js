// The drawings of the page. The three states of a task are the phases of a moon: new, half, full.

import { html } from "../vendor/preact.js";

/** @param {{status: string}} props */
export function Phase({ status }) {
  return html`<svg class="phase" data-status=${status} viewBox="0 0 24 24" aria-hidden="true">
    <circle cx="12" cy="12" r="9" />
    ${status === "in_progress" && html`<path class="lit" d="M12 3a9 9 0 0 1 0 18z" />`}
    ${status === "done" && html`<circle class="lit" cx="12" cy="12" r="9" /><path class="tick" d="m7.8 12.3 2.9 2.9 5.6-6" />`}
  </svg>`;
}

const PATHS = {
  edit: "m4 20 1-4L16.5 4.5l3 3L8 19z M14 7l3 3",
  remove: "M5 7h14 M10 7V4h4v3 M7 7l1 13h8l1-13 M10.5 11v5 M13.5 11v5",
  close: "M6 6l12 12 M18 6 6 18",
  more: "M9 6l6 6-6 6",
};

/** @param {{name: keyof typeof PATHS}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

export function Logo() {
  return html`<svg class="logo" viewBox="0 0 60 20" aria-hidden="true">
    <circle cx="10" cy="10" r="7" />
    <circle cx="30" cy="10" r="7" /><path class="lit" d="M30 3a7 7 0 0 1 0 14z" />
    <circle class="lit" cx="50" cy="10" r="7" />
  </svg>`;
}
