import { mount } from "svelte";
import "../app.css";
import "./learn.css";
import { steps } from "./address";
import { Learn } from "./learn.svelte";
import Room from "./Room.svelte";

// The texts stand in the page itself, so that they are there without this. What it adds: one step at a time, its instrument, a
// question that waits for an answer, and the address.
const learn = new Learn();
learn.start();
document.documentElement.classList.add("live");
const articles = new Map(steps.map((step) => [step, document.getElementById(step)!]));
mount(Room, { target: document.getElementById("foot")!, props: { learn, articles } });
