/** What cannot be drawn says so in its place, and leaves the rest of the page as it is. */

import { Component, type ReactNode } from "react";
import { Lacking } from "./lazily";
import { Fault } from "./states";

interface Props {
  /** Of another one it is tried anew. */
  readonly of: unknown;
  readonly children: ReactNode;
}

interface State {
  readonly of: unknown;
  readonly error: unknown;
}

export class Boundary extends Component<Props, State> {
  override state: State = { of: this.props.of, error: null };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { error };
  }

  static getDerivedStateFromProps({ of }: Props, state: State): State | null {
    return Object.is(of, state.of) ? null : { of, error: null };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    const again = () => {
      if (error instanceof Lacking) error.again();
      this.setState({ error: null });
    };
    return <Fault error={error} again={again} />;
  }
}
