// A task, on the board and in the list: shown, or in the form that changes it in place.

import { STATUSES } from "../board.js";
import { dueInWords, inFull } from "../format.js";
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Editor } from "./editor.js";
import { Icon, Phase } from "./icons.js";
import { ProblemText } from "./problem.js";

/** @typedef {import("../board.js").Task} Task */
/** @typedef {ReturnType<typeof import("../board.js").createBoard>} Board */

/** @param {{task: Task, board: Board, announce: (text: string) => void}} props */
export function TaskItem({ task, board, announce }) {
  const [isEdited, setEdited] = useState(false);
  const article = useRef(/** @type {HTMLElement | null} */ (null));
  const wasEdited = useRef(false);
  const isNew = task.version === 0; // on its way to the API
  const id = `task-${task.task_id}`;
  const problem = board.state.problems.get(task.task_id);

  useEffect(() => {
    if (wasEdited.current && !isEdited) article.current?.focus(); // back to where the keyboard was
    wasEdited.current = isEdited;
  }, [isEdited]);

  /** @param {string} status */
  function move(status) {
    if (isNew || status === task.status) return;
    const had = article.current?.contains(document.activeElement);
    board.change(task.task_id, { status: /** @type {Task["status"]} */ (status) });
    announce(`${task.title}: ${STATUSES.find((one) => one.status === status)?.name}`);
    if (had) setTimeout(() => document.getElementById(id)?.focus()); // in another column now
  }

  function remove() {
    focusNeighbour(article.current, 1) || focusNeighbour(article.current, -1);
    board.remove(task.task_id);
  }

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    if (event.target !== article.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = STATUSES.findIndex((one) => one.status === task.status);
    /** @type {Record<string, () => unknown>} */
    const actions = {
      Enter: () => setEdited(!isNew),
      e: () => setEdited(!isNew),
      Delete: remove,
      Backspace: remove,
      ArrowDown: () => focusNeighbour(article.current, 1),
      ArrowUp: () => focusNeighbour(article.current, -1),
      ArrowRight: () => move(STATUSES[place + 1]?.status ?? task.status),
      ArrowLeft: () => move(STATUSES[place - 1]?.status ?? task.status),
      " ": () => move(task.status === "done" ? "pending" : "done"),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  if (isEdited) return html`<li class="task"><${Editor} task=${task} board=${board} onClose=${() => setEdited(false)} /></li>`;

  const isLate = task.status !== "done" && task.due_at !== null && new Date(task.due_at).getTime() < Date.now();
  return html`<li class="task" data-status=${task.status}>
    <article id=${id} ref=${article} tabindex="0" aria-labelledby="${id}-title" aria-busy=${isNew} onKeyDown=${onKeyDown}
      draggable=${!isNew} onDragStart=${(/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/plain", task.task_id)}>
      <button class="finish" disabled=${isNew} onClick=${() => move(task.status === "done" ? "pending" : "done")}
        aria-label=${task.status === "done" ? `Reopen ${task.title}` : `Finish ${task.title}`}><${Phase} status=${task.status} /></button>
      <div class="what" onClick=${() => setEdited(!isNew)}>
        <h3 id="${id}-title">${task.title}</h3>
        ${task.description && html`<p class="note">${task.description}</p>`}
      </div>
      <div class="facts">
        ${task.due_at && html`<time class=${isLate ? "due late" : "due"} datetime=${task.due_at} title=${inFull(task.due_at)}>${
          dueInWords(task.due_at, Date.now(), task.status === "done")}</time>`}
        <select class="status" disabled=${isNew} aria-label="Status of ${task.title}" value=${task.status}
          onChange=${(/** @type {Event} */ event) => move(/** @type {HTMLSelectElement} */ (event.target).value)}>
          ${STATUSES.map(({ status, name }) => html`<option value=${status} selected=${status === task.status}>${name}</option>`)}
        </select>
        <span class="actions">
          <button class="quiet" disabled=${isNew} aria-label="Edit ${task.title}" onClick=${() => setEdited(true)}><${Icon} name="edit" /></button>
          <button class="quiet" disabled=${isNew} aria-label="Delete ${task.title}" onClick=${remove}><${Icon} name="remove" /></button>
        </span>
      </div>
      ${problem && html`<p class="field-problem" role="alert"><${ProblemText} problem=${problem} /></p>`}
    </article>
  </li>`;
}

/** Focus the task before or after this one; returns whether there is one. @param {HTMLElement | null} article @param {number} step */
function focusNeighbour(article, step) {
  const list = [.../** @type {NodeListOf<HTMLElement>} */ (article?.closest(".tasks")?.querySelectorAll(".task > article") ?? [])];
  const neighbour = list[list.indexOf(/** @type {HTMLElement} */ (article)) + step];
  neighbour?.focus();
  return Boolean(neighbour);
}
