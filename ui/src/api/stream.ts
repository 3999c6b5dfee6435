/** Server-sent events that go on whatever becomes of the connection, until they are ended. */

const AGAIN = 3000;

/**
 * Follows an address; `attach` is called with each source of events, in whose place another comes where a browser gives up: when
 * it was refused, by a proxy while the server is started again, or for too many listeners. Gives what ends it.
 */
export function followed(where: string, attach: (source: EventSource) => void): () => void {
  let source: EventSource;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const begin = () => {
    source = new EventSource(where);
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) waiting = setTimeout(begin, AGAIN);
    });
    attach(source);
  };
  begin();
  return () => {
    clearTimeout(waiting);
    source.close();
  };
}
