// Command gendocs writes the parts of the documentation that come from the program's registries. make gen runs it, and make gen-check fails where the
// committed files differ from what it writes. On a page, such a part stands between two lines,
//
//	<!-- NAME: written by make gen -->
//	<!-- end of NAME -->
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/logitscope/logitscope/loss"
)

// part is a generated part of a page, between the two lines with its name.
type part struct {
	page, name string
	write      func(*bytes.Buffer)
}

var parts = []part{
	{"docs/losses.md", "losses", losses},
	{"docs/losses.md", "settings", settings},
	{"docs/settings.md", "configuration", configuration},
	{"docs/data.md", "formats", dataFormats},
	{"docs/export.md", "formats", exports},
	{"docs/import.md", "formats", imports},
	{"docs/findings.md", "findings", findings},
	{"docs/http.md", "finding ids", findingIDs},
	{"docs/http.md", "calibration methods", calibrationMethods},
	{"docs/metrics.md", "figures", figures},
}

// files are the files that are generated as a whole.
var files = map[string]func() ([]byte, error){
	"web/src/learn/losses.json": func() ([]byte, error) {
		text, err := json.MarshalIndent(loss.Catalog(), "", "  ")
		return append(text, '\n'), err
	},
}

//go:generate go run . ../..
func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: gendocs ROOT")
	}
	root := os.Args[1]
	written, err := generate(root)
	if err != nil {
		log.Fatal(err)
	}
	for path, text := range written {
		if err := os.WriteFile(filepath.Join(root, path), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns the content of every file with generated parts, as it should be, by its path in the repository at root.
func generate(root string) (map[string][]byte, error) {
	written := map[string][]byte{}
	for path, write := range files {
		text, err := write()
		if err != nil {
			return nil, err
		}
		written[path] = text
	}
	for _, p := range parts {
		text, ok := written[p.page]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, p.page)); err != nil {
				return nil, err
			}
		}
		first, last := fmt.Sprintf("<!-- %s: written by make gen -->\n", p.name), fmt.Sprintf("<!-- end of %s -->\n", p.name)
		before, rest, ok1 := bytes.Cut(text, []byte(first))
		_, after, ok2 := bytes.Cut(rest, []byte(last))
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: no lines %q and %q", p.page, first, last)
		}
		var b bytes.Buffer
		b.Write(before)
		b.WriteString(first + "\n")
		p.write(&b)
		b.WriteString("\n" + last)
		b.Write(after)
		written[p.page] = b.Bytes()
	}
	return written, nil
}

// table writes a Markdown table.
func table(b *bytes.Buffer, head []string, rows [][]string) {
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range rows {
		line(row)
	}
}
