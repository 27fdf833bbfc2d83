package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/logitscope/logitscope/internal/words"
	"github.com/logitscope/logitscope/record"
)

// Story says in one sentence what a run shows. The marks on its curves, its findings and its report agree with it, because all rest on Kind and
// Change.
type Story struct {
	Sentence     string  `json:"sentence"`
	Kind         Kind    `json:"kind"`
	Mark         string  `json:"mark"`                // the text at the best epoch in a picture of the curves; "" for nothing
	BestEpoch    int     `json:"best_epoch"`          // the epoch with the lowest validation NLL; 0 where there is none
	BestRecorded int     `json:"best_recorded_epoch"` // the epoch with the lowest validation NLL of those whose logits are kept; 0 where there is none
	BestValNLL   Number  `json:"best_val_nll"`
	LastEpoch    int     `json:"last_epoch"`
	LastValNLL   Number  `json:"last_val_nll"`
	Change       *Change `json:"change"` // the change of validation NLL that Kind rests on; null where too little is recorded
}

// Kind is what kind of story a run tells.
type Kind string

// Kinds of stories.
const (
	TooShort    Kind = "too_short"   // too few epochs to tell
	NotLogits   Kind = "not_logits"  // the recorded values are not logits, so their NLL says nothing
	Diverged    Kind = "diverged"    // the NLL is not finite at the end, or training NLL is above where it began
	Overfitting Kind = "overfitting" // validation NLL rises, beyond chance, while training NLL falls
	Worsened    Kind = "worsened"    // validation NLL rises, beyond chance, and training NLL does not fall
	Learning    Kind = "learning"    // validation NLL falls beyond chance until the last epoch, or from cycle to cycle of a learning rate that restarts
	Converged   Kind = "converged"   // validation NLL stands still
	Undecided   Kind = "undecided"   // how validation NLL moved is within chance, and may matter
	Unvalidated Kind = "unvalidated" // there is no validation split
)

// Constants that decide the Kind of a story.
const (
	// FewEpochs is the number of epochs that a story needs to tell how the NLL moved.
	FewEpochs = 3
	// RiseThatMatters is the share of the lowest validation NLL by which a rise matters. A rise below the share nextToNothing of the NLL of class
	// frequencies does not matter.
	RiseThatMatters, nextToNothing = 0.05, 0.005
	// A fall over the last quarter of the epochs matters if it is at least the share FallThatMatters of the NLL at which it began, or the share
	// LearnedThatMatters of all that was learned. A fall below the share hardlyAFall of the NLL of class frequencies does not matter.
	FallThatMatters, LearnedThatMatters, hardlyAFall = 0.01, 0.05, 0.002
	lastPart                                         = 4 // the last quarter is the last of this many parts
	// hardlyAnNLL is the NLL below which every sample is right with high confidence. A fall from cycle to cycle is a share of this where the NLL
	// is lower.
	hardlyAnNLL = 0.01
	// RiseOfDivergence is the ratio of training NLL at the last epoch to that at the first above which training has diverged. Below it the NLL
	// may only wobble about where it began.
	RiseOfDivergence = 1.02
)

// witness is what a story is told from beside the curves.
type witness struct {
	units   func(epoch int) *sampleSums // returns the sums over validation samples, nil for an epoch whose logits are not recorded
	uniform float64                     // the NLL of class frequencies alone
	values  Values                      // what the recorded values are
	cycles  []int                       // the epochs that end a cycle of a learning rate that restarts, the last epoch among them where it does
	spread  float64                     // the standard deviation of the NLL over validation samples at the last epoch; NaN where it is not known
}

// margin returns the rise above an NLL from which on it matters.
func (w witness) margin(nll float64) float64 {
	return max(RiseThatMatters*nll, nextToNothing*max(w.uniform, 0))
}

