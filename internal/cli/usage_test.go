package cli

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A wrong call is one line that names what is wrong and says what to give.
func TestWrongCalls(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"check"}, "RUN is missing: give logitscope check RUN; see logitscope check --help"},
		{[]string{"push", "runs/a"}, "URL is missing: give logitscope push RUN URL; see logitscope push --help"},
		{[]string{"compare"}, "RUN is missing: give logitscope compare RUN…; see logitscope compare --help"},
		{[]string{"check", "a", "b"}, `"b" is one argument too many: give logitscope check RUN; see logitscope check --help`},
		{[]string{"score", "a", "b"}, `"b" is one argument too many: give logitscope score [RUN]; see logitscope score --help`},
		{[]string{"bench", "a"}, `logitscope bench takes no argument and was given "a"; see logitscope bench --help`},
		{[]string{"show", ""}, "RUN is empty: give logitscope show RUN; see logitscope show --help"},
		{[]string{"show", "https://host/a"}, "RUN is https://host/a, an address: fetch it, and give the path of the copy on this machine; see logitscope show --help"},
		{[]string{"compare", "a", "b", "http://host/a"}, "RUN is http://host/a, an address: fetch it, and give the path of the copy on this machine; see logitscope compare --help"},
		{[]string{"show", "a", "-Z"}, "unknown flag: -Z; see logitscope show --help"},
		{[]string{"show", "a", "--no-such"}, "unknown flag: --no-such; see logitscope show --help"},
		{[]string{"train", "--epochs"}, "--epochs needs a value, a whole number; see logitscope train --help"},
		{[]string{"train", "--epochs", "ten"}, `--epochs "ten": give a whole number; see logitscope train --help`},
		{[]string{"train", "--epochs", "99999999999999999999"}, `--epochs "99999999999999999999": the number does not fit into 64 bits; see logitscope train --help`},
		{[]string{"train", "--lr", "fast"}, `--lr "fast": give a number; see logitscope train --help`},
		{[]string{"train", "--seed=-5"}, `--seed "-5": give a whole number, 0 or more; see logitscope train --help`},
		{[]string{"train", "--budget", "90"}, `--budget "90": give a time with its unit, such as 90s or 1h30m; see logitscope train --help`},
		{[]string{"train", "--quiet=maybe"}, `--quiet "maybe": give true or false; see logitscope train --help`},
		{[]string{"train", "--types", "a"}, `--types "a": give NAME=VALUE, several with commas between them; see logitscope train --help`},
		{[]string{"train", "--hidden", "1.5"}, `--hidden "1.5": give whole numbers with commas between them, such as 256,128; see logitscope train --help`},
		{[]string{"plot", "a", "--epochs", "1-5"}, `--epochs "1-5": give whole numbers with commas between them; see logitscope plot --help`},
		{
			[]string{"train", "--lr-cycle", "3"},
			"--lr-cycle (epochs of the first cycle of restarts) has no effect, since no --schedule is given: leave it out, or give the --schedule that it is for; see logitscope train --help",
		},
		{
			[]string{"train", "--schedule", "constant", "--lr-every", "3"},
			"--lr-every (epochs between two steps of the schedule step) has no effect, since the schedule is constant: leave it out, or give the --schedule that it is for; see logitscope train --help",
		},
		{[]string{"train", "--schedule", "step", "--lr-factor", "NaN"}, "learning rate factor NaN is not in (0, 1); see logitscope train --help"},
		{[]string{"train", "--val", "more.csv"}, `val "more.csv": the digits come with the program, without files and columns: leave it out, or name data of your own; see logitscope train --help`},
		{[]string{"explain", "a", "--epoch", "1"}, "--split is missing: say which sample with --epoch N --split NAME --sample ID; see logitscope explain --help"},
		{[]string{"score", "a", "--kind", "probs"}, "--kind probs says what --logits holds; a run always holds logits: leave it out; see logitscope score --help"},
	} {
		code, _, stderr := call(t, c.args...)
		if want := "logitscope: " + c.want + "\n"; code != exitUsage || stderr != want {
			t.Errorf("%q: exit code %d, %q; want %q", c.args, code, stderr, want)
		}
	}
}

// Every flag that takes no free text says in words what to give in place of a text, and every type of flag has such words.
func TestEveryFlagSaysWhatToGive(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			want := valueOfType(flag.Value.Type())
			if want == "" {
				t.Errorf("%s --%s: valueOfType has no words for %s", cmd.Name(), flag.Name, flag.Value.Type())
			}
			if strings.HasPrefix(flag.Value.Type(), "string") {
				return
			}
			_, _, stderr := call(t, cmd.Name(), "--"+flag.Name+"=x")
			if !strings.Contains(stderr, `--`+flag.Name+` "x": give `+want) {
				t.Errorf("%s --%s=x: %q, want what to give", cmd.Name(), flag.Name, stderr)
			}
		})
	}
}
