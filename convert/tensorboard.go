package convert

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logitscope/logitscope/analysis"
)

var tensorBoard = Format{
	Name: "tensorboard", Folder: true,
	Text:   "a folder of one event file a split: NLL and accuracy of every epoch as scalars, the raw logit, softmax, log-softmax and NLL of the true class as histograms of the recorded ones; tensorboard --logdir FOLDER",
	folder: writeTensorBoard,
}

// writeTensorBoard writes a subfolder for each split. TensorBoard takes these for runs and draws their curves into one graph.
// The format is that of tensorflow/core/lib/io/record_writer.cc and tensorflow/core/util/event.proto.
func writeTensorBoard(dir string, s *selection) error {
	a := analysis.New(s.run)
	curves, err := a.Curves(s.ctx)
	if err != nil {
		return err
	}
	if curves.Any() {
		return errors.New(curves.Sentence())
	}
	start := s.manifest.Created
	logs := make([]*eventFile, len(s.splits))
	for i, part := range s.splits {
		folder := filepath.Join(dir, part.name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		if logs[i], err = newEventFile(filepath.Join(folder, fmt.Sprintf("events.out.tfevents.%d.logitscope", start.Unix())), float64(start.UnixNano())/1e9); err != nil {
			return err
		}
		defer logs[i].Close()
	}
	wanted := map[int]bool{}
	for _, epoch := range s.epochs {
		wanted[epoch] = true
	}
	done := 0
	for _, e := range curves.All() {
		for i, part := range s.splits {
			figures, ok := e.Splits[part.name]
			if !ok {
				continue
			}
			logs[i].scalar("nll", e.Epoch, float64(figures.NLL))
			logs[i].scalar("accuracy", e.Epoch, float64(figures.Accuracy))
		}
		if !wanted[e.Epoch] {
			continue
		}
		if s.progress != nil {
			s.progress(done, len(s.epochs))
			done++
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		graphs, err := a.Graphs(s.ctx, e.Epoch)
		if err != nil {
			return err
		}
		for _, q := range graphs.Quantities {
			for i, part := range s.splits {
				logs[i].histogram(q.Title, e.Epoch, q.Edges, q.Splits[part.name].True)
			}
		}
	}
	for _, log := range logs {
		if err := log.Close(); err != nil {
			return err
		}
	}
	return nil
}

// eventFile writes a file of TensorBoard events. Each event is preceded by its length, and both are followed by their masked CRC-32C. After an
// error it writes nothing more, and keeps the error.
type eventFile struct {
	file *os.File
	out  *bufio.Writer
	time float64 // the time of every event, in seconds since 1970: a run keeps the time of its beginning only
	err  error
}

func newEventFile(path string, time float64) (*eventFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	e := &eventFile{file: file, out: bufio.NewWriter(file), time: time}
	event := protowire.AppendTag(nil, eventVersion, protowire.BytesType)
	e.write(0, protowire.AppendString(event, "brain.Event:2"))
	return e, nil
}

// The numbers of the fields in event.proto and summary.proto.
const (
	eventTime, eventStep, eventVersion, eventSummary = 1, 2, 3, 5
	summaryValue                                     = 1
	valueTag, valueScalar, valueHistogram            = 1, 2, 5
	histogramMin, histogramMax, histogramCount       = 1, 2, 3
	histogramSum, histogramSquares                   = 4, 5
	histogramLimits, histogramCounts                 = 6, 7
)

func (e *eventFile) scalar(tag string, step int, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return // the figure is not known
	}
	value := protowire.AppendTag(nil, valueScalar, protowire.Fixed32Type)
	e.value(tag, step, protowire.AppendFixed32(value, math.Float32bits(float32(v))))
}

// histogram writes the counts of h between edges. The sum of the values follows from their mean; the sum of their squares is estimated from the
// middles of the bins.
func (e *eventFile) histogram(tag string, step int, edges []float64, h analysis.Histogram) {
	if h.N == 0 {
		return
	}
	var limits, counts []byte
	squares, first, last := 0.0, -1, 0
	for i, n := range h.Counts {
		middle := (edges[i] + edges[i+1]) / 2
		squares += float64(n) * middle * middle
		limits = protowire.AppendFixed64(limits, math.Float64bits(edges[i+1]))
		counts = protowire.AppendFixed64(counts, math.Float64bits(float64(n)))
		if n > 0 && first < 0 {
			first = i
		}
		if n > 0 {
			last = i
		}
	}
	var message []byte
	for _, f := range []struct {
		number protowire.Number
		value  float64
	}{
		{histogramMin, edges[max(first, 0)]},
		{histogramMax, edges[last+1]},
		{histogramCount, float64(h.N)},
		{histogramSum, float64(h.Mean) * float64(h.N)},
		{histogramSquares, squares},
	} {
		message = protowire.AppendTag(message, f.number, protowire.Fixed64Type)
		message = protowire.AppendFixed64(message, math.Float64bits(f.value))
	}
	message = protowire.AppendTag(message, histogramLimits, protowire.BytesType)
	message = protowire.AppendBytes(message, limits)
	message = protowire.AppendTag(message, histogramCounts, protowire.BytesType)
	message = protowire.AppendBytes(message, counts)
	value := protowire.AppendTag(nil, valueHistogram, protowire.BytesType)
	e.value(tag, step, protowire.AppendBytes(value, message))
}

func (e *eventFile) value(tag string, step int, value []byte) {
	named := protowire.AppendTag(nil, valueTag, protowire.BytesType)
	named = append(protowire.AppendString(named, tag), value...)
	summary := protowire.AppendTag(nil, summaryValue, protowire.BytesType)
	summary = protowire.AppendBytes(summary, named)
	event := protowire.AppendTag(nil, eventSummary, protowire.BytesType)
	e.write(step, protowire.AppendBytes(event, summary))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (e *eventFile) write(step int, what []byte) {
	event := protowire.AppendTag(nil, eventTime, protowire.Fixed64Type)
	event = protowire.AppendFixed64(event, math.Float64bits(e.time))
	event = protowire.AppendTag(event, eventStep, protowire.VarintType)
	event = append(protowire.AppendVarint(event, uint64(step)), what...)
	masked := func(data []byte) uint32 {
		crc := crc32.Checksum(data, castagnoli)
		return (crc>>15 | crc<<17) + 0xa282ead8
	}
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(event)))
	record = binary.LittleEndian.AppendUint32(record, masked(record))
	record = append(record, event...)
	record = binary.LittleEndian.AppendUint32(record, masked(event))
	if e.err == nil {
		_, e.err = e.out.Write(record)
	}
}

// Close completes the file and returns the first error. Further calls do nothing.
func (e *eventFile) Close() error {
	if e.file == nil {
		return e.err
	}
	if e.err == nil {
		e.err = e.out.Flush()
	}
	if err := e.file.Close(); e.err == nil {
		e.err = err
	}
	e.file = nil
	return e.err
}
