import { describe, expect, test } from "vitest";
import * as a from "./arithmetic";
import arithmetic from "./testdata/arithmetic.json";
import network from "./testdata/network.json";
import { Adam, Network, type Points } from "./network";

// What tools/oracle/learn.py made with PyTorch; web/golden_test.go holds the program to the same values.
const golden: any = arithmetic;

// near holds a value to a golden one: infinities and NaN exactly, 1e-12 of its size or of 1 otherwise.
function near(got: number | undefined, wanted: number | string, what: string, tolerance = 1e-12) {
  const want = Number(wanted);
  if (!Number.isFinite(want)) return expect(got, what).toBe(want);
  const off = Math.abs(got! - want);
  expect(off <= tolerance * Math.max(1, Math.abs(want)), `${what}: ${got}, want ${want}`).toBe(true);
}
const all = (got: number[], want: (number | string)[], what: string, tolerance?: number) => {
  expect(got.length, what).toBe(want.length);
  want.forEach((w, j) => near(got[j], w, `${what}[${j}]`, tolerance));
};

// The same numbers as wide() in learn.py.
const wide = (k: number) => Array.from({ length: k }, (_, j) => (((j * 7919 + 13) % 4001) - 2000) / 100);
const some = (v: number[]) => (v.length <= 10 ? v : v.filter((_, j) => j % 37 === 0));

describe("rows, as PyTorch computes them", () => {
  for (const row of golden.rows) {
    test(`${row.name} at T = ${row.t}`, () => {
      const z: number[] = row.k > 10 ? wide(row.k) : row.z.map(Number);
      const s = a.stages(z, row.label, row.t);
      all(some(s.softmax), row.softmax, "softmax");
      all(some(s.logSoftmax), row.log_softmax, "log-softmax");
      all(some(s.gradient), row.gradient, "gradient");
      near(s.nll, row.nll, "NLL");
      expect(s.argmax).toBe(row.argmax);
      if (row.softmax.every((p: number | string) => p !== "NaN")) {
        near(a.entropy(s.softmax), row.entropy, "entropy");
        near(a.lse(s.zOverT), row.lse, "LSE");
      }
    });
  }
});

test("cross-entropy with smoothed and soft targets, KL, yes or no", () => {
  for (const c of golden.smoothed)
    near(
      a.crossEntropy(a.oneHot(c.label, c.z.length, c.epsilon), a.logSoftmaxOf(c.z)),
      c.value,
      `ε = ${c.epsilon}`,
    );
  for (const c of golden.soft) {
    const ce = a.crossEntropy(c.q, a.logSoftmaxOf(c.z));
    near(ce, c.cross_entropy, "cross-entropy");
    near(a.entropy(c.q), c.entropy, "H(q)");
    near(ce - a.entropy(c.q), c.kl, "KL");
  }
  for (const c of golden.yes_or_no) {
    near(a.binaryCrossEntropy(c.z, c.y), c.value, `z = ${c.z}, y = ${c.y}`);
    near(a.sigmoid(c.z), c.sigmoid, `σ(${c.z})`);
  }
});

test("what nothing is wanted of costs nothing, however improbable", () => {
  expect(a.crossEntropy([1, 0], [0, -Infinity])).toBe(0);
  expect(a.crossEntropy([0.9, 0.1], [0, -Infinity])).toBe(Infinity);
  expect(a.binaryCrossEntropy(Infinity, 1)).toBe(0);
});

test("float16 is really rounded", () => {
  for (const [v, want] of golden.float16) expect(a.float16(v), `${v}`).toBe(Number(want));
  for (const v of [NaN, Infinity, -Infinity]) expect(a.float16(v)).toBe(v);
});

test("the formula as it stands overflows where it does in float32 and float16, and shifted it does not", () => {
  for (const c of golden.naive) {
    const last = 2 ** (c.bits === 32 ? -22 : -9); // two units in the last place: exp itself is rounded
    const naive = a.softmaxIn(c.z, c.bits, false);
    all(naive.exps, c.exp, `float${c.bits} exp(${c.z})`, last);
    all(naive.softmax, c.naive, `float${c.bits} softmax(${c.z})`, last);
    all(a.softmaxIn(c.z, c.bits, true).softmax, c.softmax, `float${c.bits} shifted softmax(${c.z})`, last);
  }
  expect(a.softmaxIn([88], 32, false).exps[0]).toBeLessThan(Infinity);
  expect(a.softmaxIn([89], 32, false).exps[0]).toBe(Infinity);
  expect(a.softmaxIn([11], 16, false).exps[0]).toBeLessThan(Infinity);
  expect(a.softmaxIn([12], 16, false).exps[0]).toBe(Infinity);
});

