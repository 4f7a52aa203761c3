// The dependency graph: layers from top to bottom, as many boxes beside each other as the width has room for.

import { beliefOf, isPair, longWords, shortWords } from "./belief.js";
import { svg } from "./elements.js";

const HEIGHT = 62;
const GAP = 14;
const DOWN = 40;
const MARGIN = 10;

/** Corners of the boxes: layers that are too wide take several lines; quantities that nothing uses come last. */
export function layOut(parameters, width) {
  const box = width < 480 ? Math.max(120, (width - 2 * MARGIN - GAP) / 2) : 188;
  const room = Math.max(1, Math.floor((width - 2 * MARGIN + GAP) / (box + GAP)));
  const layers = [];
  const deepest = Math.max(...parameters.map((one) => one.layer ?? 0));
  parameters.forEach((one, index) => (layers[one.layer ?? deepest + 1] ??= []).push(index));
  const corners = new Map();
  let y = MARGIN + 16;
  for (const layer of layers.filter(Boolean)) {
    layer.sort((a, b) => parameters[a].place - parameters[b].place);
    const lines = Math.ceil(layer.length / room);
    const each = Math.ceil(layer.length / lines);
    for (let line = 0; line < lines; line += 1) {
      const members = layer.slice(line * each, (line + 1) * each);
      const left = (width - members.length * (box + GAP) + GAP) / 2;
      members.forEach((index, place) => corners.set(index, { x: left + place * (box + GAP), y }));
      y += HEIGHT + DOWN;
    }
  }
  return { box, corners, height: y - DOWN + MARGIN };
}

/** The drawing; `focus` is called with the quantity that is clicked. */
export function drawGraph(scene, state, current, width, focus) {
  const { box, corners, height } = layOut(scene.parameters, width);
  const edges = [];
  for (const [index, to] of corners) {
    for (const parent of scene.parameters[index].parents) {
      const from = corners.get(parent);
      const look = `edge${index === current ? " lit" : ""}${scene.parameters[index].necessary ? " necessary" : ""}`;
      if (from) edges.push(svg("path", { class: look, d: edgePath(from, to, box, corners.values(), parent), "marker-end": "url(#player-tip)" }));
    }
  }
  const boxes = [...corners].map(([index, corner]) => node(scene, state, index, corner, box, current, focus));
  return svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Dependency graph: what is computed from what, downwards" },
    svg(
      "defs",
      {},
      svg(
        "marker",
        { id: "player-tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
        svg("path", { d: "M0 0L8 4L0 8z" }),
      ),
    ),
    edges,
    boxes,
  );
}

/** From the bottom of one box to the top of another; around the side where boxes stand between, left and right in turn. */
export function edgePath(from, to, box, others, turn) {
  const [x0, y0, x1, y1] = [from.x + box / 2, from.y + HEIGHT, to.x + box / 2, to.y - 2];
  const between = [...others].filter((one) => {
    const middle = one.y + HEIGHT / 2;
    const x = x0 + ((x1 - x0) * (middle - y0)) / (y1 - y0);
    return middle > y0 && middle < y1 && x > one.x - GAP / 2 && x < one.x + box + GAP / 2;
  });
  if (!between.length) {
    const half = Math.max(18, (y1 - y0) / 2);
    return `M${x0} ${y0}C${x0} ${y0 + half} ${x1} ${y1 - half} ${x1} ${y1}`;
  }
  const side = turn % 2 ? 1 : -1;
  const out = side * (26 + 12 * between.length);
  const [start, end] = [x0 + (side * box) / 2, x1 + (side * box) / 2];
  const [top, bottom] = [from.y + HEIGHT / 2 + 8, to.y + HEIGHT / 2 - 8];
  return `M${start} ${top}C${start + out} ${top} ${end + out} ${bottom} ${end + 2 * side} ${bottom}`;
}

function node(scene, state, index, { x, y }, box, current, focus) {
  const one = scene.parameters[index];
  const belief = beliefOf(scene, state, state.task, index);
  const [owner, thing] = splitName(one.name);
  const told = scene.solutions[state.solution];
  const failed = told.verdict.parameter === one.name && told.verdict.sentence !== null && state.step > told.verdict.sentence;
  const stated = told.sentences.slice(0, state.step).findLast((sentence) => sentence.parameter === index)?.value;
  const tags = [
    index === scene.query ? ["asked", "asked for"] : null,
    index === current ? ["now", "▸ this sentence"] : null,
    failed ? ["error", "✗ first error"] : null,
    isPair(scene, state.task) && index === state.focus ? ["focus", "looked at"] : null,
  ].filter(Boolean);
  if (!tags.length && !one.graph) tags.push(["unused", "nothing uses it"]);
  const classes = ["node", belief?.holds ? "true" : "untrue", belief?.wrong ? "mistaken" : "", index === state.focus ? "focus" : ""];
  const bold = stated === undefined ? thing : `${thing} = ${stated}`;
  const said = belief ? shortWords(belief) : isPair(scene, state.task) && index === state.focus ? "itself" : "no probe";
  const seen = [owner, bold, said, belief?.wrong ? "≠" : "", ...tags.map(([, text]) => text)].filter(Boolean).join(" ");
  const choose = (event) => {
    if (event.type === "click" || event.key === "Enter") focus(index);
  };
  const inside = [
    index === scene.query ? svg("rect", { class: "ring", x: x - 5, y: y - 5, width: box + 10, height: HEIGHT + 10, rx: 11 }) : null,
    svg("rect", { class: "ground", x, y, width: box, height: HEIGHT, rx: 7 }),
    belief ? svg("rect", { class: "fill", x: x + 2, y: y + 2, width: Math.max(0, (box - 4) * belief.strength), height: HEIGHT - 4, rx: 5 }) : null,
    svg("rect", { class: "outline", x, y, width: box, height: HEIGHT, rx: 7 }),
    label(x + 9, y + 18, owner, box - 18, "owner"),
    label(x + 9, y + 35, bold, box - 18, "thing"),
    svg("text", { x: x + 9, y: y + 53, class: "said" }, said),
    belief?.wrong ? svg("text", { x: x + box - 9, y: y + 54, class: "unequal", "text-anchor": "end" }, "≠") : null,
    svg(
      "text",
      { class: "above", x: x + 2, y: y - 8 },
      tags.flatMap(([kind, text], place) => [svg("tspan", { class: kind, dx: place ? 5 : 0 }, text), " "]),
    ),
  ];
  return svg(
    "g",
    {
      class: classes.join(" "),
      "data-index": index,
      tabindex: 0,
      role: "button",
      "aria-label": belief ? `${seen}: ${longWords(belief)}` : seen,
      onclick: choose,
      onkeydown: choose,
    },
    inside.filter(Boolean).flatMap((one) => [one, " "]),
  );
}

/** "Film Studio's Backpack" as ["Film Studio's", "Backpack"]. */
function splitName(name) {
  const cut = name.lastIndexOf("'s ");
  return cut < 0 ? ["", name] : [name.slice(0, cut + 2), name.slice(cut + 3)];
}

/** A line of text, drawn narrower where it would leave the box. */
function label(x, y, text, room, kind) {
  const long = text.length * (kind === "thing" ? 8 : 6.9) > room;
  return svg("text", { x, y, class: kind, textLength: long ? room : null, lengthAdjust: long ? "spacingAndGlyphs" : null }, text);
}
