package record_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/record"
)

// Logits of any program are recorded epoch by epoch, and read again while that goes on.
func Example() {
	folder, err := os.MkdirTemp("", "runs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	dir := filepath.Join(folder, "pets")

	writer, err := record.Create(dir,
		record.Manifest{Classes: []string{"cat", "dog", "bird"}, Head: record.HeadSoftmax, Columns: 3},
		map[string]record.Samples{record.ValSplit: {IDs: []int64{7, 8}, Labels: []int32{0, 2}}})
	if err != nil {
		log.Fatal(err)
	}
	for epoch := 1; epoch <= 2; epoch++ {
		certain := float32(epoch)
		err := writer.WriteEpoch(epoch, map[string][]float32{record.ValSplit: {certain, 0, 0, 0, certain, 0}})
		if err != nil {
			log.Fatal(err)
		}
	}

	run, err := record.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer run.Close()
	fmt.Println(run.State(), run.Epochs())
	rows, err := run.Stats(context.Background(), 2, record.ValSplit)
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	err = rows.Each(context.Background(), func(b record.Block) error {
		for i, id := range b.IDs {
			fmt.Printf("sample %d: label %d, predicted %d, NLL %.3f\n", id, b.Labels[i], b.Stats[i].Top, b.Stats[i].NLL)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := writer.Close(record.StateComplete); err != nil {
		log.Fatal(err)
	}
	// Output:
	// running [1 2]
	// sample 7: label 0, predicted 0, NLL 0.240
	// sample 8: label 2, predicted 1, NLL 2.240
}
