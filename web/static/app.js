// Small things that every page has. All pages work without this file.
"use strict";

document.documentElement.classList.add("scripted");

// A thumbnail that there is none of leaves the quiet picture of its kind.
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) event.target.classList.add("missing");
}, true);

document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
});

function showTrouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text;
  place.hidden = !text;
  if (text) place.scrollIntoView({ block: "nearest" });
}

document.addEventListener("htmx:sendError", () =>
  showTrouble("The server does not answer. Nothing was changed; try again in a moment."));
document.addEventListener("htmx:responseError", (event) => {
  const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  const message = page.querySelector("main h1 + p");
  showTrouble(message ? message.textContent : "That did not work. Nothing was changed.");
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) showTrouble("");
});

// Pictures that failed before this file was read.
for (const picture of document.images) {
  if (picture.complete && !picture.naturalWidth && picture.loading !== "lazy") picture.classList.add("missing");
}
