package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A JSON file of a run ends in a seal, the CRC-32C of all that stands before the seal's comma, in lower-case hexadecimal:
//
//	,
//	  "crc32c": "0badc0de"
//	}
//
// So the file is plain JSON, and damage to it is found.
const sealFormat = ",\n  \"crc32c\": \"%08x\"\n}\n"

const sealSize = len(",\n  \"crc32c\": \"00000000\"\n}\n")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal returns v as a sealed JSON file. v must encode to a JSON object with at least one member.
func Seal(v any) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return sealed(bytes.TrimSuffix(buf.Bytes(), []byte("\n}\n"))), nil
}

// sealed returns body followed by its seal.
func sealed(body []byte) []byte {
	return fmt.Appendf(slices.Clip(body), sealFormat, crc32.Checksum(body, castagnoli))
}

var errUnsealed = errors.New("its checksum does not match: the file is damaged")

// Unseal verifies the seal of a JSON file and decodes the file into v. A file without an intact seal is an error.
func Unseal(data []byte, v any) error {
	if len(data) < sealSize {
		return fmt.Errorf("%d bytes: the file is cut short", len(data))
	}
	body, tail := data[:len(data)-sealSize], data[len(data)-sealSize:]
	if string(tail) != fmt.Sprintf(sealFormat, crc32.Checksum(body, castagnoli)) {
		return errUnsealed
	}
	return json.Unmarshal(data, v)
}

// readSmall reads a whole file of at most limit bytes.
func readSmall(d folder, name string, limit int64) ([]byte, error) {
	f, size, err := openRegular(d, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("%d bytes: want at most %d", size, limit)
	}
	data := make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, size), data)
	return data, err
}
