/**
 * What a part of the page shows, as a PNG: its boxes, texts, SVG and canvases are drawn once more on a canvas of our own.
 *
 * A browser would draw HTML within an image of SVG, but such an image is loaded from an address of data, and taints the
 * canvas in some of them; what panels are made of is little enough to be drawn as it stands.
 */

import { save } from "./Panel";

const DENSITY = 2;
const LEFT_OUT = "button[aria-label='panel menu'], .tip, [role=note][aria-label], .u-over, title, desc, defs";

/** Lets the browser keep a picture of `box` as `name`. */
export function savePicture(box: HTMLElement | null, name: string): void {
  if (box) drawn(box).toBlob((blob) => blob && save(name, blob));
}

function drawn(box: HTMLElement): HTMLCanvasElement {
  const { left, top, width, height } = box.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(width * DENSITY);
  canvas.height = Math.ceil(height * DENSITY);
  const pen = canvas.getContext("2d")!;
  pen.setTransform(DENSITY, 0, 0, DENSITY, -left * DENSITY, -top * DENSITY);
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(left, top, width, height);
  element(pen, box);
  return canvas;
}

function element(pen: CanvasRenderingContext2D, node: Element): void {
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden" || node.matches(LEFT_OUT)) return;
  const box = node.getBoundingClientRect();
  pen.save();
  pen.globalAlpha *= Number(style.opacity);
  if (node instanceof SVGElement && !(node instanceof SVGSVGElement)) shape(pen, node, style);
  else if (node instanceof HTMLElement) ground(pen, box, style);
  if (node instanceof HTMLCanvasElement && node.width > 0)
    pen.drawImage(node, box.left, box.top, box.width, box.height);
  if (style.overflow !== "visible" && !(node instanceof SVGElement)) {
    pen.beginPath();
    pen.rect(box.left, box.top, box.width, box.height);
    pen.clip();
  }
  for (const child of node.childNodes) {
    if (child instanceof Element) element(pen, child);
    else if (child instanceof Text && !(node instanceof SVGElement)) words(pen, child, style);
  }
  pen.restore();
}

function ground(
  pen: CanvasRenderingContext2D,
  { left, top, width, height }: DOMRect,
  style: CSSStyleDeclaration,
): void {
  pen.fillStyle = style.backgroundColor;
  pen.beginPath();
  pen.roundRect(left, top, width, height, Number.parseFloat(style.borderTopLeftRadius) || 0);
  pen.fill();
  const sides = [
    [style.borderTopWidth, style.borderTopColor, left, top, left + width, top],
    [style.borderBottomWidth, style.borderBottomColor, left, top + height, left + width, top + height],
    [style.borderLeftWidth, style.borderLeftColor, left, top, left, top + height],
    [style.borderRightWidth, style.borderRightColor, left + width, top, left + width, top + height],
  ] as const;
  for (const [wide, colour, x1, y1, x2, y2] of sides) {
    if (!Number.parseFloat(wide)) continue;
    pen.strokeStyle = colour;
    pen.lineWidth = Number.parseFloat(wide);
    pen.stroke(new Path2D(`M${x1} ${y1}L${x2} ${y2}`));
  }
}

/** A text word by word, each where the browser put it: lines are broken as they are on the page. */
function words(pen: CanvasRenderingContext2D, text: Text, style: CSSStyleDeclaration): void {
  pen.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  pen.fillStyle = style.color;
  pen.textBaseline = "middle";
  pen.letterSpacing = style.letterSpacing === "normal" ? "0px" : style.letterSpacing;
  const range = document.createRange();
  for (const { index, 0: word } of text.data.matchAll(/\S+/g)) {
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    const place = range.getClientRects()[0];
    if (place && place.width > 0) pen.fillText(word, place.left, place.top + place.height / 2);
  }
}

function shape(pen: CanvasRenderingContext2D, node: SVGElement, style: CSSStyleDeclaration): void {
  const matrix = node instanceof SVGGraphicsElement ? node.getScreenCTM() : null;
  const path = pathOf(node);
  if (!matrix || !(path || node instanceof SVGTextElement)) return;
  pen.save();
  pen.transform(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f);
  if (path) {
    const alpha = pen.globalAlpha;
    if (style.fill !== "none") {
      pen.globalAlpha = alpha * Number(style.fillOpacity);
      pen.fillStyle = style.fill;
      pen.fill(path, style.fillRule === "evenodd" ? "evenodd" : "nonzero");
    }
    if (style.stroke !== "none") {
      pen.globalAlpha = alpha * Number(style.strokeOpacity);
      pen.strokeStyle = style.stroke;
      pen.lineWidth = Number.parseFloat(style.strokeWidth) || 1;
      pen.setLineDash(
        style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(/[ ,]+/).map(Number.parseFloat),
      );
      pen.stroke(path);
    }
  } else if (node instanceof SVGTextElement) {
    pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    pen.fillStyle = style.fill;
    pen.textAlign = style.textAnchor === "end" ? "right" : style.textAnchor === "middle" ? "center" : "left";
    const said = [...node.childNodes].filter((each) => each.nodeName !== "title").map((each) => each.textContent);
    pen.fillText(said.join(""), node.x.baseVal[0]?.value ?? 0, node.y.baseVal[0]?.value ?? 0);
  }
  pen.restore();
}

function pathOf(node: SVGElement): Path2D | null {
  if (node instanceof SVGPathElement) return new Path2D(node.getAttribute("d") ?? "");
  const path = new Path2D();
  if (node instanceof SVGRectElement) {
    const { x, y, width, height, rx } = node;
    path.roundRect(x.baseVal.value, y.baseVal.value, width.baseVal.value, height.baseVal.value, rx.baseVal.value);
  } else if (node instanceof SVGCircleElement) {
    path.arc(node.cx.baseVal.value, node.cy.baseVal.value, node.r.baseVal.value, 0, 2 * Math.PI);
  } else if (node instanceof SVGLineElement) {
    path.moveTo(node.x1.baseVal.value, node.y1.baseVal.value);
    path.lineTo(node.x2.baseVal.value, node.y2.baseVal.value);
  } else if (node instanceof SVGPolylineElement || node instanceof SVGPolygonElement) {
    for (const { x, y } of node.points) path.lineTo(x, y);
    if (node instanceof SVGPolygonElement) path.closePath();
  } else {
    return null;
  }
  return path;
}
