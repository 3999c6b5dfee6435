/**
 * The one way to the server: paths and parameters are checked against its OpenAPI document when this is compiled.
 *
 * Out: what the server answers, or an `ApiError` that says what, where and what to do, in the server's words.
 */

import type { paths } from "./openapi";

type Method = "get" | "post" | "put" | "delete";
type PathsWith<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, object> ? P : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? paths[P][M] : never;
type Said<O, Where extends string> = O extends { parameters: { [W in Where]?: infer A } }
  ? Exclude<A, undefined>
  : never;
/** Doors that read their request for themselves (Prometheus', Alertmanager's) declare none: anything may be said to them. */
type Anything = Readonly<Record<string, unknown>>;
type PathOf<O> = [Said<O, "path">] extends [never] ? Anything : Said<O, "path">;
type QueryOf<O> = [Said<O, "query">] extends [never] ? Anything : Said<O, "query">;
type BodyOf<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : unknown;

/** What the server refuses, or that it cannot be reached (`status` 0). */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
  ) {
    super(message);
  }
}

interface Question<O> {
  readonly path?: PathOf<O>;
  readonly query?: QueryOf<O>;
  readonly body?: BodyOf<O>;
  readonly signal?: AbortSignal;
}

// What is answered is not in the document; each caller says what it is: `(await get(…)) as Status`.

export function get<P extends PathsWith<"get">>(
  path: P,
  question: Question<Operation<P, "get">> = {},
): Promise<unknown> {
  return ask("GET", path, question);
}

export function post<P extends PathsWith<"post">>(
  path: P,
  question: Question<Operation<P, "post">> = {},
): Promise<unknown> {
  return ask("POST", path, question);
}

export function put<P extends PathsWith<"put">>(
  path: P,
  question: Question<Operation<P, "put">> = {},
): Promise<unknown> {
  return ask("PUT", path, question);
}

export function remove<P extends PathsWith<"delete">>(
  path: P,
  question: Question<Operation<P, "delete">> = {},
): Promise<unknown> {
  return ask("DELETE", path, question);
}

/** The address a question is asked at; a list in the query becomes a repeated parameter, what is undefined none. */
export function address(path: string, inPath: object = {}, query: object = {}): string {
  const filled = path.replace(/\{(\w+)(?::path)?\}/g, (_, name: string) => {
    const value = (inPath as Record<string, unknown>)[name];
    if (value === undefined) throw new Error(`${path} needs ${name}`);
    return encodeURIComponent(String(value));
  });
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== "") asked.append(name, String(each));
    }
  }
  const text = asked.toString();
  return text ? `${filled}?${text}` : filled;
}

async function ask(method: string, path: string, question: Question<unknown>): Promise<unknown> {
  const { body, signal } = question;
  const headers = { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  let answer: Response;
  try {
    answer = await fetch(address(path, question.path, question.query), {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("aiprism does not answer: it is down, or cannot be reached from here", 0, "unreachable");
  }
  if (!answer.ok) throw await refusal(answer);
  if (answer.status === 204) return undefined;
  const isJson = answer.headers.get("Content-Type")?.includes("json") ?? false;
  return isJson ? await answer.json() : await answer.text(); // a reload answers in a word
}

async function refusal(answer: Response): Promise<ApiError> {
  const text = await answer.text();
  try {
    const said = JSON.parse(text);
    if (typeof said === "string") return new ApiError(said, answer.status, "error"); // Alertmanager's form
    if (typeof said.error === "string") return new ApiError(said.error, answer.status, said.errorType ?? "error"); // Prometheus'
    if (said.error) return new ApiError(said.error.message, answer.status, said.error.code);
  } catch {
    // Not JSON: its text says what there is to say.
  }
  return new ApiError(text.slice(0, 500) || `${answer.status} ${answer.statusText}`, answer.status, "error");
}
