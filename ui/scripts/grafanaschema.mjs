/**
 * node grafanaschema.mjs FILE…: whether dashboards have the forms that Grafana publishes in @grafana/schema.
 *
 * The package has types of TypeScript and no schema for JSON, so the compiler reads the types, and each value is held
 * against its own: the dashboard, its panels, fields, variables, links and annotations, and of each panel the options of
 * its type. Properties Grafana has not are let be, as it does. Prints a line for each fault; exit 1 when there are any.
 */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const RAW = join(dirname(fileURLToPath(import.meta.url)), "../node_modules/@grafana/schema/dist/types/raw");
const DASHBOARD = join(RAW, "dashboard/x/types.gen.d.ts");
const optionsFile = (type) =>
  join(RAW, "composable", type.replaceAll("-", "").toLowerCase(), "panelcfg/x/types.gen.d.ts");

const boards = process.argv.slice(2).map((file) => [file, JSON.parse(readFileSync(file, "utf8"))]);
const panelsOf = ({ panels = [] }) => panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
const types = new Set(boards.flatMap(([, board]) => panelsOf(board).map(({ type }) => type)));
const files = [DASHBOARD, ...[...types].map(optionsFile).filter((file) => existsSync(file))];
const program = ts.createProgram(files, {
  strict: true,
  skipLibCheck: true,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  module: ts.ModuleKind.ESNext,
});
const checker = program.getTypeChecker();

function typeOf(file, name) {
  const source = program.getSourceFile(file);
  const found =
    source && checker.getExportsOfModule(checker.getSymbolAtLocation(source)).find((each) => each.name === name);
  return found && checker.getDeclaredTypeOfSymbol(found);
}

/** What of `value` is not as `type` has it; `partial`: nothing has to be there. */
function faults(value, type, path, partial) {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return [];
  if (type.isUnion()) {
    const all = type.types.map((each) => faults(value, each, path, partial));
    if (all.some((each) => each.length === 0)) return [];
    // Which of them was meant: the object that is least wrong, as nothing else can hold an object.
    const objects = all.filter((_, at) => type.types[at].flags & ts.TypeFlags.Object);
    const meant = objects.toSorted((a, b) => a.length - b.length)[0];
    return meant && value && typeof value === "object"
      ? meant
      : [`${path}: ${JSON.stringify(value)} is none of ${checker.typeToString(type)}`];
  }
  const wrong = [`${path}: ${JSON.stringify(value)?.slice(0, 80)} is no ${checker.typeToString(type)}`];
  if (type.isLiteral()) return value === type.value ? [] : wrong;
  const kinds = [
    [ts.TypeFlags.StringLike, "string"],
    [ts.TypeFlags.NumberLike, "number"],
    [ts.TypeFlags.BooleanLike, "boolean"],
    [ts.TypeFlags.Undefined, "undefined"],
  ];
  for (const [flag, kind] of kinds)
    if (type.flags & flag) return typeof value === kind ? ofBoolean(value, type, wrong) : wrong;
  if (type.flags & ts.TypeFlags.Null) return value === null ? [] : wrong;
  if (checker.isArrayType(type)) {
    if (!Array.isArray(value)) return wrong;
    const [item] = checker.getTypeArguments(type);
    return value.flatMap((each, at) => faults(each, item, `${path}[${at}]`, partial));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong;
  const named = checker.getPropertiesOfType(type);
  const known = new Set(named.map(({ name }) => name));
  const rest = checker.getIndexTypeOfType(type, ts.IndexKind.String);
  return [
    ...named.flatMap((property) => {
      const optional = partial || Boolean(property.flags & ts.SymbolFlags.Optional);
      const below = value[property.name];
      if (below === undefined) return optional ? [] : [`${path}: has no ${property.name}`];
      return faults(below, checker.getTypeOfSymbol(property), `${path}.${property.name}`, partial);
    }),
    ...(rest
      ? Object.keys(value)
          .filter((key) => !known.has(key))
          .flatMap((key) => faults(value[key], rest, `${path}.${key}`, partial))
      : []),
  ];
}

/** `true` and `false` are types of their own. */
function ofBoolean(value, type, wrong) {
  const only = type.flags & ts.TypeFlags.BooleanLiteral ? type.intrinsicName : String(value);
  return String(value) === only ? [] : wrong;
}

const found = boards.flatMap(([file, board]) => [
  ...faults(board, typeOf(DASHBOARD, "Dashboard"), file, false),
  ...panelsOf(board).flatMap((panel) => {
    const options = typeOf(optionsFile(panel.type), "Options");
    return options && panel.options
      ? faults(panel.options, options, `${file}: panel ${panel.id} (${panel.type}).options`, true)
      : [];
  }),
]);
for (const fault of found) console.log(fault);
process.exitCode = found.length ? 1 : 0;
