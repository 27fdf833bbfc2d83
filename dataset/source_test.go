package dataset

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// inBlocks reads text block by block: its fields, and how many blocks there were.
func inBlocks(text string, o Options, block int) (all [][]string, blocks int, err error) {
	defer func(kept int) { tableBlock = kept }(tableBlock)
	tableBlock = block
	s := newTextBlocks("x.csv", strings.NewReader(text), o)
	for {
		t, err := s.next()
		if err != nil || t == nil {
			return all, blocks, err
		}
		all = append(all, fields(t)...)
		blocks++
	}
}

// Block by block a table has the rows that it has in one piece, whatever stands where a block ends, and the same lines are wrong.
func TestTablesInBlocks(t *testing.T) {
	var plain, quoted, wide strings.Builder
	plain.WriteString("\ufeffname,x\n")
	quoted.WriteString("\"na\"\"me\",\"x\ny\"\r\n")
	for i := range 200 {
		fmt.Fprintf(&plain, "größe €%d,%d\n", i, i)
		fmt.Fprintf(&quoted, "\"a\r\n\"\"%d\"\"\",\"\"\r\n\r\n", i)
	}
	wide.WriteString("0" + strings.Repeat(",1", 5000))
	for _, text := range []string{plain.String(), quoted.String(), wide.String(), strings.TrimSuffix(plain.String(), "\n")} {
		whole, err := parseCSV("x.csv", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for block := 1; block < 100; block++ {
			got, blocks, err := inBlocks(text, Options{}, block)
			if err != nil || !slices.EqualFunc(got, fields(whole), slices.Equal) {
				t.Fatalf("blocks of %d bytes: %d rows, want %d: %v", block, len(got), whole.rows(), err)
			}
			most = max(most, blocks)
		}
		if whole.rows() > 100 && most < 3 {
			t.Errorf("%d rows came in at most %d blocks", whole.rows(), most)
		}
	}
	for _, bad := range []string{"1,2,3\n", "a\xffb,2\n", "\"1\n2,3\n", "a\x00,2\n", "\"1\"2,3\n"} {
		text := plain.String() + bad + strings.Repeat("a,1\n", 50)
		_, want := parseCSV("x.csv", []byte(text), Options{})
		_, _, err := inBlocks(text, Options{}, 64)
		if want == nil || err == nil || err.Error() != want.Error() {
			t.Errorf("%q: error %v, in one piece %v", bad, err, want)
		}
	}
	for text, want := range map[string]string{"": "is empty", " \n": "is empty", "a,b\n": "no rows"} {
		if _, _, err := inBlocks(text, Options{}, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// New rows are read with the memory of a block, gzip or not; a bad row far down is named by its line.
func TestRowsOfALargeFile(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	const n = 1_000_000
	var text bytes.Buffer
	text.WriteString("x,colour\n")
	for i := range n {
		fmt.Fprintf(&text, "%d.%06d,%s\n", i%10, i, []string{"red", "blue", "green"}[i%3])
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(text.Bytes())
	_ = w.Close()
	p := &Pipeline{Kind: KindTable, Classes: []string{"a", "b"}, Inputs: 3, Columns: []Column{
		{Name: "x", Type: Numeric, Scale: 1, Features: 1}, {Name: "colour", Type: Categorical, Levels: []string{"red", "blue"}, Features: 2},
	}}
	for name, raw := range map[string]string{"x.csv": text.String(), "x.csv.gz": packed.String()} {
		path := file(t, name, raw)
		live := peak(t, func() {
			rows, err := p.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for b := rows.Next(1000); b != nil; b = rows.Next(1000) {
				if last := b.N - 1; b.Features[3*last] != float32((b.First+last)%10)+float32(b.First+last)/1e6 && b.First == 0 {
					t.Fatalf("row %d: %v", b.First+last, b.Features[3*last:])
				}
			}
			if rows.Err() != nil || rows.Read() != n || rows.Counts.Unseen["colour"] != n/3 {
				t.Errorf("%s: %d rows, %d categories unseen: %v", name, rows.Read(), rows.Counts.Unseen["colour"], rows.Err())
			}
		})
		if live > 16<<20 {
			t.Errorf("%s: %d bytes of a file of %d were held", name, live, text.Len())
		}
	}
	rows, err := p.Open(file(t, "x.csv", text.String()+"many,red\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next(1000) != nil {
		runtime.Gosched()
	}
	if err := rows.Err(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("line %d: \"many\" in column x is not a number", n+2)) {
		t.Errorf("error %v", err)
	}
}
