package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/logitscope/logitscope/analysis"
	"github.com/logitscope/logitscope/record"
)

// badRequest is an error of whoever asked.
type badRequest struct{ error }

// json answers with what find returns, or with its error in one line.
func (s *Server) json(find func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := find(r)
		var body []byte
		if err == nil {
			body, err = json.Marshal(found)
		}
		if err == nil {
			w.Header().Set("Content-Type", "application/json")
			// To be asked for again, since a run of the same name may take its place, but not sent again while it is the
			// same. Weak, since it may be compressed.
			w.Header().Set("Cache-Control", "no-cache")
			sum := sha256.Sum256(body)
			w.Header().Set("ETag", fmt.Sprintf(`W/"%x"`, sum[:16]))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
			return
		}
		status := http.StatusInternalServerError
		var bad badRequest
		var missing *analysis.NotFoundError
		switch {
		case errors.As(err, &bad):
			status = http.StatusBadRequest
		case errors.Is(err, errNoRun), errors.As(err, &missing):
			status = http.StatusNotFound
		default:
			s.config.Log.Error("request failed", "path", r.URL.Path, "err", err)
		}
		writeError(w, status, err.Error())
	})
}

func writeError(w http.ResponseWriter, status int, message string) {
	body, err := json.Marshal(map[string]string{"error": strings.Join(strings.Fields(message), " ")})
	if err != nil {
		panic(err) // a map of strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func unknownRoute(r *http.Request) (any, error) {
	return nil, fmt.Errorf("%w: nothing is served at %s", errNoRun, r.URL.Path)
}

// runInfo is what there is to know of a run without reading its logits.
type runInfo struct {
	Name          string             `json:"name"`
	Created       time.Time          `json:"created"`
	State         string             `json:"state"`
	Epochs        int                `json:"epochs"` // the newest; 0 where there is none
	PlannedEpochs int                `json:"planned_epochs"`
	Classes       []string           `json:"classes"`
	Splits        []record.SplitInfo `json:"splits"`
	Config        json.RawMessage    `json:"config"`
	Seed          uint64             `json:"seed"`
	Preview       *record.Preview    `json:"preview"`
}

func describe(name string, run *openRun) runInfo {
	m := run.Manifest()
	info := runInfo{
		Name: name, Created: m.Created, State: run.State(), Epochs: newest(run), PlannedEpochs: m.PlannedEpochs,
		Classes: m.Classes, Splits: m.Splits, Config: m.Config, Seed: m.Seed, Preview: m.Preview,
	}
	if info.Config == nil {
		info.Config = json.RawMessage("{}")
	}
	return info
}

func newest(run *openRun) int {
	if epochs := run.Epochs(); len(epochs) > 0 {
		return epochs[len(epochs)-1]
	}
	return 0
}

// listRuns leaves out what cannot be opened and logs it: one damaged run does not hide the others.
func (s *Server) listRuns(*http.Request) (any, error) {
	names, err := s.runs.names()
	if err != nil {
		return nil, err
	}
	infos := []runInfo{}
	for _, name := range names {
		run, err := s.runs.get(name)
		if err != nil {
			s.config.Log.Warn("run left out", "run", name, "err", err)
			continue
		}
		infos = append(infos, describe(name, run))
	}
	return infos, nil
}

func (s *Server) oneRun(r *http.Request) (any, error) {
	run, err := s.runs.get(r.PathValue("run"))
	if err != nil {
		return nil, err
	}
	return describe(r.PathValue("run"), run), nil
}

func (s *Server) curves(r *http.Request) (any, error) {
	run, err := s.runs.get(r.PathValue("run"))
	if err != nil {
		return nil, err
	}
	return run.Curves()
}

func (s *Server) findings(r *http.Request) (any, error) {
	run, err := s.runs.get(r.PathValue("run"))
	if err != nil {
		return nil, err
	}
	return run.Diagnose()
}

func (s *Server) graphs(r *http.Request) (any, error) {
	run, epoch, err := s.runAndEpoch(r)
	if err != nil {
		return nil, err
	}
	return run.Graphs(epoch)
}

const (
	defaultSamples = 48
	maxSamples     = 1000
)

func (s *Server) hardest(r *http.Request) (any, error) {
	run, epoch, err := s.runAndEpoch(r)
	if err != nil {
		return nil, err
	}
	limit := defaultSamples
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxSamples {
			return nil, badRequest{fmt.Errorf("limit %q is not a number from 1 to %d", text, maxSamples)}
		}
	}
	return run.Hardest(epoch, r.PathValue("split"), limit)
}

func (s *Server) explain(r *http.Request) (any, error) {
	run, epoch, err := s.runAndEpoch(r)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, badRequest{fmt.Errorf("sample %q is not a number", r.PathValue("id"))}
	}
	temperature := 1.0
	if text := r.URL.Query().Get("temperature"); text != "" {
		if temperature, err = strconv.ParseFloat(text, 64); err != nil || !analysis.ValidTemperature(temperature) {
			return nil, badRequest{fmt.Errorf("temperature %q is not a finite number above 0", text)}
		}
	}
	return run.Explain(epoch, r.PathValue("split"), id, temperature)
}

func (s *Server) runAndEpoch(r *http.Request) (*openRun, int, error) {
	epoch, err := strconv.Atoi(r.PathValue("epoch"))
	if err != nil {
		return nil, 0, badRequest{fmt.Errorf("epoch %q is not a number", r.PathValue("epoch"))}
	}
	run, err := s.runs.get(r.PathValue("run"))
	return run, epoch, err
}
