// One line that makes a task.

import { dueAt } from "../format.js";
import { html, useRef } from "../vendor/preact.js";
import { ProblemText } from "./problem.js";

/** @param {{board: ReturnType<typeof import("../board.js").createBoard>, onChange: () => void}} props */
export function Create({ board, onChange }) {
  const { draft } = board.state;
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    if (draft.title.trim()) board.create(draft.title, dueAt(draft.due), draft.due);
    field.current?.focus();
  }
  /** @param {"title" | "due"} member */
  const set = (member) => (/** @type {InputEvent} */ event) => {
    Object.assign(draft, { [member]: /** @type {HTMLInputElement} */ (event.target).value, problem: null });
    onChange();
  };
  const { problem } = draft;
  const wrong = problem && (problem.about("title", "The title") || problem.about("due_at", "The due date") || problem.message);
  const isTitleWrong = Boolean(problem && !problem.about("due_at"));
  return html`<form class="create" onSubmit=${submit}>
    <input ref=${field} class="new-title" aria-label="New task" placeholder="What needs doing?" maxlength="200" autocomplete="off"
      enterkeyhint="done" value=${draft.title} onInput=${set("title")} aria-keyshortcuts="n"
      aria-invalid=${isTitleWrong} aria-describedby="create-problem" />
    <label class="new-due"><span>Due</span>
      <input type="date" value=${draft.due} onInput=${set("due")} aria-label="Due date of the new task"
        aria-invalid=${Boolean(problem?.about("due_at"))} aria-describedby="create-problem" /></label>
    <button class="primary">Add</button>
    <p id="create-problem" class="field-problem" role="alert">${problem && html`<${ProblemText} problem=${problem} text=${wrong} />`}</p>
  </form>`;
}
