// All arithmetic that the page does itself, as pure functions: the inspector while its slider moves, and every instrument of
// Learn. Tests hold it to PyTorch's values, and the program to the same ones.

// Stages are one sample's: from its logits to the loss and back.
export interface Stages {
  zOverT: number[];
  softmax: number[];
  logSoftmax: number[];
  nll: number; // −log p of the label
  gradient: number[]; // of the NLL with respect to z: (p − y)/T
  argmax: number; // the lowest class on a tie; −1 without a softmax
}

// stages takes z [K] through every stage at a temperature above 0. A masked class has a logit of −Infinity: p and gradient
// exactly 0. A row with NaN or +Infinity, or −Infinity alone, has no softmax and is NaN. A sample without a label (−100) has no
// NLL, and its gradient is 0.
export function stages(z: readonly number[], label: number, temperature: number): Stages {
  const zOverT = z.map((v) => v / temperature);
  const logSoftmax = logSoftmaxOf(zOverT);
  const softmax = softmaxOf(zOverT);
  const largest = Math.max(...zOverT);
  return {
    zOverT,
    softmax,
    logSoftmax,
    nll: -(logSoftmax[label] ?? NaN),
    gradient: softmax.map((p, j) => (label < 0 ? 0 : (p - (j === label ? 1 : 0)) / temperature)),
    argmax: Number.isFinite(largest) ? zOverT.indexOf(largest) : -1,
  };
}

export function softmaxOf(z: readonly number[]): number[] {
  const largest = Math.max(...z);
  const exps = z.map((v) => Math.exp(v - largest));
  const sum = total(exps);
  return exps.map((e) => e / sum);
}

// logSoftmaxOf is z − LSE(z), never the logarithm of a softmax, which has lost what is below the smallest float.
export function logSoftmaxOf(z: readonly number[]): number[] {
  const largest = Math.max(...z);
  const logSum = Math.log(total(z.map((v) => Math.exp(v - largest))));
  return z.map((v) => v - largest - logSum);
}

// lse is log Σ exp(z).
export function lse(z: readonly number[]): number {
  const largest = Math.max(...z);
  return largest + Math.log(total(z.map((v) => Math.exp(v - largest))));
}

export const sigmoid = (z: number) => (z < 0 ? Math.exp(z) / (1 + Math.exp(z)) : 1 / (1 + Math.exp(-z)));

// softplus is log(1 + exp(z)): what a yes-or-no question costs when the answer is no.
export const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

// binaryCrossEntropy is the loss of one logit for a target from 0 to 1.
export const binaryCrossEntropy = (z: number, y: number) =>
  (y && y * softplus(-z)) + (1 - y && (1 - y) * softplus(z));

// crossEntropy is −Σ q log p, where a class that is not wanted costs nothing, however improbable it is.
export function crossEntropy(q: readonly number[], logP: readonly number[]): number {
  return total(q.map((w, j) => (w === 0 ? 0 : -w * logP[j]!)));
}

// entropy is −Σ p log p, in nats; 0·log 0 is 0.
export const entropy = (p: readonly number[]) => crossEntropy(p, p.map(Math.log));

// oneHot is the target of a label; smoothed, a share ε of it is spread over all classes.
export function oneHot(label: number, classes: number, epsilon = 0): number[] {
  return Array.from({ length: classes }, (_, j) => epsilon / classes + (j === label ? 1 - epsilon : 0));
}

export interface Filters {
  topK: number; // 0: all
  topP: number; // 1: all
  minP: number; // 0: all
}

// keep says which classes the filters leave, as logit.Sample does: top-k, then the fewest whose probabilities sum to topP of
// those, then what has minP of the largest. Of equal probabilities the lower class comes first; one class always stays.
export function keep(p: readonly number[], { topK, topP, minP }: Filters): boolean[] {
  let order = p.map((_, j) => j).sort((a, b) => p[b]! - p[a]! || a - b);
  order = order.filter((j) => p[j]! > 0); // a masked class is never picked
  if (topK > 0) order = order.slice(0, topK);
  if (topP < 1) {
    const wanted = topP * total(order.map((j) => p[j]!));
    let sum = 0;
    const enough = order.findIndex((j) => (sum += p[j]!) >= wanted * (1 - 1e-12));
    if (enough >= 0) order = order.slice(0, enough + 1);
  }
  if (minP > 0) order = order.filter((j) => p[j]! >= minP * p[order[0]!]!);
  const kept = p.map(() => false);
  for (const j of order) kept[j] = true;
  return kept;
}

