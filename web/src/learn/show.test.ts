import { expect, test } from "vitest";
import { brief, compact, show } from "./show";

test("numbers have the digits that can be read, and never 0 for what is not zero", () => {
  const cases: [number, number, string][] = [
    [0, 3, "0.000"],
    [0.6704, 3, "0.670"],
    [-10.99, 2, "−11.0"],
    [123.4, 3, "123"],
    [12, 0, "12"],
    [300, 0, "300"],
    [7.7e-7, 3, "7.7·10⁻⁷"],
    [1e-200, 3, "1·10⁻²⁰⁰"],
    [-4.6e8, 3, "−4.6·10⁸"],
    [Infinity, 3, "∞"],
    [-Infinity, 3, "−∞"],
    [NaN, 3, "–"],
  ];
  for (const [v, digits, want] of cases) expect(show(v, digits), `${v}`).toBe(want);
  expect(show(null)).toBe("–");
});

test("a column's number is short", () => {
  expect(brief(7.7e-7)).toBe("<0.001");
  expect(brief(0.67)).toBe("0.670");
  expect(brief(0)).toBe("0.000");
  for (const v of [
    0.5,
    0.004,
    -0.004,
    12.3,
    -12.3,
    9.96,
    -20,
    1e6,
    0,
    0.999,
    1,
    NaN,
    Infinity,
    -Infinity,
    650.2,
  ])
    expect(compact(v).length, compact(v)).toBeLessThanOrEqual(4);
});
