// What the theme leaves out for those who use no eyes or no mouse: a name for the search, and tables that scroll by keyboard.
function complete() {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
    table.tabIndex = 0;
    table.setAttribute("role", "group");
    table.setAttribute("aria-label", "table, scrolls sideways");
  }
}

new MutationObserver(complete).observe(document.documentElement, { childList: true, subtree: true });
addEventListener("DOMContentLoaded", complete);
