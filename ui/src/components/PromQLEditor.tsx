/** A line of PromQL that knows the metrics, labels and functions of the server, and marks what cannot be parsed. */

import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { CodeBox, type CodeProps } from "./CodeBox";

const promql = new PromQLExtension().setComplete({ remote: { url: "", cache: { maxAge: 60_000 } } }).asExtension();

export default function PromQLEditor(props: CodeProps) {
  return <CodeBox {...props} extensions={promql} hint="a PromQL expression, such as rate(http_requests_total[5m])" />;
}
