// The tasks that the API has sent, and the lists in which it has sent them, page by page.

import { Problem } from "./api.js";

/** @typedef {import("./api.js").Schemas["Task"]} Task */
/** @typedef {"pending" | "in_progress" | "done"} Status */
/** @typedef {Status | "all"} ListName */
/** @typedef {{ids: Set<string>, cursor: string | null | undefined, isLoading: boolean, problem: Problem | null}} List */

const PAGE = 30;

/** @returns {List} */
const emptyList = () => ({ ids: new Set(), cursor: undefined, isLoading: false, problem: null });

/**
 * @param {ReturnType<typeof import("./api.js").createApi>} api
 * @param {() => void} onChange called after each change
 */
export function createLoaded(api, onChange) {
  /** @type {Map<string, Task>} */
  const tasks = new Map();
  /** @type {Record<ListName, List>} */
  const lists = { all: emptyList(), pending: emptyList(), in_progress: emptyList(), done: emptyList() };

  /** Load the next page of a list; the first one if it was not loaded yet. @param {ListName} name */
  async function load(name) {
    const list = lists[name];
    if (list.isLoading || list.cursor === null) return;
    Object.assign(list, { isLoading: true, problem: null });
    onChange();
    try {
      await loadPage(name, list);
    } catch (error) {
      list.problem = requireProblem(error);
    }
    list.isLoading = false;
    onChange();
  }

  /** @param {ListName} name @param {List} list */
  async function loadPage(name, list) {
    const page = await api.list({ status: name === "all" ? undefined : name, cursor: list.cursor ?? undefined, limit: PAGE });
    for (const task of page.tasks) add(task, [list]);
    list.cursor = page.next_cursor;
  }

  /**
   * Load the lists that are shown anew, because somebody else may have changed them. What is shown stays meanwhile.
   * @param {(id: string) => boolean} isKept whether a task stays in its lists, because it is being changed here
   */
  async function reload(isKept) {
    const shown = Object.entries(lists).filter(([, list]) => list.cursor !== undefined && !list.isLoading);
    await Promise.all(shown.map(([name, list]) => renew(/** @type {ListName} */ (name), list, isKept)));
  }

  /** @param {ListName} name @param {List} list @param {(id: string) => boolean} isKept */
  async function renew(name, list, isKept) {
    const before = new Set(list.ids);
    const fresh = emptyList();
    list.isLoading = true;
    try {
      do await loadPage(name, fresh); while (fresh.cursor && fresh.ids.size < before.size);
      const kept = [...list.ids].filter((id) => isKept(id) || !before.has(id)); // the latter were added meanwhile
      Object.assign(list, { ids: new Set([...fresh.ids, ...kept]), cursor: fresh.cursor });
    } finally {
      list.isLoading = false;
      onChange();
    }
  }

  /** @param {Task} task @param {List[]} into */
  function add(task, into = [lists.all, lists[task.status]]) {
    if ((tasks.get(task.task_id)?.version ?? 0) <= task.version) tasks.set(task.task_id, task);
    for (const list of into) list.ids.add(task.task_id);
  }

  /** @param {string} id */
  function remove(id) {
    tasks.delete(id);
    for (const list of Object.values(lists)) list.ids.delete(id);
  }

  return { tasks, lists, load, reload, add, remove };
}

/** Return the error if the API has refused the request; raise any other. @param {unknown} error */
export function requireProblem(error) {
  if (error instanceof Problem) return error;
  throw error;
}
