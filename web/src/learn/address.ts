import digit from "./digit.json";

// The state of Learn is its address: every part is a parameter, and what stands as it stood at first is left out. Whatever an
// address holds, the nearest sensible state comes of it, and a word about what was not sensible.

export const steps = [
  "logit",
  "binary",
  "softmax",
  "temperature",
  "pick",
  "log",
  "nll",
  "cross-entropy",
  "gradient",
  "training",
] as const;
export type Step = (typeof steps)[number];

export const limits = { classes: [2, 1000], z: [-20, 20], temperature: [0.05, 20] } as const;

// tail is the logit of a class that nobody has set: fixed, scattered, below the first ones as a long tail is.
export function tail(j: number): number {
  return Math.round((Math.imul(j + 1, 0x9e3779b1) >>> 16) * (600 / 65536) - 600) / 100 + 0;
}

export const digitZ: readonly number[] = digit.z;

// State is what the page shows. z, y and t go through all steps; each of the others belongs to one.
export interface State {
  step: Step;
  z: number[];
  y: number;
  t: number;
  chosen: number; // class that a formula is about; −1: the label
  answer: number; // chosen to the step's question; −1: none yet
  wrong: boolean; // the switch that shows what goes wrong
  bits: 16 | 32 | 64;
  draws: number;
  seed: number;
  topK: number;
  topP: number;
  minP: number;
  add: number; // to every logit, before the naive formula
  p: number;
  factors: number;
  target: "one-hot" | "smoothed" | "soft" | "several";
  epsilon: number;
  soft: number; // share of a second class
  also: number[]; // labels beside y
  chooser: string; // answers so far, a letter each
  rate: number; // of a step on the logits
  w: number[]; // W and b of the small layer
  hold: boolean; // p of the label stands while others move
  noise: number;
  units: number;
  decay: number;
  lr: number; // of the network
  epoch: number; // trained so far
  a: number; // epochs to compare
  b: number;
  data: "points" | "digits";
  run: "plain" | "decay" | "smoothing";
  at: "5" | "best" | "45";
  scaled: boolean; // by the best temperature
}

export const layer = [1, -0.5, -0.25, 0.75, 0.5, 0.5, 0, 0.25, -0.25]; // W [3,2], then b [3]

export function initial(step: Step = "logit"): State {
  return {
    step,
    z: [...digitZ],
    y: digit.label,
    t: 1,
    chosen: -1,
    answer: -1,
    wrong: false,
    bits: 32,
    draws: 0,
    seed: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    add: 0,
    p: 0.01,
    factors: 20,
    target: "one-hot",
    epsilon: 0.1,
    soft: 0.3,
    also: [],
    chooser: "",
    rate: 1,
    w: [...layer],
    hold: false,
    noise: 0.2,
    units: 32,
    decay: 0,
    lr: 0.01,
    epoch: 0,
    a: 5,
    b: 45,
    data: "points",
    run: "plain",
    at: "45",
    scaled: false,
  };
}

// Says is what an address held that could not be, in words.
export type Says = string[];

interface Parameter {
  key: keyof State;
  steps?: readonly Step[]; // all where it is left out
  read(text: string, state: State, says: Says): void;
  write(state: State): string;
}

function number(
  key: keyof State,
  name: string,
  low: number,
  high: number,
  options: { whole?: boolean; steps?: readonly Step[] } = {},
): Parameter {
  return {
    key,
    steps: options.steps,
    read(text, state, says) {
      const v = clamp(text, name, low, high, says, options.whole);
      if (v !== undefined) Object.assign(state, { [key]: v });
    },
    write: (state) => String(state[key]),
  };
}

function choice(key: keyof State, values: readonly (string | number)[], steps: readonly Step[]): Parameter {
  return {
    key,
    steps,
    read(text, state, says) {
      const found = values.find((v) => String(v) === text);
      if (found === undefined) says.push(`${quote(text)} is none of ${values.join(", ")}.`);
      else Object.assign(state, { [key]: found });
    },
    write: (state) => String(state[key]),
  };
}

const flag = (key: keyof State, steps?: readonly Step[]): Parameter => ({
  key,
  steps,
  read: (text, state) => Object.assign(state, { [key]: text === "1" || text === "true" || text === "" }),
  write: () => "1",
});

