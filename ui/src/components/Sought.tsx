import { TextInput, type TextInputProps } from "@mantine/core";

interface Props extends Pick<TextInputProps, "w" | "maw" | "mb"> {
  /** What is narrowed: "find alerts". */
  readonly label: string;
  /** What may be typed. */
  readonly hint: string;
  readonly value: string;
  readonly onChange: (words: string) => void;
}

/** Where words are typed that narrow what is shown. */
export function Sought({ label, hint, onChange, ...rest }: Props) {
  return (
    <TextInput
      size="xs"
      aria-label={label}
      placeholder={hint}
      onChange={(event) => onChange(event.currentTarget.value)}
      {...rest}
    />
  );
}
