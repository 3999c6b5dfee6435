import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// Where `npm run dev` finds a running platform.
const server = process.env.AIPRISM_SERVER ?? "http://127.0.0.1:9090";
const out = fileURLToPath(new URL("../src/aiprism/web/ui", import.meta.url));

export default defineConfig({
  plugins: [react(), packed()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: { outDir: out, emptyOutDir: true, assetsInlineLimit: 0, target: "es2022", chunkSizeWarningLimit: 700 },
  server: {
    proxy: Object.fromEntries(
      ["/aiprism", "/api", "/jaeger", "/-", "/metrics", "/openapi.json", "/static"].map((path) => [
        path,
        { target: server, changeOrigin: true },
      ]),
    ),
  },
});

/** Every text file once more as .br and .gz, so that the server only has to pick one. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    async closeBundle() {
      const files = await readdir(out, { recursive: true });
      for (const file of files.filter((name) => /\.(js|css|html|svg)$/.test(name))) {
        const plain = await readFile(join(out, file));
        await writeFile(join(out, `${file}.br`), brotliCompressSync(plain));
        await writeFile(join(out, `${file}.gz`), gzipSync(plain, { level: 9 }));
      }
    },
  };
}
