/** Searches that have a name: one is taken, kept, or given up. */

import { ActionIcon, Button, Group, Popover, TextInput } from "@mantine/core";
import { IconBookmark, IconTrash } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { type SavedSearch, useDeleteSearch, useSavedSearches, useSaveSearch } from "@/api/logs";
import { Fault, Shown } from "@/components/states";

interface Props {
  readonly query: string;
  readonly columns: readonly string[];
  readonly onPick: (search: SavedSearch) => void;
}

export function Saved({ query, columns, onPick }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" width={320} withinPortal trapFocus returnFocus>
      <Popover.Target>
        <Button
          size="compact-xs"
          variant="subtle"
          leftSection={<IconBookmark size={13} />}
          onClick={() => setOpen(!open)}
        >
          saved
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        {open && (
          <>
            <Keep query={query} columns={columns} />
            <Kept
              onPick={(search) => {
                setOpen(false);
                onPick(search);
              }}
            />
          </>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}

function Keep({ query, columns }: { query: string; columns: readonly string[] }) {
  const [name, setName] = useState("");
  const save = useSaveSearch();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate({ name, query, signal: "logs", columns: [...columns] }, { onSuccess: () => setName("") });
  };
  return (
    <form onSubmit={submit}>
      <Group gap={6} wrap="nowrap">
        <TextInput
          size="xs"
          flex={1}
          aria-label="name of the search"
          placeholder="a name for this search"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Button size="xs" type="submit" disabled={!name || !query} loading={save.isPending}>
          save
        </Button>
      </Group>
      {!query && <div className="quiet">Search for something first.</div>}
      {save.isError && <Fault error={save.error} />}
    </form>
  );
}

function Kept({ onPick }: { onPick: (search: SavedSearch) => void }) {
  const drop = useDeleteSearch();
  return (
    <Shown of={useSavedSearches("logs")} rows={2}>
      {(searches) => (
        <div style={{ paddingTop: 8, maxHeight: 300, overflowY: "auto" }}>
          {searches.length === 0 && <div className="quiet">None saved yet.</div>}
          {searches.map((search) => (
            <Group key={search.name} gap={4} wrap="nowrap" justify="space-between">
              <button type="button" className="log-pattern" onClick={() => onPick(search)}>
                <b>{search.name}</b> <span className="quiet mono">{search.query}</span>
              </button>
              <ActionIcon
                size="sm"
                variant="subtle"
                color="gray"
                aria-label={`delete ${search.name}`}
                onClick={() => drop.mutate(search.name)}
              >
                <IconTrash size={13} />
              </ActionIcon>
            </Group>
          ))}
          {drop.isError && <Fault error={drop.error} />}
        </div>
      )}
    </Shown>
  );
}
