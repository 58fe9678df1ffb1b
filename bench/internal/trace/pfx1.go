package trace

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const columns = "t_ms,session,parent_session,prompt_tokens,output_tokens,dur_ms,attach,new"

// Open reads the file of that name, in the format pfx1 and compressed with gzip.
func Open(name string) (*Trace, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("trace: %s: %w", name, err)
	}
	t, err := Read(z)
	if err != nil {
		return nil, fmt.Errorf("%w, in %s", err, name)
	}
	return t, nil
}

// Read reads a trace in the format pfx1, uncompressed: a line
//
//	#name block=64 nodes=1577362 absolute=0 cols=t_ms,session,...
//
// and, for every request, a line with eight decimal numbers between tabs: time
// in milliseconds, session, parent session or -1, tokens of the prompt and of
// the output, duration in milliseconds, the node that the prompt goes on from,
// and how many new nodes it has below that.
func Read(r io.Reader) (*Trace, error) {
	s := bufio.NewScanner(r)
	if !s.Scan() {
		return nil, fmt.Errorf("trace: no header: %w", orEOF(s.Err()))
	}
	fields := strings.Fields(s.Text())
	if len(fields) == 0 || !strings.HasPrefix(fields[0], "#") {
		return nil, fmt.Errorf("trace: the header is %.60q", s.Text())
	}
	t := &Trace{Name: fields[0][1:]}
	nodes := -1
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		var err error
		switch key {
		case "block":
			t.Block, err = strconv.Atoi(value)
		case "nodes":
			nodes, err = strconv.Atoi(value)
		case "absolute":
			t.Absolute, err = strconv.ParseBool(value)
		case "cols":
			if value != columns {
				err = fmt.Errorf("the columns are %s", value)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("trace: header: %w", err)
		}
	}
	if t.Block <= 0 {
		return nil, fmt.Errorf("trace: the header says block=%d", t.Block)
	}
	next := 1
	for line := 2; s.Scan(); line++ {
		row, err := parseRow(s.Text())
		if err == nil && row.Attach >= next {
			err = fmt.Errorf("node %d is not known yet", row.Attach)
		}
		if err != nil {
			return nil, fmt.Errorf("trace: line %d: %w", line, err)
		}
		next += row.New
		t.Requests = append(t.Requests, row)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if nodes >= 0 && nodes != next-1 {
		return nil, fmt.Errorf("trace: %d nodes where the header says %d: cut off?", next-1, nodes)
	}
	return t, nil
}

func parseRow(line string) (Request, error) {
	var v [8]int64
	rest := line
	for i := range v {
		field, after, more := strings.Cut(rest, "\t")
		if more != (i < len(v)-1) {
			return Request{}, fmt.Errorf("not %d fields: %.80q", len(v), line)
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Request{}, err
		}
		if (n < 0 && (n != -1 || i != 2)) || n > 1<<40 {
			return Request{}, fmt.Errorf("field %d is %d", i+1, n)
		}
		v[i], rest = n, after
	}
	switch {
	case max(v[1], v[7]) > 1<<24 || max(v[3], v[4], v[6]) > 1<<30:
		return Request{}, fmt.Errorf("too large: %.80q", line)
	case v[2] >= v[1]:
		return Request{}, fmt.Errorf("session %d is started by %d, which comes later", v[1], v[2])
	}
	const ms = time.Millisecond
	return Request{
		time.Duration(v[0]) * ms, int(v[1]), int(v[2]), int(v[3]), int(v[4]), time.Duration(v[5]) * ms, int(v[6]), int(v[7]),
	}, nil
}

func orEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
