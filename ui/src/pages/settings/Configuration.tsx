import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useConfiguration, useReload, useRuntime } from "@/api/configuration";
import { Ago } from "@/components/Ago";
import { copy, Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Fault, Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useUrl } from "@/components/time";
import { settingsOf } from "@/model/configuration";

/** The configuration in force, when it was read, and reading it anew. */
export function Configuration() {
  const configuration = useConfiguration();
  const runtime = useRuntime();
  const reload = useReload();
  const [sought, setSought] = useUrl("find");
  const again = () =>
    reload.mutate(undefined, {
      onSuccess: () => notifications.show({ message: "Configuration reloaded." }),
    });
  return (
    <Panel
      title="Configuration in force"
      note={
        runtime.data && (
          <>
            read <Ago at={Date.parse(runtime.data.lastConfigTime) / 1000} />{" "}
            {runtime.data.reloadConfigSuccess ? <Tag of="ok" /> : <Tag of="last reload refused" kind="bad" />}
          </>
        )
      }
      side={
        <Button size="compact-xs" onClick={again} loading={reload.isPending}>
          reload
        </Button>
      }
      takings={
        configuration.data === undefined
          ? []
          : [{ label: "copy as YAML", act: () => copy(configuration.data, "configuration") }]
      }
    >
      {reload.isError && <Fault error={reload.error} />}
      <Sought
        maw={320}
        mb={6}
        label="find settings"
        hint="a word of a setting or its value"
        value={sought}
        onChange={setSought}
      />
      <Shown of={configuration} rows={12}>
        {(yaml) => {
          const word = sought.trim().toLowerCase();
          const rows = settingsOf(yaml).filter(({ path, value }) => `${path} ${value}`.toLowerCase().includes(word));
          if (rows.length === 0) return <Nothing title="No match">No setting has this word.</Nothing>;
          return (
            <Table
              label="settings in force"
              columns={[
                { title: "setting", cell: ({ path }) => <code>{path}</code>, by: ({ path }) => path },
                { title: "value", cell: ({ value }) => <code>{value}</code>, by: ({ value }) => value },
              ]}
              rows={rows}
              id={({ path }) => path}
            />
          );
        }}
      </Shown>
    </Panel>
  );
}
