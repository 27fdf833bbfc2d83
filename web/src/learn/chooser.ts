import losses from "./losses.json";

// The road to a loss: each question has an answer that ends it, but the last, which has three.
interface Question {
  text: string;
  answers: { letter: string; text: string; loss?: string }[];
}

export const questions: Question[] = [
  {
    text: "May a sample have several labels at once?",
    answers: [
      { letter: "a", text: "yes", loss: "binary-cross-entropy" },
      { letter: "b", text: "no" },
    ],
  },
  {
    text: "Is it yes or no, just two classes?",
    answers: [
      { letter: "a", text: "yes", loss: "binary-cross-entropy" },
      { letter: "b", text: "no" },
    ],
  },
  {
    text: "Does it learn from another model’s probabilities?",
    answers: [
      { letter: "a", text: "yes", loss: "kl" },
      { letter: "b", text: "no, from labels" },
    ],
  },
  {
    text: "Does only the decision count, never how sure it is?",
    answers: [
      { letter: "a", text: "yes", loss: "hinge" },
      { letter: "b", text: "no" },
    ],
  },
  {
    text: "What troubles you most?",
    answers: [
      { letter: "a", text: "easy samples drown the hard ones", loss: "focal" },
      { letter: "b", text: "outliers and wrong labels", loss: "brier" },
      { letter: "c", text: "neither", loss: "cross-entropy" },
    ],
  },
];

// Losses of the program that no question asks for: the page lists them below the questions.
export const others = losses.filter((l) => !questions.some((q) => q.answers.some((a) => a.loss === l.name)));

// choose follows the answers, a letter each: how many questions to show, and the loss where the road has ended.
export function choose(letters: string): { count: number; loss?: string } {
  for (let i = 0; i < questions.length; i++) {
    const given = questions[i]!.answers.find((a) => a.letter === letters[i]);
    if (!given) return { count: i + 1 };
    if (given.loss) return { count: i + 1, loss: given.loss };
  }
  return { count: questions.length };
}
