import { Button, Group, SegmentedControl, Select, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useEffect, useState } from "react";
import { Link } from "react-router";
import { keepPostmortem, type Postmortem, useIncidentActs, usePostmortem, writePostmortem } from "@/api/incidents";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { useGoto, useTime, useUrl } from "@/components/time";
import { useTitle } from "@/components/title";
import { dateTime } from "@/model/timerange";
import { Preview } from "./Preview";

/** The postmortem of an incident: read as it is written, changed in versions, downloaded. */
export default function Page({ id }: { id: string }) {
  const [version] = useUrl("version");
  const postmortem = usePostmortem(id, version ? Number(version) : undefined);
  return (
    <Shown of={postmortem}>
      {(found) => (found ? <Editor id={id} shown={found} isBefore={postmortem.isPlaceholderData} /> : <None id={id} />)}
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
        It is generated once <Link to={goto(`/incidents/${id}`)}>the incident</Link> is resolved.
      </Nothing>
      <Button
        size="compact-sm"
        variant="default"
        loading={acts.isPending}
        onClick={() => acts.mutate(writePostmortem(actor || "somebody"))}
      >
        generate it now
      </Button>
      {acts.isError && <Fault error={acts.error} />}
    </Panel>
  );
}

const VIEWS = ["write", "both", "read"];

interface EditorProps {
  readonly id: string;
  readonly shown: Postmortem;
  /** The version that was chosen is on its way; this is the one before. */
  readonly isBefore: boolean;
}

function Editor({ id, shown, isBefore }: EditorProps) {
  const [actor, setActor] = useActor();
  // What the text is made of: another version, saved meanwhile or chosen, takes its place only where nothing is lost by that.
  const [postmortem, setPostmortem] = useState(shown);
  useTitle(postmortem.title);
  const [version, setVersion] = useUrl("version");
  const [view, setView] = useUrl("view", "both");
  const [text, setText] = useState(postmortem.text);
  const acts = useIncidentActs(id);
  const changed = text !== postmortem.text;
  const take = () => [setPostmortem(shown), setText(shown.text)];
  if (!isBefore && shown !== postmortem && (!changed || text === shown.text)) take();
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => changed && event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [changed]);
  const base = `/aiprism/v1/incidents/${encodeURIComponent(id)}/postmortem`;
  const keep = () => {
    if (!changed || !actor.trim()) return;
    acts.mutate(keepPostmortem(actor.trim(), postmortem.version, text), {
      onSuccess: (kept) => {
        notifications.show({ message: "Saved as a new version." });
        setPostmortem({ ...postmortem, version: (kept as Postmortem).version, text }); // who goes on typing goes on from it
        setVersion("");
      },
    });
  };
  return (
    <Panel
      title={postmortem.title}
      note={changed ? "unsaved changes" : undefined}
      side={<Taking id={id} base={base} version={version} />}
    >
      <Group gap={6} pb={8} align="center">
        <SegmentedControl size="xs" aria-label="view" data={VIEWS} value={view} onChange={setView} />
        <Versions postmortem={shown} onPick={(to) => setVersion(to, true)} />
        <TextInput
          size="xs"
          w={130}
          aria-label="you are"
          placeholder="your name"
          value={actor}
          onChange={(event) => setActor(event.currentTarget.value)}
        />
        <Button
          size="compact-sm"
          disabled={!changed || !actor.trim()}
          loading={acts.isPending}
          onClick={keep}
          title="Ctrl S"
        >
          save
        </Button>
        {acts.isError && <Fault error={acts.error} />}
      </Group>
      {shown.version !== postmortem.version && changed && (
        <div className="warn" role="status" style={{ paddingBottom: 8 }}>
          Version {shown.version} is there; what you wrote is made of version {postmortem.version} and not saved.{" "}
          <Button size="compact-xs" variant="default" onClick={take}>
            discard it and show version {shown.version}
          </Button>
        </div>
      )}
      <div className={view === "both" ? "postmortem-both" : undefined}>
        {view !== "read" && (
          <Textarea
            aria-label="postmortem in Markdown"
            autosize
            minRows={24}
            maxRows={36}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
              event.preventDefault();
              keep();
            }}
            styles={{ input: { fontFamily: "var(--mono)", fontSize: 12.5 } }}
          />
        )}
        {view !== "write" && <Preview text={text} base={`${base}/`} version={postmortem.version} />}
      </div>
    </Panel>
  );
}

function Versions({ postmortem, onPick }: { postmortem: Postmortem; onPick: (version: string) => void }) {
  const { utc } = useTime();
  return (
    <Select
      size="xs"
      w={330}
      aria-label="version"
      allowDeselect={false}
      data={postmortem.versions.map(({ version, at, author }) => ({
        value: String(version),
        label: `${version} · ${author === "automated_system" ? "aiprism" : author} · ${dateTime(at, utc).slice(0, 16)}`,
      }))}
      value={String(postmortem.version)}
      onChange={(to) => onPick(to ?? "")}
    />
  );
}

const FORMS = { md: "Markdown", html: "HTML", json: "JSON with all evidence" } as const;

/** The incident it is of, and the forms in which it is downloaded. */
function Taking({ id, base, version }: { id: string; base: string; version: string }) {
  const goto = useGoto();
  return (
    <Group gap={10}>
      <Link to={goto(`/incidents/${id}`)}>incident</Link>
      {Object.entries(FORMS).map(([form, name]) => (
        <a
          key={form}
          href={`${base}.${form}${version ? `?version=${version}` : ""}`}
          download={`postmortem-${id}.${form}`}
          title={`download as ${name}`}
        >
          {name.split(" ")[0]}
        </a>
      ))}
    </Group>
  );
}
