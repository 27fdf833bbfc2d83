import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// The dashboard and Learn as the program serves them; with --mode offline, Learn as one file that needs no server.
export default defineConfig(({ mode }) => ({
  plugins: [svelte(), ...(mode === "offline" ? [oneFile()] : [])],
  build: {
    chunkSizeWarningLimit: 900,
    assetsInlineLimit: 0,
    ...(mode === "offline"
      ? { outDir: "dist/offline", cssCodeSplit: false, modulePreload: false as const, copyPublicDir: false }
      : {}),
    rolldownOptions: {
      input: mode === "offline" ? ["learn.html"] : ["index.html", "learn.html"],
      // A browser fetches no module from a file: without a server all is one classic script.
      ...(mode === "offline" ? { output: { format: "iife" as const, codeSplitting: false } } : {}),
    },
  },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8321", changeOrigin: true } } },
  // No test fails because a machine is slow.
  test: { environment: "node", include: ["src/**/*.test.ts"], testTimeout: 600_000, hookTimeout: 600_000 },
}));

// hash is how a policy names what may run.
async function hash(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `'sha256-${btoa(String.fromCharCode(...digest))}'`;
}

// oneFile puts the script and the styles into the page and lets it run nothing else: a policy that names them by their hashes.
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    async generateBundle(_, bundle) {
      const page = Object.values(bundle).find((f) => f.fileName.endsWith(".html"));
      if (page?.type !== "asset") throw new Error("no page was built");
      let script = "";
      let style = "";
      for (const [name, file] of Object.entries(bundle)) {
        if (file.type === "chunk") script += file.code.replaceAll("</script", "<\\/script");
        else if (name.endsWith(".css")) style += file.source;
        if (file !== page) delete bundle[name];
      }
      const policy = `default-src 'none'; script-src ${await hash(script)}; style-src ${await hash(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
      page.source = String(page.source)
        .replace(/<script type="module"[^>]*><\/script>/, "")
        .replace(/<link rel="(stylesheet|icon|modulepreload)"[^>]*>/g, "")
        .replace(
          "<head>",
          () => `<head>\n    <meta http-equiv="Content-Security-Policy" content="${policy}" />`,
        )
        .replace("</head>", () => `<style>${style}</style></head>`)
        .replace("</body>", () => `<script>${script}</script></body>`);
    },
  };
}
