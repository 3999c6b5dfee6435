// Elements and words: builds nodes from data (text only, never markup) and says numbers and times as people do.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line", "text", "g", "circle", "rect"]);

/** An element with attributes, listeners (`onclick`…) and children; nothing is ever parsed as markup. */
export function el(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** `node` with these children instead of its own. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A table; a column that starts with ">" holds numbers. */
export function table(columns, rows, className = "") {
  const cellClass = (at) => (columns[at].startsWith(">") ? "number" : null);
  const head = el("tr", {}, columns.map((name, at) => el("th", { class: cellClass(at) }, name.replace(/^>/, ""))));
  const body = rows.map((row) =>
    el("tr", {}, row.map((cell, at) => (cell instanceof HTMLTableCellElement ? cell : el("td", { class: cellClass(at) }, cell)))));
  return el("table", { class: className || null }, el("thead", {}, head), el("tbody", {}, body));
}

export function tag(word, kind = "") {
  return el("span", { class: `tag ${kind}` }, word);
}

/** A number to three figures or so: 0.00123, 12.3, 4,310, 1.25M. */
export function number(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(value);
  if (size === 0) return "0";
  for (const [limit, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"]]) {
    if (size >= limit) return trimmed((value / limit).toPrecision(3)) + unit;
  }
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size < 1e-4) return value.toExponential(2);
  return trimmed(value.toPrecision(3));
}

function trimmed(text) {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}

export function percent(part) {
  return `${trimmed((part * 100).toFixed(1))} %`;
}

/** Seconds as 340 µs, 12.3 ms, 2.35 s, 1 min 23 s, 1 h 5 min. */
export function duration(seconds) {
  if (seconds === 0) return "0 s";
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds < 0.001) return `${trimmed((seconds * 1e6).toPrecision(3))} µs`;
  if (seconds < 0.9995) return `${trimmed((seconds * 1e3).toPrecision(3))} ms`;
  if (seconds < 60) return `${trimmed(seconds.toPrecision(3))} s`;
  for (const [size, below, unit, lesser] of [[86400, 3600, "d", "h"], [3600, 60, "h", "min"], [60, 1, "min", "s"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ${Math.floor((seconds % size) / below)} ${lesser}`;
  }
}

export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function moment(at) {
  const day = new Date(at * 1000);
  const pad = (part) => String(part).padStart(2, "0");
  return `${day.getFullYear()}-${pad(day.getMonth() + 1)}-${pad(day.getDate())} ${clock(at)}`;
}

/** How long after `start`: +12.3 s, +2:05. */
export function since(start, at) {
  const gone = at - start;
  const sign = gone < 0 ? "-" : "+";
  const size = Math.abs(gone);
  if (size < 60) return `${sign}${size.toFixed(1)} s`;
  const whole = Math.round(size);
  const pad = (part) => String(part).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${pad(Math.floor((whole % 3600) / 60))}:${pad(whole % 60)}`;
  return hours ? `${sign}${hours}:${rest}` : `${sign}${rest.replace(/^0/, "")}`;
}

/** The JSON at `path`; an Error whose message is the server's own sentence, `status` 0 when nobody answers. */
export async function ask(path, signal) {
  let response;
  try {
    response = await fetch(path, { headers: { accept: "application/json" }, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("the server does not answer"), { status: 0 });
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const said = body?.error?.message ?? body?.error ?? `the server answered HTTP ${response.status}`;
  throw Object.assign(new Error(said), { status: response.status });
}
