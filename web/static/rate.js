// Rating by keys, and pictures large.
"use strict";

function keyOf(event) {
  if (/^[0-9]$/.test(event.key)) return `[data-rate="${event.key}"]`;
  if (event.key === "-" || (event.shiftKey && event.code === "Digit0")) return '[data-rate="10"]';
  if (event.key === "Delete") return "[data-clear]";
  if (event.key === "s" || event.key === "ArrowRight") return "[data-skip]";
  if (event.key === "u") return "[data-undo]";
  return "";
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select, [contenteditable]");
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping) return;
  if (event.target.matches("audio, video") && event.key.startsWith("Arrow")) return;
  const selector = keyOf(event);
  const button = selector && document.querySelector(`[data-keys] ${selector}`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-enlarge]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const large = document.createElement("dialog");
  large.className = "large";
  const picture = link.querySelector("img").cloneNode();
  picture.src = link.href;
  large.append(picture);
  large.addEventListener("click", () => large.close());
  large.addEventListener("close", () => large.remove());
  document.body.append(large);
  large.showModal();
});
