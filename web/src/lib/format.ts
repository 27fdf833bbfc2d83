// Numbers as the page shows them: as many digits as can be read, a real minus sign.

const minus = (text: string) => text.replaceAll("-", "−");

export function number(v: number | null | undefined, digits = 3): string {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (!Number.isFinite(v)) return v > 0 ? "∞" : "−∞";
  const size = Math.abs(v);
  // Never 0.00 for what is not zero.
  if (size !== 0 && (size < 10 ** -digits || size >= 1e5)) return minus(v.toExponential(1));
  return minus(v.toFixed(size >= 100 ? 0 : size >= 10 ? digits - 1 : digits));
}

export function percent(v: number | null | undefined): string {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  return `${(100 * v).toFixed(1)} %`;
}

// The share of an axis tick: no more digits than it needs.
export function share(v: number): string {
  return `${Number((100 * v).toPrecision(2))} %`;
}

// called is the name of a split for a reader.
export function called(split: string): string {
  return split === "train" ? "training" : split === "val" ? "validation" : split;
}
