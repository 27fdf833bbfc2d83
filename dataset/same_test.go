package dataset

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/internal/numtest"
)

// One table with missing whole numbers, decimals, booleans, categories, dates, moments with and without a zone, and text, as pandas, pyarrow and
// Polars write it (tools/oracle/formats.py), gives the same features, types and classes in every format.
func TestOneTableInEveryFormat(t *testing.T) {
	const folder = "testdata/formats"
	load := func(name string) *Dataset {
		t.Helper()
		d, err := Load(t.Context(), Options{Path: filepath.Join(folder, name), ValFraction: 0.2}, stream(1))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := load("pandas.csv")
	types := ""
	for _, col := range want.Pipeline.Columns {
		types += col.Name + ":" + col.Type + " "
	}
	if wantTypes := "fraction:numeric whole:numeric nullable:numeric half:numeric money:numeric flag:categorical maybe:categorical colour:categorical " +
		"day:categorical moment:categorical zoned:categorical text:text kind:ignore "; types != wantTypes {
		t.Fatalf("columns %s, want %s", types, wantTypes)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) < 13 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, f := range files {
		d := load(f.Name())
		if !slices.Equal(d.Classes, want.Classes) || !slices.Equal(d.Labels, want.Labels) || !slices.Equal(d.Features, want.Features) {
			t.Errorf("%s: %d rows of %d features, classes %q: not as in the CSV file", f.Name(), d.Len(), d.Columns, d.Classes)
		}
		for i, col := range d.Pipeline.Columns {
			if like := want.Pipeline.Columns[i]; col.Name != like.Name || col.Type != like.Type {
				t.Errorf("%s: column %s is %s, in the CSV file %s is %s", f.Name(), col.Name, col.Type, like.Name, like.Type)
			}
		}
	}
	for body, way := range map[string]string{
		zipOf(t, "[Content_Types].xml", "<Types/>", "xl/workbook.xml", "<workbook/>"): "save the sheet as CSV",
		"SQLite format 3\x00" + strings.Repeat("\x00", 100):                           "sqlite3 -header -csv",
	} {
		if _, err := Load(t.Context(), Options{Path: file(t, "x.db", body), ValFraction: 0.2}, stream(1)); err == nil || !strings.Contains(err.Error(), way) {
			t.Errorf("%v, want %q", err, way)
		}
	}
}

// Polars writes the schema at the beginning of a file without its length; the footer says where the rows are. A footer that lies is refused.
func TestArrowByFooter(t *testing.T) {
	raw, err := os.ReadFile("testdata/formats/polars.arrow")
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(raw); at++ {
		if at >= 1200 && at < len(raw)-1200 {
			continue
		}
		for _, edit := range []byte{0x01, 0x80, 0xff} {
			damaged := slices.Clone(raw)
			damaged[at] ^= edit
			if tab, err := parseArrow("x.arrow", damaged, Options{}); err == nil && tab.rows() > 60 {
				t.Errorf("byte %d: %d rows of 60", at, tab.rows())
			}
		}
		if _, err := parseArrow("x.arrow", raw[:at], Options{}); err == nil {
			t.Errorf("cut to %d bytes: no error", at)
		}
	}
}

// A page of Parquet that says it unpacks to gigabytes is refused before memory is made for it.
func TestParquetPageBomb(t *testing.T) {
	numtest.WithoutRaceDetector(t)
	for _, name := range []string{"pandas.parquet", "polars.parquet"} { // packed by Snappy and by Zstandard
		raw, err := os.ReadFile("testdata/formats/" + name)
		if err != nil {
			t.Fatal(err)
		}
		lies := [][]byte{{0xff, 0xff, 0xff, 0xff, 0x0f}, {0xc0, 0xff, 0xff, 0xff, 0xff}, {0xe0, 0xff, 0xff, 0xff, 0x3f, 0, 0, 0, 0}}
		for at := 4; at < 120; at++ {
			for _, lie := range lies {
				damaged := slices.Clone(raw)
				copy(damaged[at:], lie)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, _ = parseParquet("x", damaged, Options{})
				runtime.ReadMemStats(&after)
				if got := after.TotalAlloc - before.TotalAlloc; got > uint64(freeBytes)+maxInflate*uint64(len(raw)) {
					t.Fatalf("%s, byte %d: %d bytes were allocated for a file of %d", name, at, got, len(raw))
				}
			}
		}
	}
}
