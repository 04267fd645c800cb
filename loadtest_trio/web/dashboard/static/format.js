// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const count = (value) => (value == null ? "–" : whole.format(value));

export const number = (value) =>
  value == null ? "–" : Math.abs(value) >= 100 ? whole.format(value) : fine.format(value);

export function duration(milliseconds) {
  if (milliseconds == null) return "–";
  if (milliseconds >= 60000) return `${number(milliseconds / 60000)} min`;
  if (milliseconds >= 1000) return `${number(milliseconds / 1000)} s`;
  return `${number(milliseconds)} ms`;
}

export function uptime(seconds) {
  if (seconds == null) return "–";
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

export const clock = (timestamp) => new Date(timestamp).toLocaleTimeString("en-GB");

export const words = (name) => name.replaceAll("_", " ");

// A new element: `make("p", { class: "hint" }, "text", child)`.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// A table with a caption; the columns named in `texts` hold words.
export function table(caption, headings, rows, texts = []) {
  const cell = (tag, value, column) => make(tag, { class: texts.includes(column) && "words" }, value ?? "–");
  const head = make("tr", {}, ...headings.map((title, column) => {
    const heading = cell("th", title, column);
    heading.scope = "col";
    return heading;
  }));
  const body = rows.map((row) => make("tr", {}, ...row.map((value, column) => cell("td", value, column))));
  const all = make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, all);
}
