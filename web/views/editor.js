// The form that changes a task in its place. It sends only what was changed, so that other changes of others stay.

import { dayOf, dueAt, LATEST } from "../format.js";
import { html, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { ProblemText } from "./problem.js";

/** @param {{id: string, board: ReturnType<typeof import("../board.js").createBoard>}} props */
export function Editor({ id, board }) {
  const edit = /** @type {import("../board.js").Edit} */ (board.state.edits.get(id));
  const { before, values, problem, isSaving } = edit;
  const [, draw] = useState(0);
  const close = () => board.closeEdit(id);

  const first = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => first.current?.focus(), []);

  /** @param {SubmitEvent} event */
  async function save(event) {
    event.preventDefault();
    /** @type {import("../board.js").Changes} */
    const changes = {};
    if (values.title !== before.title) changes.title = values.title;
    if (values.description !== before.description) changes.description = values.description;
    if (values.day !== dayOf(before.due_at)) changes.due_at = dueAt(values.day);
    if (!Object.keys(changes).length) return close();
    edit.isSaving = true;
    const refused = await board.change(id, changes, before);
    edit.isSaving = false;
    if (board.state.edits.get(id) !== edit) return; // cancelled meanwhile: the task itself shows a refusal
    if (!refused) return close();
    edit.problem = refused;
    board.state.problems.delete(id); // shown here instead
    draw((count) => count + 1);
  }

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) /** @type {HTMLFormElement} */ (event.currentTarget).requestSubmit();
  }

  /** @param {"title" | "description" | "day"} member @param {string} pointer */
  function field(member, pointer) {
    return {
      value: values[member],
      onInput: (/** @type {InputEvent} */ event) => {
        values[member] = /** @type {HTMLInputElement} */ (event.target).value;
        draw((count) => count + 1);
      },
      "aria-invalid": Boolean(problem?.about(pointer)),
      "aria-describedby": `edit-${id}-${pointer}`,
    };
  }

  /** @param {string} pointer @param {string} name */
  const wrong = (pointer, name) => html`<p id="edit-${id}-${pointer}" class="field-problem" role="alert">
    ${problem?.about(pointer) && html`<${ProblemText} problem=${problem} text=${problem.about(pointer, name)} />`}</p>`;
  const isElsewhere = problem && !["title", "description", "due_at"].some((pointer) => problem.about(pointer));

  return html`<form class="editor" aria-label="Edit ${before.title}" onSubmit=${save} onKeyDown=${onKeyDown}>
    <label>Title <input ref=${first} dir="auto" required ...${field("title", "title")} /></label>${wrong("title", "The title")}
    <label>Notes <textarea rows="3" dir="auto" ...${field("description", "description")} /></label>${wrong("description", "The note")}
    <label>Due <input type="date" max=${LATEST} ...${field("day", "due_at")} /></label>${wrong("due_at", "The due date")}
    ${isElsewhere && html`<p class="field-problem" role="alert"><${ProblemText} problem=${problem}
      text=${problem.status === 404 ? "This task was deleted elsewhere. Copy what you need, then cancel." : undefined} /></p>`}
    <div class="buttons">
      <button class="primary" disabled=${isSaving}>${isSaving ? "Saving …" : "Save"}</button>
      <button type="button" onClick=${close}>Cancel</button>
    </div>
  </form>`;
}
