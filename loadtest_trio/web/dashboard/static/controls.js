// Controls: what may be changed while it runs. The service says which there are; a visitor who may not gets none.

import { ask } from "./ask.js";
import { make } from "./format.js";

export async function showControls() {
  const answer = await ask("GET", "controls");
  if (!answer.ok || !answer.body.controls.length) return;
  document.getElementById("knobs").replaceChildren(...answer.body.controls.map(knob));
  document.getElementById("controls").hidden = false;
}

function knob(control) {
  const id = `knob-${control.name}`;
  if (control.kind === "action") return button(control, control.label, () => true);
  const field = control.kind === "choice" ? choice(id, control) : entry(id, control);
  return make("fieldset", {},
    make("label", { for: id }, control.label), field, " ", button(control, "Set", () => field.value));
}

const choice = (id, control) => make("select", { id },
  ...control.choices.map((value) => make("option", { value, selected: value === control.value }, value)));

const entry = (id, control) => make("input", { id, value: control.value, inputmode: "decimal", autocomplete: "off" });

function button(control, text, read) {
  return make("button", {
    type: "button", "data-control": control.name, "aria-label": control.kind === "action" ? null : `Set ${control.label}`,
    onclick: async () => {
      if (control.confirm && !confirm(control.confirm)) return;
      const answer = await ask("POST", `controls/${control.name}`, { value: read() });
      document.getElementById("said").textContent = answer.ok ? answer.body.said : answer.body.error;
    },
  }, text);
}
