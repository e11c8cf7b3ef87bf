// A client that @hey-api/openapi-ts writes with its defaults; run by test_generated_clients.py.

import { client } from "../generated/hey-api/client.gen";
import { createTask, listTasks, updateTask, type Task } from "../generated/hey-api";

declare const process: { env: { API: string; TOKEN: string } };

client.setConfig({ baseUrl: process.env.API, auth: process.env.TOKEN });

async function create(title: string, key: string) {
  const { data, response } = await createTask({ headers: { "Idempotency-Key": key }, body: { title } });
  if (!data) throw new Error(`createTask returned ${response?.status}`);
  return { task: data, etag: response.headers.get("ETag") ?? "", replayed: response.headers.get("Idempotency-Replayed") };
}

async function list() {
  const tasks: Task[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const { data } = await listTasks({ query: { limit: 2, cursor } });
    if (!data) throw new Error("no page");
    tasks.push(...data.tasks);
    cursor = data.next_cursor ?? undefined;
    pages += 1;
  } while (cursor);
  return { tasks, pages };
}

async function main() {
  const first = await create("Task 0", "key-0");
  const again = await create("Task 0", "key-0");
  console.log("created", first.task.title, first.task.status, first.replayed);
  console.log("again", again.task.task_id === first.task.task_id, again.replayed);

  for (const number of [1, 2, 3, 4]) await create(`Task ${number}`, `key-${number}`);
  const { tasks, pages } = await list();
  console.log("listed", tasks.map((task) => task.title).join(), pages);

  const path = { task_id: first.task.task_id };
  const done = await updateTask({ path, headers: { "If-Match": first.etag }, body: { status: "done" } });
  console.log("changed", done.data?.status, done.data?.version);
  const stale = await updateTask({ path, headers: { "If-Match": first.etag }, body: { title: "Other" } });
  if (stale.error?.type === "urn:problem:precondition-failed") console.log("stale", stale.error.status, stale.response?.headers.get("ETag"));

  const { error } = await createTask({ body: { title: "" } });
  if (error?.type === "urn:problem:validation") console.log("refused", error.errors.map((one) => one.pointer).join());
}

main();
