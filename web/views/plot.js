// How many tasks wait how long: a bar for each span of time, its parts by status. The table says the same to a screen reader.

import { html } from "../vendor/preact.js";

const HOUR = 3600_000;
const DAY = 24 * HOUR;
const SPANS = [
  { name: "under 1 h", below: HOUR },
  { name: "1–24 h", below: DAY },
  { name: "1–3 days", below: 3 * DAY },
  { name: "3–7 days", below: 7 * DAY },
  { name: "1–4 weeks", below: 28 * DAY },
  { name: "longer", below: Infinity },
];
const HEIGHT = 200;
const BASE = 160; // where the bars stand
const TOP = 28;

/** @param {{now: number, isComplete: boolean, groups: {status: string, name: string, created: string[]}[]}} props */
export function Plot({ now, isComplete, groups }) {
  const counts = groups.map(({ created }) => {
    const perSpan = SPANS.map(() => 0);
    for (const instant of created) perSpan[SPANS.findIndex(({ below }) => now - Date.parse(instant) < below)] += 1;
    return perSpan;
  });
  const totals = SPANS.map((_, span) => counts.reduce((sum, perSpan) => sum + perSpan[span], 0));
  const total = totals.reduce((sum, count) => sum + count, 0);
  const scale = (BASE - TOP) / Math.max(1, ...totals);
  const width = 100 / SPANS.length;

  return html`<figure class="plot">
    <figcaption><span><strong>${isComplete ? "" : "At least "}${total}</strong> ${total === 1 ? "task waits" : "tasks wait"}</span>
      ${groups.map(({ status, name }) => html`<span class="key" data-status=${status}>${name}</span>`)}</figcaption>
    <svg height=${HEIGHT} aria-hidden="true">
      ${SPANS.map((span, index) => {
        let y = BASE;
        return html`<g>
          ${groups.map(({ status }, group) => {
            const height = counts[group][index] * scale;
            y -= height;
            return html`<rect data-status=${status} x="${width * (index + 0.18)}%" width="${width * 0.64}%" y=${y} height=${height} />`;
          })}
          <text class="value" x="${width * (index + 0.5)}%" y=${y - 8}>${totals[index] || ""}</text>
          <text x="${width * (index + 0.5)}%" y=${BASE + 22}>${span.name}</text>
        </g>`;
      })}
      <line x1="0" x2="100%" y1=${BASE + 0.5} y2=${BASE + 0.5} />
    </svg>
    <table class="unseen">
      <caption>How many tasks wait how long</caption>
      <thead><tr><th scope="col">Age</th>${groups.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${SPANS.map((span, index) => html`<tr><th scope="row">${span.name}</th>${groups.map((_, group) => html`<td>${counts[group][index]}</td>`)}</tr>`)}</tbody>
    </table>
  </figure>`;
}
