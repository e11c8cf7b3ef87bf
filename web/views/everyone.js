// The admin's view: what waits, of all owners, oldest first, and how many wait how long.

import { STATUSES } from "../board.js";
import { duration, inFull } from "../format.js";
import { html, useEffect, useState } from "../vendor/preact.js";
import { Phase } from "./icons.js";
import { More } from "./lists.js";
import { Plot } from "./plot.js";
import { ProblemText } from "./problem.js";

/** @typedef {import("../api.js").Schemas["OwnedTask"]} OwnedTask */
/** @typedef {{tasks: OwnedTask[], isComplete: boolean}} Loaded */

const PAGE = 100;
const MOST = 2000; // the oldest ones tell what is wrong; beyond these the plot says "at least"
const ROWS = 50;
const OPEN = STATUSES.slice(0, 2);

/** @param {{api: ReturnType<typeof import("../api.js").createApi>}} props */
export function Everyone({ api }) {
  const [loaded, setLoaded] = useState(/** @type {Record<string, Loaded>} */ ({}));
  const [problem, setProblem] = useState(/** @type {Error | null} */ (null));
  const [status, setStatus] = useState(OPEN[0].status);
  const [rows, setRows] = useState(ROWS);

  useEffect(() => {
    let isShown = true;
    /** @param {string} name */
    async function loadAll(name) {
      /** @type {OwnedTask[]} */
      let tasks = [];
      /** @type {string | null | undefined} */
      let cursor;
      while (isShown && cursor !== null && tasks.length < MOST) {
        const page = await api.listOfAll({ status: name, cursor, limit: PAGE });
        tasks = [...tasks, ...page.tasks];
        cursor = page.next_cursor;
        const now = { tasks, isComplete: cursor === null };
        setLoaded((others) => ({ ...others, [name]: now }));
      }
    }
    for (const one of OPEN) loadAll(one.status).catch(setProblem);
    return () => { isShown = false; };
  }, []);

  if (problem) return html`<p class="field-problem" role="alert"><${ProblemText} problem=${problem} /></p>`;
  const now = Date.now();
  const shown = loaded[status]?.tasks ?? [];
  return html`<section class="everyone" aria-label="Tasks of everyone">
    <${Plot} now=${now} isComplete=${OPEN.every((one) => loaded[one.status]?.isComplete)}
      groups=${OPEN.map((one) => ({ ...one, created: (loaded[one.status]?.tasks ?? []).map((task) => task.created_at) }))} />
    <fieldset class="choice"><legend class="unseen">Status</legend>
      ${OPEN.map((one) => html`<label><input type="radio" name="status" checked=${one.status === status}
        onChange=${() => { setStatus(one.status); setRows(ROWS); }} /><${Phase} status=${one.status} /> ${one.name}</label>`)}
    </fieldset>
    <div class="table" tabindex="0" role="region" aria-label="Oldest first"><table>
      <thead><tr><th scope="col">Waits for</th><th scope="col">Task</th><th scope="col">Owner</th></tr></thead>
      <tbody>${shown.slice(0, rows).map((task) => html`<tr key=${task.task_id}>
        <td><time datetime=${task.created_at} title=${inFull(task.created_at)}>${duration(now - Date.parse(task.created_at))}</time></td>
        <th scope="row">${task.title}</th>
        <td><code title=${task.owner}>${task.owner.slice(0, 8)}</code></td></tr>`)}</tbody>
    </table></div>
    ${loaded[status] && !shown.length && html`<p class="empty">Nothing waits.</p>`}
    ${rows < shown.length && html`<${More} load=${() => setRows(rows + ROWS)} count=${rows} />`}
  </section>`;
}
