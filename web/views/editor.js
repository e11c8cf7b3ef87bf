// The form that changes a task in its place. It sends only what was changed, so that other changes of others stay.

import { dayOf, dueAt } from "../format.js";
import { html, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { ProblemText } from "./problem.js";

/** @typedef {import("../board.js").Task} Task */

/** @param {{task: Task, board: ReturnType<typeof import("../board.js").createBoard>, onClose: () => void}} props */
export function Editor({ task, board, onClose }) {
  const [before] = useState(task); // what the person saw, whatever arrives meanwhile
  const [values, setValues] = useState({ title: task.title, description: task.description, day: dayOf(task.due_at) });
  const [problem, setProblem] = useState(/** @type {import("../api.js").Problem | null} */ (null));
  const [isSaving, setSaving] = useState(false);
  const id = `edit-${task.task_id}`;

  const first = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => first.current?.focus(), []);

  /** @param {SubmitEvent} [event] */
  async function save(event) {
    event?.preventDefault();
    /** @type {import("../board.js").Changes} */
    const changes = {};
    if (values.title !== before.title) changes.title = values.title;
    if (values.description !== before.description) changes.description = values.description;
    if (values.day !== dayOf(before.due_at)) changes.due_at = dueAt(values.day);
    if (!Object.keys(changes).length) return onClose();
    setSaving(true);
    const refused = await board.change(task.task_id, changes);
    setSaving(false);
    if (!refused) return onClose();
    board.state.problems.delete(task.task_id); // shown here instead
    setProblem(refused);
  }

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    if (event.key === "Escape") onClose();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  }

  /** @param {"title" | "description" | "day"} member @param {string} pointer */
  function field(member, pointer) {
    return {
      value: values[member],
      onInput: (/** @type {InputEvent} */ event) => {
        const { value } = /** @type {HTMLInputElement} */ (event.target);
        setValues((others) => ({ ...others, [member]: value }));
      },
      "aria-invalid": Boolean(problem?.about(pointer)),
      "aria-describedby": `${id}-${pointer}`,
    };
  }

  /** @param {string} pointer @param {string} name */
  const wrong = (pointer, name) => html`<p id="${id}-${pointer}" class="field-problem" role="alert">
    ${problem?.about(pointer) && html`<${ProblemText} problem=${problem} text=${problem.about(pointer, name)} />`}</p>`;
  const isElsewhere = problem && !["title", "description", "due_at"].some((pointer) => problem.about(pointer));

  return html`<form class="editor" aria-label="Edit ${before.title}" onSubmit=${save} onKeyDown=${onKeyDown}>
    <label>Title <input ref=${first} maxlength="200" required ...${field("title", "title")} /></label>${wrong("title", "The title")}
    <label>Notes <textarea rows="3" maxlength="4000" ...${field("description", "description")} /></label>${wrong("description", "The note")}
    <label>Due <input type="date" ...${field("day", "due_at")} /></label>${wrong("due_at", "The due date")}
    ${isElsewhere && html`<p class="field-problem" role="alert"><${ProblemText} problem=${problem} /></p>`}
    <div class="buttons">
      <button class="primary" disabled=${isSaving}>${isSaving ? "Saving …" : "Save"}</button>
      <button type="button" onClick=${onClose}>Cancel</button>
    </div>
  </form>`;
}
