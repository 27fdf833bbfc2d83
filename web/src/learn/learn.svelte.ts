import { format, parse, steps, type Says, type State, type Step } from "./address";

// Written to a file there is no server that knows the paths of steps: the address is then the part behind #.
const offline = import.meta.env.MODE === "offline";

// Learn is what the room shows, and its address: one instance, made by main.ts. Every change is a new state, so that what is
// undone is whole.
export class Learn {
  state = $state.raw<State>(parse("", "").state);
  says = $state.raw<Says>([]); // of what an address held that could not be
  lit = $state(-1); // the class under the pointer or the focus; −1: none

  #pending: ReturnType<typeof setTimeout> | undefined;

  // The class that a formula is about.
  chosen = $derived(this.state.chosen < 0 ? this.state.y : this.state.chosen);

  // start shows what the address asks for, and follows Back, Forward and addresses that are typed.
  start() {
    const read = () => {
      clearTimeout(this.#pending);
      this.#pending = undefined;
      const at = asked();
      const { state, says } = parse(at.name, at.query);
      this.state = state;
      this.says = says;
      this.lit = -1;
      history.replaceState(null, "", this.href(state));
    };
    addEventListener("popstate", read);
    addEventListener("pagehide", () => this.settle());
    read();
  }

  // set changes a part of the state. The address follows when the hand rests, so that a drag is one step back.
  set(part: Partial<State>) {
    this.state = { ...this.state, ...part };
    clearTimeout(this.#pending);
    this.#pending = setTimeout(() => this.settle(), 350);
  }

  // settle writes the state to the address at once.
  settle() {
    if (this.#pending === undefined) return;
    clearTimeout(this.#pending);
    this.#pending = undefined;
    this.#push();
  }

  setLogit(j: number, v: number) {
    this.set({ z: this.state.z.with(j, v), chosen: j === this.state.y ? -1 : j });
  }

  // go moves to a step with the vector as it is; what belongs to the step alone begins anew.
  go(step: Step) {
    this.settle();
    this.state = this.#at(step);
    this.says = [];
    this.lit = -1;
    this.#push();
  }

  // hrefOf is where go leads.
  hrefOf(step: Step): string {
    return this.href(this.#at(step));
  }

  href(state: State): string {
    const { name, query } = format(state);
    const tail = query === "" ? "" : `?${query}`;
    return offline ? `#${name}${tail}` : `/learn/${name}${tail}`;
  }

  #at(step: Step): State {
    const { z, y, t } = this.state;
    return { ...parse(step, "").state, z, y, t };
  }

  #push() {
    const href = this.href(this.state);
    if (href !== location.pathname + location.search && href !== location.hash)
      history.pushState(null, "", href);
  }
}

// asked is the step and the query that the address names, behind /learn/ or behind #.
function asked(): { name: string; query: string } {
  const path = offline ? "" : decode(location.pathname.replace(/^\/learn\/?/, "").replace(/\/$/, ""));
  if (path === "" && location.hash.length > 1) {
    const [name = "", query = ""] = location.hash
      .slice(1)
      .replace(/^\//, "")
      .split(/\?(.*)/s);
    return { name: decode(name), query };
  }
  return { name: path, query: location.search.slice(1) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is no code
  }
}

export const titles: Record<Step, string> = {
  logit: "Logit",
  binary: "One or two",
  softmax: "Softmax",
  temperature: "Temperature",
  pick: "Pick",
  log: "Log",
  nll: "NLL",
  "cross-entropy": "Cross-entropy",
  gradient: "Gradient",
  training: "Training",
};

export const next = (step: Step): Step | undefined => steps[steps.indexOf(step) + 1];
export const previous = (step: Step): Step | undefined => steps[steps.indexOf(step) - 1];
