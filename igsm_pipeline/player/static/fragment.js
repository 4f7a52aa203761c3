// The part of the address behind "#": it holds what is shown, so that a link leads back to it.

const MARK = "player?";

/** What an address asks for; null where it is about something else. */
export function readFragment(hash) {
  const text = hash.replace(/^#/, "");
  if (!text.startsWith(MARK)) return null;
  return Object.fromEntries(new URLSearchParams(text.slice(MARK.length)));
}

/** The address of a state. */
export function writeFragment(scene, state) {
  const { solution, weights, task, step, focus } = state;
  return `#${MARK}${new URLSearchParams({ problem: scene.id, solution, weights, task, step, focus })}`;
}

/** A state that fits a document: what was asked for where it exists, else what is shown first. */
export function fitState(scene, tasks, asked) {
  const pick = (value, known) => (known.includes(value) ? value : known[0]);
  const solution = pick(asked.solution, Object.keys(scene.solutions));
  const steps = scene.solutions[solution].sentences.length;
  const within = (value, most, otherwise) => {
    const whole = Number.parseInt(value, 10);
    return Number.isNaN(whole) ? otherwise : Math.min(Math.max(whole, 0), most);
  };
  return {
    solution,
    weights: pick(asked.weights, Object.keys(scene.beliefs)),
    task: pick(asked.task, tasks),
    step: within(asked.step, steps, 0),
    focus: within(asked.focus, scene.parameters.length - 1, scene.query),
  };
}
