import { ActionIcon, Button, Select } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { object, text } from "@/model/dashboard/options";
import { type FieldValue, type LevelStep, stepsOf, withSteps } from "@/model/dashboard/panelform";
import { Colour } from "./Field";
import { Limit } from "./Limit";

interface Props {
  readonly label: string;
  readonly value: FieldValue;
  readonly change: (value: FieldValue) => void;
}

/** From which values on there is which colour; the first is that of all below. */
export function Thresholds({ label, value, change }: Props) {
  const steps = stepsOf(value);
  const set = (at: number, step: LevelStep) => change(withSteps(value, steps.with(at, step)));
  const more = () => change(withSteps(value, [...steps, { value: (steps.at(-1)?.value ?? 0) + 10, colour: "red" }]));
  return (
    <fieldset className="fields">
      <legend>{label}</legend>
      {steps.map((step, at) => (
        <div key={`${at} of ${steps.length}`} className="fieldrow">
          {at === 0 ? (
            <span className="quiet">below</span>
          ) : (
            <Limit
              label={`from, step ${at}`}
              value={step.value ?? 0}
              change={(limit) => limit !== null && set(at, { ...step, value: limit })}
            />
          )}
          <Colour
            quiet
            label={at === 0 ? "colour below all" : `colour, step ${at}`}
            value={step.colour}
            change={(colour) => set(at, { ...step, colour })}
          />
          {at > 0 && (
            <ActionIcon
              size="sm"
              variant="subtle"
              color="gray"
              aria-label={`take away step ${at}`}
              onClick={() => change(withSteps(value, steps.toSpliced(at, 1)))}
            >
              <IconX size={13} />
            </ActionIcon>
          )}
        </div>
      ))}
      <div className="fieldrow">
        <Button size="compact-xs" variant="default" onClick={more}>
          another step
        </Button>
        <Select
          size="xs"
          aria-label="thresholds are"
          allowDeselect={false}
          data={[
            { value: "absolute", label: "values" },
            { value: "percentage", label: "percent of min to max" },
          ]}
          value={text(object(value).mode, "absolute")}
          onChange={(mode) => change({ ...withSteps(value, steps), mode })}
        />
      </div>
    </fieldset>
  );
}
