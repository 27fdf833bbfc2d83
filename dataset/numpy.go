package dataset

import (
	"slices"
	"strings"

	"github.com/logitscope/logitscope/internal/npy"
)

func init() {
	register(format{
		name: NumPyArray, endings: []string{".npy"}, magic: startsWith("\x93NUMPY"),
		reads: "features `[N,D]`, or images `[N,H,W]`, `[N,H,W,C]`, `[N,C,H,W]`, with `--labels FILE`; or labels: whole numbers or text, `[N]` or `[N,1]`, or a column of 0 and 1 for each class, `[N,K]`",
		arrays: func(s *source) (*arrayFile, error) {
			array, err := openNumPy(s)
			if err != nil {
				return nil, err
			}
			// The array is closed with the file, not by its reader.
			m := member{shape: array.Shape, kind: array.Type, open: func() (elements, error) { return sharedArray{array}, nil }}
			return &arrayFile{path: s.path, members: []member{m}, close: array.Close}, nil
		},
	})
	register(format{
		name: NumPyArchive, endings: []string{".npz"},
		reads: "features and labels by their names (`x`, `features`, … and `y`, `labels`, … or `--target NAME`), or by their shapes, or as `FILE.npz:NAME`; parts such as `x_val`, `x_test` are the other splits",
		zip: func(members []string) bool {
			return !slices.ContainsFunc(members, func(m string) bool { return !strings.HasSuffix(m, ".npy") })
		},
		arrays: func(s *source) (*arrayFile, error) {
			infos, err := npy.List(s.file)
			if err != nil {
				return nil, err
			}
			f := &arrayFile{path: s.file}
			for _, info := range infos {
				f.members = append(f.members, member{
					name: info.Name, shape: info.Shape, kind: info.Type,
					open: func() (elements, error) { return npy.OpenZip(s.file, info.Name) },
				})
			}
			return f, nil
		},
	})
}

// sharedArray is an array that its reader does not close.
type sharedArray struct{ *npy.Array }

func (sharedArray) Close() error { return nil }

// openNumPy maps the file where it is not packed, else reads it.
func openNumPy(s *source) (*npy.Array, error) {
	if len(s.packings) == 0 {
		return npy.Open(s.file)
	}
	raw, err := s.all()
	if err != nil {
		return nil, err
	}
	return npy.Decode(s.path, raw)
}
