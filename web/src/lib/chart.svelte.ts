import { LineChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, MarkPointComponent, TooltipComponent } from "echarts/components";
import { init, use, type ComposeOption, type EChartsType } from "echarts/core";
import type { LineSeriesOption } from "echarts/charts";
import type {
  GridComponentOption,
  MarkLineComponentOption,
  MarkPointComponentOption,
  TooltipComponentOption,
} from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";

use([LineChart, GridComponent, MarkLineComponent, MarkPointComponent, TooltipComponent, CanvasRenderer]);

export type Option = ComposeOption<
  | LineSeriesOption
  | GridComponentOption
  | MarkLineComponentOption
  | MarkPointComponentOption
  | TooltipComponentOption
>;

// The colours of the page's style sheet, as charts need them.
export interface Palette {
  ink: string;
  muted: string;
  line: string;
  panel: string;
  true: string;
  other: string;
  train: string;
  val: string;
}

export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: color("ink"),
    muted: color("muted"),
    line: color("line"),
    panel: color("panel"),
    true: color("true"),
    other: color("other"),
    train: color("train"),
    val: color("val"),
  };
}

// What every axis and tooltip has in common.
export function axis(p: Palette) {
  return {
    type: "value" as const,
    axisTick: { show: false },
    splitLine: { lineStyle: { color: p.line } },
    axisLabel: { color: p.muted, fontSize: 11, hideOverlap: true },
  };
}

export function tooltip(p: Palette, text: (index: number) => string): TooltipComponentOption {
  return {
    trigger: "axis",
    confine: true,
    backgroundColor: p.panel,
    borderColor: p.line,
    textStyle: { color: p.ink, fontSize: 12 },
    formatter: (points) => text((Array.isArray(points) ? points[0] : points)?.dataIndex ?? 0),
  };
}

// A Svelte attachment that draws option(palette) in its element, again whenever what option reads changes, and in the
// other colours when the theme does. onClick is told the x and y values that were clicked.
export function chart(option: (p: Palette) => Option, onClick?: (x: number) => void) {
  return (element: HTMLElement) => {
    let instance: EChartsType | undefined = init(element, null, { renderer: "canvas" });
    const draw = () => {
      instance?.setOption(option(palette()), { notMerge: true, lazyUpdate: true });
    };
    const resize = new ResizeObserver(() => instance?.resize());
    resize.observe(element);
    const theme = matchMedia("(prefers-color-scheme: dark)");
    theme.addEventListener("change", draw);
    if (onClick) {
      instance.getZr().on("click", (e) => {
        const at = instance?.convertFromPixel({ gridIndex: 0 }, [e.offsetX, e.offsetY]);
        if (Array.isArray(at) && typeof at[0] === "number") onClick(at[0]);
      });
    }
    $effect(draw);
    return () => {
      resize.disconnect();
      theme.removeEventListener("change", draw);
      instance?.dispose();
      instance = undefined;
    };
  };
}
