/** A box for SQL that knows the tables, columns and functions of the server. */

import { SQLDialect, sql } from "@codemirror/lang-sql";
import { useMemo } from "react";
import type { SqlCatalogue } from "@/api/sql";
import { CodeBox, type CodeProps } from "./CodeBox";

const KEYWORDS =
  "select from where prewhere group by order limit offset having with as on using join inner left right full cross any all " +
  "asof array union except intersect distinct and or not in like ilike between is null case when then else end over " +
  "partition rows range preceding following current row window final interval asc desc nulls first last true false " +
  "explain describe show tables exists cast second minute hour day week month year";
const TYPES =
  "String FixedString UInt8 UInt16 UInt32 UInt64 Int8 Int16 Int32 Int64 Float32 Float64 Bool Date DateTime DateTime64 " +
  "Nullable LowCardinality Array Map Tuple UUID";

interface Props extends CodeProps {
  readonly catalogue: SqlCatalogue;
}

export default function SqlEditor({ catalogue, ...props }: Props) {
  const extensions = useMemo(() => language(catalogue), [catalogue]);
  return (
    <CodeBox {...props} extensions={extensions} long hint="SELECT … FROM spans WHERE start >= {from:DateTime64}" />
  );
}

function language({ tables, functions }: SqlCatalogue) {
  const dialect = SQLDialect.define({
    keywords: KEYWORDS,
    types: TYPES,
    builtin: functions.join(" "),
    backslashEscapes: true,
    hashComments: true,
    identifierQuotes: '`"',
  });
  const schema = Object.fromEntries(
    tables.map(({ name, columns }) => [
      name,
      columns.map((column) => ({ label: column.name, type: "property", detail: column.type, info: column.about })),
    ]),
  );
  return sql({ dialect, schema, upperCaseKeywords: true });
}
