// Notes what was really heard or watched: seconds that went by at playing, not the place reached.
"use strict";

const LISTENED = new WeakMap();

function listeningOf(player) {
  if (!LISTENED.has(player)) LISTENED.set(player, { seconds: 0, last: null, event: "", begun: "" });
  return LISTENED.get(player);
}

function outcomeOf(player, seconds) {
  const length = player.duration;
  if (!Number.isFinite(length) || length <= 0) return "unknown";
  // To reach the end by moving there is not to have heard it.
  if (seconds >= (player.ended ? 0.5 : 0.9) * length) return "finished";
  return seconds < Math.min(30, 0.2 * length) ? "skipped" : "unknown";
}

function report(player) {
  const listening = listeningOf(player);
  if (!listening.event || listening.seconds < 1) return;
  const length = Number.isFinite(player.duration) ? player.duration : null;
  const body = {
    item: player.dataset.item, event: listening.event, played_at: listening.begun,
    position: listening.seconds, duration: length, outcome: outcomeOf(player, listening.seconds),
  };
  LISTENED.delete(player);
  fetch("/api/plays", {
    method: "POST", keepalive: true, body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  }).catch(() => console.info("A play could not be kept."));
}

document.addEventListener("play", (event) => {
  const listening = listeningOf(event.target);
  if (listening.event) return;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  listening.event = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  listening.begun = new Date().toISOString();
  listening.last = event.target.currentTime;
}, true);

document.addEventListener("timeupdate", (event) => {
  const player = event.target;
  const listening = listeningOf(player);
  const step = player.currentTime - (listening.last ?? player.currentTime);
  listening.last = player.currentTime;
  if (!player.seeking && step > 0 && step < 2 * player.playbackRate) listening.seconds += step;
}, true);

document.addEventListener("ended", (event) => report(event.target), true);
// Whoever leaves, or turns to the next thing, has heard what they have heard.
addEventListener("pagehide", () => document.querySelectorAll("[data-item]").forEach(report));
document.addEventListener("htmx:beforeSwap", (event) =>
  event.detail.target.querySelectorAll("[data-item]").forEach(report));

document.addEventListener("error", (event) => {
  if (!event.target.matches?.("[data-item]")) return;
  event.target.hidden = true;
  event.target.parentElement.querySelector("[data-unplayable]").hidden = false;
}, true);
