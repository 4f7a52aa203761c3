// The problem and the solution as text: the current sentence lit, the first error marked.

import { el } from "./elements.js";

/** The problem; the statement that defines the quantity of the current sentence is lit. */
export function problemText(scene, current) {
  const question = el("p", { class: "question" }, scene.question);
  const statements = el(
    "ul",
    { class: "statements" },
    scene.statements.map((one) => el("li", { class: current !== null && one.parameter === current ? "lit" : null }, one.text)),
  );
  const parts = scene.question_first ? [question, statements] : [statements, question];
  return el(
    "div",
    { class: "problem" },
    el("h3", {}, "The problem"),
    el("p", { class: "note" }, `All numbers count modulo ${scene.modulus}.`),
    parts,
  );
}

/** The solution as a list of steps; a click on one goes there. */
export function solutionText(scene, state, go) {
  const told = scene.solutions[state.solution];
  const own = state.solution === "own";
  const steps = [step("Before the first word", 0, "start")];
  told.sentences.forEach((sentence, index) => {
    const wrong = told.verdict.sentence === index;
    const tags = [];
    if (sentence.unneeded) tags.push(el("span", { class: "tag needless" }, "not needed for the answer"));
    if (wrong) tags.push(errorTag(told.verdict));
    steps.push(step(sentence.text, index + 1, wrong ? "wrong" : null, tags));
  });
  const atEnd = told.verdict.error && told.verdict.sentence >= told.sentences.length;
  if (told.rest) steps.push(el("li", { class: atEnd ? "rest wrong" : "rest" }, told.rest));
  const answer = told.answer === null ? "No answer." : `Answer: ${told.answer}.`;
  const judged = told.verdict.answer_right ? "The answer is right." : `The answer should be ${scene.answer}.`;
  const last = state.step === told.sentences.length;
  steps.push(el("li", { class: `answer${last ? " reached" : ""}` }, `${answer} ${judged}`, atEnd ? errorTag(told.verdict) : null));
  const title = own ? "The model's own solution" : "The reference solution";
  return el("div", { class: "solution" }, el("h3", {}, title), el("ol", { start: "0" }, steps));

  function step(words, number, kind, tags = []) {
    const when = number === state.step ? "now" : number < state.step ? "past" : "ahead";
    const button = el("button", { type: "button", "data-step": number, onclick: () => go(number) }, words);
    return el("li", { class: [when, kind].filter(Boolean).join(" "), "aria-current": number === state.step ? "step" : null }, button, tags);
  }
}

function errorTag(verdict) {
  return el("span", { class: "tag error" }, `✗ first error: ${verdict.words}`);
}
