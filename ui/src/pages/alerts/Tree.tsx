import { Tag } from "@/components/Tag";
import { grouping, hours, type RouteNode, timing } from "@/model/routing";
import "./tree.css";

interface Props {
  readonly root: RouteNode;
  readonly receivers: Readonly<Record<string, readonly string[]>>;
  /** The ids of the routes on an alert's way, and of those among them that take it. */
  readonly lit: ReadonlySet<string>;
  readonly taking: ReadonlySet<string>;
}

/** The routing tree, from the root down: the first child that matches takes an alert, and those after one that goes on. */
export function Tree({ root, ...rest }: Props) {
  return (
    <ul className="routes" aria-label="routes">
      <Branch route={root} {...rest} />
    </ul>
  );
}

function Branch({ route, ...rest }: Omit<Props, "root"> & { route: RouteNode }) {
  const { receivers, lit, taking } = rest;
  const takes = taking.has(route.id);
  const kept = hours(route);
  return (
    <li className={lit.has(route.id) ? "lit" : undefined}>
      <div className={takes ? "route takes" : "route"}>
        <div>
          {route.matchers.length > 0 ? (
            <code>{route.matchers.join(", ")}</code>
          ) : (
            <span className="quiet">everything</span>
          )}
          <span aria-hidden> → </span>
          <strong>{route.receiver}</strong>{" "}
          {(receivers[route.receiver] ?? []).map((channel, at) => (
            <Tag key={`${at} ${channel}`} of={channel} />
          ))}{" "}
          {takes && <Tag of="matches" kind="info" />}{" "}
          {route.continue && (
            <span className="quiet" title="what matches here is tried on the routes after it, too">
              continue
            </span>
          )}
        </div>
        <div className="quiet">
          {grouping(route.group_by)}; {timing(route)}
          {kept && `; ${kept}`}{" "}
          {route.muted_by.length > 0 && <Tag of={`muted now: ${route.muted_by.join(", ")}`} kind="warn" />}
        </div>
      </div>
      {route.routes.length > 0 && (
        <ul>
          {route.routes.map((child) => (
            <Branch key={child.id} route={child} {...rest} />
          ))}
        </ul>
      )}
    </li>
  );
}
