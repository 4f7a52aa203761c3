// Draws the page's charts live, each when it comes into view: hovering a mark says its value, interval and n.
// Without this script, and on paper, the drawings that stand in the page stay.
(() => {
  const NARROW = 540;
  const specifications = JSON.parse(document.getElementById("charts").textContent);

  const fitted = (chart, width) => {
    const spec = structuredClone(specifications[chart]);
    spec.width = width;
    if (width < NARROW) {
      spec.config.legend.columns = 1;
      spec.config.axis.labelLimit = Math.round(width * 0.45);
    }
    return spec;
  };

  const draw = async (place) => {
    const width = Math.floor(place.clientWidth);
    if (!width || place.dataset.width === String(width)) return;
    place.dataset.width = String(width);
    const live = document.createElement("div");
    live.className = "live";
    const { view } = await vegaEmbed(live, fitted(place.dataset.chart, width), { renderer: "svg", actions: false });
    const drawing = live.querySelector("svg");
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", place.dataset.words);
    place.querySelector(".live")?.remove();
    place.append(live);
    place.classList.add("drawn");
    place.view?.finalize();
    place.view = view;
  };

  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => draw(entry.target)));
  const seen = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => { seen.unobserve(entry.target); sizes.observe(entry.target); }),
    { rootMargin: "400px" },
  );
  document.querySelectorAll("[data-chart]").forEach((place) => seen.observe(place));
})();
