/** What a part shows that has no data: it is on its way, could not be had, or is not there. */

import { Button, Skeleton } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError } from "@/api/http";

export function Loading({ rows = 4, height = 14 }: { rows?: number; height?: number }) {
  return (
    <div role="status" aria-label="loading" style={{ display: "grid", gap: 8, padding: "8px 0" }}>
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} height={height} width={`${92 - ((row * 17) % 40)}%`} />
      ))}
    </div>
  );
}

/** Says what could not be had and why, in the server's words, and lets it be tried again. */
export function Fault({ error, again }: { error: unknown; again?: () => void }) {
  const text = error instanceof ApiError || error instanceof Error ? error.message : String(error);
  return (
    <div className="fault" role="alert">
      {text}{" "}
      {again && (
        <Button size="compact-xs" variant="subtle" onClick={again}>
          try again
        </Button>
      )}
    </div>
  );
}

/** Says that there is nothing, and how something comes to be there. */
export function Nothing({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}.</strong> {children}
    </div>
  );
}

/** What a query gives, once it does; what was there stays while it is asked again. */
export function Shown<T>({
  of: query,
  rows,
  children,
}: {
  of: UseQueryResult<T>;
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <Fault error={query.error} again={() => void query.refetch()} />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError) return <Fault error={query.error} again={() => void query.refetch()} />;
  return query.fetchStatus === "idle" ? null : <Loading rows={rows} />;
}
