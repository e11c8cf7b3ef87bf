// Turns dates into words, and back.

const DAY = 24 * 3600 * 1000;
const inDays = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const sameYear = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const otherYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "short" });

/** Return the due date of the API for a date field: the last second of that day here. @param {string} day */
export function dueAt(day) {
  return day ? `${new Date(`${day}T23:59:59`).toISOString().slice(0, 19)}Z` : null;
}

/** Return the value of a date field for a due date. @param {string | null} due */
export function dayOf(due) {
  if (!due) return "";
  const date = new Date(due);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

/** Return such as Today, Tomorrow, Fri 4 Dec, 3 days overdue. @param {string} due @param {number} now @param {boolean} isDone */
export function dueInWords(due, now, isDone) {
  const date = new Date(due);
  const days = Math.round((startOfDay(date.getTime()) - startOfDay(now)) / DAY);
  if (date.getTime() < now && !isDone) return days === 0 ? `Overdue since ${timeOfDay.format(date)}` : `${countDays(-days)} overdue`;
  const isEndOfDay = date.getHours() === 23 && date.getMinutes() === 59;
  const time = isEndOfDay ? "" : `, ${timeOfDay.format(date)}`;
  if (days >= 0 && days < 2) return capitalise(inDays.format(days, "day")) + time;
  return (date.getFullYear() === new Date(now).getFullYear() ? sameYear : otherYear).format(date) + time;
}

/** Return date and time in full. @param {string} instant */
export function inFull(instant) {
  return exact.format(new Date(instant));
}

/** Return such as 5 min, 3 h, 12 days. @param {number} milliseconds */
export function duration(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 1) return "under 1 min";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 60 * 24) return `${Math.floor(minutes / 60)} h`;
  return countDays(Math.floor(minutes / (60 * 24)));
}

/** @param {number} days */
function countDays(days) {
  return `${days} ${days === 1 ? "day" : "days"}`;
}

/** @param {number} time */
function startOfDay(time) {
  return new Date(time).setHours(0, 0, 0, 0);
}

/** @param {string} text */
function capitalise(text) {
  return text[0].toUpperCase() + text.slice(1);
}
