import { describe, expect, test } from "vitest";
import { digitZ, format, initial, limits, parse, standing, steps, type State } from "./address";

const back = (state: State) => {
  const { name, query } = format(state);
  return parse(name, query);
};

describe("an address gives exactly the state that it was made of", () => {
  const cases: [string, Partial<State>][] = [
    ["as at first", {}],
    ["three logits", { step: "softmax", z: [2, 1, 0.1], y: 0, t: 1 }],
    ["a ruled-out class", { step: "logit", z: [2, -Infinity, 0.1], y: 2 }],
    ["ten, the last as it stood", { z: [9, ...digitZ.slice(1)] }],
    [
      "a thousand",
      { step: "softmax", z: Array.from({ length: 1000 }, (_, j) => standing(j)), y: 999, t: 0.05 },
    ],
    [
      "a thousand, one moved",
      { step: "nll", z: Array.from({ length: 1000 }, (_, j) => (j === 700 ? -20 : standing(j))) },
    ],
    ["fewer than the digit's", { z: digitZ.slice(0, 4), y: 1 }],
    ["switches and answers", { step: "softmax", wrong: true, answer: 0, bits: 16, chosen: 3, add: 89 }],
    ["picks", { step: "pick", draws: 1000, seed: 7, topK: 3, topP: 0.9, minP: 0.05, wrong: true }],
    [
      "targets",
      { step: "cross-entropy", target: "several", also: [2, 5], chooser: "bbc", epsilon: 0, soft: 0.5 },
    ],
    ["the layer", { step: "gradient", w: [1, 2, 3, 4, 5, 6, 7, 8, 9], rate: 0.5 }],
    [
      "training",
      { step: "training", noise: 0, units: 8, decay: 0.3, lr: 0.02, epoch: 45, a: 1, b: 300, seed: 9 },
    ],
    ["digits", { step: "training", data: "digits", run: "decay", at: "best", scaled: true }],
  ];
  for (const [name, part] of cases)
    test(name, () => {
      const state = { ...initial(part.step), ...part };
      expect(back(state)).toEqual({ state, says: [] });
    });

  test("of every step, its first address is bare", () => {
    for (const step of steps) expect(format(initial(step))).toEqual({ name: step, query: "" });
  });
  test("three logits are written as three logits", () => {
    const state = { ...initial("softmax"), z: [2, 1, 0.1] };
    expect(format(state).query).toBe("z=2,1,0.1");
  });
});

describe("what cannot be gives the nearest sensible state and a word about it", () => {
  const [least, most] = limits.classes;
  const cases: [string, string, string, (s: State) => boolean, string][] = [
    [
      "a million values",
      "softmax",
      `z=${"1,".repeat(999_999)}1`,
      (s) => s.z.length === most && s.z.every((v) => v === 1),
      "1,000,000 logits",
    ],
    ["NaN", "softmax", "z=NaN,1", (s) => s.z[0] === standing(0) && s.z[1] === 1, "no number"],
    ["1e999", "logit", "z=1e999,0", (s) => s.z[0] === 20, "beyond"],
    ["minus 1e999 rules a class out", "logit", "z=-1e999,0", (s) => s.z[0] === -Infinity, ""],
    ["T = 0", "temperature", "t=0", (s) => s.t === 0.05, "temperature goes from 0.05 to 20"],
    ["T below 0", "temperature", "t=-3", (s) => s.t === 0.05, "temperature"],
    ["T = NaN", "temperature", "t=NaN", (s) => s.t === 1, "no number"],
    ["T = ∞", "temperature", "t=Infinity", (s) => s.t === 20, "20"],
    ["an empty T", "temperature", "t=", (s) => s.t === 1, "no number"],
    ["an unknown step", "softmaxx", "z=1,2", (s) => s.step === "logit" && s.z.length === 2, "no step"],
    ["another case", "SoftMax", "", (s) => s.step === "softmax", ""],
    ["markup", "<script>alert(1)</script>", "", (s) => s.step === "logit", "no step"],
    [
      "markup as a number",
      "softmax",
      "z=<img src=x onerror=alert(1)>,2",
      (s) => s.z.length === 2,
      "no number",
    ],
    ["a label beyond the classes", "nll", "z=1,2&y=7", (s) => s.y === 1, "label"],
    ["a label below 0", "nll", "y=-100", (s) => s.y === 0, "label"],
    ["half a label", "nll", "y=1.5", (s) => s.y === 2, "whole"],
    ["one logit", "softmax", "z=3", (s) => s.z.length === least && s.z[0] === 3, "One logit"],
    ["no logits", "softmax", "z=", (s) => s.z.length >= least, ""],
    ["commas alone", "softmax", "z=,,,", (s) => s.z.length === 4, "no numbers"],
    ["all ruled out", "softmax", "z=-inf,-inf,-inf", (s) => s.z[0] === 0, "ruled out"],
    ["a million classes", "softmax", "k=1000000", (s) => s.z.length === most, "1,000"],
    ["no classes", "softmax", "k=0", (s) => s.z.length === least, "classes"],
    ["fewer classes than logits", "softmax", "z=1,2,3&k=2", (s) => s.z.length === 3, ""],
    ["an unknown precision", "softmax", "bits=8", (s) => s.bits === 32, "none of"],
    [
      "labels that are none",
      "cross-entropy",
      "target=several&also=1,99,x",
      (s) => s.also.join() === "1",
      "no classes",
    ],
    ["weights that are none", "gradient", "w=1,2", (s) => s.w.length === 9, "weights"],
    ["an epoch too far", "training", "epoch=1e9", (s) => s.epoch === 300, "epoch"],
    ["a real minus sign", "logit", "z=−3,−∞,0", (s) => s.z[0] === -3 && s.z[1] === -Infinity, ""],
    ["an unknown parameter", "logit", "hello=1&%%%", (s) => s.z.length === 10, ""],
    ["another step's parameter", "logit", "draws=abc", (s) => s.draws === 0, ""],
  ];
  for (const [name, step, query, holds, word] of cases)
    test(name, () => {
      const { state, says } = parse(step, query);
      expect(holds(state), JSON.stringify(state).slice(0, 300)).toBe(true);
      if (word === "") expect(says).toEqual([]);
      else expect(says.join(" ")).toContain(word);
      expect(back(state)).toEqual({ state, says: [] }); // and that is an address too
    });
});
