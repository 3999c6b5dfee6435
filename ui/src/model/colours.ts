/** Colours of series: told apart on light and dark ground, the first eight also by people who see few colours. */

export const SERIES: readonly string[] = [
  "#3b82c4",
  "#e08a1e",
  "#2f9e6e",
  "#c8504b",
  "#8e6bbf",
  "#1ba3b8",
  "#d0679d",
  "#8a8d2f",
  "#5b74d6",
  "#b5662e",
  "#4fae3f",
  "#e0565b",
  "#a05fae",
  "#3d8f8f",
  "#c98fb5",
  "#a6a13c",
];

export function colourAt(index: number): string {
  return SERIES[index % SERIES.length]!;
}

/** The colour of a name: the same wherever it stands. */
export function colourOf(name: string): string {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 16777619);
  return colourAt(hash >>> 0);
}

/** Grafana's names of colours, as its dashboards and thresholds use them. */
export const NAMED: Readonly<Record<string, string>> = {
  green: "#4da75d",
  "dark-green": "#2f7d3f",
  "semi-dark-green": "#3f9150",
  "light-green": "#86cf8f",
  "super-light-green": "#bfe8c3",
  red: "#dc4d52",
  "dark-red": "#b02a30",
  "semi-dark-red": "#c73c41",
  "light-red": "#f08a8d",
  "super-light-red": "#f9c3c5",
  yellow: "#d9a92a",
  "dark-yellow": "#ad8112",
  "semi-dark-yellow": "#c3951e",
  "light-yellow": "#f0d06e",
  "super-light-yellow": "#f8e8b3",
  orange: "#e8842c",
  "dark-orange": "#bd6112",
  "semi-dark-orange": "#d3731e",
  "light-orange": "#f5b273",
  "super-light-orange": "#fad9b8",
  blue: "#4a88d4",
  "dark-blue": "#2760a6",
  "semi-dark-blue": "#3973bd",
  "light-blue": "#8ab5ea",
  "super-light-blue": "#c4daf5",
  purple: "#9a6bc9",
  "dark-purple": "#6f459a",
  "semi-dark-purple": "#8458b2",
  "light-purple": "#c2a0e2",
  "super-light-purple": "#e0cff1",
  text: "#8a929c",
  transparent: "transparent",
  white: "#ffffff",
  black: "#000000",
  gray: "#8a929c",
  grey: "#8a929c",
};

/** A CSS colour for what a dashboard calls a colour: a name of Grafana's, or CSS as it is. */
export function cssColour(name: string): string {
  return Object.hasOwn(NAMED, name) ? NAMED[name]! : name;
}