// tellStory returns the story of the curves of training and validation, at the epochs where both can be read.
func tellStory(c *Curves, w witness) Story {
	story := Story{BestValNLL: Number(math.NaN()), LastValNLL: Number(math.NaN())}
	all := c.All()
	compared := comparedOf(all)
	trained, validated := compared.trained, compared.validated
	epochs := slices.DeleteFunc(slices.Clone(all), func(e EpochScores) bool { return !compared.comparable(e) })
	if len(epochs) == 0 {
		story.Kind, story.Sentence = TooShort, "No epoch is recorded yet."
		if c.State == record.StateComplete {
			story.Sentence = "No epoch is recorded: the run was trained without."
		}
		if len(all) > 0 {
			story.Sentence = "No epoch has labelled samples of training or validation that can be read."
		}
		return story
	}
	first, last := epochs[0], epochs[len(epochs)-1]
	story.LastEpoch = last.Epoch
	trainStart, trainEnd := first.NLL(record.TrainSplit), last.NLL(record.TrainSplit)
	undefined := last.Splits[record.TrainSplit].Undefined + last.Splits[record.ValSplit].Undefined
	best := first
	if validated {
		best = lowest(epochs)
		kept := slices.DeleteFunc(slices.Clone(epochs), func(e EpochScores) bool { return !c.recorded(e.Epoch) })
		if len(kept) > 0 {
			story.BestRecorded = lowest(kept).Epoch
		}
		story.BestEpoch, story.BestValNLL, story.LastValNLL = best.Epoch, Number(best.NLL(record.ValSplit)), Number(last.NLL(record.ValSplit))
		story.Mark = fmt.Sprintf("lowest: epoch %d", best.Epoch)
	}
	switch {
	case w.values.Unlike():
		story.Kind, story.Mark = NotLogits, ""
		story.Sentence = w.values.sentence()
	case undefined > 0:
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("At epoch %d %d samples have logits without a softmax (NaN or infinite): training diverged; lower the learning rate.",
			last.Epoch, undefined)
	case trained && !finite(trainEnd) || validated && !finite(last.NLL(record.ValSplit)):
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("At epoch %d the mean NLL is infinite: the class of some sample is masked (−Inf).", last.Epoch)
	case trained && len(epochs) >= FewEpochs && trainEnd > RiseOfDivergence*trainStart:
		story.Kind = Diverged
		story.Sentence = fmt.Sprintf("Training NLL rose from %.3f at epoch %d to %.3f at epoch %d: training diverges; lower the learning rate.",
			trainStart, first.Epoch, trainEnd, last.Epoch)
	case !validated:
		story.Kind = Unvalidated
		story.Sentence = fmt.Sprintf("Training NLL is %.3f at epoch %d; without validation samples nothing tells how it does on new ones.", trainEnd, last.Epoch)
	case len(epochs) < FewEpochs:
		story.Kind = TooShort
		story.Sentence = fmt.Sprintf("After epoch %d validation NLL is %s: too early to tell more.", last.Epoch, words.Digits(last.NLL(record.ValSplit)))
		if c.State == record.StateComplete && len(all) < c.PlannedEpochs {
			story.Sentence = fmt.Sprintf("At epoch %d validation NLL is %s; too few epochs are recorded to tell how it moved.", last.Epoch, words.Digits(last.NLL(record.ValSplit)))
		}
	case best.Epoch == last.Epoch:
		story.falls(epochs, w)
	default:
		story.rises(epochs, best, w)
	}
	if trained := last.Epoch - first.Epoch + 1; len(epochs) < trained {
		story.Sentence += fmt.Sprintf(" (Of these %d epochs %d are known.)", trained, len(epochs))
	}
	return story
}

