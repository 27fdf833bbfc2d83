import { expect, test } from "vitest";
import { largest } from "./few";

test("the largest are those that sorting finds, the lower class first on a tie", () => {
  for (const values of [
    [3, 1, 3, 2],
    [0, 0, 0, 0],
    [1],
    [],
    [-Infinity, 2, -Infinity],
    Array.from({ length: 500 }, (_, j) => (j * 7919) % 101),
  ])
    for (const n of [1, 3, 4]) {
      const sorted = values.map((_, j) => j).sort((a, b) => values[b]! - values[a]! || a - b);
      expect(largest(values, n)).toEqual(sorted.slice(0, n));
    }
});
