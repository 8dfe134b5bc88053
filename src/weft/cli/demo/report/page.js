// Names the task under the pointer. Lanes and tasks are in the page's JSON: [start ms, length ms, file].
const data = JSON.parse(document.getElementById("tasks").textContent);
const tip = document.getElementById("tip");
const hide = (lane) => { tip.hidden = true; lane.querySelector("i").style.display = "none"; };
for (const lane of document.querySelectorAll(".lane")) {
  const tasks = data.lanes[lane.dataset.lane];
  const show = (event) => {
    const box = lane.getBoundingClientRect();
    const now = (event.clientX - box.left) / box.width * data.length;
    let low = 0, high = tasks.length;  // the last task that began before now
    while (low < high) { const middle = (low + high) >> 1; if (tasks[middle][0] <= now) low = middle + 1; else high = middle; }
    const task = tasks[low - 1];
    if (!task || now > task[0] + task[1] + data.length / 300) return hide(lane);
    const mark = lane.querySelector("i");
    mark.style.display = "block";
    mark.style.left = task[0] / data.length * 100 + "%";
    mark.style.width = task[1] / data.length * 100 + "%";
    tip.textContent = `${data.files[task[2]]}: ${task[1].toFixed(1)} ms, from ${(task[0] / 1000).toFixed(2)} s`;
    tip.hidden = false;
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4)) + "px";
    tip.style.top = event.clientY + 18 + "px";
  };
  lane.addEventListener("pointermove", show);
  lane.addEventListener("pointerdown", show);
  lane.addEventListener("pointerleave", () => hide(lane));
}
