/** Which of a dashboard's annotations are shown: as its author chose, until somebody switches one on or off in the address. */

import type { Annotation } from "./types";

const key = (name: string) => `annotation-${name}`;

/** The annotations as the address has them: `annotation-deployments=off`. */
export function switched(annotations: readonly Annotation[], params: URLSearchParams): readonly Annotation[] {
  return annotations.map((each) => {
    const said = params.get(key(each.name));
    return said === null ? each : { ...each, enabled: said === "on" };
  });
}

/** Those that can be switched: named, not hidden by the author, and of something that can be asked here. */
export function switches(annotations: readonly Annotation[]): readonly Annotation[] {
  return annotations.filter(({ name, hidden, kind }) => name !== "" && !hidden && kind !== "other");
}

/** The address once `name` is on or off; nothing stands in it where that is what the author chose. */
export function withSwitch(
  params: URLSearchParams,
  annotations: readonly Annotation[],
  name: string,
  on: boolean,
): URLSearchParams {
  const after = new URLSearchParams(params);
  const usual = annotations.find((each) => each.name === name)?.enabled;
  if (usual === on) after.delete(key(name));
  else after.set(key(name), on ? "on" : "off");
  return after;
}
