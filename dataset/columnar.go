package dataset

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// columnText holds the values of one column as text, one behind the other.
type columnText struct {
	text   []byte
	ends   []uint32 // where each row's value ends in text
	unread string   // why the column is not read; "" where it is
}

// textColumns holds the columns of a file that stores column by column, as the text that a CSV file of the same table would have.
type textColumns struct {
	path      string
	names     []string
	fields    []*columnText
	rows      int
	bytesLeft int64  // bytes of text that may still come
	pandas    string // what pandas notes of the table, as JSON
}

// indexFirst puts the names of rows first, which pandas writes last, but first in CSV.
func (c *textColumns) indexFirst() {
	var noted struct {
		Index []any `json:"index_columns"`
	}
	if json.Unmarshal([]byte(c.pandas), &noted) != nil {
		return
	}
	at := 0
	for _, name := range noted.Index {
		name, _ := name.(string)
		if i := slices.Index(c.names, name); i >= at {
			fields := c.fields[i]
			c.names = slices.Insert(slices.Delete(c.names, i, i+1), at, name)
			c.fields = slices.Insert(slices.Delete(c.fields, i, i+1), at, fields)
			at++
		}
	}
}

// add appends a column and returns it. The parts of an unread list share one column.
func (c *textColumns) add(name, unread string) *columnText {
	if i := slices.Index(c.names, name); i >= 0 && unread != "" && c.fields[i].unread != "" {
		return c.fields[i] // another part of the same list
	}
	f := &columnText{unread: unread}
	c.names, c.fields = append(c.names, name), append(c.fields, f)
	return f
}

// table lays the columns out as rows.
func (c *textColumns) table() (*table, error) {
	c.indexFirst()
	t := &table{path: c.path, names: c.names, countRows: true}
	if c.rows < 1 || len(c.names) < 1 {
		return nil, fmt.Errorf("%s has no rows", c.path)
	}
	t.nameColumns()
	size := int64(0)
	for i, f := range c.fields {
		if f.unread != "" {
			if t.unread == nil {
				t.unread = map[string]string{}
			}
			t.unread[t.names[i]] = f.unread
			f.text, f.ends = nil, nil
		}
		if f.ends == nil {
			f.ends = make([]uint32, c.rows) // every field is empty
		}
		if len(f.ends) != c.rows {
			return nil, fmt.Errorf("%s: column %s has %d values for %d rows", c.path, t.names[i], len(f.ends), c.rows)
		}
		size += int64(len(f.text) + c.rows)
	}
	if size > maxTable {
		return nil, fmt.Errorf("%s holds %d bytes of values: a table may have 4 GiB", c.path, size)
	}
	t.data = make([]byte, 0, size)
	t.starts = make([]uint32, 0, c.rows*(len(c.fields)+1))
	for r := range c.rows {
		for _, f := range c.fields {
			from := uint32(0)
			if r > 0 {
				from = f.ends[r-1]
			}
			t.starts = append(t.starts, uint32(len(t.data)))
			t.data = append(append(t.data, f.text[from:f.ends[r]]...), 0)
		}
		t.starts = append(t.starts, uint32(len(t.data)))
	}
	return t, nil
}

// Reasons for which columns of some types are not read.
const (
	unreadList  = "its values are lists, which are not read"
	unreadBytes = "its values are bytes that are no text, which are not read"
)

// appendTime appends a moment as pandas writes one to CSV.
func appendTime(b []byte, t time.Time, zoned bool) []byte {
	b = t.UTC().AppendFormat(b, "2006-01-02 15:04:05.999999999")
	if zoned {
		b = append(b, "+00:00"...)
	}
	return b
}

func appendDate(b []byte, days int64) []byte {
	return time.Unix(days*24*60*60, 0).UTC().AppendFormat(b, time.DateOnly)
}

// appendClock appends a time of day.
func appendClock(b []byte, nanoseconds int64) []byte {
	return time.Unix(0, nanoseconds).UTC().AppendFormat(b, "15:04:05.999999999")
}

// appendDecimal appends value·10^−scale.
func appendDecimal(b []byte, value *big.Int, scale int) []byte {
	digits := new(big.Int).Abs(value).String()
	if value.Sign() < 0 {
		b = append(b, '-')
	}
	const most = 100 // no decimal type has a larger scale
	switch {
	case scale <= 0:
		return append(append(b, digits...), strings.Repeat("0", min(-scale, most))...)
	case len(digits) <= scale:
		digits = strings.Repeat("0", min(scale, most)-min(len(digits), most)+1) + digits
	}
	whole := max(len(digits)-scale, 0)
	return append(append(append(b, digits[:whole]...), '.'), digits[whole:]...)
}

// bigSigned is a big-endian number in two's complement.
func bigSigned(bytes []byte) *big.Int {
	v := new(big.Int).SetBytes(bytes)
	if len(bytes) > 0 && bytes[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(bytes))))
	}
	return v
}
