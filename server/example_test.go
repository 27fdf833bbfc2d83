package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/server"
)

// A folder of runs is served, and a program asks for the list of them.
func Example() {
	folder, err := os.MkdirTemp("", "server-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	writer, err := record.Create(filepath.Join(folder, "pets"),
		record.Manifest{Classes: []string{"cat", "dog"}, Head: record.HeadSoftmax, Columns: 2},
		map[string]record.Samples{record.ValSplit: {IDs: []int64{7, 8}, Labels: []int32{0, 1}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := writer.Close(record.StateComplete); err != nil {
		log.Fatal(err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.New(server.Config{Root: folder, Addr: listener.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, listener) }()

	response, err := http.Get("http://" + listener.Addr().String() + "/api/runs")
	if err != nil {
		log.Fatal(err)
	}
	var runs []struct{ Name, State string }
	err = json.NewDecoder(response.Body).Decode(&runs)
	response.Body.Close()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(runs)
	stop()
	fmt.Println(<-ended)
	// Output:
	// [{pets complete}]
	// <nil>
}
