import { Button, FileButton, Group } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { Link, useNavigate } from "react-router";
import { type DashboardSummary, useDashboards, useImportDashboard } from "@/api/dashboards";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime, useUrl } from "@/components/time";
import { dateTime } from "@/model/timerange";

/** Every dashboard, found by words of its title, folder and tags; and the way in for those of Grafana. */
export function List() {
  const [words, setWords] = useUrl("find");
  const dashboards = useDashboards();
  const goto = useGoto();
  return (
    <>
      <Group gap={8}>
        <Sought w={260} label="find dashboards" hint="title, folder, tag" value={words} onChange={setWords} />
        <Button size="compact-sm" variant="default" component={Link} to={goto("/dashboards/~new", { do: "edit" })}>
          new dashboard
        </Button>
        <Import />
      </Group>
      <Panel title="Dashboards" note={dashboards.data && String(dashboards.data.length)}>
        <Shown of={dashboards}>{(all) => <Found of={all.filter((each) => fits(each, words))} />}</Shown>
      </Panel>
    </>
  );
}

function fits({ title, folder, tags }: DashboardSummary, words: string): boolean {
  const text = `${title} ${folder} ${tags.join(" ")}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

const ORIGINS = { shipped: "comes with aiprism", file: "a file", saved: "saved here" } as const;

function Found({ of }: { of: readonly DashboardSummary[] }) {
  const goto = useGoto();
  const { utc } = useTime();
  if (of.length === 0) {
    return (
      <Nothing title="No such dashboard">
        Import Grafana's JSON above, or name folders of it in <code>dashboards.folders</code> of aiprism.yml.
      </Nothing>
    );
  }
  const columns: Column<DashboardSummary>[] = [
    {
      title: "title",
      cell: ({ uid, title, description }) => (
        <>
          <Link to={goto(`/dashboards/${uid}`)}>{title}</Link>
          {description && <div className="quiet hide-small">{description}</div>}
        </>
      ),
      by: ({ title }) => title,
    },
    { title: "folder", cell: ({ folder }) => folder, by: ({ folder }) => folder, small: false },
    {
      title: "tags",
      cell: ({ tags }) => tags.map((tag) => <Tag key={tag} of={tag} kind="" />),
      small: false,
    },
    { title: "from", cell: ({ origin }) => ORIGINS[origin], by: ({ origin }) => origin, small: false },
    {
      title: "changed",
      cell: ({ at, by }) => `${dateTime(at, utc)} ${by}`,
      by: ({ at }) => at,
      small: false,
    },
  ];
  return <Table label="dashboards" columns={columns} rows={of} id={({ uid }) => uid} />;
}

/** Takes a file of Grafana's, of the classic model or schema v2; the server says what is none. */
function Import() {
  const [actor] = useActor();
  const sent = useImportDashboard();
  const navigate = useNavigate();
  const goto = useGoto();
  const take = async (file: File | null) => {
    if (!file) return;
    try {
      const made = await sent.mutateAsync({
        dashboard: JSON.parse(await file.text()),
        folder: "imported",
        by: actor,
        message: file.name,
      });
      navigate(goto(`/dashboards/${made.uid}`));
    } catch (error) {
      notifications.show({ color: "red", title: `${file.name} was not imported`, message: String(error) });
    }
  };
  return (
    <FileButton
      onChange={(file) => void take(file)}
      accept="application/json,.json"
      inputProps={{ "aria-label": "a file of Grafana's JSON" }}
    >
      {(props) => (
        <Button size="compact-sm" variant="default" loading={sent.isPending} {...props}>
          import Grafana JSON
        </Button>
      )}
    </FileButton>
  );
}
