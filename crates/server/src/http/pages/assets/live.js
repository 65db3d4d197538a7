// Keeps the overview current: when jobs change, the page is read again and what is shown of it replaced. Without this the page
// says the same, as of when it was loaded.
"use strict";

const QUIET_MS = 1500;
const live = document.getElementById("live");
// The page's own address may hold a password, which nothing may be asked with.
const here = (path) => new URL(path, location.origin);
let due = null;

async function refresh() {
  due = null;
  const answer = await fetch(here(location.pathname), { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  if (fresh === null) return;
  // Who reads or selects is not interrupted.
  if (live.contains(document.activeElement) || String(getSelection()) !== "") return;
  live.replaceChildren(...fresh.childNodes);
  say("live");
}

function say(text) {
  const pulse = document.getElementById("pulse");
  if (pulse !== null && pulse.textContent !== ` · ${text}`) pulse.textContent = ` · ${text}`;
}

const events = new EventSource(here("/api/events"));
events.addEventListener("open", () => say("live"));
events.addEventListener("error", () => say("not live: reload to see more"));
events.addEventListener("job", () => {
  // Many changes make one reading.
  if (due === null) due = setTimeout(() => refresh().catch(() => say("not live: reload to see more")), QUIET_MS);
});
