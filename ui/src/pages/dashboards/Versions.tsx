import { Button, Group } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type DashboardDocument, useDeleteDashboard, useSaveDashboard, useVersions } from "@/api/dashboards";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { useTime, useUrl } from "@/components/time";
import { dateTime } from "@/model/timerange";

/** What a dashboard was: each version can be looked at, and the one looked at made the last again. */
export function Versions({ document }: { document: DashboardDocument }) {
  const [looked, look] = useUrl("version");
  const [actor] = useActor();
  const { utc } = useTime();
  const versions = useVersions(document.uid);
  const saving = useSaveDashboard(document.uid);
  const deleting = useDeleteDashboard();
  const restore = (last: number) =>
    saving.mutate(
      {
        dashboard: { ...document.dashboard },
        folder: document.folder,
        by: actor,
        message: `as version ${document.version}`,
        version: last,
        into: "database",
        mark: "",
      },
      { onSuccess: () => look(""), onError: ({ message }) => notifications.show({ color: "red", message }) },
    );
  return (
    <Panel title="Versions">
      <Shown of={versions}>
        {(all) => (
          <>
            <Table
              label="versions"
              rows={all}
              id={({ version }) => String(version)}
              columns={[
                { title: "version", cell: ({ version }) => (version ? String(version) : "of the file"), number: false },
                { title: "at", cell: ({ at }) => dateTime(at, utc) },
                { title: "by", cell: ({ by }) => by },
                { title: "what changed", cell: ({ message }) => message },
                {
                  title: "",
                  cell: ({ version }) => (
                    <Button
                      size="compact-xs"
                      variant="default"
                      aria-label={`look at version ${version}`}
                      onClick={() => look(String(version), true)}
                    >
                      look
                    </Button>
                  ),
                },
              ]}
            />
            <Group gap={8} mt={8}>
              {looked && Number(looked) !== all[0]!.version && (
                <Button size="compact-sm" loading={saving.isPending} onClick={() => restore(all[0]!.version)}>
                  restore
                </Button>
              )}
              {all.some(({ version }) => version > 0) && (
                <Button
                  size="compact-sm"
                  variant="default"
                  color="red"
                  loading={deleting.isPending}
                  onClick={() => deleting.mutate(document.uid, { onSuccess: () => look("") })}
                >
                  delete saved versions
                </Button>
              )}
            </Group>
          </>
        )}
      </Shown>
    </Panel>
  );
}
