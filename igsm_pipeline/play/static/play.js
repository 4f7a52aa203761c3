// The page of `igsm play`: asks the server for problems and puts the answers into the player.

import { el } from "./elements.js";
import { readFragment } from "./fragment.js";
import { mountPlayer } from "./player.js";

const about = JSON.parse(document.querySelector("#about").textContent);
const find = (id) => document.getElementById(id);
const [root, said, text, marked] = [find("player"), find("said"), find("text"), find("marked")];
const FAMILIES = { own: "as it was trained", med: "large (med)", hard: "very large (hard)" };
const recorded = await fetch("/recorded").then((response) => response.json());
if (recorded.length) root.classList.add("filled");
const player = mountPlayer(root, about, recorded);
let typed = 0;

find("member").textContent =
  `Model: ${about.member}, trained on up to ${about.op_max} operations, numbers modulo ${about.modulus}.` +
  (about.arms.includes("random") ? "" : " The random control is not there.");
find("op").max = about.most;
find("family").append(...about.families.map((name) => el("option", { value: name }, FAMILIES[name] ?? name)));

/** Asks the server; shows the answer, or says what was refused. */
async function ask(path, body, asked = {}) {
  const buttons = document.querySelectorAll("#ask button");
  for (const button of buttons) button.disabled = true;
  mark(null);
  const waits = setInterval(sayState, 700);
  say("The model solves it …");
  try {
    const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) return refuse(answer.error, path === "/solve");
    text.value = answer.text;
    root.classList.add("filled");
    player.show(answer.scene, asked);
    say(`${outcome(answer.scene)} Solved and read in ${answer.seconds.toFixed(1)} s.`);
  } catch (error) {
    say(`The server does not answer (${error.message}); is \`igsm play\` still running?`, true);
  } finally {
    clearInterval(waits);
    for (const button of buttons) button.disabled = false;
  }
}

async function sayState() {
  const state = await (await fetch("/state")).json();
  if (!state.ready && !state.failed) say("The model is being loaded …");
}

function outcome(scene) {
  const verdict = scene.solutions.own.verdict;
  if (verdict.correct) return scene.kind === "redundant" ? "The model solved it, with needless work." : "The model solved it.";
  return `The model got it wrong: ${verdict.words}.`;
}

function say(words, refused = false) {
  said.classList.toggle("refused", refused);
  said.replaceChildren(words);
}

function refuse(error, isText) {
  say(error.message, true);
  if (!isText || !error.place) return;
  const [start, end] = error.place;
  said.append(". Here: ", el("mark", {}, text.value.slice(start, end)));
  mark(error.place);
  find("typing").open = true;
  text.focus();
  text.setSelectionRange(start, end);
}

/** Marks a place in the text box: a copy of the text lies behind it. */
function mark(place) {
  text.toggleAttribute("aria-invalid", false);
  marked.replaceChildren();
  if (!place) return;
  text.setAttribute("aria-invalid", "true");
  const [start, end] = place;
  marked.append(text.value.slice(0, start), el("mark", {}, text.value.slice(start, end)), text.value.slice(end));
  marked.scrollTop = text.scrollTop;
}

function draw(asked = {}) {
  const op = find("op").valueAsNumber;
  return ask("/draw", { family: find("family").value, op: Number.isNaN(op) ? null : op, seed: find("seed").valueAsNumber || 0 }, asked);
}

text.addEventListener("input", () => mark(null));
text.addEventListener("scroll", () => (marked.scrollTop = text.scrollTop));
find("ask").addEventListener("submit", (event) => event.preventDefault());
find("draw").addEventListener("click", () => draw());
find("next").addEventListener("click", () => {
  find("seed").value = (find("seed").valueAsNumber || 0) + 1;
  draw();
});
find("solve").addEventListener("click", () => ask("/solve", { text: text.value, number: (typed += 1) }));

const wanted = readFragment(location.hash) ?? {};
const isRecorded = recorded.length > 0 && !/^(drawn|typed)\//.test(wanted.problem ?? "");
const [kind, family, op, seed] = (wanted.problem ?? "").split("/");
if (kind === "drawn" && about.families.includes(family)) {
  find("family").value = family;
  find("op").value = op === "any" ? "" : op;
  find("seed").value = seed;
}
if (isRecorded) say(`These ${recorded.length} problems were recorded when ${about.member} was trained and probed. Draw or type another one above.`);
else draw(wanted);
