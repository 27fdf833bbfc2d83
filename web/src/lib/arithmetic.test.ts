import { expect, test } from "vitest";
import { stages } from "./arithmetic";

test("stages of a row whose softmax is 1/4, 1/4, 1/2", () => {
  const s = stages([0, 0, 2 * Math.log(2)], 1, 2);
  [0.25, 0.25, 0.5].forEach((p, j) => expect(s.softmax[j]).toBeCloseTo(p, 14));
  [0.125, -0.375, 0.25].forEach((g, j) => expect(s.gradient[j]).toBeCloseTo(g, 14));
  expect(s.nll).toBeCloseTo(Math.log(4), 14);
  expect(s.argmax).toBe(2);
});

test("softmax sums to 1, the gradient to 0, and nothing overflows", () => {
  for (const scale of [1, 100, 1e4, 1e8]) {
    const s = stages([3 * scale, -scale, 0, 3 * scale], 0, 1);
    expect(s.softmax.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    expect(s.gradient.reduce((a, b) => a + b)).toBeCloseTo(0, 12);
    expect(s.nll).toBeCloseTo(scale === 1 ? 0.7266 : Math.log(2), 3);
  }
});

test("a masked class has no probability and no gradient", () => {
  const s = stages([1, -Infinity, 1], 0, 1);
  expect(s.softmax[1]).toBe(0);
  expect(s.gradient[1]).toBe(0);
  expect(s.nll).toBeCloseTo(Math.log(2), 14);
});

test("a sample without a label has a softmax, no NLL and no gradient", () => {
  const s = stages([1, 1], -100, 1);
  expect(s.softmax).toEqual([0.5, 0.5]);
  expect(s.nll).toBeNaN();
  expect(s.gradient).toEqual([0, 0]);
});

test("a row with NaN has nothing behind it", () => {
  const s = stages([1, NaN, 0], 0, 1);
  expect(s.softmax.every(Number.isNaN)).toBe(true);
  expect(s.nll).toBeNaN();
});

test("the gradient is that of the NLL, by differences, at any temperature", () => {
  const z = [1.5, -0.3, 0.7];
  for (const t of [0.3, 1, 4]) {
    const nll = (j: number, h: number) => stages(z.with(j, z[j]! + h), 2, t).nll;
    stages(z, 2, t).gradient.forEach((g, j) => {
      expect((nll(j, 1e-5) - nll(j, -1e-5)) / 2e-5).toBeCloseTo(g, 7);
    });
  }
});

test("a high temperature flattens, a low one sharpens", () => {
  const p = (t: number) => stages([2, 1, 0], 0, t).softmax[0]!;
  expect(p(0.2)).toBeGreaterThan(0.99);
  expect(p(100)).toBeCloseTo(1 / 3, 1);
});
