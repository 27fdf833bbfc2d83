package push_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/logitscope/logitscope/push"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/server"
)

// A run that was recorded on one machine is copied to a server on another.
func Example() {
	const token = "a-secret-of-at-least-32-characters"
	folder, err := os.MkdirTemp("", "push-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	here, there := filepath.Join(folder, "here", "pets"), filepath.Join(folder, "there")
	if err := os.Mkdir(there, 0o755); err != nil {
		log.Fatal(err)
	}

	// The server, as logitscope view DIR --accept starts it.
	receiver, err := push.NewReceiver(there, push.DefaultLimits)
	if err != nil {
		log.Fatal(err)
	}
	defer receiver.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.New(server.Config{Root: there, Addr: listener.Addr().String(), Token: token, Accept: receiver})
	if err != nil {
		log.Fatal(err)
	}
	web := &http.Server{Handler: s.Handler()}
	go web.Serve(listener)
	defer web.Close()

	// The run, and its copy.
	writer, err := record.Create(here,
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
	pushed, err := push.Push(context.Background(), here, push.Options{URL: "http://" + listener.Addr().String(), Token: token})
	if err != nil {
		log.Fatal(err)
	}
	run, err := record.Open(filepath.Join(there, "pets"))
	if err != nil {
		log.Fatal(err)
	}
	defer run.Close()
	fmt.Println(pushed.Epochs, "epoch at the server:", run.Manifest().Name, run.State())
	// Output: 1 epoch at the server: pets complete
}
