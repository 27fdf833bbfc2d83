import { normal, random } from "./arithmetic";

// A network small enough to train before one's eyes: points in a plane, two hidden layers with ReLU, three classes. Its loss and
// gradients are held to those of the program's networks by tests.

export const classes = 3;

// Points are [N, 2] features, row by row, and their labels.
export interface Points {
  x: Float64Array;
  labels: Uint8Array; // as the network is told
  clean: Uint8Array; // as they are
}

// Settings of a training; wanted ranges are those of its sliders.
export interface Settings {
  seed: number;
  noise: number; // share of the training points with a wrong label
  units: number; // of each hidden layer
  decay: number; // of the weights, decoupled (AdamW)
  rate: number; // learning rate
}

// Points of each split: few to learn from, so that a network of this size can learn them by heart.
export const counts = { train: 120, val: 180 };
export const batchSize = 12;

// makePoints draws three overlapping clouds. Validation's labels are never wrong.
export function makePoints({ seed, noise }: Pick<Settings, "seed" | "noise">): {
  train: Points;
  val: Points;
} {
  const next = random(seed);
  const draw = (n: number, share: number): Points => {
    const x = new Float64Array(2 * n);
    const labels = new Uint8Array(n);
    const clean = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      const label = i % classes;
      const angle = Math.PI / 2 + (2 * Math.PI * label) / classes;
      x[2 * i] = Math.cos(angle) + 0.55 * normal(next);
      x[2 * i + 1] = Math.sin(angle) + 0.55 * normal(next);
      clean[i] = label;
      // Both numbers are drawn for every point: another share of noise moves no point.
      const [wrong, other] = [next(), next()];
      labels[i] = wrong < share ? (label + 1 + Math.floor(other * (classes - 1))) % classes : label;
    }
    return { x, labels, clean };
  };
  return { train: draw(counts.train, noise), val: draw(counts.val, 0) };
}

export class Network {
  readonly units: number;
  readonly params: Float64Array; // W1 [H,2], b1 [H], W2 [H,H], b2 [H], W3 [3,H], b3 [3]
  readonly grads: Float64Array;

  #h1: Float64Array;
  #h2: Float64Array;
  #d1: Float64Array;
  #d2: Float64Array;
  #z = new Float64Array(classes);

