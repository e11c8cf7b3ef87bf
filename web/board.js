// The state of the page, and what a person can do to it. A change is shown at once and sent behind it, one at a time for
// each task, because each needs the version that the one before has made.

import { Problem } from "./api.js";

/** @typedef {import("./api.js").Schemas["Task"]} Task */
/** @typedef {import("./api.js").Schemas["TaskChanges"]} Changes */
/** @typedef {"pending" | "in_progress" | "done"} Status */
/** @typedef {Status | "all"} ListName */
/** @typedef {{ids: Set<string>, cursor: string | null | undefined, isLoading: boolean, problem: Error | null}} List */
/** @typedef {{mine: Task | null, theirs: Task, choose: (choice: "mine" | "theirs") => void}} Conflict mine is null for a deletion */
/** @typedef {{id: number, text: string, problem?: Problem, undo?: () => void, hold?: () => void, release?: () => void}} Notice */
/** @typedef {{title: string, due: string, problem: Problem | null}} Draft */

/** @type {{status: Status, name: string}[]} */
export const STATUSES = [
  { status: "pending", name: "Pending" },
  { status: "in_progress", name: "In progress" },
  { status: "done", name: "Done" },
];

const PAGE = 30;
const UNDO_SECONDS = 8;

/** @returns {List} */
const emptyList = () => ({ ids: new Set(), cursor: undefined, isLoading: false, problem: null });

/**
 * @param {ReturnType<typeof import("./api.js").createApi>} api
 * @param {() => void} onChange called after each change of the state
 */
