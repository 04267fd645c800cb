// What one sees first: a sentence, a banner when something is wrong, and nine figures.

import { count, duration, make, number, uptime } from "./format.js";

const runTiles = [
  ["Phase", (line) => [line.phase === "precondition" ? "filling" : line.phase]],
  ["Up", (line) => [uptime(line.uptime_seconds)]],
  ["Done/s", (line) => [number(line.rate_per_second)]],
  ["99 of 100 within", (line) => [duration(line.end_to_end_p99_ms)]],
  ["Errors", (line, before) => [count(line.errors), gained(line, before)]],
  ["Waiting", (line) => [count(line.queue_length)]],
  ["CPU", (line) => [`${number(line.cpu_percent)} %`, ...share(line.cpu_percent, 100 * (line.cpu_limit ?? 1), "%", "busy")]],
  ["Memory", (line) => [`${count(line.memory_mb)} MB`, ...share(line.memory_mb, line.memory_limit_mb, "MB", "bad")]],
  ["Own lag", (line) => [duration(Math.max(line.loop_lag_ms ?? 0, line.schedule_lag_ms ?? 0)), "at most"]],
];

const userTiles = [
  ["Users", (line) => [count(line.users), line.users === line.users_wanted ? "" : `of ${count(line.users_wanted)}`]],
  ["Requests/s", (line) => [number(line.requests_per_second)]],
  ["Median answer", (line) => [duration(line.p50_ms)]],
  ["99 of 100 within", (line) => [duration(line.p99_ms)]],
  ["Failed", (line) => [count(line.failures), "lately", null, line.failures ? "bad" : null]],
  ["Jobs done/s", (line) => [number(line.jobs?.finished_per_second)]],
  ["Jobs open", (line) => [count(line.jobs?.open)]],
  ["Step", (line) => [count(line.step), line.phase]],
  ["Generator's CPU", (line) => [`${number(line.generator?.cpu_percent)} %`, ...share(line.generator?.cpu_percent, 100, "%", "busy")]],
];

function gained(line, before) {
  const more = before ? line.errors - before.errors : 0;
  return more > 0 ? [`+${count(more)}`, null, "busy"] : [""];
}

function share(value, most, unit, level) {
  if (value == null || !most) return [""];
  return [`of ${count(most)} ${unit}`, Math.min(1, value / most), value / most >= 0.9 ? level : null];
}

export function showGlance(store) {
  const { latest, situation } = store;
  const glance = document.getElementById("glance");
  if (situation) {
    glance.dataset.level = situation.level;
    setText("headline", situation.headline);
    showBanner(situation);
    document.title = `${{ bad: "✖ ", busy: "▲ ", good: "● " }[situation.level] ?? ""}loadtest_trio`;
  }
  showAbout(store.started ?? store.of("users_started").at(-1) ?? store.of("tune_started").at(-1));
  if (store.users.length) showTiles(userTiles, store.users.at(-1), store.users.at(-2));
  else if (latest) showTiles(runTiles, latest, store.metrics.at(-2));
}

function setText(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

function showBanner({ level, reasons, comfort }) {
  const banner = document.getElementById("banner");
  banner.dataset.level = level;
  const lines = reasons.length ? reasons : [comfort].filter(Boolean);
  const said = lines.join("\n");
  if (banner.dataset.said !== said) {
    banner.dataset.said = said;
    banner.replaceChildren(...lines.map((text) => make("p", {}, text)));
  }
  banner.setAttribute("role", reasons.length ? "alert" : "status");
  banner.hidden = !lines.length;
}

function showAbout(started) {
  if (!started) return;
  const { settings = {}, machine = {}, host, scenario, profile } = started;
  const what = host ? `${scenario} against ${host}, ${profile}` : `${settings.ROLES ?? ""} on queue ${settings.QUEUE_NAME ?? "?"}`;
  setText("about", `${what} · ${machine.cpus ?? "?"} CPUs`);
}

function showTiles(tiles, line, before) {
  const shown = tiles.map(([title, read]) => {
    const [value, ...rest] = read(line, before);
    const [note, filled, level] = Array.isArray(rest[0]) ? rest[0] : rest;
    const bar = filled == null ? null : make("span", { class: "meter" }, make("i", { style: `width:${100 * filled}%` }));
    return make("div", { class: "tile", "data-level": level, "data-tile": title },
      make("dt", {}, title), make("dd", {}, value, " ", note ? make("small", {}, note) : null, bar));
  });
  document.getElementById("tiles").replaceChildren(...shown);
}
