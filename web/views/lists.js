// The two views of one's own tasks: a board with a column for each status, and a list of all, newest first.

import { STATUSES } from "../board.js";
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Phase } from "./icons.js";
import { ProblemText } from "./problem.js";
import { TaskItem } from "./task.js";

/** @typedef {ReturnType<typeof import("../board.js").createBoard>} Board */
/** @typedef {(text: string) => void} Announce */

/** @param {{board: Board, announce: Announce}} props */
export function BoardView(props) {
  return html`<div class="board">${STATUSES.map((column) => html`<${Column} key=${column.status} ...${props} ...${column} />`)}</div>`;
}

/** @param {{status: import("../board.js").Status, name: string, board: Board, announce: Announce}} props */
function Column({ status, name, board, announce }) {
  const [isTarget, setTarget] = useState(false);

  /** @param {DragEvent} event */
  function drop(event) {
    event.preventDefault();
    setTarget(false);
    const id = event.dataTransfer?.getData("text/plain") ?? "";
    if (!board.tasksOf(board.current(id).status).some((task) => task.task_id === id)) return; // something else was dragged here
    if (board.current(id).status !== status) board.change(id, { status });
    announce(`${board.current(id).title}: ${name}`);
  }
  /** @param {DragEvent} event */
  function over(event) {
    event.preventDefault();
    setTarget(true);
  }
  const tasks = board.tasksOf(status);
  const more = board.state.lists[status].cursor ? "+" : "";
  return html`<section class=${isTarget ? "column target" : "column"} data-status=${status} aria-labelledby="column-${status}"
    onDragOver=${over} onDragLeave=${() => setTarget(false)} onDrop=${drop}>
    <h2 id="column-${status}"><${Phase} status=${status} /> ${name} <span class="count">${tasks.length}${more}</span></h2>
    <${Tasks} name=${status} board=${board} announce=${announce} tasks=${tasks} />
  </section>`;
}

/** @param {{board: Board, announce: Announce}} props */
export function ListView({ board, announce }) {
  return html`<section class="list" aria-labelledby="list-title">
    <h2 id="list-title" class="unseen">All tasks, newest first</h2>
    <${Tasks} name="all" board=${board} announce=${announce} tasks=${board.tasksOf("all")} />
  </section>`;
}

/** @param {{name: import("../board.js").ListName, board: Board, announce: Announce, tasks: import("../board.js").Task[]}} props */
function Tasks({ name, board, announce, tasks }) {
  const list = board.state.lists[name];
  useEffect(() => { if (list.cursor === undefined) board.load(name); }, []);
  const isEmpty = list.cursor === null && !tasks.length;
  return html`<div class="scroll">
    <ol class="tasks">
      ${tasks.map((task) => html`<${TaskItem} key=${task.task_id} task=${task} board=${board} announce=${announce} />`)}
      ${list.cursor === undefined && !list.problem && [1, 2, 3].map((number) => html`<li key=${number} class="skeleton" aria-hidden="true" />`)}
    </ol>
    ${isEmpty && html`<p class="empty">${EMPTY[name]}</p>`}
    ${list.problem && html`<p class="field-problem" role="alert"><${ProblemText} problem=${list.problem} /></p>`}
    ${(list.cursor || list.problem) && html`<${More} load=${() => board.load(name)} isFailed=${Boolean(list.problem)} count=${tasks.length} />`}
  </div>`;
}

const EMPTY = {
  all: "Nothing here yet. Write the first task above.",
  pending: "Nothing waits.",
  in_progress: "Nothing is in hand. Drag a task here, or press → on it.",
  done: "Nothing is done yet.",
};

/** A button that presses itself when it comes into sight. @param {{load: () => void, isFailed?: boolean, count: number}} props */
export function More({ load, isFailed = false, count }) {
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  useEffect(() => {
    if (isFailed) return;
    const observer = new IntersectionObserver(([entry]) => { if (entry.isIntersecting) load(); }, { rootMargin: "400px" });
    observer.observe(/** @type {HTMLButtonElement} */ (button.current));
    return () => observer.disconnect();
  }, [isFailed, count]);
  return html`<button ref=${button} class="more" onClick=${load}>${isFailed ? "Try again" : "Show more"}</button>`;
}
