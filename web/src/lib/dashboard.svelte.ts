import { api, listen, type Curves, type Graphs, type Run, type RunEvent, type Unreadable } from "./api";

// What the page shows: a run, an epoch of it, and its graphs. One instance, made by App.
export class Dashboard {
  runs = $state.raw<Run[]>([]);
  unreadable = $state.raw<Unreadable[]>([]);
  name = $state<string | null>(null);
  curves = $state.raw<Curves | null>(null);
  graphs = $state.raw<Graphs | null>(null);
  epoch = $state(0); // of epochs, once there are any
  following = $state(true); // the newest epoch, until a person moves the slider
  playing = $state(false);
  live = $state(true);
  ready = $state(false); // the first answer has come
  error = $state<string | null>(null);

  run = $derived(this.runs.find((r) => r.name === this.name) ?? null);
  judged = $derived(["train", this.curves?.held_out ?? "val"]); // the splits that curves and findings are of
  unit = $derived(this.curves?.unit ?? "epoch"); // what the number of an epoch counts
  epochs = $derived(this.curves?.epochs.map((e) => e.epoch) ?? []);

  #graphs = new Map<string, Promise<Graphs>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #wanted = 0;

  // start shows the run named in the address, or the newest one, and follows the server until the function returned is
  // called.
  start(): () => void {
    const address = new URLSearchParams(location.hash.slice(1));
    const epoch = Number(address.get("epoch") ?? NaN);
    let stop: (() => void) | undefined;
    let stopped = false;
    void this.#load(address.get("run")).then(() => {
      if (this.epochs.includes(epoch)) this.show(epoch);
      // Only now: the events begin with every run, and a run that is not known yet has the list read again.
      if (!stopped) stop = listen((event) => void this.#changed(event), this.#connected);
    });
    return () => {
      stopped = true;
      stop?.();
      this.pause();
    };
  }

  async choose(name: string) {
    this.pause();
    this.name = name;
    this.following = true;
    this.graphs = null;
    this.curves = null;
    await this.#refresh();
  }

  // show moves to an epoch and stays there.
  show(epoch: number) {
    this.following = false;
    this.#move(epoch);
  }

  play(milliseconds: number) {
    this.pause();
    if (this.epochs.length === 0) return;
    if (this.epoch === this.epochs.at(-1)) this.show(this.epochs[0]!);
    this.playing = true;
    this.#timer = setInterval(() => {
      const next = this.epochs[this.epochs.indexOf(this.epoch) + 1];
      if (next === undefined) this.pause();
      else this.show(next);
    }, milliseconds);
  }

  pause() {
    clearInterval(this.#timer);
    this.playing = false;
  }

  retry() {
    this.error = null;
    void this.#load(this.name);
  }

  #connected = (live: boolean) => {
    this.live = live;
    if (live && this.error !== null) this.retry();
  };

  async #load(preferred: string | null) {
    await this.#attempt(async () => {
      const all = await api.runs();
      this.runs = all.filter((r): r is Run => !("error" in r));
      this.unreadable = all.filter((r): r is Unreadable => "error" in r);
      this.ready = true;
      const newest = this.runs.toSorted((a, b) => b.created.localeCompare(a.created))[0];
      const chosen = this.runs.find((r) => r.name === preferred) ?? newest;
      if (chosen && chosen.name !== this.name) await this.choose(chosen.name);
      else if (chosen) await this.#refresh();
    });
  }

  async #changed(event: RunEvent) {
    const known = this.runs.find((r) => r.name === event.name);
    // A run that had no epoch yet may have been made anew, with a split more.
    if (!known || (known.epochs === 0 && event.epochs > 0)) return this.#load(this.name);
    if (known.epochs === event.epochs && known.state === event.state) return;
    this.runs = this.runs.map((r) => (r === known ? { ...r, epochs: event.epochs, state: event.state } : r));
    if (event.name === this.name) await this.#refresh();
  }

  // refresh reads the curves again and shows the epoch that is to be seen.
  async #refresh() {
    const name = this.name;
    if (name === null) return;
    await this.#attempt(async () => {
      const curves = await api.curves(name);
      if (this.name !== name) return;
      this.curves = curves;
      const newest = this.epochs.at(-1);
      if (newest !== undefined) this.#move(this.following ? newest : this.epoch);
    });
  }

  #move(epoch: number) {
    this.epoch = epoch;
    history.replaceState(null, "", `#${new URLSearchParams({ run: this.name ?? "", epoch: String(epoch) })}`);
    const wanted = ++this.#wanted;
    void this.#attempt(async () => {
      const graphs = await this.#graphsOf(epoch).catch((error: unknown) => {
        if (wanted === this.#wanted) throw error;
      });
      // A newer move has its own answer on the way; an older one that comes late is not shown, nor is its error.
      if (!graphs || wanted !== this.#wanted) return;
      this.graphs = graphs;
      this.#prefetch(epoch);
    });
  }

  // prefetch asks for the epochs beside one, so that dragging finds them there. What fails is asked again when it is shown.
  #prefetch(epoch: number) {
    if (this.curves?.state === "running") return; // the next epoch changes every bin
    const i = this.epochs.indexOf(epoch);
    for (const near of [this.epochs[i + 1], this.epochs[i + 2], this.epochs[i - 1]]) {
      if (near !== undefined) this.#graphsOf(near).catch(() => {});
    }
  }

  // graphsOf keeps what it fetched. While a run grows its bins do too, so the newest epoch is part of the key.
  #graphsOf(epoch: number): Promise<Graphs> {
    const bins = this.curves?.state === "running" ? this.epochs.at(-1) : "all";
    const key = `${this.name} ${epoch} ${bins}`;
    let graphs = this.#graphs.get(key);
    if (!graphs) {
      graphs = api.graphs(this.name!, epoch);
      this.#graphs.set(key, graphs);
      graphs.catch(() => this.#graphs.delete(key));
      if (this.#graphs.size > 500) this.#graphs.delete(this.#graphs.keys().next().value!);
    }
    return graphs;
  }

  async #attempt(work: () => Promise<void>) {
    try {
      await work();
      this.error = null;
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    }
  }
}
