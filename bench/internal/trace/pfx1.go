package trace

import (
	"bufio"
	"cmp"
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
	s.Scan() // or there is no header
	t := new(Trace)
	var nodes int
	var cols string
	_, err := fmt.Sscanf(s.Text(), "#%s block=%d nodes=%d absolute=%t cols=%s", &t.Name, &t.Block, &nodes, &t.Absolute, &cols)
	if err == nil && (t.Block <= 0 || cols != columns) {
		err = fmt.Errorf("want a block of some tokens, and the columns %s", columns)
	}
	if err != nil {
		return nil, fmt.Errorf("trace: the header is %.200q: %w", s.Text(), cmp.Or(s.Err(), err))
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
	if nodes != next-1 {
		return nil, fmt.Errorf("trace: %d nodes where the header says %d: cut off?", next-1, nodes)
	}
	return t, nil
}

func parseRow(line string) (Request, error) {
	var v [8]int64
	fields := strings.Split(line, "\t")
	if len(fields) != len(v) {
		return Request{}, fmt.Errorf("not %d fields: %.80q", len(v), line)
	}
	for i, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Request{}, err
		}
		if (n < 0 && (n != -1 || i != 2)) || n > 1<<40 {
			return Request{}, fmt.Errorf("field %d is %d", i+1, n)
		}
		v[i] = n
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
