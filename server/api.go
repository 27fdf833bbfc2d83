package server

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/calibrate"
	"github.com/logitscope/logitscope/diagnose"
	"github.com/logitscope/logitscope/dynamics"
	"github.com/logitscope/logitscope/record"
	"github.com/logitscope/logitscope/summary"
)

// reading returns the routes that read runs.
func (s *Server) reading() []route {
	return []route{
		{"GET /healthz", http.HandlerFunc(health), false},
		{"GET /api/runs", s.json(s.listRuns), false},
		{"GET /api/runs/{run}", s.json(s.oneRun), false},
		{"GET /api/runs/{run}/curves", s.json(s.curves), false},
		{"GET /api/runs/{run}/findings", s.json(s.findings), false},
		{"GET /api/runs/{run}/epochs/{epoch}/graphs", s.json(s.graphs), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/samples", s.json(s.hardest), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/samples/{id}", s.json(s.explain), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/score", s.json(s.score), false},
		{"GET /api/runs/{run}/epochs/{epoch}/splits/{split}/calibration", s.json(s.calibration), false},
		{"GET /api/runs/{run}/splits/{split}/labels", s.json(s.labels), false},
		{"GET /api/compare", s.json(s.compare), false},
		{"GET /api/events", http.HandlerFunc(s.events), true},
		{"GET /api/", s.json(unknownRoute), false},
		{"GET /learn", learn(s.config.Web), false},
		{"GET /learn/", learn(s.config.Web), false},
		{"GET /", dashboard(s.config.Web), false},
	}
}

// badRequest is an error in a request; it is answered with status 400.
type badRequest struct{ error }

// json answers with the value that find returns, as JSON, or with the error's status and its text in one line.
func (s *Server) json(find func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := find(r)
		var body []byte
		if err == nil {
			body, err = json.Marshal(found)
		}
		if err == nil {
			w.Header().Set("Content-Type", "application/json")
			// The browser asks for it again each time, since another run may take the name, but it is sent again only when it has
			// changed. The tag is weak, since the answer may be compressed.
			w.Header().Set("Cache-Control", "no-cache")
			sum := sha256.Sum256(body)
			w.Header().Set("ETag", fmt.Sprintf(`W/"%x"`, sum[:16]))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
			return
		}
		status := http.StatusInternalServerError
		var bad badRequest
		var missing *analysis.NotFoundError
		var notKept *record.NotKeptError
		switch {
		case r.Context().Err() != nil:
			return // the client has closed the connection
		case errors.As(err, &bad):
			status = http.StatusBadRequest
		case errors.Is(err, errNoRun), errors.As(err, &missing), errors.As(err, &notKept):
			status = http.StatusNotFound
		default:
			s.config.Log.Error("request failed", "path", r.URL.Path, "err", err)
		}
		writeError(w, status, line(err))
	})
}

