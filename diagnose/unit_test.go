package diagnose

import (
	"regexp"
	"testing"

	"github.com/logitscope/logitscope/internal/planted"
	"github.com/logitscope/logitscope/record"
)

// Whatever is found in a run of boosting, no sentence of it speaks of epochs, but for the flags that it names.
func TestFindingsSpeakOfRounds(t *testing.T) {
	epoch := regexp.MustCompile(`(?i)(^|[^-])\bepochs?\b`)
	found := 0
	for _, fault := range planted.Faults {
		r := planted.Healthy()
		fault.Plant(&r)
		r.Unit, r.Train, r.Val = record.UnitRound, min(r.Train, 1000), min(r.Val, 500)
		for _, f := range decide(rules, evidenceOf(t, r, 3)) {
			found++
			texts := []string{f.Title, f.Evidence.Text, f.Meaning, f.Try, f.Rule}
			for _, figure := range f.Evidence.Figures {
				texts = append(texts, figure.Name)
			}
			for _, text := range texts {
				if epoch.MatchString(text) {
					t.Errorf("%s: %s: %q", fault.Name, f.ID, text)
				}
			}
		}
	}
	if found < len(planted.Faults) {
		t.Errorf("%d findings of %d faults", found, len(planted.Faults))
	}
}
