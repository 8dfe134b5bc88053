// Lines from each block to what it needs, drawn again whenever something folds or the window changes.
for (const root of document.querySelectorAll(".weft:not([data-drawn])")) {
  root.dataset.drawn = "";
  const lines = root.querySelector(".lines");
  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const draw = () => {
    lines.replaceChildren();
    const origin = root.getBoundingClientRect();
    lines.setAttribute("width", root.scrollWidth);
    lines.setAttribute("height", root.scrollHeight);
    const dx = root.scrollLeft - origin.left, dy = root.scrollTop - origin.top;
    for (const block of root.querySelectorAll("[data-needs]")) {
      if (!block.dataset.needs || !block.checkVisibility()) continue;
      for (const need of block.dataset.needs.split("|")) {
        const [id, ...label] = need.split(" ");
        const from = root.querySelector(`#${id}`).getBoundingClientRect(), to = block.getBoundingClientRect();
        const x1 = from.left + from.width / 2 + dx, y1 = from.bottom + dy;
        const x2 = to.left + to.width / 2 + dx, y2 = to.top + dy - 5;
        const bend = Math.max((y2 - y1) / 2, 14);
        const path = svg("path", { d: `M${x1} ${y1} C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`, "data-from": id, "data-to": block.id });
        const title = svg("title", {});
        title.textContent = label.join(" ");
        path.append(title);
        lines.append(path, svg("path", { class: "head", d: `M${x2 - 4} ${y2 - 2} L${x2 + 4} ${y2 - 2} L${x2} ${y2 + 5} z` }));
      }
    }
  };
  const light = (id, on) => {
    for (const path of lines.querySelectorAll(`[data-from="${id}"],[data-to="${id}"]`)) path.classList.toggle("on", on);
  };
  for (const block of root.querySelectorAll(".block")) {
    block.addEventListener("mouseenter", () => light(block.id, true));
    block.addEventListener("mouseleave", () => light(block.id, false));
  }
  for (const nested of root.querySelectorAll("details")) nested.addEventListener("toggle", draw);
  addEventListener("resize", draw);
  draw();
}
