import { expect, test } from "vitest";
import { settingsOf } from "./configuration";

const FILE = `data: /tmp/data
server:
  listen: 127.0.0.1:9090
  roles:
  - receive
  - query
respond:
  kubernetes:
    nodes: false
  commands: {}
query:
  timeout: 2m
`;

test("settings stand by their paths, with lists as they are", () =>
  expect(settingsOf(FILE).map(({ path, value }) => `${path}=${value}`)).toEqual([
    "data=/tmp/data",
    "server.listen=127.0.0.1:9090",
    "server.roles=receive, query",
    "respond.kubernetes.nodes=false",
    "respond.commands={}",
    "query.timeout=2m",
  ]));

test("of nothing there is nothing", () => expect(settingsOf("")).toEqual([]));
