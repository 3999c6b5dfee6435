/** The colour that a variable of the theme has at a place, as a canvas understands it: that of a scheme, not `light-dark(…)`. */
export function colourAt(place: Element, variable: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${variable})`;
  (place.parentElement ?? place).append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
