package server

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// contentTypes holds the types that a page depends on, by the endings of files. With nosniff a browser runs no script of another type, and
// mime.TypeByExtension depends on the settings of the machine.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// dashboard serves the built dashboard, or a page that says how to build it. It does not list folders.
func dashboard(web fs.FS) http.Handler {
	if web == nil {
		web = embed.FS{}
	}
	files := http.FileServerFS(web)
	_, err := fs.Stat(web, "index.html")
	built := err == nil
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && !built {
			w.Header().Set("Content-Type", contentTypes[".html"])
			_, _ = w.Write([]byte(notBuilt))
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if info, err := fs.Stat(web, name); name != "" && (err != nil || info.IsDir()) {
			http.NotFound(w, r)
			return
		}
		if known, ok := contentTypes[path.Ext(name)]; ok {
			w.Header().Set("Content-Type", known)
		}
		w.Header().Set("Cache-Control", "no-cache")
		if strings.HasPrefix(name, "assets/") {
			// The names of these files hold a hash of their content.
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		files.ServeHTTP(w, r)
	})
}

// learn serves the page of Learn for every step. The page itself reads the step from its address, and says so where it is unknown.
func learn(web fs.FS) http.Handler {
	pages := dashboard(web)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := r.Clone(r.Context())
		page.URL.Path = "/learn.html"
		if web == nil {
			page.URL.Path = "/"
		} else if _, err := fs.Stat(web, "learn.html"); err != nil {
			page.URL.Path = "/"
		}
		pages.ServeHTTP(w, page)
	})
}

const notBuilt = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>logitscope</title></head>
<body style="font-family:system-ui,sans-serif;max-width:40rem;margin:4rem auto;line-height:1.5">
<h1>logitscope</h1>
<p>This binary was built without the dashboard. In the source, with Node 20, run <code>make build</code>
and start <code>bin/logitscope view</code> again.</p>
<p>Meanwhile <code>logitscope show RUN</code>, <code>logitscope explain RUN</code> and <code>logitscope plot RUN</code>
tell the same.</p>
</body></html>
`
