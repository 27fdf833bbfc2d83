package convert

import (
	"archive/zip"
	"io"
	"math"

	"github.com/logitscope/logitscope/internal/npy"
)

var npzFormat = Format{
	Name: "npz", Endings: []string{".npz"},
	Text: "NumPy's archive: epochs [E] and, for each split, SPLIT_logits [E,N,K] (NaN where an epoch holds no row of a sample), SPLIT_ids [N], SPLIT_labels [N] (−100: none; SPLIT_targets [N,K] with several a sample), SPLIT_clean_labels where labels were changed on purpose; classes [K]",
	file: writeNPZ,
}

func writeNPZ(w io.Writer, s *selection) error {
	archive := zip.NewWriter(w)
	member := func(name string) (io.Writer, error) {
		return archive.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store}) // stored, so that it can be mapped
	}
	epochs := make([]int64, len(s.epochs))
	for i, epoch := range s.epochs {
		epochs[i] = int64(epoch)
	}
	out, err := member("epochs")
	if err == nil {
		err = npy.Write(out, epochs, len(epochs))
	}
	if err != nil {
		return err
	}
	if out, err = member("classes"); err == nil {
		err = npy.WriteStrings(out, s.manifest.Classes)
	}
	if err != nil {
		return err
	}
	done := 0
	for _, part := range s.splits {
		if out, err = member(part.name + "_logits"); err == nil {
			err = npy.WriteHeader[float32](out, len(s.epochs), len(part.IDs), s.manifest.Columns)
		}
		if err != nil {
			return err
		}
		for _, epoch := range s.epochs {
			err := s.visit(epoch, part, &done, func(_ int, rows split, logits []float32) error {
				return npy.WriteValues(out, rows.among(len(part.IDs), s.manifest.Columns, logits))
			})
			if err != nil {
				return err
			}
		}
		if err := writeSamples(member, part, len(s.manifest.Classes)); err != nil {
			return err
		}
	}
	return archive.Close()
}

// among returns the logits of all n samples of the split, [n,k]. Samples that the epoch does not hold are NaN.
func (of split) among(n, k int, logits []float32) []float32 {
	if of.places == nil {
		return logits
	}
	all := make([]float32, n*k)
	for i := range all {
		all[i] = float32(math.NaN())
	}
	for i, place := range of.places {
		copy(all[int(place)*k:(int(place)+1)*k], logits[i*k:(i+1)*k])
	}
	return all
}

func writeSamples(member func(name string) (io.Writer, error), part split, k int) error {
	n := len(part.IDs)
	out, err := member(part.name + "_ids")
	if err == nil {
		err = npy.Write(out, part.IDs, n)
	}
	if err != nil {
		return err
	}
	if part.Targets != nil {
		if out, err = member(part.name + "_targets"); err == nil {
			err = npy.Write(out, part.Targets, n, k)
		}
		return err
	}
	if out, err = member(part.name + "_labels"); err == nil {
		err = npy.Write(out, part.Labels, n)
	}
	if err == nil && part.CleanLabels != nil {
		if out, err = member(part.name + "_clean_labels"); err == nil {
			err = npy.Write(out, part.CleanLabels, n)
		}
	}
	return err
}
