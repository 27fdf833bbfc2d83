package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// Columns of one name are called as pandas 3.1 calls them: read_csv of these headers gave these names.
func TestColumnsOfOneName(t *testing.T) {
	for header, want := range map[string]string{
		"a,a,a": "a a.1 a.2", "a,a,a.1": "a a.2 a.1", "a,a.1,a": "a a.1 a.2", "a,a,a.1,a": "a a.2 a.1 a.3", "x,x,y": "x x.1 y",
	} {
		names := strings.Split(header, ",")
		renamed := uniqueNames(names)
		if got := strings.Join(names, " "); got != want || renamed == "" {
			t.Errorf("%s: %s (%q), want %s", header, got, renamed, want)
		}
	}
}

// A table with two columns of one name is read, says so, and what was learnt from it reads one row of such a table.
func TestPredictWithColumnsOfOneName(t *testing.T) {
	text := "# written by a logger, 2026\n# unit: mm\nlength,length,kind\n" + rowsOf(60, func(i int) string {
		return fmt.Sprintf("%d.5,%d.25,%s", i%2, 9-i%2, alternate(i))
	})
	d, err := Load(t.Context(), Options{Path: file(t, "x.csv", text), ValFraction: 0.2}, stream(1))
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(d.Notes, "; ")
	if !strings.Contains(said, "length in column 2 is length.1") || !strings.Contains(said, "2 lines above the table that begin with #") || len(d.Classes) != 2 || d.Columns != 2 {
		t.Errorf("said %q, classes %v, %d columns", said, d.Classes, d.Columns)
	}
	rows, err := d.Pipeline.Open(file(t, "one.csv", "# another comment\nlength,length\n0.5,9.25\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if rows.held != 1 {
		t.Errorf("%d rows of one", rows.held)
	}
}

// Which lines that begin with # are passed over. What pandas reads with comment="#" is what stands here, where the lines are comments.
func TestCommentsAboveATable(t *testing.T) {
	body := rowsOf(30, func(i int) string { return fmt.Sprintf("%d,%s", i, alternate(i)) })
	tags := rowsOf(30, func(i int) string { return "#tag and a word," + alternate(i) })
	for name, c := range map[string]struct {
		text  string
		o     Options
		names string
		rows  int
	}{
		"above a header":                {"# a comment\nx,y\n" + body, Options{}, "x y", 30},
		"with as many commas":           {"# made by me, today\nx,y\n" + body, Options{}, "x y", 30},
		"after a blank line":            {"# one\n\n#two\r\n\nx,y\n" + body, Options{}, "x y", 30},
		"with a quote":                  {"# don't say \"that\nx,y\n" + body, Options{}, "x y", 30},
		"above rows without a header":   {"# a comment\n" + body, Options{}, "c1 c2", 30},
		"with another header asked for": {"# a comment\nx,y\n" + body, Options{Header: "no"}, "c1 c2", 31},
		"the header itself":             {"#x,y\n" + body, Options{}, "#x y", 30},
		"comments above such a header":  {"# a comment\n#x,y\n" + body, Options{}, "#x y", 30},
		"rows of hash tags":             {tags, Options{Header: "no"}, "c1 c2", 30},
		"some rows of hash tags":        {tags + body, Options{Header: "no"}, "c1 c2", 60},
		"tabs":                          {"# a, b\nx\ty\n" + strings.ReplaceAll(body, ",", "\t"), Options{}, "x y", 30},
		"spaces":                        {"# a b c d\nx y\n" + strings.ReplaceAll(body, ",", "  "), Options{}, "x y", 30},
	} {
		table, err := parseCSV("x.csv", []byte(c.text), c.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(table.names, " "); got != c.names || table.rows() != c.rows {
			t.Errorf("%s: columns %s, %d rows, want %s, %d", name, got, table.rows(), c.names, c.rows)
		}
	}
	if _, err := parseCSV("x.csv", []byte("# one\n# two\nx,y\n1,a\n1,2,3\n"), Options{}); err == nil || !strings.Contains(err.Error(), "line 5") {
		t.Errorf("a row too long is %v, want line 5", err)
	}
}

// A text that is read block by block may have comments above it, wherever a block ends.
func TestCommentsAboveBlocks(t *testing.T) {
	defer func(before int) { tableBlock = before }(tableBlock)
	text := "# a comment\n# another\nx,y\n" + rowsOf(40, func(i int) string { return fmt.Sprintf("%d,%s", i, alternate(i)) })
	for tableBlock = 1; tableBlock < 60; tableBlock++ {
		blocks, rows := newTextBlocks("x.csv", strings.NewReader(text), Options{}), 0
		for {
			block, err := blocks.next()
			if err != nil {
				t.Fatalf("blocks of %d: %v", tableBlock, err)
			}
			if block == nil {
				break
			}
			if got := strings.Join(block.names, " "); got != "x y" || len(block.notes) != 1 {
				t.Fatalf("blocks of %d: columns %s, notes %q", tableBlock, got, block.notes)
			}
			rows += block.rows()
		}
		if rows != 40 {
			t.Errorf("blocks of %d: %d rows of 40", tableBlock, rows)
		}
	}
}
