package convert_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/convert"
	"github.com/logitscope/logitscope/record"
)

// Logits that another program wrote become a run, and a run's logits a file that another program reads.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	theirs, table := filepath.Join(dir, "logits.csv"), "split,id,label,cat,dog\nval,1,cat,2.5,-1\nval,2,dog,0.5,0.25\n"
	if err := os.WriteFile(theirs, []byte(table), 0o600); err != nil {
		log.Fatal(err)
	}
	if _, err := convert.Import(context.Background(), []string{theirs}, filepath.Join(dir, "run"), convert.ImportOptions{}); err != nil {
		log.Fatal(err)
	}
	run, err := record.Open(filepath.Join(dir, "run"))
	if err != nil {
		log.Fatal(err)
	}
	defer run.Close()
	file := filepath.Join(dir, "out.jsonl")
	if err := convert.Export(context.Background(), run, file, convert.Options{}); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	// Output:
	// {"epoch":1,"split":"val","id":1,"label":"cat","logits":[2.5,-1]}
	// {"epoch":1,"split":"val","id":2,"label":"dog","logits":[0.5,0.25]}
}
