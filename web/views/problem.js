// An error response, with the id of the request, by which the people who run the API find it in their log.

import { html, useState } from "../vendor/preact.js";

/** @param {{problem: Error & {requestId?: string}, text?: string}} props */
export function ProblemText({ problem, text = problem.message }) {
  const [isCopied, setCopied] = useState(false);
  const id = problem.requestId;
  async function copy() {
    await navigator.clipboard.writeText(/** @type {string} */ (id));
    setCopied(true);
  }
  return html`<span class="problem">${text}${" "}
    ${id && html`<button type="button" class="request-id" onClick=${copy} title="Copy the id of this request: ${id}">
      ${isCopied ? "Copied" : `Copy request id ${id.slice(0, 8)}…`}</button>`}
  </span>`;
}
