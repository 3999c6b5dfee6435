import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { pinIn } from "@/api/room";
import { useActor } from "@/components/actor";
import { type EvidenceKind, isPinned, type Room } from "@/model/room";

interface Props {
  readonly id: string;
  readonly room: Room;
  readonly evidence: EvidenceKind;
  readonly of: number;
  readonly what: string;
}

/** Pins a message or a line of the timeline; nothing where it is pinned already. */
export function Pinner({ id, room, evidence, of, what }: Props) {
  const [actor] = useActor();
  const pinning = useMutation({
    mutationFn: () => pinIn(id, actor, evidence, { ref: String(of) }),
    onError: ({ message }) => notifications.show({ color: "red", message }),
  });
  if (!actor || isPinned(room, evidence, of)) return null;
  return (
    <Button
      className="room-act"
      size="compact-xs"
      variant="subtle"
      aria-label={`pin ${what.slice(0, 80)}`}
      loading={pinning.isPending}
      onClick={() => pinning.mutate()}
    >
      pin
    </Button>
  );
}
