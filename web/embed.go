// Package web holds the dashboard, built from the sources beside it by `make web`.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// FS returns the built dashboard: index.html and its assets. Where the dashboard was not built it holds no index.html.
func FS() fs.FS {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // dist is embedded above
	}
	return built
}