// rises tells the story of a run whose validation NLL was lowest before the last epoch.
func (s *Story) rises(epochs []EpochScores, best EpochScores, w witness) {
	last := epochs[len(epochs)-1]
	least, end := best.NLL(record.ValSplit), last.NLL(record.ValSplit)
	rise, margin := end-least, w.margin(least)
	lowestText := fmt.Sprintf("Validation NLL was lowest at epoch %d (%s)", best.Epoch, words.Digits(least))
	text := fmt.Sprintf("%s and is %s at epoch %d", lowestText, words.Digits(end), last.Epoch)
	s.Change = s.riseOf(epochs, w, rise)
	told := s.Change.BeyondChance() && s.Change.NLL > 0
	late := lateNLL(epochs, best.Epoch)
	switch before, after := best.NLL(record.TrainSplit), last.NLL(record.TrainSplit); {
	case rise >= margin && told && !(late >= least+margin):
		s.Kind = Undecided
		s.Sentence = fmt.Sprintf("%s, after %s in the median of the last quarter: it goes up and down, which is no rise yet.", text, words.Digits(late))
		if last.Epoch-best.Epoch == 1 || math.IsNaN(late) {
			s.Sentence = fmt.Sprintf("%s: one epoch is no rise yet.", text)
		}
	case rise >= margin && told && !last.Has(record.TrainSplit):
		s.Kind = Worsened
		s.Sentence = fmt.Sprintf("%s and rose to %s by epoch %d. Without the logits of training samples nothing tells whether they were learned by heart meanwhile.",
			lowestText, words.Digits(end), last.Epoch)
	case rise >= margin && told && after < before:
		s.Kind, s.Mark = Overfitting, fmt.Sprintf("overfits from %d", best.Epoch)
		s.Sentence = fmt.Sprintf("%s and rose to %s by epoch %d, while training NLL went on falling from %.3f to %.3f: from epoch %d on the network overfits.",
			lowestText, words.Digits(end), last.Epoch, before, after, best.Epoch)
	case rise >= margin && told:
		s.Kind = Worsened
		s.Sentence = fmt.Sprintf("%s and rose to %s by epoch %d; training NLL did not fall meanwhile (%.3f, then %.3f): the network got worse, and not by learning its training samples by heart.",
			lowestText, words.Digits(end), last.Epoch, before, after)
	case !s.Change.known():
		s.Kind = Undecided
		s.Sentence = fmt.Sprintf("%s: without the logits of both epochs nothing tells whether that is more than chance.", text)
	case rise >= margin:
		s.Kind = Undecided
		s.Sentence = fmt.Sprintf("%s. On %s such a rise may be chance%s.", text, samplesText(s.Change.Samples), s.Change.wouldTell())
	case s.Change.halfWidth() > margin:
		s.Kind = Undecided
		s.Change.Needed = needed(float64(s.Change.Samples), telling*margin/s.Change.halfWidth())
		s.Sentence = s.Change.unseen(text, margin)
	case s.cycleTells(epochs, w):
	default:
		s.Kind = Converged
		s.Sentence = fmt.Sprintf("%s: it stands still.", text)
		if fall := fallOf(epochs, w); fall.BeyondChance() && fall.NLL < 0 && matters(epochs, w, fall) {
			s.Sentence = fmt.Sprintf("%s: it fell until then, by %s since epoch %d, and has not gone lower since.", text, words.Digits(-float64(fall.NLL)), fall.From)
		}
	}
}

// lateNLL returns the median validation NLL of those epochs of the last quarter that are after best, NaN where there are fewer than two.
func lateNLL(epochs []EpochScores, best int) float64 {
	begin := lastQuarter(epochs)
	var late []float64
	for _, e := range epochs {
		if e.Epoch > best && e.Epoch >= begin {
			late = append(late, e.NLL(record.ValSplit))
		}
	}
	if len(late) < 2 {
		return math.NaN()
	}
	slices.Sort(late)
	return (late[(len(late)-1)/2] + late[len(late)/2]) / 2
}

// lastQuarter returns the epoch at which the last quarter of the epochs begins.
func lastQuarter(epochs []EpochScores) int {
	first, last := epochs[0].Epoch, epochs[len(epochs)-1].Epoch
	return last - (last-first+lastPart-1)/lastPart
}

