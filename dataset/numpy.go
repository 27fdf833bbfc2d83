package dataset

import (
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/npy"
)

func init() {
	register(format{
		name: NumPyArray, ends: []string{".npy"}, magic: startsWith("\x93NUMPY"),
		reads: "features `[N,D]`, or images `[N,H,W]`, `[N,H,W,C]`, `[N,C,H,W]`, with `--labels FILE`; or labels: whole numbers or text, `[N]` or `[N,1]`, or a column of 0 and 1 for each class, `[N,K]`",
		arrays: func(s *source) (*arrayFile, error) {
			array, err := openNumPy(s)
			if err != nil {
				return nil, err
			}
			// It is given up with the file, not by who reads it.
			m := member{shape: array.Shape, kind: array.Type, open: func() (elements, error) { return kept{array}, nil }}
			return &arrayFile{path: s.path, all: []member{m}, close: array.Close}, nil
		},
	})
	register(format{
		name: NumPyArchive, ends: []string{".npz"},
		reads: "features and labels by their names (`x`, `features`, … and `y`, `labels`, … or `--target NAME`), or by their shapes, or as `FILE.npz:NAME`; parts such as `x_val`, `x_test` are the other splits",
		zipped: func(members []string) bool {
			return !slices.ContainsFunc(members, func(m string) bool { return !strings.HasSuffix(m, ".npy") })
		},
		arrays: func(s *source) (*arrayFile, error) {
			infos, err := npy.List(s.on)
			if err != nil {
				return nil, err
			}
			f := &arrayFile{path: s.on}
			for _, info := range infos {
				f.all = append(f.all, member{
					name: info.Name, shape: info.Shape, kind: info.Type,
					open: func() (elements, error) { return npy.OpenZip(s.on, info.Name) },
				})
			}
			return f, nil
		},
	})
}

// kept are elements that stay open when who read them has done with them.
type kept struct{ *npy.Array }

func (kept) Close() error { return nil }

// openNumPy maps the file where it is not packed, else reads it.
func openNumPy(s *source) (*npy.Array, error) {
	if len(s.packings) == 0 {
		return npy.Open(s.on)
	}
	raw, err := s.all()
	if err != nil {
		return nil, err
	}
	return npy.Decode(s.path, raw)
}
