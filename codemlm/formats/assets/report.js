"use strict";
(() => {
  const cards = [...document.querySelectorAll(".finding")];
  const rule = document.getElementById("rule");
  const least = document.getElementById("least");
  const shown = document.getElementById("shown");
  const leastText = document.getElementById("least-text");
  if (!rule || !cards.length) return;

  const visible = () => cards.filter((card) => !card.hidden);

  function filter() {
    for (const card of cards) {
      const wanted = !rule.value || card.dataset.rule === rule.value;
      card.hidden = !wanted || Number(card.dataset.confidence) < Number(least.value) / 100;
    }
    for (const file of document.querySelectorAll(".file")) {
      file.hidden = !file.querySelector(".finding:not([hidden])");
    }
    leastText.textContent = `${least.value} %`;
    shown.textContent = `${visible().length} of ${cards.length} shown`;
  }

  function move(step) {
    const list = visible();
    if (!list.length) return;
    const at = list.indexOf(document.activeElement.closest?.(".finding"));
    const next = at < 0 ? (step > 0 ? 0 : list.length - 1) : at + step;
    const card = list[Math.max(0, Math.min(list.length - 1, next))];
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "center" });
  }

  // Shows the finding's line in the heat map of its file, or closes the map again.
  function toggle(card) {
    const map = document.getElementById(card.dataset.map);
    if (!map) return;
    const line = document.getElementById(card.dataset.line);
    const again = map.open && line.classList.contains("here");
    for (const row of map.querySelectorAll(".here")) row.classList.remove("here");
    map.open = !again;
    if (again) return card.scrollIntoView({ block: "center" });
    line.classList.add("here");
    line.scrollIntoView({ block: "center" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("select, input")) return;
    const card = event.target.closest?.(".finding");
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "Enter" && card && card === event.target) toggle(card);
    else return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".to-map");
    if (button) toggle(button.closest(".finding"));
  });
  rule.addEventListener("change", filter);
  least.addEventListener("input", filter);
  filter(); // a reloaded page keeps what its controls were set to
})();
