package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"a class, Ünïcode 猫 🐈":      "a class, Ünïcode 猫 🐈",
		"\x1b[31mred\x1b[0m":        `\u001b[31mred\u001b[0m`,
		"\x1b]0;title\x07":          `\u001b]0;title\u0007`,
		"two\nlines\tand\rone":      "two\nlines\tand\\u000done",
		"del\x7f, C1 \u009b31m":     `del\u007f, C1 \u009b31m`,
		"raw C1 \x9b31m":            `raw C1 \x9b31m`,
		"\u202eesrever\u2066\u200f": `\u202eesrever\u2066\u200f`,
		"\u2028\u2029\x00":          `\u2028\u2029\u0000`,
	} {
		if got := escaped(text, "\n\t"); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
		// Whatever the parts in which it comes.
		var whole bytes.Buffer
		o := &output{to: &whole}
		for i := range len(text) {
			if n, err := o.Write([]byte(text[i : i+1])); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := o.flush(); err != nil || whole.String() != want {
			t.Errorf("%q byte by byte is shown as %q, want %q", text, whole.String(), want)
		}
	}
	if got := printable("a\nb\tc"); got != `a\u000ab\u0009c` {
		t.Errorf("a name of two lines is shown as %q", got)
	}
	// Within JSON an escape stands for the same text.
	name := "\u009b31m\x7f\u202e\x1b"
	var shown bytes.Buffer
	if err := json.NewEncoder(&output{to: &shown}).Encode(name); err != nil {
		t.Fatal(err)
	}
	var again string
	if err := json.Unmarshal(shown.Bytes(), &again); err != nil || again != name || strings.ContainsAny(shown.String(), "\x7f\u009b\u202e\x1b") {
		t.Errorf("%s is %q, %v; want %q", shown.String(), again, err, name)
	}
}

// hostile is a table whose classes, columns and values try to steer a terminal.
const hostile = "a,\"b\x1b[31m\",t\n0.1,1,\"cat\x1b]0;owned\x07\"\n0.9,2,\"dog\nepoch 9 of 9\"\n0.2,1,\"cat\x1b]0;owned\x07\"\n0.8,3,\"dog\nepoch 9 of 9\"\n" +
	"0.15,1,\"cat\x1b]0;owned\x07\"\n0.91,2,\"dog\nepoch 9 of 9\"\n0.22,1,\"cat\x1b]0;owned\x07\"\n0.83,3,\"dog\nepoch 9 of 9\"\n"

// Names out of data reach neither stream of any command as they are, nor make two lines of one; a file of data has them.
func TestNamesAreShownEscaped(t *testing.T) {
	dir := t.TempDir()
	data, run, csv := filepath.Join(dir, "t.csv"), filepath.Join(dir, "run"), filepath.Join(dir, "out.csv")
	if err := os.WriteFile(data, []byte(hostile), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"train", "--data", data, "--target", "t", "--epochs", "2", "--head", "softmax", "--out", run},
		{"show", run},
		{"show", run, "--json"},
		{"labels", run, "--top", "3"},
		{"labels", run, "--top", "3", "--json"},
		{"explain", run, "--epoch", "2", "--split", "train", "--sample", "0"},
		{"explain", run, "--epoch", "2", "--split", "train", "--sample", "1"},
		{"diagnose", run},
		{"check", run},
		{"compare", run, run},
		{"score", run, "--split", "train"},
		{"train", "--data", data, "--target", "none"},
		{"predict", run, "--data", data, "-o", csv},
		{"show", run + "\x1b[31m"},
		{"score", "--logits", "none\x1b[31m.npy", "--labels", "y"},
	} {
		_, out, errs := call(t, args...)
		for stream, text := range map[string]string{"output": out, "errors": errs} {
			if strings.ContainsAny(text, "\x1b\x07") || strings.Contains(text, "\nepoch 9 of 9") {
				t.Errorf("%q: the %s hold %q", args, stream, text)
			}
		}
	}
	text, err := os.ReadFile(csv)
	if err != nil || !bytes.Contains(text, []byte("dog\nepoch 9 of 9")) || !bytes.Contains(text, []byte("cat\x1b]0;owned\x07")) {
		t.Errorf("%v; the predictions are %.200q", err, text)
	}
}

// full is a disk without room.
type full struct{ room int }

var errFull = errors.New("no room")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// What cannot be written to the standard output is a failure of every command, and said, wherever it breaks off.
func TestOutputThatFails(t *testing.T) {
	run0 := small(t)
	for _, args := range [][]string{
		{"--help"},
		{"--version"},
		{"help", "train"},
		{"train", "--help"},
		{"completion", "bash"},
		{"completion", "fish"},
		{"__complete", "tr"},
		{"losses"},
		{"show", run0},
		{"show", run0, "--json"},
		{"labels", run0},
		{"labels", run0, "--json"},
		{"diagnose", run0},
		{"diagnose", run0, "--json"},
		{"check", run0},
		{"check", run0, "--json"},
		{"compare", run0},
		{"compare", run0, "--json"},
		{"score", run0},
		{"score", run0, "--json"},
		{"report", run0, "-o", filepath.Join(t.TempDir(), "r.html")},
		{"calibrate", run0, "-o", filepath.Join(t.TempDir(), "c.json")},
	} {
		for _, room := range []int{0, 40} {
			var errs bytes.Buffer
			code := run(t.Context(), args, &full{room: room}, &errs)
			if code != exitFailure && !(room > 0 && len(args) > 0 && code == exitOK && errs.Len() == 0 && short(t, args, room)) {
				t.Errorf("%q with room for %d bytes: exit code %d, want %d; %s", args, room, code, exitFailure, errs.String())
			}
			if code == exitFailure && (!strings.Contains(errs.String(), "standard output") || strings.Count(errs.String(), "logitscope:") != 1) {
				t.Errorf("%q with room for %d bytes says %q", args, room, errs.String())
			}
		}
	}
}

// A reader that has enough closes the pipe, as head does: the command ends as failed and has nothing to say about it.
func TestReaderThatHasEnough(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	signal.Ignore(syscall.SIGPIPE) // as Main does
	defer signal.Reset(syscall.SIGPIPE)
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"losses"}, w, &errs); code != exitFailure || errs.Len() > 0 {
		t.Errorf("exit code %d, want %d, and no words: %q", code, exitFailure, errs.String())
	}
}

// short reports whether a command prints no more than so many bytes.
func short(t *testing.T, args []string, room int) bool {
	var out bytes.Buffer
	run(t.Context(), args, &out, &bytes.Buffer{})
	return out.Len() <= room
}

// Where a file is to be written that cannot be, every command says so before it looks at its input, which may take hours.
func TestOutputIsCheckedFirst(t *testing.T) {
	dir := t.TempDir()
	absent := filepath.Join(dir, "absent")
	for _, args := range [][]string{
		{"calibrate", absent},
		{"labels", absent},
		{"lr-find", "--data", absent},
		{"plot", absent},
		{"predict", absent, absent},
		{"report", absent},
	} {
		for _, out := range []string{filepath.Join(dir, "none", "out.svg"), dir + string(filepath.Separator)} {
			_, _, errs := call(t, append(args, "-o", out)...)
			if !strings.Contains(errs, out) && !strings.Contains(errs, filepath.Clean(out)) || strings.Contains(errs, "absent") {
				t.Errorf("%s -o %s: %s", args[0], out, errs)
			}
		}
	}
}
