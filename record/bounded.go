package record

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Lists of a run's JSON files, each read up to a number of entries: a file within its bound on bytes may hold millions, each of which
// would cost many times what it takes in the file.
type (
	splitFiles  []splitFile
	fileInfos   []fileInfo
	epochSplits []epochSplit
	partInfos   []partInfo
)

// maxFiles bounds the writer's own files, of a run or of a checkpoint.
const maxFiles = 1 << 16

func (l *splitFiles) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[splitFile](data, maxSplits, "splits")
	return err
}

func (l *fileInfos) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[fileInfo](data, maxFiles, "files")
	return err
}

func (l *epochSplits) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[epochSplit](data, maxSplits, "splits")
	return err
}

func (l *partInfos) UnmarshalJSON(data []byte) (err error) {
	*l, err = few[partInfo](data, maxParts, "parts")
	return err
}

// few reads a list of at most so many entries.
func few[T any](data []byte, most int, what string) (list []T, err error) {
	if string(data) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return nil, fmt.Errorf("%s are no list", what)
	}
	for d.More() {
		if len(list) == most {
			return nil, fmt.Errorf("more than %d %s", most, what)
		}
		var next T
		if err := d.Decode(&next); err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}
