/** What a few letters mean in the command palette: which things are found, and which of them is taken by Enter. */

export interface Thing {
  label?: string;
  description?: string;
}

export interface Group<T extends Thing> {
  group: string;
  actions: T[];
}

const NOT_FOUND = 4;

/** The groups with what `query` finds, the nearest first: what begins so, what has a word that does, what has it within, and
 * what has all of its words somewhere. A group stands where its nearest does: who types the name of a service means the service
 * and not the incident that tells of it. */
export function found<T extends Thing>(query: string, groups: readonly Group<T>[]): Group<T>[] {
  const sought = query.trim().toLowerCase();
  const near = (thing: T) => distance(sought, thing);
  return groups
    .map(({ group, actions }) => ({ group, actions: nearestFirst(actions, near) }))
    .filter(({ actions }) => actions.length > 0)
    .map((each) => ({ each, at: near(each.actions[0] as T) }))
    .sort((one, other) => one.at - other.at)
    .map(({ each }) => each);
}

function nearestFirst<T>(things: readonly T[], near: (thing: T) => number): T[] {
  return things
    .map((thing) => ({ thing, at: near(thing) }))
    .filter(({ at }) => at < NOT_FOUND)
    .sort((one, other) => one.at - other.at)
    .map(({ thing }) => thing);
}

function distance(sought: string, { label = "", description = "" }: Thing): number {
  const name = label.toLowerCase();
  if (name.startsWith(sought)) return 0;
  if (` ${name}`.includes(` ${sought}`)) return 1;
  if (name.includes(sought)) return 2;
  const all = `${name} ${description.toLowerCase()}`;
  return sought.split(/\s+/).every((word) => all.includes(word)) ? 3 : NOT_FOUND;
}