const parameters: Record<string, Parameter> = {
  z: {
    key: "z",
    read: readLogits,
    // Numbers behind the last one that was set are the tail's, and follow from k.
    write(state) {
      let end = state.z.length;
      while (end > 0 && state.z[end - 1] === standing(end - 1)) end--;
      return state.z.slice(0, end).map(short).join(",");
    },
  },
  k: {
    key: "z",
    read() {}, // with z
    write: (state) => String(state.z.length),
  },
  y: {
    key: "y",
    read(text, state, says) {
      const v = clamp(text, "the label y", 0, state.z.length - 1, says, true);
      if (v !== undefined) state.y = v;
    },
    write: (state) => String(state.y),
  },
  t: number("t", "the temperature", ...limits.temperature),
  c: {
    key: "chosen",
    read(text, state, says) {
      const v = clamp(text, "the class c", 0, state.z.length - 1, says, true);
      if (v !== undefined) state.chosen = v;
    },
    write: (state) => String(state.chosen),
  },
  a: number("answer", "the answer", 0, 9, { whole: true }),
  wrong: flag("wrong"),
  bits: choice("bits", [16, 32, 64], ["softmax"]),
  add: number("add", "what is added to every logit", 0, 100, { steps: ["softmax"] }),
  draws: number("draws", "the number of draws", 0, 1000, { whole: true, steps: ["pick"] }),
  seed: number("seed", "the seed", 0, 999_999, { whole: true, steps: ["pick", "training"] }),
  topk: number("topK", "top-k", 0, 1000, { whole: true, steps: ["pick"] }),
  topp: number("topP", "top-p", 0.01, 1, { steps: ["pick"] }),
  minp: number("minP", "min-p", 0, 1, { steps: ["pick"] }),
  p: number("p", "the probability", 0.001, 1, { steps: ["log"] }),
  n: number("factors", "the number of factors", 1, 400, { whole: true, steps: ["log"] }),
  hold: flag("hold", ["nll"]),
  target: choice("target", ["one-hot", "smoothed", "soft", "several"], ["cross-entropy"]),
  eps: number("epsilon", "ε", 0, 0.5, { steps: ["cross-entropy"] }),
  soft: number("soft", "the share of the second class", 0, 1, { steps: ["cross-entropy"] }),
  also: {
    key: "also",
    steps: ["cross-entropy"],
    read(text, state, says) {
      const list = text.split(",", limits.classes[1]).map(Number);
      state.also = [...new Set(list)].filter(
        (j) => Number.isInteger(j) && j >= 0 && j < state.z.length && j !== state.y,
      );
      if (state.also.length < list.length)
        says.push("Some of the labels beside y are no classes of this row.");
    },
    write: (state) => state.also.join(","),
  },
  q: {
    key: "chooser",
    steps: ["cross-entropy"],
    read(text, state) {
      state.chooser = text.replace(/[^a-c]/g, "").slice(0, 5);
    },
    write: (state) => state.chooser,
  },
  rate: number("rate", "the learning rate", 0.01, 5, { steps: ["gradient"] }),
  w: {
    key: "w",
    steps: ["gradient"],
    read(text, state, says) {
      const list = text.split(",", layer.length).map(Number);
      if (list.length !== layer.length || !list.every((v) => Math.abs(v) <= 20))
        says.push(
          `The layer's weights are ${layer.length} numbers from −20 to 20; the first ones are shown.`,
        );
      else state.w = list;
    },
    write: (state) => state.w.map(short).join(","),
  },
  data: choice("data", ["points", "digits"], ["training"]),
  noise: number("noise", "the share of wrong labels", 0, 0.5, { steps: ["training"] }),
  units: number("units", "the number of units", 2, 32, { whole: true, steps: ["training"] }),
  decay: number("decay", "the weight decay", 0, 1, { steps: ["training"] }),
  lr: number("lr", "the learning rate", 0.001, 0.1, { steps: ["training"] }),
  epoch: number("epoch", "the epoch", 0, 300, { whole: true, steps: ["training"] }),
  from: number("a", "the epoch", 0, 300, { whole: true, steps: ["training"] }),
  to: number("b", "the epoch", 0, 300, { whole: true, steps: ["training"] }),
  run: choice("run", ["plain", "decay", "smoothing"], ["training"]),
  at: choice("at", ["5", "best", "45"], ["training"]),
  scaled: flag("scaled", ["training"]),
};

// parse reads a step's name and its parameters.
export function parse(name: string, query: string): { state: State; says: Says } {
  const says: Says = [];
  const step = steps.find((s) => s === name.toLowerCase());
  if (step === undefined && name !== "") says.push(`There is no step ${quote(name)}: this is the first one.`);
  const state = initial(step);
  const given = new URLSearchParams(query);
  // In the order of the table: what comes later is held against the number of classes.
  for (const [key, p] of Object.entries(parameters)) {
    const text = key === "z" ? (given.get("z") ?? (given.has("k") ? "" : null)) : given.get(key);
    if (text === null || (p.steps && !p.steps.includes(state.step))) continue;
    if (key === "z") readLogits(text, state, says, given.get("k"));
    else p.read(text, state, says);
  }
  state.y = Math.min(state.y, state.z.length - 1);
  if (state.chosen >= state.z.length) state.chosen = -1;
  return { state, says };
}