// riseOf compares the best epoch with the last, of those whose logits are recorded. Where only the last one's are, its spread bounds the spread of the
// difference: the NLL of a network that overfits spreads more widely with every epoch, and a sample that is hard at one epoch is hard at another, so
// the variance of the difference is at most twice the variance at the last epoch.
func (s *Story) riseOf(epochs []EpochScores, w witness, rise float64) *Change {
	var rivals []int
	for _, e := range epochs[:len(epochs)-1] {
		if w.units(e.Epoch) != nil {
			rivals = append(rivals, e.Epoch)
		}
	}
	if s.BestRecorded != s.LastEpoch {
		return change(s.BestRecorded, s.LastEpoch, w.units, rivals)
	}
	n := epochs[len(epochs)-1].Splits[record.ValSplit].N
	if !finite(w.spread) || n < fewestUnits {
		return nil
	}
	deviation := math.Sqrt2 * w.spread / math.Sqrt(float64(n))
	c := &Change{
		From: s.BestEpoch, To: s.LastEpoch, NLL: Number(rise), Low: Number(rise - halfInterval*deviation), High: Number(rise + halfInterval*deviation),
		Chance: Number(tailOfT(rise/deviation, float64(n-1))), Samples: n,
	}
	if !c.BeyondChance() {
		c.Needed = needed(float64(n), rise/deviation)
	}
	return c
}

// falls tells the story of a run whose validation NLL is lowest at the last epoch.
func (s *Story) falls(epochs []EpochScores, w witness) {
	last := epochs[len(epochs)-1]
	end := last.NLL(record.ValSplit)
	text := fmt.Sprintf("Validation NLL is lowest at the last epoch, %d (%s)", last.Epoch, words.Digits(end))
	if s.cycleTells(epochs, w) {
		return
	}
	s.Change = fallOf(epochs, w)
	c := s.Change
	switch {
	case !c.known():
		s.Kind = Undecided
		s.Sentence = fmt.Sprintf("%s: without the logits of earlier epochs nothing tells whether it falls by more than chance.", text)
	case matters(epochs, w, c) && c.BeyondChance():
		s.Kind = Learning
		s.Sentence = fmt.Sprintf("%s, %s below epoch %d (95 %%: %s to %s): it still falls, and more epochs may help.",
			text, words.Digits(-float64(c.NLL)), c.From, words.Digits(-float64(c.High)), words.Digits(-float64(c.Low)))
	case matters(epochs, w, c):
		s.Kind = Undecided
		s.Sentence = fmt.Sprintf("%s. Its fall since epoch %d, by %s, may be chance on %s%s.",
			text, c.From, words.Digits(-float64(c.NLL)), samplesText(c.Samples), c.wouldTell())
	case c.halfWidth() > w.margin(end):
		s.Kind = Undecided
		c.Needed = needed(float64(c.Samples), telling*w.margin(end)/c.halfWidth())
		s.Sentence = c.unseen(text, w.margin(end))
	default:
		s.Kind = Converged
		s.Sentence = fmt.Sprintf("%s, and hardly moves any more: %s below epoch %d.", text, words.Digits(max(-float64(c.NLL), 0)), c.From)
	}
}

// cycleTells tells the story of a run whose last epoch ends a cycle of a learning rate that restarts, and reports whether it could. Within a cycle the NLL
// falls with the learning rate, whatever the network has left to learn, so the end of one cycle is compared with the end of the one before. The next
// cycle is expected to gain less than this one by the same factor by which this one gained less than the one before; train decides by the same rule.
func (s *Story) cycleTells(epochs []EpochScores, w witness) bool {
	last, n := epochs[len(epochs)-1], len(w.cycles)
	if n < 2 || w.cycles[n-1] != last.Epoch {
		return false
	}
	c := change(w.cycles[n-2], last.Epoch, w.units, nil)
	if !c.known() || c.NLL >= 0 {
		return false
	}
	end, gain := last.NLL(record.ValSplit), -float64(c.NLL)
	next := gain
	if n > 2 {
		if before := change(w.cycles[n-3], w.cycles[n-2], w.units, nil); before.known() && -float64(before.NLL) > gain {
			next *= gain / -float64(before.NLL)
		}
	}
	text := fmt.Sprintf("Validation NLL is %s at epoch %d, the end of a cycle of the learning rate, and %s below that of the cycle before, at epoch %d (95 %%: %s to %s)",
		words.Digits(end), last.Epoch, words.Digits(gain), c.From, words.Digits(-float64(c.High)), words.Digits(-float64(c.Low)))
	worth := next > max(c.halfWidth()/halfInterval, FallThatMatters*max(end, hardlyAnNLL))
	switch {
	case worth && c.BeyondChance():
		s.Kind = Learning
		s.Sentence = text + ": it still falls, and more epochs may help."
	case worth:
		return false
	default:
		s.Kind = Converged
		s.Sentence = text + ": another cycle may be expected to gain less than 1 % of it, or than chance moves it."
	}
	s.Change = c
	return true
}