// share gives what is kept all of the probability.
export function share(p: readonly number[], kept: readonly boolean[]): number[] {
  const sum = total(p.map((v, j) => (kept[j] ? v : 0)));
  return p.map((v, j) => (kept[j] ? v / sum : 0));
}

// draw picks a class with probabilities p by a number u in [0, 1); −1 where p is no distribution.
export function draw(p: readonly number[], u: number): number {
  let sum = 0;
  let last = -1;
  for (let j = 0; j < p.length; j++) {
    if (!(p[j]! > 0)) continue;
    sum += p[j]!;
    last = j;
    if (u < sum) return j;
  }
  return last;
}

// random is a generator of numbers in [0, 1) by its seed: Steele, Lea and Flood's SplitMix in 32 bits, so that a link draws what
// it drew.
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

// normal makes standard normal numbers of uniform ones (Box and Muller).
export function normal(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

// Precision is the bits of a floating-point number.
export type Precision = 64 | 32 | 16;

// round gives the number that a precision really holds.
export function round(v: number, precision: Precision): number {
  return precision === 64 ? v : precision === 32 ? Math.fround(v) : float16(v);
}

// float16 rounds to the nearest half-precision number, ties to even.
export function float16(v: number): number {
  const size = Math.abs(v);
  if (!(size > 0 && size < Infinity)) return v;
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent--;
  if (2 ** (exponent + 1) <= size) exponent++;
  const spacing = 2 ** (Math.max(exponent, -14) - 10);
  // What is added leaves no room behind the point: the processor itself rounds to even.
  const rounded = (size / spacing + 2 ** 52 - 2 ** 52) * spacing;
  return Math.sign(v) * (rounded > 65504 ? Infinity : rounded);
}

export interface Rounded {
  exps: number[];
  sum: number;
  softmax: number[];
  logOfSoftmax: number[]; // log(p): −Infinity where p is 0
}

// softmaxIn computes exp(z)/Σ exp(z) in a precision, each step rounded to it: as the formula stands, or with the largest logit
// taken off first.
export function softmaxIn(z: readonly number[], precision: Precision, takeOff: boolean): Rounded {
  const to = (v: number) => round(v, precision);
  const rounded = z.map(to);
  const largest = takeOff ? Math.max(...rounded) : 0;
  const exps = rounded.map((v) => to(Math.exp(to(v - largest))));
  const sum = exps.reduce((a, b) => to(a + b), 0);
  const softmax = exps.map((e) => to(e / sum));
  return { exps, sum, softmax, logOfSoftmax: softmax.map((p) => to(Math.log(p))) };
}

// product multiplies p by itself, n times in all, in a precision; steps are the products on the way.
export function product(p: number, n: number, precision: Precision): number[] {
  const steps: number[] = [];
  let v = 1;
  const factor = round(p, precision);
  for (let i = 0; i < n; i++) steps.push((v = round(v * factor, precision)));
  return steps;
}

// linear is z = Wx + b; W [K, D] lies row by row.
export function linear(w: readonly number[], x: readonly number[], b: readonly number[]): number[] {
  return b.map((bias, k) => bias + total(x.map((v, d) => w[k * x.length + d]! * v)));
}

// weightGradient is what the gradient of z says of W: g xᵀ, row by row.
export function weightGradient(g: readonly number[], x: readonly number[]): number[] {
  return g.flatMap((v) => x.map((u) => v * u));
}

// slope measures a derivative: the difference of f a little above and a little below.
export function slope(f: (v: number) => number, at: number, h = 1e-4): number {
  return (f(at + h) - f(at - h)) / (2 * h);
}

function total(values: readonly number[]): number {
  let sum = 0;
  for (const v of values) sum += v;
  return sum;
}
