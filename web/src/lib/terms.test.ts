import { expect, test } from "vitest";
import { steps } from "../learn/address";
import { hrefOf, parts } from "./terms";

test("words of the field are links, once a sentence, and the text is whole", () => {
  const text =
    "Validation NLL was lowest at epoch 12 (0.466), while training NLL went on falling: the network overfits. No temperature repairs it.";
  const cut = parts(text);
  expect(cut.map((p) => p.text).join("")).toBe(text);
  expect(cut.filter((p) => p.of).map((p) => [p.text, p.of])).toEqual([
    ["Validation", "training"],
    ["NLL", "nll"],
    ["temperature", "temperature"],
  ]);
});

test("log-softmax is no softmax, and parts of words, flags and paths are no terms", () => {
  expect(parts("log-softmax").map((p) => p.of)).toEqual(["log"]);
  expect(parts("try --label-smoothing and runs/logits.npy, logitscope").filter((p) => p.of)).toEqual([]);
  expect(parts("")).toEqual([]);
});

test("an address has the vector where Learn can hold it", () => {
  expect(hrefOf("softmax")).toBe("/learn/softmax");
  expect(hrefOf("nll", [1.234, -Infinity], 0, 2)).toBe("/learn/nll?z=1.23,-inf&y=0&t=2");
  expect(hrefOf("nll", [1, 2], -100)).toBe("/learn/nll?z=1,2");
  for (const z of [[1], [30, 2], [NaN, 1], [-Infinity, -Infinity], Array(1001).fill(0)])
    expect(hrefOf("nll", z, 0), `${z.length}`).toBe("/learn/nll");
  for (const step of steps) expect(hrefOf(step)).toBe(`/learn/${step}`);
});
