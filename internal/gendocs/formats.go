package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/dataset"
)

// dataFormats writes the table of the data formats that train reads, and of those that it recognises and refuses.
func dataFormats(b *bytes.Buffer) {
	var rows [][]string
	var unread []string
	for _, f := range dataset.Formats() {
		if f.Instead != "" {
			unread = append(unread, f.Name)
			continue
		}
		rows = append(rows, []string{f.Name, code(f.Endings), f.Reads})
	}
	table(b, []string{"format", "names", "what is read"}, rows)
	fmt.Fprintf(b, "\nCalled by their name, with the way out, and not read: %s.\n", strings.Join(unread, ", "))
}

// exports writes the table of the formats that export writes.
func exports(b *bytes.Buffer) {
	var rows [][]string
	for _, f := range convert.Formats() {
		name, text := fmt.Sprintf("`%s` %s", f.Name, strings.Join(f.Endings, " ")), f.Text
		if f.Folder {
			name, text = fmt.Sprintf("`%s`, a folder", f.Name), strings.TrimPrefix(f.Text, "a folder of ")
		}
		rows = append(rows, []string{name, text})
	}
	table(b, []string{"format", "what is in it"}, rows)
}

// imports writes the table of the formats that import reads.
func imports(b *bytes.Buffer) {
	var rows [][]string
	for _, form := range convert.Readable() {
		rows = append(rows, form[:])
	}
	table(b, []string{"files", "what of them is read"}, rows)
}
