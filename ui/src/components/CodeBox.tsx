/** A box to type a question in: what all of them share, whatever the language. Enter asks; Shift Enter begins a new line. */

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState, type Extension, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import { useLatest } from "./latest";

const TYPED_INTO = "input, textarea, [contenteditable], [role=dialog]";

export interface CodeProps {
  readonly value: string;
  readonly onChange: (text: string) => void;
  /** With the text as it stands: what was typed last may not have been drawn yet. */
  readonly onRun: (text: string) => void;
  readonly label: string;
  readonly autoFocus?: boolean;
  /** What is put where the cursor is, each time it is another object. */
  readonly insert?: { readonly text: string } | null;
}

interface Props extends CodeProps {
  readonly hint: string;
  /** The language; read once. */
  readonly extensions: Extension;
  /** Ctrl Enter asks instead of Enter: for questions of many lines. */
  readonly long?: boolean;
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--info)" },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], color: "var(--accent)" },
  { tag: tags.labelName, color: "var(--warn)" },
  { tag: tags.string, color: "var(--good)" },
  { tag: tags.number, color: "var(--bad)" },
  { tag: tags.comment, color: "var(--faint)" },
  { tag: tags.operator, color: "var(--quiet)" },
]);

const look = EditorView.theme({
  "&": { fontSize: "13px", background: "var(--panel)", border: "1px solid var(--line)", borderRadius: "6px" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-1px" },
  ".cm-content": { fontFamily: "var(--mono)", padding: "6px 4px", caretColor: "var(--ink)" },
  ".cm-tooltip": {
    background: "var(--panel)",
    border: "1px solid var(--line)",
    borderRadius: "6px",
    color: "var(--ink)",
  },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--hover)", color: "var(--ink)" },
  ".cm-completionDetail": { color: "var(--quiet)", fontStyle: "normal", marginLeft: "1em" },
  ".cm-selectionBackground": { background: "color-mix(in srgb, var(--accent) 25%, transparent) !important" },
  ".cm-placeholder": { color: "var(--faint)" },
});

export function CodeBox({ value, onChange, onRun, label, autoFocus, insert, hint, extensions, long = false }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useLatest({ onChange, onRun });
  useEffect(() => {
    const run = ({ state }: EditorView) => {
      latest.current.onRun(state.doc.toString());
      return true;
    };
    const made = new EditorView({
      parent: box.current!,
      state: EditorState.create({
        doc: value,
        extensions: [
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          syntaxHighlighting(colours),
          extensions,
          placeholder(hint),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label }),
          EditorView.updateListener.of(
            (update) => update.docChanged && latest.current.onChange(update.state.doc.toString()),
          ),
          Prec.highest(keymap.of([...completionKeymap])),
          Prec.high(keymap.of([long ? { key: "Mod-Enter", run } : { key: "Enter", run, shift: () => false }])),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap]),
          look,
        ],
      }),
    });
    view.current = made;
    // A page that comes late takes the cursor from nobody who has begun to type elsewhere.
    if (autoFocus && !document.activeElement?.closest(TYPED_INTO)) made.focus();
    return () => made.destroy();
  }, []);
  useEffect(() => {
    const now = view.current;
    if (now && now.state.doc.toString() !== value) {
      now.dispatch({ changes: { from: 0, to: now.state.doc.length, insert: value } });
    }
  }, [value]);
  useEffect(() => {
    if (!insert || !view.current) return;
    view.current.dispatch(view.current.state.replaceSelection(insert.text));
    view.current.focus();
  }, [insert]);
  return <div ref={box} style={{ minWidth: 0, flex: 1 }} />;
}