// format writes a state: the step's name and its query, without what is as at first.
export function format(state: State): { name: Step; query: string } {
  const first = initial(state.step);
  const parts: string[] = [];
  for (const [key, p] of Object.entries(parameters)) {
    if (p.steps && !p.steps.includes(state.step)) continue;
    if (key === "k") {
      // Told by z itself, unless a tail was left out.
      if (state.z.length === parameters.z!.write(state).split(",").filter(Boolean).length) continue;
      if (state.z.length === digitZ.length && same(state.z, digitZ)) continue;
    } else if (same(state[p.key], first[p.key])) continue;
    const text = p.write(state);
    if (text !== "" || typeof state[p.key] === "string") parts.push(`${key}=${text}`);
  }
  return { name: state.step, query: parts.join("&") };
}

// standing is the logit of a class before anyone has touched it.
export const standing = (j: number) => digitZ[j] ?? tail(j);

function readLogits(text: string, state: State, says: Says, classes: string | null = null) {
  const [least, most] = limits.classes;
  const texts = text === "" ? [] : text.split(",", most);
  if (texts.length === most) {
    // Commas are counted without making a list of a million texts.
    let count = 1;
    for (let at = text.indexOf(","); at >= 0; at = text.indexOf(",", at + 1)) count++;
    if (count > most)
      says.push(`The address holds ${thousands(count)} logits: the first ${thousands(most)} are shown.`);
  }
  let off = 0;
  let beyond = 0;
  const z = texts.map((t, j) => {
    const v = logit(t);
    if (Number.isNaN(v)) {
      off++;
      return standing(j);
    }
    const held = v === -Infinity ? v : Math.max(limits.z[0], Math.min(limits.z[1], v));
    if (held !== v) beyond++;
    return Math.round(held * 100) / 100 + 0;
  });
  if (off > 0)
    says.push(`${count(off, "logit is no number", "logits are no numbers")}: another stands there.`);
  if (beyond > 0)
    says.push(`${count(beyond, "logit lies", "logits lie")} beyond −20 to 20 and stand at the nearest end.`);
  let k = Math.max(z.length, least);
  if (classes !== null) k = clamp(classes, "the number of classes", least, most, says, true) ?? k;
  else if (z.length === 1) says.push("One logit is given: a second class stands beside it.");
  k = Math.max(k, z.length, least);
  while (z.length < k) z.push(standing(z.length));
  if (z.every((v) => v === -Infinity)) {
    z[0] = 0;
    says.push("Every class was ruled out: the first one stands at 0.");
  }
  state.z = z;
}

// logit reads a number as people write them: −∞, -inf, 1e3, with a real minus sign or not.
export function logit(text: string): number {
  const plain = text.trim().toLowerCase().replace("−", "-");
  if (/^-(inf(inity)?|∞)$/.test(plain)) return -Infinity;
  return plain === "" ? NaN : /^\+?(inf(inity)?|∞)$/.test(plain) ? Infinity : Number(plain);
}

function clamp(
  text: string,
  name: string,
  low: number,
  high: number,
  says: Says,
  whole = false,
): number | undefined {
  const v = logit(text);
  if (Number.isNaN(v)) {
    says.push(`${capital(name)} ${quote(text)} is no number.`);
    return undefined;
  }
  const held = Math.max(low, Math.min(high, whole ? Math.round(v) : v));
  if (held !== v)
    says.push(
      `${capital(name)} goes from ${low} to ${thousands(high)}${whole ? " in whole numbers" : ""}: it stands at ${held}.`,
    );
  return held;
}

const capital = (text: string) => text[0]!.toUpperCase() + text.slice(1);
const quote = (text: string) => `“${text.length > 24 ? `${text.slice(0, 24)}…` : text}”`;
const thousands = (n: number) => n.toLocaleString("en");
const count = (n: number, one: string, many: string) => `${thousands(n)} ${n === 1 ? one : many}`;
const short = (v: number) => (v === -Infinity ? "-inf" : String(Math.round(v * 1e4) / 1e4));
const same = (a: unknown, b: unknown) =>
  Array.isArray(a) && Array.isArray(b) ? a.length === b.length && a.every((v, i) => v === b[i]) : a === b;
