// What a chart says of the day under the pointer stands beside it in words. The same figures are in the table below it.

/** @param {Event} event show the day's figures in the caption of its figure */
function tell(event) {
  const spot = event.target instanceof Element ? event.target.closest(".spot") : null;
  const figure = event.target instanceof Element ? event.target.closest("figure") : null;
  const readout = figure?.querySelector(".readout");
  if (!readout) return;
  readout.textContent = event.type === "pointerover" && spot ? spot.querySelector("title")?.textContent ?? "" : "";
}

document.addEventListener("pointerover", tell);
document.addEventListener("pointerout", tell);
