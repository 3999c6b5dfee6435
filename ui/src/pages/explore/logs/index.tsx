import { Nothing } from "@/components/states";

export default function Page() {
  return <Nothing title="This page is being built">Its data is in the HTTP API: see /docs.</Nothing>;
}
