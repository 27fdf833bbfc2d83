//go:build ignore

// Checks .goreleaser.yaml without the minutes that GoReleaser itself takes to build: every key is one that GoReleaser knows, each with a
// value of its type, and what the archives and the programs are made from is there. make release has the rest.
//
// usage, at the root: go run -modfile=tools/release/go.mod tools/release/config.go
package main

import (
	"log"
	"os"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

func main() {
	log.SetFlags(0)
	const name = ".goreleaser.yaml"
	project, err := config.Load(name)
	if err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	var paths []string
	for _, build := range project.Builds {
		paths = append(paths, build.Main)
	}
	for _, archive := range project.Archives {
		for _, file := range archive.Files {
			paths = append(paths, file.Source)
		}
	}
	if len(project.Builds) == 0 || len(project.Archives) == 0 {
		log.Fatalf("%s builds or archives nothing", name)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil { // of a file that an archive lacks GoReleaser only warns
			log.Fatalf("%s: %v", name, err)
		}
	}
}
