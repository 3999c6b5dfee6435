import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { pinIn } from "@/api/room";
import type { EvidenceKind } from "@/model/room";

interface Props {
  readonly id: string;
  readonly actor: string;
  readonly evidence: EvidenceKind;
  readonly of: number;
  readonly what: string;
}

/** Pins a message or a line of the timeline, which is not pinned yet. */
export function Pinner({ id, actor, evidence, of, what }: Props) {
  const pinning = useMutation({
    mutationFn: () => pinIn(id, actor, evidence, { ref: String(of) }),
    onError: ({ message }) => notifications.show({ color: "red", message }),
  });
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
