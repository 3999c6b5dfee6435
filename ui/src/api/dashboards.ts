/** Dashboards: those that come with aiprism, those of folders, and those that were saved or imported. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { get, post, put, remove } from "./http";

export interface DashboardSummary {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly folder: string;
  readonly origin: "shipped" | "file" | "saved";
  readonly version: number;
  readonly at: number;
  readonly by: string;
  readonly message: string;
}

/** The file of a folder that a dashboard came from. */
export interface DashboardFile {
  readonly name: string;
  /** What it is as it was read: of another one nothing is written over. */
  readonly mark: string;
  /** Why nothing can be saved into it; empty where it can. */
  readonly refused: string;
}

export interface DashboardDocument extends DashboardSummary {
  readonly dashboard: Readonly<Record<string, unknown>>;
  readonly file: DashboardFile | null;
}

export const useDashboards = (enabled = true) =>
  useQuery({
    enabled,
    queryKey: ["dashboards"],
    queryFn: async ({ signal }) =>
      ((await get("/aiprism/v1/dashboards", { signal })) as { dashboards: readonly DashboardSummary[] }).dashboards,
  });

/** One dashboard, or a version of it. */
export const useDashboard = (uid: string, version?: number) =>
  useQuery({
    queryKey: ["dashboards", uid, version ?? "last"],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/dashboards/{uid}", { path: { uid }, query: { version }, signal })) as DashboardDocument,
  });

export const useVersions = (uid: string) =>
  useQuery({
    queryKey: ["dashboards", uid, "versions"],
    queryFn: async ({ signal }) =>
      (
        (await get("/aiprism/v1/dashboards/{uid}/versions", { path: { uid }, signal })) as {
          versions: readonly DashboardSummary[];
        }
      ).versions,
  });

export interface WantedDashboard {
  readonly dashboard: Record<string, unknown>;
  readonly folder: string;
  readonly by: string;
  readonly message: string;
}

export interface ChangedDashboard extends WantedDashboard {
  readonly version: number;
  readonly into: "database" | "file";
  readonly mark: string;
}

export type SavedDashboard = DashboardSummary & Pick<DashboardDocument, "file">;

/** Keeps another version in the place of the one that was read, or writes it into its file. */
export function useSaveDashboard(uid: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (wanted: ChangedDashboard) =>
      (await put("/aiprism/v1/dashboards/{uid}", { path: { uid }, body: wanted })) as SavedDashboard,
    // Where it is refused, too: somebody else has saved it, and theirs is what one goes on from.
    onSettled: () => client.invalidateQueries({ queryKey: ["dashboards"] }),
  });
}

export function useImportDashboard() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (wanted: WantedDashboard) =>
      (await post("/aiprism/v1/dashboards", { body: { ...wanted, overwrite: false } })) as DashboardSummary,
    onSuccess: () => client.invalidateQueries({ queryKey: ["dashboards"] }),
  });
}

export function useDeleteDashboard() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (uid: string) => void (await remove("/aiprism/v1/dashboards/{uid}", { path: { uid } })),
    onSuccess: () => client.invalidateQueries({ queryKey: ["dashboards"] }),
  });
}
