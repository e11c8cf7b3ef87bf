// A change that met a newer version: both, side by side, and the person chooses.

import { STATUSES } from "../board.js";
import { inFull } from "../format.js";
import { html, useEffect, useRef } from "../vendor/preact.js";

/** @typedef {import("../board.js").Conflict} Conflict */
/** @typedef {import("../board.js").Task} Task */

/** @type {[string, (task: Task) => string][]} */
const ROWS = [
  ["Title", (task) => task.title],
  ["Notes", (task) => task.description || "none"],
  ["Status", (task) => STATUSES.find((one) => one.status === task.status)?.name ?? ""],
  ["Due", (task) => (task.due_at ? inFull(task.due_at) : "no date")],
];

/** @param {{conflicts: Conflict[]}} props */
export function Conflicts({ conflicts }) {
  const [conflict] = conflicts;
  return conflict ? html`<${Choice} key=${conflict.theirs.task_id + conflict.theirs.version} conflict=${conflict} />` : null;
}

/** @param {{conflict: Conflict}} props */
function Choice({ conflict: { mine, theirs, choose } }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => { dialog.current?.showModal(); }, []);
  return html`<dialog ref=${dialog} class="conflict" aria-labelledby="conflict-title" onCancel=${() => choose("theirs")}>
    <h2 id="conflict-title">“${theirs.title}” was changed elsewhere</h2>
    <p>${mine ? "It has changed since you saw it. Which version should stay?" : "It has changed since you deleted it. Delete it all the same?"}</p>
    <table>
      <thead><tr><td></td>${mine && html`<th scope="col">Yours</th>`}<th scope="col">Theirs, ${inFull(theirs.updated_at)}</th></tr></thead>
      <tbody>${ROWS.map(([name, show]) => html`<tr class=${mine && show(mine) !== show(theirs) ? "differs" : ""}>
        <th scope="row">${name}</th>${mine && html`<td>${show(mine)}</td>`}<td>${show(theirs)}</td></tr>`)}</tbody>
    </table>
    <div class="buttons">
      <button class="primary" onClick=${() => choose("mine")}>${mine ? "Keep yours" : "Delete it"}</button>
      <button onClick=${() => choose("theirs")}>${mine ? "Keep theirs" : "Keep it"}</button>
    </div>
  </dialog>`;
}
