// Making elements, shortly.

/** An HTML element; text and elements in `inside` are appended, attributes that are null or false are left out. */
export function el(name, attributes = {}, ...inside) {
  return fill(document.createElement(name), attributes, inside);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...inside) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, inside);
}

function fill(element, attributes, inside) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...inside.flat().filter((one) => one !== null && one !== undefined));
  return element;
}

/** A row of buttons of which one is pressed. */
export function choice(label, options, chosen, choose) {
  const buttons = options.map(([value, words, title]) =>
    el("button", { type: "button", "aria-pressed": String(value === chosen), "data-value": value, title, onclick: () => choose(value) }, words),
  );
  return el("div", { class: "choice", role: "group", "aria-label": label }, el("span", { class: "label" }, label), el("span", {}, buttons));
}
