/** Who acts here: until people sign in, a name that they give once and this browser keeps. */

import { useLocalStorage } from "@mantine/hooks";

export function useActor(): [string, (name: string) => void] {
  const [actor, setActor] = useLocalStorage({ key: "aiprism.actor", defaultValue: "", getInitialValueInEffect: false });
  return [actor, setActor];
}
