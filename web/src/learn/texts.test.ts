import { expect, test } from "vitest";
import page from "../../learn.html?raw";
import { steps } from "./address";
import digits from "./digits.json";

const words = (html: string) =>
  html
    .replace(/<p class="formula">[\s\S]*?<\/p>/g, " ")
    .replace(/<[^>]+>/g, " ")
    .split(/\s+/)
    .filter((w) => /[\p{L}\p{N}]/u.test(w));
const between = (text: string, from: string, to: string) =>
  text.slice(text.indexOf(from), text.indexOf(to, text.indexOf(from)));
const articles = steps.map((step) => ({ step, html: between(page, `<article id="${step}"`, "</article>") }));

test("each step has a text of at most 120 words, and a question with one right answer", () => {
  for (const { step, html } of articles) {
    const text = words(between(html, '<div class="text">', "</div>"));
    expect(text.length, `${step}: ${text.length} words`).toBeLessThanOrEqual(120);
    expect(text.length, step).toBeGreaterThan(50);
    const question = between(html, '<section class="question">', "</section>");
    expect(question.match(/<li>|<li data-right>/g)!.length, step).toBe(3);
    expect(question.match(/data-right/g)!.length, step).toBe(1);
    expect(words(between(question, "<details>", "</details>")).length, step).toBeGreaterThan(15);
  }
});

test("no line of the texts is too hard for who is new: short sentences", () => {
  for (const { step, html } of articles) {
    const text = words(between(html, '<div class="text">', "</div>")).join(" ");
    for (const sentence of text.split(/[.?!:;] /))
      expect(sentence.split(" ").length, `${step}: ${sentence}`).toBeLessThanOrEqual(34);
  }
});

test("what the last question says of the digits is what was recorded", () => {
  const run = digits.runs[0]!;
  const [best, last] = [run.best - 1, 44];
  const text = words(articles.at(-1)!.html).join(" ");
  for (const v of [
    run.val.nll[best],
    run.val.nll[last],
    run.val.ranking[last],
    run.val.temperature[last],
    run.val.accuracy[best],
    run.val.accuracy[last],
    run.train.nll[4],
    run.val.nll[4],
    run.train.nll[last],
  ])
    expect(text).toContain(v!.toFixed(2));
  expect(text).toContain(`epoch ${run.best}`);
});
