// The player: one document at a time, and what of it is shown.

import { agreement, percent, strongest } from "./belief.js";
import { choice, el } from "./elements.js";
import { fitState, readFragment, writeFragment } from "./fragment.js";
import { drawGraph } from "./graph.js";
import { beliefTable } from "./table.js";
import { problemText, solutionText } from "./text.js";

const SOLUTIONS = [
  ["own", "the model's own"],
  ["reference", "reference"],
];
const WEIGHTS = [
  ["trained", "trained"],
  ["random", "random (control)"],
];
const KINDS = { solved: "solved", redundant: "solved with needless work", wrong: "wrong", drawn: "drawn" };

/**
 * Put a player into an element.
 * @param root where it goes; its attribute data-keys="page" lets it hear keys wherever the focus is.
 * @param about {tasks: [{name, short, question, when}]}
 * @param scenes the documents to choose from.
 * @returns {{show: function(object): void}} shows another document, for pages that make new ones.
 */
export function mountPlayer(root, about, scenes) {
  const known = about.tasks.map((task) => task.name);
  const first = known.includes("nece_next") ? ["nece_next", ...known.filter((name) => name !== "nece_next")] : known;
  const places = Object.fromEntries(
    ["picker", "controls", "steps", "summary", "text", "graph", "table"].map((name) => [name, root.querySelector(`[data-part=${name}]`)]),
  );
  let [scene, state, drawn] = [null, {}, 0];

  function show(next, asked = {}) {
    if (!scenes.some((one) => one.id === next.id)) scenes.push(next);
    scene = next;
    state = fitState(scene, first, { ...state, step: 0, focus: NaN, ...asked });
    draw();
  }

  function change(part, { keep = true } = {}) {
    state = fitState(scene, first, { ...state, ...part });
    if (keep) history.replaceState(null, "", writeFragment(scene, state));
    draw();
  }

  const steps = () => scene.solutions[state.solution].sentences.length;
  const go = (step) => change({ step: Math.min(Math.max(step, 0), steps()) });

  function draw() {
    const held = heldFocus();
    const told = scene.solutions[state.solution];
    const current = state.step > 0 ? told.sentences[state.step - 1].parameter : null;
    drawPicker();
    const arms = WEIGHTS.filter(([name]) => name in scene.beliefs);
    places.controls.replaceChildren(
      choice(
        "Solution",
        SOLUTIONS.filter(([name]) => name in scene.solutions),
        state.solution,
        (solution) => change({ solution, step: 0 }),
      ),
      choice("Weights", arms, state.weights, (weights) => change({ weights })),
      choice(
        "Question to the probe",
        about.tasks.map((task) => [task.name, task.short, task.question]),
        state.task,
        (task) => change({ task }),
      ),
    );
    places.steps.replaceChildren(...stepButtons());
    places.summary.replaceChildren(...summary());
    places.text.replaceChildren(problemText(scene, current), solutionText(scene, state, go));
    drawWide(current);
    places.table.replaceChildren(
      beliefTable(
        scene,
        state,
        about.tasks,
        current,
        (task) => change({ task }),
        (focus) => change({ focus }),
      ),
    );
    held();
  }

  function drawWide(current) {
    drawn = places.graph.clientWidth;
    const width = Math.max(260, Math.floor(drawn || 600));
    const drawing = drawGraph(scene, state, current, width, (focus) => change({ focus }));
    places.graph.replaceChildren(el("h3", {}, "The quantities, and what each is computed from"), drawing);
  }

  function drawPicker() {
    if (!places.picker || scenes.length < 2) return;
    const groups = new Map();
    for (const one of scenes) {
      const words = `${KINDS[one.kind]}: ${one.op} operations, ${one.question}`;
      const option = el("option", { value: one.id, selected: one === scene }, words);
      groups.set(one.slice, [...(groups.get(one.slice) ?? []), option]);
    }
    const select = el(
      "select",
      { onchange: (event) => choose(event.target.value) },
      [...groups].map(([slice, options]) => el("optgroup", { label: slice }, options)),
    );
    places.picker.replaceChildren(el("label", {}, el("span", { class: "label" }, "Problem"), select));
  }

  function choose(id) {
    show(scenes.find((one) => one.id === id) ?? scenes[0]);
    history.replaceState(null, "", writeFragment(scene, state));
  }

  function stepButtons() {
    const button = (words, label, step, off) =>
      el("button", { type: "button", "aria-label": label, title: label, disabled: off, "data-go": label, onclick: () => go(step) }, words);
    const [at, end] = [state.step, steps()];
    const where = at === 0 ? "Before the first word" : `After sentence ${at} of ${end}`;
    return [
      button("|◀", "to the start (Home)", 0, at === 0),
      button("◀", "one sentence back (left arrow)", at - 1, at === 0),
      el("strong", { class: "where" }, where),
      button("▶", "next sentence (right arrow or space)", at + 1, at === end),
      button("▶|", "to the end (End)", end, at === end),
    ];
  }

  function summary() {
    const task = about.tasks.find((one) => one.name === state.task);
    const [right, asked] = agreement(scene, state, state.task);
    const question = state.task === "dep" ? `Does ${scene.parameters[state.focus].name} rest on it? (click a box to look at another)` : task.question;
    const early =
      task.when === "steps" ? "" : task.when === "prompt" ? " Read once, at the end of the question." : " Read once, at the end of the statements.";
    const judged = asked ? `The probe is right about ${right} of ${asked} quantities.` : "No probe of this question was trained on these weights.";
    const most = strongest(scene, state, state.task);
    const surest = most ? ` Surest of yes: ${scene.parameters[most.index].name} (${percent(most.strength)}).` : "";
    return [el("span", { class: "asks" }, `“${question}”${early}`), " ", el("strong", {}, judged), surest];
  }

  function heldFocus() {
    const active = document.activeElement;
    if (!active || !root.contains(active) || active === root) return () => {};
    const marks = ["data-go", "data-step", "data-value", "data-index"]
      .filter((name) => active.hasAttribute(name))
      .map((name) => `[${name}="${active.getAttribute(name)}"]`);
    const part = active.closest("[data-part]")?.dataset.part;
    if (!marks.length || !part) return () => root.focus({ preventScroll: true });
    return () => {
      const again = places[part]?.querySelector(`${active.tagName}${marks[0]}`);
      (again && !again.disabled ? again : root).focus({ preventScroll: true });
    };
  }

  function onKey(event) {
    if (!scene || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, input, textarea")) return;
    const moves = { ArrowRight: state.step + 1, ArrowLeft: state.step - 1, Home: 0, End: steps() };
    if (event.key === " " && !event.target.closest("button, summary")) moves[" "] = event.shiftKey ? state.step - 1 : state.step + 1;
    if (!(event.key in moves)) return;
    event.preventDefault();
    go(moves[event.key]);
  }

  function fromAddress() {
    const asked = readFragment(location.hash);
    const found = asked && scenes.find((one) => one.id === asked.problem);
    if (found) show(found, asked);
    return Boolean(found);
  }

  (root.dataset.keys === "page" ? document : root).addEventListener("keydown", onKey);
  addEventListener("hashchange", fromAddress);
  new ResizeObserver(() => {
    if (scene && places.graph.clientWidth !== drawn) draw();
  }).observe(places.graph);
  if (fromAddress()) root.scrollIntoView({ block: "start" });
  else if (scenes.length) show(scenes[0]);
  return { show };
}