export function createBoard(api, onChange) {
  /** @type {Map<string, Task>} what the API has sent, by id */
  const stored = new Map();
  /** @type {Map<string, Changes[]>} what was changed here and not yet confirmed, oldest first */
  const unconfirmed = new Map();
  /** @type {Map<string, Promise<unknown>>} the last request for each task */
  const queue = new Map();
  /** @type {Map<string, number>} what is deleted unless the person takes it back, with the timer of that */
  const leaving = new Map();

  const state = {
    /** @type {Record<ListName, List>} */
    lists: { all: emptyList(), pending: emptyList(), in_progress: emptyList(), done: emptyList() },
    /** @type {Map<string, Problem>} the last refused change of a task */
    problems: new Map(),
    /** @type {Conflict[]} */
    conflicts: [],
    /** @type {Notice[]} */
    notices: [],
    /** @type {Draft} */
    draft: { title: "", due: "", problem: null },
  };
  let lastNumber = 0;

  /** Return a task with the changes that are on their way. @param {string} id @returns {Task} */
  function current(id) {
    return Object.assign({}, stored.get(id), ...(unconfirmed.get(id) ?? []));
  }

  /** Return the tasks of a list that have been loaded, in the order of the API. @param {ListName} name */
  function tasksOf(name) {
    const known = [...state.lists[name].ids].filter((id) => stored.has(id) && !leaving.has(id)).map(current);
    const shown = known.filter((task) => name === "all" || task.status === name);
    return name === "all" ? shown.sort((a, b) => (a.task_id < b.task_id ? 1 : -1)) : shown.sort(byDueDate);
  }

  /** Load the next page of a list; the first one if it was not loaded yet. @param {ListName} name */
  async function load(name) {
    const list = state.lists[name];
    if (list.isLoading || list.cursor === null) return;
    Object.assign(list, { isLoading: true, problem: null });
    onChange();
    try {
      const page = await api.list({ status: name === "all" ? undefined : name, cursor: list.cursor, limit: PAGE });
      for (const task of page.tasks) add(task, [name]);
      list.cursor = page.next_cursor;
    } catch (error) {
      list.problem = /** @type {Error} */ (error);
    }
    list.isLoading = false;
    onChange();
  }

  /** Load all lists anew, because somebody else may have changed them. */
  function reload() {
    for (const name of /** @type {ListName[]} */ (Object.keys(state.lists))) {
      if (state.lists[name].cursor === undefined) continue; // not shown yet
      state.lists[name] = emptyList();
      load(name);
    }
  }

  /** @param {Task} task @param {ListName[]} names */
  function add(task, names = ["all", task.status]) {
    if ((stored.get(task.task_id)?.version ?? 0) <= task.version) stored.set(task.task_id, task);
    for (const name of names) state.lists[name].ids.add(task.task_id);
  }

  /** @param {string} id */
  function forget(id) {
    stored.delete(id);
    unconfirmed.delete(id);
    state.problems.delete(id);
    for (const list of Object.values(state.lists)) list.ids.delete(id);
  }

  /** @param {string} title @param {string | null} due_at @param {string} day what the date field contained */
  async function create(title, due_at, day) {
    const now = new Date().toISOString();
    const id = `~${++lastNumber}`; // until the API gives one; sorts as the newest
    add({ task_id: id, title, description: "", status: "pending", due_at, created_at: now, updated_at: now, version: 0 });
    state.draft = { title: "", due: "", problem: null };
    onChange();
    try {
      const task = await api.create({ title, due_at });
      forget(id);
      add(task);
    } catch (error) {
      forget(id);
      const problem = requireProblem(error);
      if (state.draft.title) tell(`“${title}” was not created: ${problem.message}`, { problem });
      else state.draft = { title, due: day, problem };
    }
    onChange();
  }

  /** Change a task; the promise ends when that is settled, with the problem if it was refused. @param {string} id @param {Changes} changes */
  async function change(id, changes) {
    unconfirmed.set(id, [...(unconfirmed.get(id) ?? []), changes]);
    state.problems.delete(id);
    if (changes.status) state.lists[changes.status].ids.add(id);
    onChange();
    /** @type {Problem | null} */
    let refused = null;
    await inTurn(id, async () => {
      try {
        add(await settle(id, changes));
      } catch (error) {
        refused = requireProblem(error);
        if (refused.status === 404) vanish(id);
        else state.problems.set(id, refused);
      }
      unconfirmed.set(id, (unconfirmed.get(id) ?? []).filter((other) => other !== changes));
      onChange();
    });
    return refused;
  }

  /** Send a change until it is made, or the person prefers what somebody else has made of the task. @param {string} id @param {Changes} changes */
  async function settle(id, changes) {
    for (;;) {
      const known = /** @type {Task} */ (stored.get(id));
      try {
        return await api.change(known, changes);
      } catch (error) {
        if (requireProblem(error).status !== 412) throw error;
        const theirs = await api.read(id);
        // An attempt whose answer was lost may have made this very version.
        const isMade = Object.entries(changes).every(([name, value]) => theirs[/** @type {keyof Task} */ (name)] === value);
        if (isMade && theirs.version === known.version + 1) return theirs;
        const mine = Object.assign({}, known, changes);
        if ((await ask(mine, theirs)) === "theirs") return theirs;
        stored.set(id, theirs);
      }
    }
  }

  /** Delete a task after some seconds in which the person can take it back. @param {string} id */
  function remove(id) {
    if (leaving.has(id) || id.startsWith("~")) return;
    const undo = () => {
      stop();
      leaving.delete(id);
      close(notice);
    };
    const start = () => { leaving.set(id, setTimeout(() => { close(notice); finish(id); }, UNDO_SECONDS * 1000)); };
    const stop = () => clearTimeout(leaving.get(id));
    start();
    const notice = tell(`“${current(id).title}” is deleted.`, { undo, hold: stop, release: start });
  }

  /** Send the deletion. @param {string} id @param {boolean} [isLast] whether the page is being closed */
  function finish(id, isLast = false) {
    return inTurn(id, async () => {
      if (!leaving.has(id)) return; // taken back meanwhile
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

  /** Send what waits for its undo to run out, when the page is closed. */
  function flush() {
    for (const id of leaving.keys()) finish(id, true);
  }

  /** Whether something would be lost if the page were closed. */
  function isBusy() {
    return [...unconfirmed.values()].some((changes) => changes.length) || [...stored.keys()].some((id) => id.startsWith("~"));
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

  return { state, tasksOf, current, load, reload, create, change, remove, flush, isBusy, tell, close };
}

/** @param {Task} a @param {Task} b */
function byDueDate(a, b) {
  return `${a.due_at ?? "~"}#${a.task_id}` < `${b.due_at ?? "~"}#${b.task_id}` ? -1 : 1;
}

/** Return the error if the API has refused the request; raise any other. @param {unknown} error */
function requireProblem(error) {
  if (error instanceof Problem) return error;
  throw error;
}