// cyclesOf returns the epochs up to last that end a cycle of the learning rate, by a run's configuration. Each cycle has twice as many epochs as the one
// before, and the last of all may be cut short. The result is nil where the learning rate does not restart.
func cyclesOf(config json.RawMessage, last int) (ends []int) {
	var c struct {
		Schedule string `json:"schedule"`
		Cycle    int    `json:"lr_cycle"`
		Epochs   int    `json:"epochs"`
	}
	if json.Unmarshal(config, &c) != nil || c.Schedule != "restarts" || c.Cycle < 1 {
		return nil
	}
	for end, length := 0, c.Cycle; end < min(c.Epochs, last); length *= 2 {
		if end = min(end+length, c.Epochs); end <= last {
			ends = append(ends, end)
		}
	}
	return ends
}

// fallOf compares the epoch at which the last quarter began with the last, of those whose logits are recorded. No epoch is chosen for its NLL.
func fallOf(epochs []EpochScores, w witness) *Change {
	begin, last := lastQuarter(epochs), epochs[len(epochs)-1].Epoch
	from := 0
	for _, e := range epochs[:len(epochs)-1] {
		if w.units(e.Epoch) != nil && (from == 0 || e.Epoch <= begin) {
			from = e.Epoch
		}
	}
	return change(from, last, w.units, nil)
}

// matters reports whether a fall is so large that more epochs may be worth their time.
func matters(epochs []EpochScores, w witness, fall *Change) bool {
	start, learned := 0.0, 0.0 // the NLL at which the fall begins, and the highest NLL
	for _, e := range epochs {
		if e.Epoch == fall.From {
			start = e.NLL(record.ValSplit)
		}
		learned = max(learned, e.NLL(record.ValSplit))
	}
	learned = max(learned, w.uniform) - epochs[len(epochs)-1].NLL(record.ValSplit)
	return fall.NLL < 0 && -float64(fall.NLL) >= max(min(FallThatMatters*start, LearnedThatMatters*learned), hardlyAFall*max(w.uniform, 0))
}

// wouldTell says in words how many samples would tell the change from chance, "" where that is not known.
func (c *Change) wouldTell() string {
	switch {
	case c.Needed == 0:
		return ""
	case c.Needed >= mostTold:
		return "; no number of samples that one has would tell"
	}
	return fmt.Sprintf("; about %d would tell", c.Needed)
}

// unseen returns text, followed by words that say that a movement as wide as the interval of c would not be seen, and how many samples would show one of
// margin.
func (c *Change) unseen(text string, margin float64) string {
	show := ""
	if c.Needed > 0 && c.Needed < mostTold {
		show = fmt.Sprintf("; about %d would show one by %s", c.Needed, words.Digits(margin))
	}
	return fmt.Sprintf("%s. On %s it cannot be told whether it moves: a rise or a fall by %s would not be seen%s.", text, samplesText(c.Samples), words.Digits(c.halfWidth()), show)
}

func samplesText(n int) string { return fmt.Sprintf("%d validation samples", n) }

// lowest returns the epoch with the lowest validation NLL, the earlier one on a tie.
func lowest(epochs []EpochScores) EpochScores {
	best := epochs[0]
	for _, e := range epochs {
		if e.NLL(record.ValSplit) < best.NLL(record.ValSplit) || math.IsNaN(best.NLL(record.ValSplit)) {
			best = e
		}
	}
	return best
}
