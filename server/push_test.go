package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/logitscope/logitscope/push"
	"github.com/logitscope/logitscope/record"
)

const secret = "0123456789abcdef0123456789abcdef"

// accepting serves a folder that takes runs.
func accepting(t *testing.T, folder string) string {
	t.Helper()
	receiver, err := push.NewReceiver(folder, push.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Root: folder, Addr: listener.Addr().String(), Token: secret, Accept: receiver})
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s.Handler()}}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		receiver.Close()
	})
	return server.URL
}

// Nobody writes without the token, and no server takes runs without one.
func TestPushWantsToken(t *testing.T) {
	folder := t.TempDir()
	receiver, err := push.NewReceiver(folder, push.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	if _, err := New(Config{Root: folder, Addr: "127.0.0.1:0", Accept: receiver}); err == nil || !strings.Contains(err.Error(), "LOGITSCOPE_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
	url := accepting(t, folder)
	for _, c := range []struct {
		method, header, value string
		status                int
	}{
		{http.MethodPut, "", "", http.StatusUnauthorized},
		{http.MethodGet, "", "", http.StatusUnauthorized},
		{http.MethodPut, "Authorization", "Bearer " + strings.Repeat("0", 32), http.StatusUnauthorized},
		{http.MethodPut, "Authorization", "Bearer " + secret, http.StatusBadRequest}, // let through, and lacks the rest
		{http.MethodGet, "Authorization", "Bearer " + secret, http.StatusOK},
	} {
		path := "/api/push/a"
		if c.method == http.MethodPut {
			path += "/samples/val.arrow"
		}
		r, err := http.NewRequest(c.method, url+path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != c.status {
			t.Errorf("%+v: status %d", c, response.StatusCode)
		}
		var problem struct {
			Status int
			Detail string
		}
		if err := json.NewDecoder(response.Body).Decode(&problem); c.status >= 400 && (err != nil || problem.Status != c.status || problem.Detail == "" ||
			response.Header.Get("Content-Type") != "application/problem+json" || c.status == http.StatusUnauthorized && response.Header.Get("WWW-Authenticate") != "Bearer") {
			t.Errorf("%+v: %+v, %v, %v: want a problem document", c, problem, response.Header, err)
		}
		response.Body.Close()
	}
	// Another site's page is refused though it has the cookie.
	r, err := http.NewRequest(http.MethodPut, url+"/api/push/a/samples/val.arrow", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: tokenCookie, Value: secret})
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: status %d", response.StatusCode)
	}
}

// The commands of docs/http.md copy a run.
func TestPushByCurl(t *testing.T) {
	for _, program := range []string{"bash", "curl", "openssl", "base64"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not here", program)
		}
	}
	text, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	script := func(begin string) string {
		found := regexp.MustCompile("(?s)```sh\n(# " + begin + ".*?)```").FindSubmatch(text)
		if found == nil {
			t.Fatalf("docs/http.md has no commands that begin with # %s", begin)
		}
		return string(found[1])
	}
	dir, folder := filepath.Join(t.TempDir(), "run"), t.TempDir()
	w, err := record.Create(dir, record.Manifest{Classes: []string{"a", "b"}, Head: record.HeadSoftmax, Columns: 2},
		map[string]record.Samples{"val": {IDs: []int64{0, 1}, Labels: []int32{0, 1}}}, record.File{Name: "config.yaml", Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range 2 {
		if err := w.WriteEpoch(epoch+1, map[string][]float32{"val": {1, 2, 3, float32(epoch)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Checkpoint(2, []record.File{{Name: "weights", Data: []byte("w")}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(record.StateComplete); err != nil {
		t.Fatal(err)
	}
	url := accepting(t, folder)
	run := func(script, file string) {
		cmd := exec.Command("bash", "-euc", script)
		cmd.Env = append(os.Environ(), "RUN="+dir, "URL="+url, "LOGITSCOPE_TOKEN="+secret, "FILE="+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	// A part of a file is there before, as after an upload that broke off.
	file := "samples/val.arrow"
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	sum := sha256.Sum256(data)
	r, err := http.NewRequest(http.MethodPut, url+"/api/push/copied/"+file, bytes.NewReader(data[:100]))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + secret, "Logitscope-Run": whole.Manifest().ID, "Content-Range": fmt.Sprintf("bytes 0-99/%d", len(data)),
		"Content-Digest": "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
	} {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("a part: status %d", response.StatusCode)
	}
	if _, err := exec.LookPath("jq"); err == nil {
		run(script("FILE is"), file)
		if got, err := os.ReadFile(filepath.Join(folder, ".tmp-push-copied", file)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the file that went on has %d bytes, %v", len(got), err)
		}
	}
	run(script("RUN is"), "")
	report, err := record.Check(t.Context(), filepath.Join(folder, "copied"))
	if err != nil || !report.OK() || report.Epochs != 2 || report.State != record.StateComplete {
		t.Errorf("%+v, %v", report, err)
	}
}
