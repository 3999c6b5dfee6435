/** The configuration in force, as YAML that the server writes: each setting by its path. Pure. */

export interface Setting {
  readonly path: string; // query.timeout
  readonly value: string;
}

/** Settings of a file of sections and values, in its order; a list or mapping below a setting is its value. */
export function settingsOf(yaml: string): readonly Setting[] {
  const found: { path: string; value: string }[] = [];
  const above: { indent: number; name: string }[] = [];
  for (const line of yaml.split("\n")) {
    const [, blanks, name, value] = /^( *)([A-Za-z_][\w.-]*):(?: (.*))?$/.exec(line) ?? [];
    const last = found.at(-1);
    if (name === undefined || blanks === undefined) {
      const text = line.trim();
      if (last && text)
        last.value = [last.value, text.replace(/^- /, "")].filter(Boolean).join(text.startsWith("- ") ? ", " : " ");
      continue;
    }
    while (above.length > 0 && above.at(-1)!.indent >= blanks.length) above.pop();
    const path = [...above.map((each) => each.name), name].join(".");
    above.push({ indent: blanks.length, name });
    // What has something below it is no setting itself.
    if (last && last.value === "" && path.startsWith(`${last.path}.`)) found.pop();
    found.push({ path, value: value ?? "" });
  }
  return found;
}