test("a product reaches 0 where it does in each precision", () => {
  for (const c of golden.products) {
    const steps = a.product(c.p, 1200, c.bits);
    expect(steps.indexOf(0) + 1, `${c.p} in float${c.bits}`).toBe(c.zero_at);
  }
});

test("filters keep what logit.Sample keeps", () => {
  const p = [0.5, 0.25, 0.125, 0.0625, 0.0625];
  const kept = (f: Partial<a.Filters>) =>
    a.keep(p, { topK: 0, topP: 1, minP: 0, ...f }).lastIndexOf(true) + 1;
  expect(kept({})).toBe(5);
  expect(kept({ topK: 2 })).toBe(2);
  expect(kept({ topP: 0.75 })).toBe(2);
  expect(kept({ topP: 0.76 })).toBe(3);
  expect(kept({ topK: 2, topP: 0.7 })).toBe(2); // of what top-k left: 2/3 is not enough
  expect(kept({ minP: 0.25 })).toBe(3);
  expect(kept({ topP: 0 })).toBe(1);
  expect(a.keep([0.4, 0, 0.4, 0.2], { topK: 1, topP: 1, minP: 0 })).toEqual([true, false, false, false]); // the lower on a tie
  expect(a.keep([1, 0], { topK: 2, topP: 1, minP: 0 })).toEqual([true, false]); // a masked class is never picked
  expect(a.share(p, [false, true, true, false, false])).toEqual([0, 2 / 3, 1 / 3, 0, 0]);
});

test("draws fall as the probabilities say, and a seed draws the same again", () => {
  const p = [0.6, 0, 0.3, 0.1];
  const [next, again] = [a.random(5), a.random(5)];
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 20000; i++) counts[a.draw(p, next())]!++;
  counts.forEach((n, j) => expect(Math.abs(n / 20000 - p[j]!)).toBeLessThan(0.015));
  expect(counts[1]).toBe(0);
  expect([again(), again()]).not.toEqual([a.random(6)(), a.random(6)()]);
  expect(a.random(5)()).toBe(a.random(5)());
  expect(a.draw([NaN, NaN], 0.5)).toBe(-1);
});

test("a layer's gradient is that of its loss, weight by weight", () => {
  const [w, x, b] = [
    [0.5, -1, 2, 0.25, -0.75, 1.5],
    [1.5, -0.5],
    [0.1, 0, -0.2],
  ];
  const loss = (i: number) => (v: number) => a.stages(a.linear(w.with(i, v), x, b), 1, 1).nll;
  const g = a.weightGradient(a.stages(a.linear(w, x, b), 1, 1).gradient, x);
  w.forEach((v, i) => near(g[i], a.slope(loss(i), v), `W[${i}]`, 1e-7));
});

describe("the network in the page", () => {
  const c = network;
  const points: Points = {
    x: Float64Array.from(c.x),
    labels: Uint8Array.from(c.labels),
    clean: Uint8Array.from(c.labels),
  };
  const rows = c.labels.map((_, i) => i);
  const made = () => {
    const net = new Network(c.units, () => 0.5);
    net.params.set(c.params);
    return net;
  };

  test("has PyTorch's logits, loss and gradients", () => {
    const net = made();
    near(net.gradients(points, rows), c.loss, "loss");
    all([...net.grads], c.gradients, "gradient");
    all([...net.logits(points)], c.logits, "logits");
  });

  test("is where PyTorch's is after three steps of AdamW", () => {
    const net = made();
    const adam = new Adam(net.params.length, c.rate, c.decay);
    for (let i = 0; i < 3; i++) {
      net.gradients(points, rows);
      adam.update(net.params, net.grads);
    }
    all([...net.params], c.after, "weights");
  });
});
