// The state of the page, and what a person can do to it. A change is shown at once and sent behind it, one at a time for
// each task, because each needs the version that the one before has made.

import { dayOf, dueAt } from "./format.js";
import { createLoaded, requireProblem } from "./loaded.js";

/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {import("./api.js").Schemas["Task"]} Task */
/** @typedef {import("./api.js").Schemas["TaskChanges"]} Changes */
/** @typedef {{mine: Task | null, theirs: Task, choose: (choice: "mine" | "theirs") => void}} Conflict mine is null for a deletion */
/** @typedef {{id: number, text: string, problem?: Problem, task?: string, undo?: () => void, hold?: () => void, release?: () => void}} Notice */
/** @typedef {{title: string, due: string, key?: string, problem?: Problem}} Draft a task to create; its due date is a day, its key that of the last attempt */
/** @typedef {{before: Task, values: {title: string, description: string, day: string}, problem?: Problem, isSaving?: boolean}} Edit */
/** @typedef {{draft: Draft, edits: Edit[], creations: Draft[], changes: {task: Task, changes: Changes}[]}} Unsaved */

/** @type {{status: import("./loaded.js").Status, name: string}[]} */
export const STATUSES = [
  { status: "pending", name: "Pending" },
  { status: "in_progress", name: "In progress" },
  { status: "done", name: "Done" },
];

const UNDO_SECONDS = 8;

/**
 * @param {ReturnType<typeof import("./api.js").createApi>} api
 * @param {() => void} onChange called after each change of the state
 */
