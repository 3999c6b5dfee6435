import { letters } from "@/model/room";

export function Face({ name }: { name: string }) {
  return (
    <span className="room-face" aria-hidden>
      {letters(name)}
    </span>
  );
}
