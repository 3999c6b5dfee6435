/** A box with a name: its content, what stands at its right, and the menu to take its data along. */

import { ActionIcon, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconDotsVertical } from "@tabler/icons-react";
import { type ReactNode, useId } from "react";

/** One way to take along what a panel shows. */
export interface Taking {
  readonly label: string;
  readonly act: () => void | Promise<void>;
}

interface Props {
  readonly title: ReactNode;
  readonly note?: ReactNode;
  readonly side?: ReactNode;
  readonly takings?: readonly Taking[];
  readonly children: ReactNode;
  readonly height?: number;
}

export function Panel({ title, note, side, takings = [], children, height }: Props) {
  const id = useId();
  return (
    <section className="panel" aria-labelledby={id} style={height ? { height } : undefined}>
      <header>
        <h2 id={id} className="cut">
          {title} {note && <small className="quiet">{note}</small>}
        </h2>
        <div className="side">
          {side}
          {takings.length > 0 && (
            <Menu position="bottom-end" withinPortal>
              <Menu.Target>
                <ActionIcon size="sm" variant="subtle" color="gray" aria-label="panel menu">
                  <IconDotsVertical size={14} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                {takings.map(({ label, act }) => (
                  <Menu.Item key={label} onClick={() => void act()}>
                    {label}
                  </Menu.Item>
                ))}
              </Menu.Dropdown>
            </Menu>
          )}
        </div>
      </header>
      <div className="body">{children}</div>
    </section>
  );
}

/** Puts `text` on the clipboard and says so. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notifications.show({ message: `${what} copied` });
  } catch {
    notifications.show({ color: "red", message: `The browser does not let this page copy; it is: ${text}` });
  }
}

/** Lets the browser keep `content` as a file. */
export function save(name: string, content: Blob | string, type = "text/plain"): void {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Rows as RFC 4180 has them; a cell that a spreadsheet would take for a formula is kept from being one. */
export function csv(rows: readonly (readonly (string | number | null | undefined)[])[]): string {
  const cell = (value: string | number | null | undefined) => {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n");
}
