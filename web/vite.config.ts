import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  build: { chunkSizeWarningLimit: 900, assetsInlineLimit: 0 },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8321", changeOrigin: true } } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
