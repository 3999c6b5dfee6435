import { wouldBeHeard } from "@/model/red";
import { Tag } from "./Tag";

/** That a service answered nothing in the last minute: of one that has `usual` requests a second it is to be noticed, or not. */
export function NoRequests({ usual }: { usual: number }) {
  return wouldBeHeard(usual) ? <Tag of="silent" kind="warn" /> : "0";
}
