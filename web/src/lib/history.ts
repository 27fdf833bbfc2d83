// A sample's history over the epochs, as the inspector draws it. Epochs are as wide as one another, whatever lies between them.

import type { Past } from "./api";

export interface Span {
  from: number; // epoch
  to: number;
  argmax: number;
  epochs: number;
}

// spans puts together the epochs at which the sample is taken for the same class.
export function spans(history: Past[]): Span[] {
  const all: Span[] = [];
  for (const { epoch, argmax } of history) {
    const last = all.at(-1);
    if (last?.argmax === argmax) {
      last.to = epoch;
      last.epochs++;
    } else {
      all.push({ from: epoch, to: epoch, argmax, epochs: 1 });
    }
  }
  return all;
}

// line is an SVG path through values from 0 to high, in a box 100 wide and 100 high; what is null leaves a gap.
export function line(values: (number | null)[], high: number): string {
  let path = "";
  let open = false;
  values.forEach((v, i) => {
    if (v === null) {
      open = false;
      return;
    }
    const x = (100 * (i + 0.5)) / values.length;
    const y = 100 - 100 * Math.min(1, v / (high || 1));
    // A value alone is a point: a line of no length, with a round end.
    path += open ? `L${x.toFixed(2)} ${y.toFixed(2)}` : `M${x.toFixed(2)} ${y.toFixed(2)}h0`;
    open = true;
  });
  return path;
}
