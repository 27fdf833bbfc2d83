// The four graphs: how z, p, log p and NLL are spread over the samples, for the true class and for the others.

export interface Bins {
  name: string;
  symbol: string;
  low: number;
  high: number;
  train: Pair;
  val: Pair;
}
export interface Pair {
  a: Shares; // at the earlier epoch
  b: Shares;
}
// Shares of the samples in each bin.
export interface Shares {
  true: number[];
  other: number[];
}

const quantities = [
  { name: "raw logit", symbol: "z", low: -15, high: 15, bins: 30 },
  { name: "softmax", symbol: "p", low: 0, high: 1, bins: 25 },
  { name: "log-softmax", symbol: "log p", low: -12, high: 0, bins: 24 },
  { name: "NLL", symbol: "−log p", low: 0, high: 12, bins: 24 },
] as const;

type Rows = Record<"train" | "val", Float64Array>; // logits [N, 3]

export function histogramsOf(
  a: Rows,
  b: Rows,
  trainLabels: ArrayLike<number>,
  valLabels: ArrayLike<number>,
): Bins[] {
  const labels = { train: trainLabels, val: valLabels };
  const out: Bins[] = quantities.map(({ name, symbol, low, high, bins }) => {
    const empty = (): Shares => ({
      true: new Array<number>(bins).fill(0),
      other: new Array<number>(bins).fill(0),
    });
    return { name, symbol, low, high, train: { a: empty(), b: empty() }, val: { a: empty(), b: empty() } };
  });
  for (const split of ["train", "val"] as const)
    for (const [epoch, rows] of [
      ["a", a],
      ["b", b],
    ] as const)
      count(out, split, epoch, rows[split], labels[split]);
  return out;
}

function count(
  out: Bins[],
  split: "train" | "val",
  epoch: "a" | "b",
  z: Float64Array,
  labels: ArrayLike<number>,
) {
  const n = labels.length;
  const k = z.length / n;
  for (let i = 0; i < n; i++) {
    let largest = -Infinity;
    for (let j = 0; j < k; j++) largest = Math.max(largest, z[i * k + j]!);
    let sum = 0;
    for (let j = 0; j < k; j++) sum += Math.exp(z[i * k + j]! - largest);
    const logSum = largest + Math.log(sum);
    for (let j = 0; j < k; j++) {
      const own = j === labels[i];
      const logP = z[i * k + j]! - logSum;
      const values = [z[i * k + j]!, Math.exp(logP), logP, -logP];
      out.forEach((q, c) => {
        const shares = q[split][epoch][own ? "true" : "other"];
        const bin = Math.floor(((values[c]! - q.low) / (q.high - q.low)) * shares.length);
        shares[Math.max(0, Math.min(shares.length - 1, bin))]! += own ? 1 / n : 1 / (n * (k - 1));
      });
    }
  }
}
