// Numbers as Learn shows them: the digits that can be read, a real minus sign, and powers of ten as people write them.

const minus = (text: string) => text.replaceAll("-", "−");
// power writes 10 to the power of n.
export const power = (n: number) =>
  `10${[...String(n)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]!)).join("")}`;

export function show(v: number | null | undefined, digits = 3): string {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (!Number.isFinite(v)) return v > 0 ? "∞" : "−∞";
  const size = Math.abs(v);
  // Never 0.00 for what is not zero.
  if (size !== 0 && (size < 10 ** -digits / 2 || size >= 1e5)) {
    const [mantissa, exponent] = v.toExponential(1).split("e");
    return `${minus(mantissa!.replace(/\.0$/, ""))}·${power(Number(exponent))}`;
  }
  return minus(v.toFixed(Math.max(0, size >= 100 ? 0 : size >= 10 ? digits - 1 : digits)));
}

// brief is show for a column of a picture, whose height tells the rest: what is too small to be seen is just that.
export function brief(v: number, digits = 3): string {
  const least = 10 ** -digits;
  if (v !== 0 && Math.abs(v) < least / 2) return v > 0 ? `<${least}` : `−<${least}`;
  return show(v, digits);
}

// compact writes a number in the four characters that a narrow column has.
export function compact(v: number): string {
  if (!Number.isFinite(v)) return show(v);
  const size = Math.abs(v);
  const sign = v < 0 ? "−" : "";
  if (size === 0) return "0";
  if (size < 0.005) return sign === "" ? "<.01" : "−0";
  if (size >= 999.5) return `${sign}${size.toExponential(0).replace("e+", "e")}`;
  if (size >= 9.95) return sign + size.toFixed(0);
  if (size >= 0.995) return sign + size.toFixed(1);
  return sign + size.toFixed(2).slice(1);
}
