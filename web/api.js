// Sends requests to the API, and sends them again until there is a response: after a lost connection, a 429 or a 503.
//
// To send a request twice is safe here. Creating has an Idempotency-Key, the same at every attempt, so one task is made.
// Changing and deleting have If-Match, so a second attempt after a success gets 412 or 404 and changes nothing; the caller
// recognises that by `repeated`.

import { SignedOut } from "./auth.js";

/** @typedef {import("./openapi").components["schemas"]} Schemas */
/** @typedef {"offline" | "unreachable" | "busy"} Reason */
/** @typedef {{reason: Reason, until: number}} Wait why a request waits, and until when, in milliseconds since 1970 */

const TIMEOUT_SECONDS = 20; // more than the API takes at most
const LONGEST_PAUSE_SECONDS = 20;
const MOST_REFUSALS = 5; // how often 429 and 503 are waited for, before the person is told

/** An error response of the API (RFC 9457). */
export class Problem extends Error {
  /** @param {Response} response @param {any} body @param {boolean} repeated */
  constructor(response, body, repeated) {
    super(body?.detail ?? body?.title ?? `The API responded with status ${response.status}.`);
    this.status = response.status;
    this.requestId = response.headers.get("X-Request-Id") ?? "";
    this.repeated = repeated;
    /** @type {{pointer?: string, detail: string}[]} */
    this.errors = body?.errors ?? [];
  }

  /** Return what is wrong with a member of the body. @param {string} member @param {string} name what the page calls it */
  about(member, name = member) {
    const error = this.errors.find(({ pointer }) => pointer === `/${member}`);
    return error ? `${name} ${error.detail}` : "";
  }
}

/**
 * @param {string} address
 * @param {{token: () => Promise<string>, renew: () => Promise<void>}} auth
 * @param {(waits: Wait[]) => void} onWait called when a request starts to wait, and when one has ended
 */
export function createApi(address, auth, onWait) {
  /** @type {Set<Wait>} */
  const waits = new Set();

  /**
   * Return the body of a successful response, null if it has none.
   * @param {string} method
   * @param {string} path
   * @param {{body?: object, headers?: Record<string, string>, keepalive?: boolean}} [options]
   */
  async function send(method, path, { body, headers = {}, keepalive = false } = {}) {
    /** @type {Wait} */
    const wait = { reason: "busy", until: 0 };
    let attempts = 0, refusals = 0, renewed = false;

    /** @param {Reason} reason @param {number} seconds */
    async function pause(reason, seconds) {
      waits.add(Object.assign(wait, { reason, until: Date.now() + seconds * 1000 }));
      onWait([...waits]);
      await Promise.race([sleep(seconds), online(reason)]);
    }

    try {
      for (;; attempts += 1) {
        let response, received;
        try {
          response = await fetch(address + path, {
            method,
            keepalive,
            headers: { Authorization: `Bearer ${await auth.token()}`, ...(body && { "Content-Type": "application/json" }), ...headers },
            body: body && JSON.stringify(body),
            signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000),
          });
          received = await response.text(); // the connection may break here as well
        } catch (error) {
          if (error instanceof SignedOut) throw error;
          await pause(navigator.onLine ? "unreachable" : "offline", Math.min(2 ** attempts, LONGEST_PAUSE_SECONDS));
          continue;
        }
        if (response.status === 401 && !renewed) { // the clock of this machine may be wrong, or the token was revoked
          renewed = true;
          await auth.renew();
          continue;
        }
        const isRunning = response.status === 409 && "Idempotency-Key" in headers; // the first attempt, whose answer was lost
        if ((response.status === 429 || response.status === 503 || isRunning) && refusals < MOST_REFUSALS) {
          refusals += 1;
          await pause("busy", Number(response.headers.get("Retry-After") ?? 1));
          continue;
        }
        const isJson = /json/.test(response.headers.get("Content-Type") ?? "");
        const value = received && isJson ? JSON.parse(received) : null;
        if (response.ok) return value;
        throw new Problem(response, value, attempts > 0);
      }
    } finally {
      if (waits.delete(wait)) onWait([...waits]);
    }
  }

  return {
    /**
     * @param {{status?: string, cursor?: string | null, limit?: number}} query
     * @returns {Promise<Schemas["TaskPage"]>}
     */
    list: (query) => send("GET", `/tasks?${parameters(query)}`),

    /**
     * @param {{status: string, cursor?: string | null, limit?: number}} query
     * @returns {Promise<Schemas["AllTasksPage"]>}
     */
    listOfAll: (query) => send("GET", `/admin/tasks?${parameters(query)}`),

    /** @param {string} id @returns {Promise<Schemas["Task"]>} */
    read: (id) => send("GET", `/tasks/${id}`),

    /** @param {Schemas["NewTask"]} task @returns {Promise<Schemas["Task"]>} */
    create: (task) => send("POST", "/tasks", { body: task, headers: { "Idempotency-Key": crypto.randomUUID() } }),

    /**
     * Change the version of the task that is known here; a newer one is a Problem with status 412.
     * @param {Schemas["Task"]} task
     * @param {Schemas["TaskChanges"]} changes
     * @returns {Promise<Schemas["Task"]>}
     */
    change: (task, changes) => send("PATCH", `/tasks/${task.task_id}`, { body: changes, headers: { "If-Match": `"${task.version}"` } }),

    /** @param {Schemas["Task"]} task @param {{keepalive?: boolean}} [options] @returns {Promise<null>} */
    remove: (task, options) =>
      send("DELETE", `/tasks/${task.task_id}`, { headers: { "If-Match": `"${task.version}"` }, ...options }),
  };
}

/** @param {Record<string, string | number | null | undefined>} query */
function parameters(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}

/** @param {number} seconds */
function sleep(seconds) {
  return new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
}

/** Resolve when the network is back, if its absence is the reason. @param {Reason} reason */
function online(reason) {
  return new Promise((resolve) => { if (reason !== "busy") addEventListener("online", resolve, { once: true }); });
}
