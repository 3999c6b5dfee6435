// Elements: builds nodes from data (text only, never markup), and asks the server for JSON.

/** An element with attributes, listeners (`onclick`…) and children; nothing is ever parsed as markup. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
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
