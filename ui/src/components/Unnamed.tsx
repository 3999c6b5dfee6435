import { useActor } from "./actor";

/** The field in which one says who one is. */
export const WHO = "you-are";

/** Why nothing can be done yet, and the way to the field that is missing; nothing once somebody said who they are. */
export function Unnamed({ to }: { to: string }) {
  const [actor] = useActor();
  if (actor.trim()) return null;
  return (
    <button type="button" className="link" onClick={() => document.getElementById(WHO)?.focus()}>
      say who you are {to}
    </button>
  );
}