// line returns the text of an error in one line.
func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func writeError(w http.ResponseWriter, status int, message string) {
	body, err := json.Marshal(map[string]string{"error": message})
	if err != nil {
		panic(err) // unreachable: a map of strings can always be written
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func unknownRoute(r *http.Request) (any, error) {
	return nil, fmt.Errorf("%w: nothing is served at %s", errNoRun, r.URL.Path)
}

// runInfo is what is known of a run without reading its logits.
type runInfo struct {
	Name          string             `json:"name"`
	Created       time.Time          `json:"created"`
	State         string             `json:"state"`
	Epochs        int                `json:"epochs"` // the newest epoch; 0 where the run has none
	PlannedEpochs int                `json:"planned_epochs"`
	Classes       []string           `json:"classes"`
	Splits        []record.SplitInfo `json:"splits"`
	Config        json.RawMessage    `json:"config"`
	Seed          uint64             `json:"seed"`
	Preview       *record.Preview    `json:"preview"`
	analysis.Lacking
}

// unreadable is the entry in the list of runs for a run that cannot be served.
type unreadable struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

func describe(name string, run *record.Run) runInfo {
	m := run.Manifest()
	info := runInfo{
		Name: name, Created: m.Created, State: run.State(), Epochs: newest(run), PlannedEpochs: m.PlannedEpochs,
		Classes: m.Classes, Splits: run.Splits(), Config: m.Config, Seed: m.Seed, Preview: m.Preview, Lacking: analysis.New(run).Lost(),
	}
	if info.Config == nil {
		info.Config = json.RawMessage("{}")
	}
	return info
}

func newest(run *record.Run) int {
	if epochs := run.Epochs(); len(epochs) > 0 {
		return epochs[len(epochs)-1]
	}
	return 0
}

// maxList is the most bytes of the list of runs, since each manifest may have 16 MiB.
var maxList = 64 << 20

// listRuns lists every run. A run that cannot be served is listed with the reason, so that a damaged one neither hides the others nor disappears.
func (s *Server) listRuns(*http.Request) (any, error) {
	all, err := s.runs.list()
	if err != nil {
		return nil, err
	}
	s.runs.forget(all)
	infos, size := make([]json.RawMessage, 0, len(all)), 0
	for _, one := range all {
		var info []byte
		err := one.err
		if err == nil && size > maxList {
			err = errors.New("the list is too long: ask for the run alone")
		}
		if err == nil {
			failed := s.runs.glance(one.name, func(run *record.Run) { info, err = json.Marshal(describe(one.name, run)) })
			err = cmp.Or(failed, err)
		}
		if errors.Is(err, errNoRun) {
			continue // the run was deleted in the meantime
		}
		if err != nil {
			s.config.Log.Warn("run cannot be read", "run", one.name, "err", err)
			if info, err = json.Marshal(unreadable{one.name, line(err)}); err != nil {
				return nil, err
			}
		}
		infos = append(infos, info)
		size += len(info)
	}
	return infos, nil
}

func (s *Server) oneRun(r *http.Request) (any, error) {
	return s.runs.use(r.PathValue("run"), func(run *openRun) (any, error) { return describe(run.name, run.Run), nil })
}

func (s *Server) curves(r *http.Request) (any, error) {
	return s.runs.use(r.PathValue("run"), func(run *openRun) (any, error) { return run.Curves(r.Context()) })
}

func (s *Server) findings(r *http.Request) (any, error) {
	return s.runs.use(r.PathValue("run"), func(run *openRun) (any, error) { return diagnose.Of(r.Context(), run.Analyzer) })
}

func (s *Server) graphs(r *http.Request) (any, error) {
	return s.atEpoch(r, func(run *openRun, epoch int) (any, error) { return run.Graphs(r.Context(), epoch) })
}

const (
	defaultSamples = 48
	maxSamples     = 1000
)

func (s *Server) hardest(r *http.Request) (any, error) {
	limit, err := numberOf(r, "limit", 1, maxSamples, defaultSamples)
	if err != nil {
		return nil, err
	}
	return s.atEpoch(r, func(run *openRun, epoch int) (any, error) {
		return run.Hardest(r.Context(), epoch, r.PathValue("split"), limit)
	})
}

func (s *Server) explain(r *http.Request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, badRequest{fmt.Errorf("sample %q is not a number", r.PathValue("id"))}
	}
	temperature, err := temperatureOf(r)
	if err != nil {
		return nil, err
	}
	return s.atEpoch(r, func(run *openRun, epoch int) (any, error) {
		return run.Explain(r.Context(), epoch, r.PathValue("split"), id, temperature)
	})
}

func (s *Server) score(r *http.Request) (any, error) {
	var o analysis.ScoreOptions
	var err error
	if o.Temperature, err = temperatureOf(r); err != nil {
		return nil, err
	}
	if o.Bins, err = numberOf(r, "bins", 1, summary.MaxBins, 0); err != nil {
		return nil, err
	}
	return s.atEpoch(r, func(run *openRun, epoch int) (any, error) {
		return run.Score(r.Context(), epoch, r.PathValue("split"), o)
	})
}

// maxFolds is the most folds of a calibration; each takes the time of a fit.
const maxFolds = 100

// calibration fits a calibrator and returns its report. It writes nothing to the run.
func (s *Server) calibration(r *http.Request) (any, error) {
	var o calibrate.Options
	method, err := calibrate.ParseMethod(cmp.Or(r.URL.Query().Get("method"), string(calibrate.ByTemperature)))
	if err != nil {
		return nil, badRequest{err}
	}
	if o.Bins, err = numberOf(r, "bins", 1, summary.MaxBins, 0); err != nil {
		return nil, err
	}
	if o.Folds, err = numberOf(r, "folds", 2, maxFolds, 0); err != nil {
		return nil, err
	}
	o.Seed = 1
	return s.atEpoch(r, func(run *openRun, epoch int) (any, error) {
		c, err := run.Calibrate(r.Context(), epoch, r.PathValue("split"), method, o)
		if err != nil {
			return nil, err
		}
		return c.Fitted(), nil
	})
}

// labels lists the samples whose labels may be wrong: the flagged ones, or as many as the query asks for.
func (s *Server) labels(r *http.Request) (any, error) {
	limit, err := numberOf(r, "limit", 1, maxSamples, 0)
	if err != nil {
		return nil, err
	}
	return s.runs.use(r.PathValue("run"), func(run *openRun) (any, error) {
		return dynamics.FindWrongLabels(r.Context(), run.Analyzer, r.PathValue("split"), limit)
	})
}

// maxCompared is how many runs may be compared at once.
const maxCompared = 100

// compare compares the runs that the query names. A name that is given twice counts once.
func (s *Server) compare(r *http.Request) (any, error) {
	var rows []*analysis.Compared
	names := r.URL.Query()["run"]
	if len(names) == 0 || len(names) > maxCompared {
		return nil, badRequest{fmt.Errorf("%d runs to compare: name 1 to %d, as ?run=A&run=B", len(names), maxCompared)}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, badRequest{fmt.Errorf("run %q is named twice", name)}
		}
		row, err := s.runs.use(name, func(run *openRun) (any, error) { return run.Compared(r.Context(), name) })
		if err != nil {
			return nil, err
		}
		rows = append(rows, row.(*analysis.Compared))
	}
	analysis.Compare(rows)
	return rows, nil
}

// numberOf returns a whole number from least to most of the query, or fallback where the query has none.
func numberOf(r *http.Request, name string, least, most, fallback int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, badRequest{fmt.Errorf("%s %q is not a number from %d to %d", name, text, least, most)}
	}
	return n, nil
}

// temperatureOf returns the temperature of the query, 1 where it has none.
func temperatureOf(r *http.Request) (float64, error) {
	text := r.URL.Query().Get("temperature")
	if text == "" {
		return 1, nil
	}
	t, err := strconv.ParseFloat(text, 64)
	if err != nil || !analysis.ValidTemperature(t) {
		return 0, badRequest{fmt.Errorf("temperature %q is not a finite number above 0", text)}
	}
	return t, nil
}

// atEpoch calls do with the run and the epoch that the request names.
func (s *Server) atEpoch(r *http.Request, do func(run *openRun, epoch int) (any, error)) (any, error) {
	epoch, err := strconv.Atoi(r.PathValue("epoch"))
	if err != nil {
		return nil, badRequest{fmt.Errorf("epoch %q is not a number", r.PathValue("epoch"))}
	}
	return s.runs.use(r.PathValue("run"), func(run *openRun) (any, error) { return do(run, epoch) })
}
