// Package e2e drives the program as its user does: the built binary, a real run, a real browser.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test: LOGITSCOPE_BIN, or ../bin/logitscope as make build leaves it.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LOGITSCOPE_BIN")
	if path == "" {
		path = filepath.Join("..", "bin", "logitscope")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

// logitscope runs the program to its end and returns what it printed on standard output.
func logitscope(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("logitscope %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// server is the program while it serves the dashboard.
type server struct {
	url   string
	cmd   *exec.Cmd
	lines <-chan string // what it prints
}

// serve starts the program and waits for the line that says where its page is.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if testing.Verbose() {
		cmd.Stderr = t.Output()
	} else {
		cmd.Stderr = nil
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000) // more than it prints, which must not block it
	s := &server{cmd: cmd, lines: lines}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	s.url = s.says(t, `^serving .* on (http://\S+)$`)
	return s
}

// says waits until the program prints a line, and returns what the pattern's group found in it.
func (s *server) says(t *testing.T, pattern string) string {
	t.Helper()
	timeout, line := time.After(patience), regexp.MustCompile(pattern)
	for {
		select {
		case text, ok := <-s.lines:
			if !ok {
				t.Fatalf("%s ended before it said %s", s.cmd, pattern)
			}
			if found := line.FindStringSubmatch(text); found != nil {
				return found[len(found)-1]
			}
		case <-timeout:
			t.Fatalf("%s does not say %s", s.cmd, pattern)
		}
	}
}

// interrupt is Ctrl-C; it returns the exit code.
func (s *server) interrupt(t *testing.T) int {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the program does not end after Ctrl-C")
	}
	return s.cmd.ProcessState.ExitCode()
}

// scores is what show --json tells of a split.
type scores struct {
	N        int
	NLL      float64
	Accuracy float64
	PTrue    float64 `json:"p_true"`
	ZTrue    float64 `json:"z_true"`
	LogPTrue float64 `json:"log_p_true"`
}

type shown struct {
	Epochs []struct {
		Epoch  int
		Splits map[string]scores
	}
	Story struct {
		Sentence, Kind, Mark string
		BestEpoch            int `json:"best_epoch"`
	}
}

func show(t *testing.T, dir string) shown {
	t.Helper()
	var s shown
	if err := json.Unmarshal([]byte(logitscope(t, "show", dir, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// A killed training leaves every epoch that it committed, and the run says that it was interrupted.
func TestKilledTraining(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(binary(t), "train", "--epochs", "100000", "--train-size", "200", "--out", dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
		if strings.HasPrefix(scanner.Text(), "epoch 20/") {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// At most two epochs are on their way to the disk when the 20th is reported.
	if s := show(t, dir); len(s.Epochs) < 17 {
		t.Errorf("%d epochs are left of 20", len(s.Epochs))
	}
	if out := logitscope(t, "check", dir); !strings.Contains(out, "interrupted") {
		t.Errorf("check says %q", out)
	}
}

// Ctrl-C in the middle of training: exit code 1, one line that says what is kept.
func TestInterruptedTraining(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), "train", "--epochs", "100000", "--train-size", "200", "--out", dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	for scanner := bufio.NewScanner(stderr); scanner.Scan(); last = scanner.Text() {
		if strings.HasPrefix(scanner.Text(), "epoch 5/") {
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(last, "stopped after epoch") {
		t.Errorf("exit code %d, %q", code, last)
	}
	logitscope(t, "check", dir)
}

// A port in use is one clear line, before anything is trained.
func TestPortInUse(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, "view", dir, "--addr", "127.0.0.1:0")
	address := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	out := filepath.Join(dir, "run")
	cmd := exec.CommandContext(t.Context(), binary(t), "demo", "--addr", address, "--out", out)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "is in use: choose another port") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a run directory was made all the same")
	}
	if code := s.interrupt(t); code != 0 {
		t.Errorf("view ends with exit code %d after Ctrl-C, want 0", code)
	}
}