  // Starting weights are uniform within ±1/√inputs, as the program's.
  constructor(units: number, next: () => number) {
    this.units = units;
    const H = units;
    this.params = new Float64Array(3 * H + H * H + H + classes * H + classes);
    this.grads = new Float64Array(this.params.length);
    [this.#h1, this.#h2, this.#d1, this.#d2] = [0, 0, 0, 0].map(() => new Float64Array(H)) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const [first, rest] = [1 / Math.sqrt(2), 1 / Math.sqrt(H)];
    for (let i = 0; i < this.params.length; i++)
      this.params[i] = (2 * next() - 1) * (i < 3 * H ? first : rest);
  }

  // forward leaves a point's logits in z [3].
  forward(a: number, b: number, z: Float64Array = this.#z): Float64Array {
    const { units: H, params: w } = this;
    const [h1, h2] = [this.#h1, this.#h2];
    const b1 = 2 * H;
    for (let i = 0; i < H; i++) {
      const v = w[2 * i]! * a + w[2 * i + 1]! * b + w[b1 + i]!;
      h1[i] = v > 0 ? v : 0;
    }
    const w2 = 3 * H;
    const b2 = w2 + H * H;
    for (let i = 0; i < H; i++) {
      let v = w[b2 + i]!;
      for (let j = 0, at = w2 + i * H; j < H; j++) v += w[at + j]! * h1[j]!;
      h2[i] = v > 0 ? v : 0;
    }
    const w3 = b2 + H;
    const b3 = w3 + classes * H;
    for (let k = 0; k < classes; k++) {
      let v = w[b3 + k]!;
      for (let j = 0, at = w3 + k * H; j < H; j++) v += w[at + j]! * h2[j]!;
      z[k] = v;
    }
    return z;
  }

  // gradients puts those of the mean NLL of some points into grads, and returns it.
  gradients(points: Points, rows: ArrayLike<number>): number {
    const { units: H, params: w, grads: g } = this;
    const [h1, h2, d1, d2, z] = [this.#h1, this.#h2, this.#d1, this.#d2, this.#z];
    const [b1, w2] = [2 * H, 3 * H];
    const b2 = w2 + H * H;
    const w3 = b2 + H;
    const b3 = w3 + classes * H;
    g.fill(0);
    let loss = 0;
    for (let r = 0; r < rows.length; r++) {
      const row = rows[r]!;
      const [xa, xb, y] = [points.x[2 * row]!, points.x[2 * row + 1]!, points.labels[row]!];
      this.forward(xa, xb);
      const largest = Math.max(z[0]!, z[1]!, z[2]!);
      const logSum = Math.log(
        Math.exp(z[0]! - largest) + Math.exp(z[1]! - largest) + Math.exp(z[2]! - largest),
      );
      loss += logSum + largest - z[y]!;
      d2.fill(0);
      for (let k = 0; k < classes; k++) {
        const d = (Math.exp(z[k]! - largest - logSum) - (k === y ? 1 : 0)) / rows.length; // p − y
        g[b3 + k]! += d;
        for (let j = 0, at = w3 + k * H; j < H; j++) {
          g[at + j]! += d * h2[j]!;
          d2[j]! += d * w[at + j]!;
        }
      }
      d1.fill(0);
      for (let i = 0; i < H; i++) {
        if (h2[i]! <= 0) continue;
        const d = d2[i]!;
        g[b2 + i]! += d;
        for (let j = 0, at = w2 + i * H; j < H; j++) {
          g[at + j]! += d * h1[j]!;
          d1[j]! += d * w[at + j]!;
        }
      }
      for (let i = 0; i < H; i++) {
        if (h1[i]! <= 0) continue;
        const d = d1[i]!;
        g[2 * i]! += d * xa;
        g[2 * i + 1]! += d * xb;
        g[b1 + i]! += d;
      }
    }
    return loss / rows.length;
  }

  // logits are those of all points [N, 3].
  logits(points: Points): Float64Array {
    const n = points.labels.length;
    const out = new Float64Array(classes * n);
    const z = new Float64Array(classes);
    for (let i = 0; i < n; i++) out.set(this.forward(points.x[2 * i]!, points.x[2 * i + 1]!, z), classes * i);
    return out;
  }
}

// Adam with decoupled weight decay, as the program's adamw.
export class Adam {
  #step = 0;
  #mean: Float64Array;
  #square: Float64Array;

  constructor(
    size: number,
    readonly rate: number,
    readonly decay: number,
  ) {
    this.#mean = new Float64Array(size);
    this.#square = new Float64Array(size);
  }

  update(params: Float64Array, grads: Float64Array) {
    this.#step++;
    const [m, s] = [this.#mean, this.#square];
    const [c1, c2] = [1 - 0.9 ** this.#step, 1 - 0.999 ** this.#step];
    for (let i = 0; i < params.length; i++) {
      const g = grads[i]!;
      m[i] = 0.9 * m[i]! + 0.1 * g;
      s[i] = 0.999 * s[i]! + 0.001 * g * g;
      params[i]! -= this.rate * (this.decay * params[i]! + m[i]! / c1 / (Math.sqrt(s[i]! / c2) + 1e-8));
    }
  }
}

// Score is what a split looks like at an epoch.
export interface Score {
  nll: number;
  accuracy: number;
}

export function score(z: Float64Array, labels: ArrayLike<number>, temperature = 1): Score {
  let [nll, right] = [0, 0];
  const n = labels.length;
  for (let i = 0; i < n; i++) {
    const [a, b, c] = [z[3 * i]! / temperature, z[3 * i + 1]! / temperature, z[3 * i + 2]! / temperature];
    const largest = Math.max(a, b, c);
    const y = labels[i]!;
    const own = y === 0 ? a : y === 1 ? b : c;
    nll += largest + Math.log(Math.exp(a - largest) + Math.exp(b - largest) + Math.exp(c - largest)) - own;
    if ((a === largest ? 0 : b === largest ? 1 : 2) === y) right++;
  }
  return { nll: nll / n, accuracy: right / n };
}

// bestTemperature finds T where the NLL is lowest, by golden sections of log T from 1/50 to 50.
export function bestTemperature(z: Float64Array, labels: ArrayLike<number>): number {
  const at = (logT: number) => score(z, labels, Math.exp(logT)).nll;
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [-Math.log(50), Math.log(50)];
  let [a, b] = [high - ratio * (high - low), low + ratio * (high - low)];
  let [fa, fb] = [at(a), at(b)];
  for (let i = 0; i < 40; i++) {
    if (fa <= fb) {
      [high, b, fb] = [b, a, fa];
      a = high - ratio * (high - low);
      fa = at(a);
    } else {
      [low, a, fa] = [a, b, fb];
      b = low + ratio * (high - low);
      fb = at(b);
    }
  }
  return Math.exp((low + high) / 2);
}

// Training goes on an epoch at a time and keeps every epoch's weights, so that any two can be compared.
export class Training {
  readonly train: Points;
  readonly val: Points;
  readonly scores: { train: Score; val: Score }[] = []; // of epoch 0, before the first step, and on
  readonly network: Network;

  #adam: Adam;
  #next: () => number;
  #order = new Uint16Array(counts.train).map((_, i) => i);
  #weights: Float32Array[] = [];
  #shown: Network;

  constructor(readonly settings: Settings) {
    ({ train: this.train, val: this.val } = makePoints(settings));
    this.#next = random(settings.seed + 1);
    this.network = new Network(settings.units, this.#next);
    this.#shown = new Network(settings.units, () => 0);
    this.#adam = new Adam(this.network.params.length, settings.rate, settings.decay);
    this.#measure();
  }

  get epoch() {
    return this.scores.length - 1;
  }

  step() {
    const order = this.#order;
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(this.#next() * (i + 1));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    for (let from = 0; from < order.length; from += batchSize) {
      this.network.gradients(this.train, order.subarray(from, from + batchSize));
      this.#adam.update(this.network.params, this.network.grads);
    }
    this.#measure();
  }

  // at is the network as it was after an epoch; it is overwritten by the next call.
  at(epoch: number): Network {
    this.#shown.params.set(this.#weights[epoch]!);
    return this.#shown;
  }

  #measure() {
    this.#weights.push(Float32Array.from(this.network.params));
    this.scores.push({
      train: score(this.network.logits(this.train), this.train.labels),
      val: score(this.network.logits(this.val), this.val.labels),
    });
  }
}
