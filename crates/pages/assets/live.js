// Keeps a page current: when an event tells of a change, and every half minute, for much goes wrong without any event, the page is
// read again and what is shown of it replaced. Without this the page says the same, as of when it was loaded.
"use strict";

const QUIET_MS = 1500;
const OFTEN_MS = 30000;
const STALE = "not live: reload the page";
const live = document.getElementById("live");
// The page's own address may hold a password, which nothing may be asked with.
const here = (path) => new URL(path, location.origin);
let due = null;

async function refresh() {
  const answer = await fetch(here(location.pathname), { headers: { accept: "text/html" } });
  if (!answer.ok) return say(STALE);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  if (fresh === null) return say(STALE);
  // Who reads or selects is not interrupted.
  if (live.contains(document.activeElement) || String(getSelection()) !== "") return say("paused while you read");
  live.replaceChildren(...fresh.childNodes);
  say("live");
}

function say(text) {
  const pulse = document.getElementById("pulse");
  if (pulse !== null && pulse.textContent !== ` · ${text}`) pulse.textContent = ` · ${text}`;
}

// Many changes make one reading.
function readSoon() {
  if (due !== null) return;
  due = setTimeout(() => {
    due = null;
    refresh().catch(() => say(STALE));
  }, QUIET_MS);
}

const events = new EventSource(here("/api/events"));
events.addEventListener("open", () => say("live"));
events.addEventListener("error", () => say(STALE));
events.addEventListener("job", () => readSoon());
setInterval(readSoon, OFTEN_MS);
