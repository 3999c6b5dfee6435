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

export function tag(word, kind = "") {
  return el("span", { class: `tag ${kind}` }, word);
}

function trimmed(text) {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
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
