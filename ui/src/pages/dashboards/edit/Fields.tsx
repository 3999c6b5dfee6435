import { Select, TextInput } from "@mantine/core";
import { useDeferredValue, useState } from "react";
import { Nothing } from "@/components/states";
import { text } from "@/model/dashboard/options";
import type { PanelField } from "@/model/dashboard/panelfields";
import { formOf, retyped, valueAt, withValue } from "@/model/dashboard/panelform";
import type { Json } from "@/model/dashboard/types";
import { VIEWS } from "../panels";
import { Field } from "./Field";

const NARROW: readonly string[] = ["number", "choice", "switch", "calc", "colour"];

interface Props {
  readonly panel: Json;
  /** `what` is the field: letters typed into one are one step of undoing. */
  readonly change: (panel: Json, what: string) => void;
}

/** The options of a panel by form: its type, and what of it is drawn here; found by words of their names. */
export function Fields({ panel, change }: Props) {
  const [words, setWords] = useState("");
  const wanted = useDeferredValue(words).toLowerCase();
  const type = text(panel.type);
  const groups = formOf(panel)
    .map(({ name, fields }) => ({ name, fields: fields.filter((field) => fits(field, name, wanted)) }))
    .filter(({ fields }) => fields.length > 0);
  return (
    <div className="options">
      {type !== "row" && (
        <Select
          size="xs"
          label="type"
          data={[...new Set([...Object.keys(VIEWS), type])]}
          value={type}
          allowDeselect={false}
          onChange={(next) => next && next !== type && change(retyped(panel, next), "")}
        />
      )}
      <TextInput
        size="xs"
        label="find an option"
        type="search"
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
      />
      {groups.map(({ name, fields }) => (
        <fieldset key={name} className="fields">
          <legend>{name}</legend>
          {fields.map((field) => (
            <div key={`${field.path} ${field.kind}`} className={NARROW.includes(field.kind) ? undefined : "wide"}>
              <Field
                field={field}
                value={valueAt(panel, field)}
                change={(value) => change(withValue(panel, field, value), `${panel.id} ${field.path}`)}
              />
            </div>
          ))}
        </fieldset>
      ))}
      {groups.length === 0 && (
        <Nothing title="No such option">What is not asked for here stands in the JSON of the panel.</Nothing>
      )}
    </div>
  );
}

function fits({ label, path }: PanelField, group: string, words: string): boolean {
  const said = `${label} ${group} ${path}`.toLowerCase();
  return words.split(/\s+/).every((word) => said.includes(word));
}
