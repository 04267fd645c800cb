// The page: sections appear when there are lines for them, and every line redraws what is on the screen.

import { showControls } from "./controls.js";
import { clock, make } from "./format.js";
import { showGlance } from "./glance.js";
import { Store } from "./store.js";
import { follow } from "./stream.js";
import { jobs } from "./view_jobs.js";
import { load } from "./view_load.js";
import { queue } from "./view_queue.js";
import { run } from "./view_run.js";
import { tune } from "./view_tune.js";
import { crowd } from "./view_users.js";

const views = [crowd, tune, jobs, run, queue, load];
const store = new Store();
const built = new Map(); // a view's id -> its parts, in order
const visible = new Set(); // parts on the screen: others are drawn when they come there
const partOf = new Map();

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const part = partOf.get(entry.target);
    if (entry.isIntersecting) {
      visible.add(part);
      part.update(store);
    } else {
      visible.delete(part);
    }
  }
}, { rootMargin: "200px" });

function build(view) {
  const parts = view.build();
  const grid = make("div", { class: "grid" }, ...parts.map((part) => part.element));
  const section = make("section", { class: "view", id: view.id, "aria-labelledby": `${view.id}-title` },
    make("h2", { id: `${view.id}-title` }, view.title), grid);
  built.set(view.id, parts);
  const following = views.slice(views.indexOf(view) + 1).map(({ id }) => document.getElementById(id)).find(Boolean);
  document.getElementById("views").insertBefore(section, following ?? null);
  for (const part of parts) {
    partOf.set(part.element, part);
    watcher.observe(part.element);
    if (!part.plot) visible.add(part); // cheap, and some show themselves only when there is something
  }
  const links = views.filter(({ id }) => built.has(id)).map(({ id, title }) => make("a", { href: `#${id}` }, title));
  document.getElementById("sections").replaceChildren(...links);
}

function draw() {
  showGlance(store);
  for (const view of views) {
    if (!built.has(view.id) && view.exists(store)) build(view);
  }
  for (const part of partOf.values()) {
    if (visible.has(part) || part.element.hidden) part.update(store);
  }
  const latest = store.latest;
  if (latest) document.getElementById("seen").textContent = `Latest: ${clock(latest.timestamp)}.`;
}

let planned = false;

function changed() {
  if (planned) return;
  planned = true;
  // One picture for all lines that came together; a hidden page draws nothing until it is looked at.
  requestAnimationFrame(() => {
    planned = false;
    draw();
  });
}

const LINK = { live: "live", gone: "no connection", replay: "replay of a finished run", connecting: "connecting" };

function linkChanged(state) {
  const link = document.getElementById("link");
  link.dataset.state = state;
  link.textContent = LINK[state];
}

document.getElementById("span").addEventListener("change", (event) => {
  store.span = Number(event.target.value);
  changed();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
follow(store, changed, linkChanged);
showControls();
