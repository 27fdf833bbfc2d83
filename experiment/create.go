package experiment

import (
	"cmp"
	"encoding/json"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/logitscope/logitscope/dataset"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/internal/kernel"
	"github.com/logitscope/logitscope/record"
)

// create makes the run directory with its manifest and samples.
func (e *Experiment) create(dir string) (*record.Writer, error) {
	data := e.Data
	config, err := json.Marshal(e.Config)
	if err != nil {
		return nil, err
	}
	path, err := kernel.Path() // the same seed gives the same bits on the same path
	if err != nil {
		return nil, err
	}
	manifest := record.Manifest{
		Name: filepath.Base(dir), Created: time.Now().UTC(), Classes: data.Classes, Head: e.Head.Kind(), Columns: e.Head.Columns(),
		PlannedEpochs: e.Config.planned(), Seed: e.Config.Seed, Config: config,
		Versions: map[string]string{
			"logitscope": Version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "kernel": path,
		},
	}
	if data.Image != nil {
		manifest.Preview = &record.Preview{
			Kind: "image", Height: data.Image.Height, Width: data.Image.Width, Channels: data.Image.Channels, Max: data.Image.Max,
		}
	}
	samples := make(map[string]record.Samples, len(e.parts))
	for _, p := range e.parts {
		manifest.Splits = append(manifest.Splits, record.SplitInfo{Name: p.Name, N: len(p.Rows), Rows: e.rows()})
		s := record.Samples{IDs: p.IDs, Labels: p.labels, CleanLabels: p.clean}
		for _, row := range p.Rows {
			if data.Image != nil {
				s.Previews = append(s.Previews, data.Image.At(int(row))...)
			}
			if data.Targets != nil {
				s.Targets = append(s.Targets, data.Target(int(row))...)
			}
		}
		samples[p.Name] = s
	}
	var files []record.File
	if e.Race != nil {
		race, err := e.Race.file()
		if err != nil {
			return nil, err
		}
		files = append(files, race)
	}
	text, err := e.Config.YAML()
	if err != nil {
		return nil, err
	}
	files = append(files, record.File{Name: ConfigFile, Data: text})
	if data.Pipeline != nil {
		pipeline, err := data.Pipeline.Encode()
		if err != nil {
			return nil, err
		}
		files = append(files, record.File{Name: dataset.PipelineFile, Data: pipeline})
	}
	if copies, err := copiesOf(data, e.parts); err != nil {
		return nil, err
	} else if copies != nil {
		files = append(files, *copies)
	}
	return record.Create(dir, manifest, samples, files...)
}

// copiesOf returns the file that says which samples of other splits are rows of the training set too, or nil where rows were not compared.
func copiesOf(data *dataset.Dataset, parts []labelledPart) (*record.File, error) {
	if data.Hashes == nil {
		return nil, nil
	}
	of := func(p labelledPart) []uint64 {
		hashes := make([]uint64, len(p.Rows))
		for i, row := range p.Rows {
			hashes[i] = data.Hashes[row]
		}
		return hashes
	}
	copies := diagnose.Copies{Repeated: diagnose.Repeated(of(parts[0])), Splits: []diagnose.CopiesOf{}}
	for _, p := range parts[1:] {
		copies.Splits = append(copies.Splits, diagnose.FindCopies(p.Name, p.IDs, of(p), parts[0].IDs, of(parts[0])))
	}
	text, err := json.Marshal(copies)
	return &record.File{Name: diagnose.CopiesFile, Data: text}, err
}

// modulePath is the path of the module that this package is part of.
const modulePath = "github.com/logitscope/logitscope"

// release is the version of a released program. Its build sets it.
var release string

// Version returns the version of logitscope, as the build of the program recorded it: of logitscope itself or of another program that uses
// its packages. It is "unknown" where the build did not.
func Version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, m := range info.Deps {
		if m.Path == modulePath {
			version = m.Version
		}
	}
	return cmp.Or(version, "unknown")
}
