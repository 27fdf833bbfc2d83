import { expect, test } from "vitest";
import { choose, others, questions } from "./chooser";
import losses from "./losses.json";

test("five questions and what stands below them have every loss of the program, and no other", () => {
  expect(questions.length).toBe(5);
  const reached = questions.flatMap((q) => q.answers.map((a) => a.loss)).filter((l) => l !== undefined);
  expect(new Set([...reached, ...others.map((l) => l.name)])).toEqual(new Set(losses.map((l) => l.name)));
  expect(reached).toContain("cross-entropy");
});

test("answers are followed to their end, and what is not an answer asks again", () => {
  expect(choose("")).toEqual({ count: 1 });
  expect(choose("a")).toEqual({ count: 1, loss: "binary-cross-entropy" });
  expect(choose("aaaaa")).toEqual({ count: 1, loss: "binary-cross-entropy" });
  expect(choose("ba")).toEqual({ count: 2, loss: "binary-cross-entropy" });
  expect(choose("bba")).toEqual({ count: 3, loss: "kl" });
  expect(choose("bbba")).toEqual({ count: 4, loss: "hinge" });
  expect(choose("bbbb")).toEqual({ count: 5 });
  expect(choose("bbbbc")).toEqual({ count: 5, loss: "cross-entropy" });
  expect(choose("bc")).toEqual({ count: 2 });
});
