import { expect, test } from "vitest";
import { line, spans } from "./history";

const past = (epoch: number, argmax: number) => ({ epoch, argmax, p_true: 0.5, nll: 0.7 });

test("epochs of one class are a span", () => {
  expect(spans([past(1, 3), past(2, 3), past(4, 8), past(5, 3)])).toEqual([
    { from: 1, to: 2, argmax: 3, epochs: 2 },
    { from: 4, to: 4, argmax: 8, epochs: 1 },
    { from: 5, to: 5, argmax: 3, epochs: 1 },
  ]);
  expect(spans([])).toEqual([]);
});

test("a line has gaps where there is no value", () => {
  expect(line([0, 2, null, 1], 2)).toBe("M12.50 100.00h0L37.50 0.00M87.50 50.00h0");
  expect(line([0], 0)).toBe("M50.00 100.00h0");
});
