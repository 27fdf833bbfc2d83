// What the server answers (docs/http.md), and how to ask.

export interface Run extends Lacking {
  name: string;
  created: string;
  state: "running" | "complete" | "interrupted" | "failed";
  epochs: number;
  planned_epochs: number;
  classes: string[];
  splits: { name: string; n: number; samples?: string }[]; // n: those known at the start, where samples says that epochs bring more
  config: Record<string, unknown>;
  seed: number;
  preview: Preview | null;
}

// A run that is there and cannot be read.
export interface Unreadable {
  name: string;
  error: string;
}

export interface Preview {
  kind: "image" | "text"; // texts have no size
  height: number;
  width: number;
  channels: number;
  max: number;
}

export interface Scores {
  n: number;
  nll: number | null;
  accuracy: number | null;
  p_true: number | null;
  z_true: number | null;
  log_p_true: number | null;
  undefined: number;
  parts?: Parts;
}

// Parts of a mean NLL: scale is what a temperature removes, ranking the rest.
export interface Parts {
  temperature: number | null;
  scale: number | null;
  ranking: number | null;
}

export interface Story {
  sentence: string;
  kind: string;
  mark: string; // what stands at the best epoch in a picture of the curves; "" for nothing
  best_epoch: number;
  best_recorded_epoch: number; // of those whose logits are kept
  best_val_nll: number | null;
  last_epoch: number;
  last_val_nll: number | null;
}

export interface Epoch {
  epoch: number;
  splits: Record<string, Scores>;
}

// Lacking is what an answer had to do without: files that cannot be read, and committed epochs that are gone.
export interface Lacking {
  damaged: string[];
  missing: string[];
}

export type Unit = "epoch" | "step" | "round";

export interface Curves extends Lacking {
  run: string;
  classes: string[];
  state: Run["state"];
  planned_epochs: number;
  held_out: string; // the split that the story compares epochs by: val where the run has it
  unit?: Unit; // what the number of an epoch counts; epochs where it is absent
  epochs: Epoch[];
  unrecorded: Epoch[]; // their logits are not kept: NLL and accuracy alone
  unfinished?: string; // says that an epoch was begun and is not whole
  story: Story;
  rise: { sentence: string } | null;
}

export interface Finding {
  id: string;
  level: "info" | "warning" | "error";
  title: string;
  evidence: {
    text: string;
    figures: { name: string; value: number | null }[];
    epochs: number[];
    split: string;
    samples: number[];
    classes: number[];
  };
  meaning: string;
  try: string;
  confidence: "certain" | "likely" | "possible";
  rule: string;
}

export interface Diagnosis extends Lacking {
  run: string;
  epochs: number[];
  findings: Finding[];
}

export interface Histogram {
  n: number;
  mean: number | null;
  counts: number[];
}

export interface Quantity {
  name: "z" | "p" | "log_p" | "nll";
  title: string;
  edges: number[];
  splits: Record<string, { true: Histogram; other: Histogram }>;
}

export interface Graphs extends Lacking {
  run: string;
  epoch: number;
  unit?: Unit;
  splits: string[];
  quantities: Quantity[];
}

export interface Sample {
  id: number;
  label: number;
  clean_label: number | null;
  argmax: number;
  p_true: number | null;
  nll: number | null;
  preview: string | null;
  text?: string;
}

export interface Explanation extends Lacking {
  id: number;
  split: string;
  epoch: number;
  unit?: Unit;
  label: number;
  clean_label: number | null;
  classes: string[];
  z: (number | null)[];
  softmax: (number | null)[];
  rank: number;
  preview: string | null;
  text?: string;
  note?: string;
  history: Past[];
}

// Past is a sample at one epoch of its history; null where it has no label or no softmax.
export interface Past {
  epoch: number;
  p_true: number | null;
  nll: number | null;
  argmax: number; // -1 where the logits have no softmax
}

async function get<T>(path: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path);
  } catch {
    throw new Error("logitscope does not answer: is it still running?");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.error ?? `${path}: ${response.status}`);
  return body as T;
}

const run = (name: string) => `/api/runs/${encodeURIComponent(name)}`;
const split = (name: string, epoch: number, s: string) =>
  `${run(name)}/epochs/${epoch}/splits/${encodeURIComponent(s)}/samples`;

export const api = {
  runs: () => get<(Run | Unreadable)[]>("/api/runs"),
  curves: (name: string) => get<Curves>(`${run(name)}/curves`),
  findings: (name: string) => get<Diagnosis>(`${run(name)}/findings`),
  graphs: (name: string, epoch: number) => get<Graphs>(`${run(name)}/epochs/${epoch}/graphs`),
  hardest: (name: string, epoch: number, s: string, limit: number) =>
    get<{ samples: Sample[] }>(`${split(name, epoch, s)}?limit=${limit}`).then((r) => r.samples),
  explain: (name: string, epoch: number, s: string, id: number) =>
    get<Explanation>(`${split(name, epoch, s)}/${id}`),
};

export interface RunEvent {
  name: string;
  epochs: number;
  state: Run["state"];
}

// Calls onRun for every run at once and whenever one changes, until the function returned is called. The browser connects
// again by itself when the server comes back; onLive tells whether there is a connection.
export function listen(onRun: (event: RunEvent) => void, onLive: (live: boolean) => void): () => void {
  const source = new EventSource("/api/events");
  source.addEventListener("run", (e) => onRun(JSON.parse(e.data) as RunEvent));
  source.addEventListener("open", () => onLive(true));
  source.addEventListener("error", () => onLive(false));
  return () => source.close();
}
