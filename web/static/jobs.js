// Shows the progress of runs as the server tells of it.
"use strict";

function words(run) {
  if (run.state === "queued") return "waits";
  const share = run.total ? `${run.done} of ${run.total}` : run.done ? String(run.done) : "";
  const left = run.seconds_left > 90 ? `${Math.round(run.seconds_left / 60)} min left`
    : run.seconds_left > 3 ? `${Math.round(run.seconds_left)} s left` : "";
  return [share, left, run.message].filter(Boolean).join(" · ");
}

function update(run) {
  const row = document.querySelector(`[data-run="${run.id}"]`);
  row.querySelector("[data-words]").textContent = words(run);
  const bar = row.querySelector("progress");
  if (bar && run.total) {
    bar.max = run.total;
    bar.value = run.done;
  }
}

function follow() {
  let shown = null;
  const events = new EventSource("/api/events");
  events.addEventListener("jobs", (event) => {
    const runs = JSON.parse(event.data);
    const state = runs.map((run) => `${run.id}${run.state}`).join();
    const rows = document.querySelectorAll("[data-run]");
    const isThere = runs.every((run) => document.querySelector(`[data-run="${run.id}"]`));
    if ((shown !== null && state !== shown) || !isThere || rows.length !== runs.length) {
      htmx.trigger("#runs", "runs-changed");
    }
    shown = state;
    if (isThere) runs.forEach(update);
  });
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

if (document.querySelector("[data-live]")) follow();
