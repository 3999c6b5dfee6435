/** The names that are hidden after one of `names` was picked: it stands alone, or all stand again; `toggled`, it alone comes or goes. */
export function hiddenAfter(
  names: readonly string[],
  hidden: ReadonlySet<string>,
  picked: string,
  toggled: boolean,
): ReadonlySet<string> {
  if (toggled) return new Set(names.filter((each) => hidden.has(each) !== (each === picked)));
  const others = names.filter((each) => each !== picked);
  return new Set(others.every((each) => hidden.has(each)) ? [] : others);
}
