// What a probe believes of one quantity at one step, and what is true: the only module that knows how a document stores them.

/**
 * @returns {null | {strength: number, said: string, truth: string, holds: boolean, wrong: boolean}} null where nothing was asked:
 *   no probe of this task, or a quantity about itself. `strength` (0 to 1) is the probability of yes, where numbers are asked for of the likeliest;
 *   `said` and `truth` are words, `holds` whether the answer is truly yes (or a number), `wrong` whether the probe's answer is another.
 */
export function beliefOf(scene, state, task, index) {
  const arm = scene.beliefs[state.weights];
  const pair = isPair(scene, task);
  if (!arm || (pair && index === state.focus)) return null;
  const step = arm[state.solution]?.[task]?.[state.step];
  const read = step ? step[index] : pair ? arm[task]?.[state.focus][index] : arm[task]?.[index];
  if (read === undefined) return null;
  const truth = step ? scene.solutions[state.solution].truth[task][state.step][index] : truthBefore(scene, state, task, index);
  return Array.isArray(read) ? number(read, truth) : yesNo(read, truth === 1);
}

/** Whether a task asks about two quantities: the one that is looked at, and each other. */
export function isPair(scene, task) {
  return task === "dep" || Array.isArray(scene.truth?.[task]?.[0]);
}

/** The true answer of a task that is asked once, before the solution. */
function truthBefore(scene, state, task, index) {
  if (task === "nece") return Number(scene.parameters[index].necessary);
  if (task === "dep") return Number(scene.parameters[state.focus].rests_on.includes(index));
  return isPair(scene, task) ? scene.truth[task][state.focus][index] : scene.truth[task][index];
}

function yesNo(strength, holds) {
  const yes = strength > 0.5;
  return { strength, said: yes ? "yes" : "no", truth: holds ? "yes" : "no", holds, wrong: yes !== holds };
}

function number([likeliest, strength, none], truth) {
  const said = strength >= none ? likeliest : null;
  const words = (value) => (value === null ? "none yet" : String(value));
  return { strength, said: words(said), truth: words(truth), holds: truth !== null, wrong: said !== truth, none, likeliest };
}

/** A probability as people read it. */
export function percent(share) {
  return `${Math.round(100 * share)}\u202f%`;
}

/** What stands in a cell or box: the strength, and of a number the number that it belongs to. */
export function shortWords(belief) {
  if (belief.none === undefined) return percent(belief.strength);
  return belief.said === "none yet" ? `none · ${percent(belief.none)}` : `${belief.said} · ${percent(belief.strength)}`;
}

/** The same for ears. */
export function longWords(belief) {
  return `the probe says ${belief.said} (${percent(belief.strength)}), true: ${belief.truth}${belief.wrong ? ", the probe is wrong" : ""}`;
}

/** The quantity of whose yes the probe is surest: {index, strength}; null for numbers, which are no yes, and where nothing was asked. */
export function strongest(scene, state, task) {
  const said = scene.parameters.map((_, index) => {
    const belief = beliefOf(scene, state, task, index);
    return { index, strength: belief && belief.none === undefined ? belief.strength : -1 };
  });
  const most = said.reduce((best, one) => (one.strength > best.strength ? one : best), { index: -1, strength: -1 });
  return most.index < 0 ? null : most;
}

/** How many quantities the probe is right about, of how many that were asked about: [right, asked]. */
export function agreement(scene, state, task) {
  const said = scene.parameters.map((_, index) => beliefOf(scene, state, task, index)).filter(Boolean);
  return [said.filter((one) => !one.wrong).length, said.length];
}
