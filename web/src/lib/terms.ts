// Which step of Learn explains a word of the field.

import type { Step } from "../learn/address";

const words: [RegExp, Step][] = [
  [/log-softmax|log p\b/, "log"],
  [/softmax/, "softmax"],
  [/raw logits?|logits?/, "logit"],
  [/NLL/, "nll"],
  [/cross-entropy|label smoothing|KL divergence/, "cross-entropy"],
  [/temperatures?/, "temperature"],
  [/gradients?|learning rate/, "gradient"],
  [/overfit(?:s|ting)?|weight decay|validation/, "training"],
];
const any = new RegExp(words.map(([word]) => `(${word.source})`).join("|"), "gi");

// parts cuts a text at the words of the field. Each is named once: a sentence that says NLL three times has one link.
export function parts(text: string): { text: string; of?: Step }[] {
  const out: { text: string; of?: Step }[] = [];
  const seen = new Set<Step>();
  let from = 0;
  for (const match of text.matchAll(any)) {
    const of = words[match.slice(1).findIndex((group) => group !== undefined)]![1];
    const [before, after] = [text[match.index - 1] ?? " ", text[match.index + match[0].length] ?? " "];
    // Not a part of a longer word, a flag or a path.
    if (seen.has(of) || /[\w\-./]/.test(before) || /[\w/]/.test(after)) continue;
    seen.add(of);
    if (match.index > from) out.push({ text: text.slice(from, match.index) });
    out.push({ text: match[0], of });
    from = match.index + match[0].length;
  }
  if (from < text.length) out.push({ text: text.slice(from) });
  return out;
}

// hrefOf is the address of a step, with a vector where one is given. Learn holds logits in hundredths, −20 to 20 and 1,000 of them at
// most: what lies beyond is left out, and the step is shown with its own digit.
export function hrefOf(of: Step, z?: readonly number[], label?: number, temperature?: number): string {
  const fits = z && z.length >= 2 && z.length <= 1000 && z.every((v) => v === -Infinity || Math.abs(v) <= 20);
  if (!fits || z.every((v) => v === -Infinity)) return `/learn/${of}`;
  const query = [
    `z=${z.map((v) => (v === -Infinity ? "-inf" : String(Math.round(v * 100) / 100))).join(",")}`,
  ];
  if (label !== undefined && label >= 0) query.push(`y=${label}`);
  if (temperature !== undefined && temperature !== 1)
    query.push(`t=${Math.max(0.05, Math.min(20, Math.round(temperature * 100) / 100))}`);
  return `/learn/${of}?${query.join("&")}`;
}
