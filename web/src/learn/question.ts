// A question stands in the page's text, as a list and a folded answer.
export interface Prepared {
  target: HTMLElement; // where the buttons go
  props: { options: string[]; right: number; answer: HTMLDetailsElement };
}

// prepare reads a question's options and puts a place for buttons where their list stood.
export function prepare(question: HTMLElement): Prepared {
  const list = question.querySelector("ol")!;
  const items = [...list.children] as HTMLElement[];
  list.hidden = true;
  let target = question.querySelector<HTMLElement>("div.place");
  if (!target) {
    target = document.createElement("div");
    target.className = "place";
    list.after(target);
  }
  return {
    target,
    props: {
      options: items.map((item) => item.textContent!.trim()),
      right: items.findIndex((item) => "right" in item.dataset),
      answer: question.querySelector("details")!,
    },
  };
}
