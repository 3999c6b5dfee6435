import { Button, Group, Select, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useEffect, useState } from "react";
import { Link } from "react-router";
import { keepPostmortem, type Postmortem, useIncidentActs, usePostmortem, writePostmortem } from "@/api/incidents";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { useGoto, useTime, useUrl } from "@/components/time";
import { dateTime } from "@/model/timerange";

/** The postmortem of an incident: read, changed in versions, taken along. */
export default function Page({ id }: { id: string }) {
  const [version] = useUrl("version");
  const postmortem = usePostmortem(id, version ? Number(version) : undefined);
  return (
    <Shown of={postmortem}>
      {(found) => (found ? <Editor key={found.version} id={id} postmortem={found} /> : <None id={id} />)}
    </Shown>
  );
}

function None({ id }: { id: string }) {
  const [actor] = useActor();
  const acts = useIncidentActs(id);
  const goto = useGoto();
  return (
    <Panel title="Postmortem">
      <Nothing title="There is none yet">
        It is written by itself once <Link to={goto(`/incidents/${id}`)}>the incident</Link> is resolved.
      </Nothing>
      <Button
        size="compact-sm"
        variant="default"
        loading={acts.isPending}
        onClick={() => acts.mutate(writePostmortem(actor || "somebody"))}
      >
        write it now
      </Button>
      {acts.isError && <Fault error={acts.error} />}
    </Panel>
  );
}

function Editor({ id, postmortem }: { id: string; postmortem: Postmortem }) {
  const { utc } = useTime();
  const goto = useGoto();
  const [actor] = useActor();
  const [version, setVersion] = useUrl("version");
  const [text, setText] = useState(postmortem.text);
  const acts = useIncidentActs(id);
  const changed = text !== postmortem.text;
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => changed && event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [changed]);
  const base = `/aiprism/v1/incidents/${encodeURIComponent(id)}/postmortem`;
  const keep = () =>
    acts.mutate(keepPostmortem(actor, postmortem.version, text), {
      onSuccess: () => [notifications.show({ message: "Kept as a new version." }), setVersion("")],
    });
  return (
    <Panel
      title={postmortem.title}
      side={
        <Group gap={6}>
          <Link to={goto(`/incidents/${id}`)}>incident</Link>
          {["md", "html", "json"].map((form) => (
            <a
              key={form}
              href={`${base}.${form}${version ? `?version=${version}` : ""}`}
              download={form !== "html"}
              target={form === "html" ? "_blank" : undefined}
              rel="noreferrer"
            >
              {form}
            </a>
          ))}
          <Select
            size="xs"
            w={230}
            aria-label="version"
            allowDeselect={false}
            data={postmortem.versions.map(({ version: number, at, author }) => ({
              value: String(number),
              label: `${number} · ${author} · ${dateTime(at, utc).slice(0, 16)}`,
            }))}
            value={String(postmortem.version)}
            onChange={(to) => setVersion(to ?? "", true)}
          />
          <Button
            size="compact-xs"
            disabled={!changed || !actor}
            loading={acts.isPending}
            onClick={keep}
            title={actor ? "" : "say who you are on the incident's page"}
          >
            keep
          </Button>
        </Group>
      }
    >
      {acts.isError && <Fault error={acts.error} />}
      <Textarea
        aria-label="postmortem in Markdown"
        autosize
        minRows={24}
        maxRows={60}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        styles={{ input: { fontFamily: "var(--mono)", fontSize: 12.5 } }}
      />
    </Panel>
  );
}
