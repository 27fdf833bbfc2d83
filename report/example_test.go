package report_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/report"
)

// A recorded run becomes one HTML file to send to a colleague.
func Example() {
	folder, err := os.MkdirTemp("", "report-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	dir := filepath.Join(folder, "pets")
	writer, err := record.Create(dir,
		record.Manifest{Classes: []string{"cat", "dog"}, Head: record.HeadSoftmax, Columns: 2},
		map[string]record.Samples{record.ValSplit: {IDs: []int64{7, 8}, Labels: []int32{0, 1}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := writer.WriteEpoch(1, map[string][]float32{record.ValSplit: {2, 0, 0, 1}}); err != nil {
		log.Fatal(err)
	}
	if err := writer.Close(record.StateComplete); err != nil {
		log.Fatal(err)
	}

	run, err := record.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer run.Close()
	file, err := os.Create(filepath.Join(folder, "report.html"))
	if err != nil {
		log.Fatal(err)
	}
	lacking, err := report.Write(context.Background(), file, run)
	if err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text[:15]), "files missing or damaged:", lacking.Any())
	// Output: <!doctype html> files missing or damaged: false
}
