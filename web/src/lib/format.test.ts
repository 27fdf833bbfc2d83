import { expect, test } from "vitest";
import { number, percent, share } from "./format";

test("numbers", () => {
  expect(number(0.5017)).toBe("0.502");
  expect(number(-12.345)).toBe("−12.35");
  expect(number(1234.5)).toBe("1235");
  expect(number(0.00001234)).toBe("1.2e−5");
  expect(number(0)).toBe("0.000");
  expect(number(-0.0014, 2)).toBe("−1.4e−3");
  expect(number(null)).toBe("–");
  expect(number(-Infinity)).toBe("−∞");
});

test("shares", () => {
  expect(percent(0.7889)).toBe("78.9 %");
  expect(percent(null)).toBe("–");
  expect(share(0.25)).toBe("25 %");
  expect(share(0.001)).toBe("0.1 %");
});
