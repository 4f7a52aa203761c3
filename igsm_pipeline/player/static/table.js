// Every quantity and every task: how strongly the probe believes it, as a number on a bar, outlined where it is true.

import { beliefOf, isPair, longWords, percent } from "./belief.js";
import { el } from "./elements.js";

/** The table; `pick` is called with a task, `focus` with a quantity. */
export function beliefTable(scene, state, tasks, current, pick, focus) {
  const order = scene.parameters.map((_, index) => index).sort((a, b) => rank(scene.parameters[a]) - rank(scene.parameters[b]));
  const heads = tasks.map((task) => {
    const chosen = task.name === state.task;
    const button = el(
      "button",
      { type: "button", "aria-pressed": String(chosen), "data-value": task.name, title: task.question, onclick: () => pick(task.name) },
      task.short,
    );
    return el("th", { scope: "col", role: "columnheader", class: chosen ? "chosen" : null }, button);
  });
  const rows = order.map((index) => row(scene, state, tasks, index, current, focus));
  return el(
    "table",
    { role: "table" },
    el(
      "caption",
      {},
      `Every question about every quantity. A number is the probability that the probe gives to yes (for the value: to that number). “Rests on it”
      asks what ${scene.parameters[state.focus].name} rests on: click another name to look at that one.`,
    ),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, el("th", { scope: "col", role: "columnheader" }, "quantity"), heads)),
    el("tbody", { role: "rowgroup" }, rows),
  );
}

function rank(one) {
  return one.layer === null ? 1e6 : 1000 * one.layer + one.place;
}

function row(scene, state, tasks, index, current, focus) {
  const one = scene.parameters[index];
  const marks = [
    index === scene.query ? "asked for" : null,
    index === current ? "▸ this sentence" : null,
    one.graph ? null : "nothing uses it",
  ].filter(Boolean);
  const name = el("button", { type: "button", "data-index": index, title: "look at what this one rests on", onclick: () => focus(index) }, one.name);
  const head = el(
    "th",
    { scope: "row", role: "rowheader" },
    name,
    ` = ${one.value}`,
    marks.map((words) => el("small", {}, words)),
  );
  const classes = [index === current ? "now" : "", index === scene.query ? "asked" : "", index === state.focus ? "focus" : ""].join(" ").trim();
  return el(
    "tr",
    { role: "row", class: classes || null, "data-index": index },
    head,
    tasks.map((task) => cell(scene, state, task, index)),
  );
}

function cell(scene, state, task, index) {
  const belief = beliefOf(scene, state, task.name, index);
  const chosen = task.name === state.task ? " chosen" : "";
  const itself = isPair(scene, task.name) && index === state.focus;
  if (!belief) return el("td", { role: "cell", class: `none${chosen}`, "data-label": task.short }, itself ? "itself" : "–");
  const strong = belief.none !== undefined && belief.said === "none yet" ? belief.none : belief.strength;
  const words = belief.none !== undefined ? `${belief.said === "none yet" ? "none" : belief.said} · ` : "";
  return el(
    "td",
    {
      role: "cell",
      class: `belief ${belief.holds ? "true" : "untrue"}${belief.wrong ? " mistaken" : ""}${chosen}`,
      "data-task": task.name,
      "data-label": task.short,
    },
    el(
      "span",
      { class: "box", "aria-hidden": "true" },
      el("span", { class: "bar", style: `width:${100 * belief.strength}%` }),
      el("span", { class: "amount" }, words, percent(strong)),
      belief.wrong ? el("span", { class: "unequal" }, "≠") : null,
    ),
    el("span", { class: "unseen" }, longWords(belief)),
  );
}