export function createBoard(api, onChange) {
  const loaded = createLoaded(api, onChange);
  const { tasks: stored, lists, add } = loaded;
  /** @type {Map<string, Changes[]>} what was changed here and not yet confirmed, oldest first */
  const unconfirmed = new Map();
  /** @type {Map<string, Draft>} what is created and not yet confirmed, by the id that it has until then */
  const creations = new Map();
  /** @type {Map<string, Promise<unknown>>} the last request for each task */
  const queue = new Map();
  /** @type {Map<string, number>} what is deleted unless the person takes it back, with the timer of that */
  const leaving = new Map();

  const state = {
    lists,
    problems: /** @type {Map<string, Problem>} */ (new Map()), // the last refused change of a task
    conflicts: /** @type {Conflict[]} */ ([]),
    notices: /** @type {Notice[]} */ ([]),
    draft: /** @type {Draft} */ ({ title: "", due: "" }),
    edits: /** @type {Map<string, Edit>} */ (new Map()), // the open forms, by task: they outlive their place on the page
  };
  let lastNumber = 0;

  /** Return a task with the changes that are on their way. @param {string} id @returns {Task} */
  function current(id) {
    return Object.assign({}, stored.get(id), ...(unconfirmed.get(id) ?? []));
  }

  /** Return the tasks of a list that have been loaded, in the order of the API. @param {import("./loaded.js").ListName} name */
  function tasksOf(name) {
    const known = [...lists[name].ids].filter((id) => stored.has(id) && !leaving.has(id)).map(current);
    const shown = known.filter((task) => name === "all" || task.status === name);
    return name === "all" ? shown.sort((a, b) => (a.task_id < b.task_id ? 1 : -1)) : shown.sort(byDueDate);
  }

  /** Load the lists that are shown anew. */
  async function reload() {
    try {
      await loaded.reload((id) => creations.has(id) || unconfirmed.has(id) || state.edits.has(id));
    } catch (error) {
      const problem = requireProblem(error);
      tell(`The tasks were not loaded again: ${problem.message}`, { problem });
    }
  }

  /** @param {string} id */
  function forget(id) {
    loaded.remove(id);
    for (const kept of [unconfirmed, creations, state.problems, state.edits]) kept.delete(id);
  }

  /** Create a task; the same draft again has the same key, so that one task is made. @param {Draft} draft */
  async function create({ title, due, key = crypto.randomUUID() }) {
    const now = new Date().toISOString();
    const id = `~${++lastNumber}`; // until the API gives one; sorts as the newest
    const due_at = dueAt(due);
    creations.set(id, { title, due, key });
    add({ task_id: id, title, description: "", status: "pending", due_at, created_at: now, updated_at: now, version: 0 });
    onChange();
    try {
      const task = await api.create({ title, due_at }, key);
      forget(id);
      add(task);
    } catch (error) {
      forget(id);
      const problem = requireProblem(error);
      if (state.draft.title) tell(`“${title}” was not created: ${problem.message}`, { problem });
      else state.draft = { title, due, key, problem };
    }
    onChange();
  }

  /** Open the form of a task. @param {string} id */
  function edit(id) {
    const before = current(id);
    const { title, description, due_at } = before;
    if (!creations.has(id)) state.edits.set(id, { before, values: { title, description, day: dayOf(due_at) } });
    onChange();
  }

  /** @param {string} id */
  function closeEdit(id) {
    if (state.edits.get(id)?.problem?.status === 404) vanish(id);
    state.edits.delete(id);
    onChange();
  }

  /**
   * Change a task; the promise ends when that is settled, with the problem if it was refused.
   * @param {string} id
   * @param {Changes} changes
   * @param {Task} [seen] the task as the person saw it, if that may be older than what is known here
   */
  async function change(id, changes, seen) {
    unconfirmed.set(id, [...(unconfirmed.get(id) ?? []), changes]);
    state.problems.delete(id);
    if (changes.status) lists[changes.status].ids.add(id);
    onChange();
    /** @type {Problem | null} */
    let refused = null;
    await inTurn(id, async () => {
      try {
        add(await settle(id, changes, seen));
      } catch (error) {
        refused = requireProblem(error);
        if (refused.status === 404 && !state.edits.has(id)) vanish(id);
        else state.problems.set(id, refused);
      }
      const others = (unconfirmed.get(id) ?? []).filter((other) => other !== changes);
      if (others.length) unconfirmed.set(id, others);
      else unconfirmed.delete(id);
      onChange();
    });
    return refused;
  }

  /**
   * Send a change until it is made, or the person prefers what somebody else has made of the task.
   * @param {string} id
   * @param {Changes} changes
   * @param {Task} [seen]
   */
  async function settle(id, changes, seen) {
    const names = /** @type {(keyof Changes)[]} */ (Object.keys(changes));
    let known = /** @type {Task} */ (stored.get(id));
    let isNewer = seen !== undefined && names.some((name) => known[name] !== seen[name]);
    for (;;) {
      if (isNewer) {
        // Somebody else has done the same, or an attempt of this change whose answer was lost.
        if (names.every((name) => known[name] === changes[name])) return known;
        if ((await ask(Object.assign({}, known, changes), known)) === "theirs") return known;
      }
      try {
        return await api.change(known, changes);
      } catch (error) {
        if (requireProblem(error).status !== 412) throw error;
        known = await api.read(id);
        isNewer = true;
      }
    }
  }

  /** Delete a task after some seconds in which the person can take it back. @param {string} id */
  function remove(id) {
    if (leaving.has(id) || creations.has(id)) return;
    const undo = () => {
      stop();
      leaving.delete(id);
      close(notice);
    };
    const stop = () => clearTimeout(leaving.get(id));
    const start = () => {
      stop();
      leaving.set(id, setTimeout(finish, UNDO_SECONDS * 1000, id));
    };
    start();
    const release = () => { if (leaving.has(id)) start(); };
    const notice = tell(`“${current(id).title}” is deleted.`, { task: id, undo, hold: stop, release });
  }

  /** Send the deletion. @param {string} id @param {boolean} [isLast] whether the page is being closed */
  function finish(id, isLast = false) {
    return inTurn(id, async () => {
      if (!leaving.has(id)) return; // taken back meanwhile
      state.notices = state.notices.filter((notice) => notice.task !== id);
      onChange();
      try {
        if (await isRemoved(id, isLast)) forget(id);
      } catch (error) {
        const problem = requireProblem(error);
        tell(`“${stored.get(id)?.title}” was not deleted: ${problem.message}`, { problem });
      }
      leaving.delete(id);
      onChange();
    });
  }

  /** @param {string} id @param {boolean} isLast @returns {Promise<boolean>} false if the person prefers to keep a newer version */
  async function isRemoved(id, isLast) {
    for (;;) {
      try {
        await api.remove(/** @type {Task} */ (stored.get(id)), { keepalive: isLast });
        return true;
      } catch (error) {
        const { status } = requireProblem(error);
        if (status === 404) return true; // deleted elsewhere, or by an attempt whose answer was lost
        if (status !== 412) throw error;
        const theirs = await api.read(id);
        stored.set(id, theirs);
        if ((await ask(null, theirs)) === "theirs") return false;
      }
    }
  }

  /** Send the deletions that wait for an undo, because the page is being left. */
  function flush() {
    return Promise.all([...leaving.keys()].map((id) => finish(id, true)));
  }

  /** Whether the API has not confirmed everything yet. */
  const isBusy = () => unconfirmed.size + creations.size > 0;

  /** Return what would be lost with this page: what is being typed, and what the API has not confirmed. @returns {Unsaved} */
  function unsaved() {
    return {
      draft: state.draft,
      edits: [...state.edits.values()].filter(({ isSaving }) => !isSaving),
      creations: [...creations.values()],
      changes: [...unconfirmed].map(([id, changes]) => ({ task: /** @type {Task} */ (stored.get(id)), changes: Object.assign({}, ...changes) })),
    };
  }

  /** Go on with what `unsaved` has returned. @param {Unsaved} saved */
  function restore({ draft, edits, creations: created, changes: changed }) {
    state.draft = { ...draft, problem: undefined };
    for (const { before, values } of edits) state.edits.set(before.task_id, { before, values });
    for (const one of created) create(one);
    for (const { task, changes } of changed) {
      add(task);
      change(task.task_id, changes);
    }
  }

  /** @param {string} id @param {() => Promise<unknown>} work */
  function inTurn(id, work) {
    const turn = (queue.get(id) ?? Promise.resolve()).then(work);
    queue.set(id, turn);
    return turn;
  }

  /** @param {Task | null} mine @param {Task} theirs @returns {Promise<"mine" | "theirs">} */
  function ask(mine, theirs) {
    return new Promise((resolve) => {
      /** @type {Conflict} */
      const conflict = { mine, theirs, choose };
      /** @param {"mine" | "theirs"} choice */
      function choose(choice) {
        state.conflicts = state.conflicts.filter((other) => other !== conflict);
        onChange();
        resolve(choice);
      }
      state.conflicts.push(conflict);
      onChange();
    });
  }

  /** @param {string} id */
  function vanish(id) {
    tell(`“${stored.get(id)?.title}” was deleted elsewhere.`);
    forget(id);
  }

  /** @param {string} text @param {Omit<Notice, "id" | "text">} [more] */
  function tell(text, more = {}) {
    const id = ++lastNumber;
    state.notices = [...state.notices, { id, text, ...more }];
    onChange();
    return id;
  }

  /** @param {number} id */
  function close(id) {
    state.notices = state.notices.filter((notice) => notice.id !== id);
    onChange();
  }

  return { state, tasksOf, current, load: loaded.load, reload, create, edit, closeEdit, change, remove, flush, isBusy, unsaved, restore, close };
}

/** @param {Task} a @param {Task} b */
function byDueDate(a, b) {
  return `${a.due_at ?? "~"}#${a.task_id}` < `${b.due_at ?? "~"}#${b.task_id}` ? -1 : 1;
}
