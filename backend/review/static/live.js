// Renews the progress of a run every two seconds, and loads the page anew when the run has changed its status.
"use strict";
(() => {
  const box = document.querySelector("[data-live]");
  if (!box) return;
  const [step, bar, count] = ["step", "bar", "count"].map((name) => box.querySelector(`[data-${name}]`));
  const look = async () => {
    let wait = 2000;
    try {
      const answer = await fetch(box.dataset.live, { headers: { Accept: "application/json" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") return location.reload(); // logged out
      if (!answer.ok) throw new Error(answer.status);
      const run = await answer.json();
      if (run.status !== box.dataset.status) return location.reload();
      const now = run.progress || {};
      const words = run.stop_asked_by ? "is being stopped" : now.step || run.status;
      if (step.textContent !== words) step.textContent = words; // a screen reader says each step once
      bar.max = now.of || 1;
      bar.value = now.done || 0;
      count.textContent = now.of ? `${now.done} of ${now.of}` : "";
    } catch {
      wait = 10000;
    }
    setTimeout(look, wait);
  };
  setTimeout(look, 2000);
})();
