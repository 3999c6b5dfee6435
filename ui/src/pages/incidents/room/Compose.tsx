import { Button, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type KeyboardEvent, memo, useRef, useState } from "react";
import { sayIn } from "@/api/room";
import { useActor } from "@/components/actor";
import { Fault } from "@/components/states";
import { type CommandOffer, offered } from "@/model/room";

interface Props {
  readonly id: string;
  readonly commands: readonly CommandOffer[];
  readonly onSaid: () => void;
}

/** The box to say something: Enter says it, Shift Enter begins a line, a slash offers commands. Who types waits for no news. */
export const Compose = memo(function Compose({ id, commands, onSaid }: Props) {
  const [actor, setActor] = useActor();
  const [text, setText] = useState("");
  const [picked, setPicked] = useState(-1);
  const [hidden, setHidden] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  const who = useRef<HTMLInputElement>(null);
  const saying = useMutation({
    mutationFn: () => sayIn(id, actor.trim(), text.trim()),
    onSuccess: () => {
      setText("");
      onSaid();
    },
    onSettled: () => box.current?.focus(),
  });
  const offers = hidden ? [] : offered(commands, text);
  const write = (to: string) => {
    setText(to);
    setPicked(-1);
    setHidden(false);
  };
  const take = ({ usage }: CommandOffer) => {
    write(`${usage.split(" ")[0]} `);
    box.current?.focus();
  };
  const submit = () => {
    if (!actor.trim()) who.current?.focus();
    else if (text.trim() && !saying.isPending) saying.mutate();
  };
  const pressed = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const chosen = offers[picked] ?? (event.key === "Tab" ? offers[0] : undefined);
    if (event.nativeEvent.isComposing) return;
    if (offers.length && step) setPicked((picked + step + offers.length) % offers.length);
    else if (chosen && (event.key === "Enter" || event.key === "Tab")) take(chosen);
    else if (offers.length && event.key === "Escape") setHidden(true);
    else if (event.key === "Enter" && !event.shiftKey) submit();
    else return;
    event.preventDefault();
  };
  return (
    <form
      className="room-compose"
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {saying.isError && <Fault error={saying.error} />}
      {offers.length > 0 && (
        <div className="room-offers" role="listbox" aria-label="commands" id="room-offers">
          {offers.map((offer, at) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys choose from the box that says the command
            <div
              key={offer.usage}
              id={`room-offer-${at}`}
              role="option"
              tabIndex={-1}
              aria-selected={at === picked}
              onClick={() => take(offer)}
            >
              <code>{offer.usage}</code> <span className="quiet">{offer.does}</span>
            </div>
          ))}
        </div>
      )}
      <TextInput
        ref={who}
        size="xs"
        w={96}
        aria-label="you are"
        placeholder="your name"
        maxLength={200}
        value={actor}
        onChange={(event) => setActor(event.currentTarget.value)}
        error={saying.isIdle && text.trim() !== "" && !actor.trim()}
      />
      <Textarea
        ref={box}
        size="xs"
        flex={1}
        autosize
        minRows={1}
        maxRows={8}
        maxLength={8000}
        aria-label="message"
        aria-controls={offers.length ? "room-offers" : undefined}
        aria-activedescendant={picked >= 0 ? `room-offer-${picked}` : undefined}
        placeholder="write, or / to do"
        value={text}
        onChange={(event) => write(event.currentTarget.value)}
        onKeyDown={pressed}
      />
      <Button size="xs" type="submit" loading={saying.isPending}>
        send
      </Button>
    </form>
  );
});
